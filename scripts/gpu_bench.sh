#!/usr/bin/env bash
# Measures a GPU: its limits, then decoding, batches, prompts, long contexts,
# memory and loading of a list of models. Options and what is written: --help.
#
# It runs in a bundle (scripts/gpu_bundle.sh) and in the project's own folder.
set -euo pipefail
command -v python3 >/dev/null || {
  echo "gpu_bench: error: needs python3" >&2
  exit 1
}
exec python3 "$(dirname "$0")/gpu/bench.py" "$@"
