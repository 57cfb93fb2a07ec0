#!/usr/bin/env bash
# Tests a GPU: kernels against the CPU, goldens, perplexities, text, seeds,
# sanitizers, PTX. Options and what is written: --help.
#
# It runs in a bundle (scripts/gpu_bundle.sh) and in the project's own folder.
set -euo pipefail
command -v python3 >/dev/null || {
  echo "gpu_test: error: needs python3" >&2
  exit 1
}
exec python3 "$(dirname "$0")/gpu/test.py" "$@"
