#!/usr/bin/env bash
# Measures GPTQ's calibration on a GPU: seconds by stage and memory. Options and
# what is written: --help.
#
# It runs in a bundle (scripts/gpu_bundle.sh) and in the project's own folder.
set -euo pipefail
command -v python3 >/dev/null || {
  echo "gpu_calibration: error: needs python3" >&2
  exit 1
}
exec python3 "$(dirname "$0")/gpu/calibration.py" "$@"
