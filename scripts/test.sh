#!/usr/bin/env bash
# Builds qcc and qrt and runs every test; what CI runs.
#
#   scripts/test.sh [--asan] [--jobs N] [--no-setup]
#
#   --asan        the same under the address and undefined-behaviour sanitizers
#   --jobs N      processes at once (default: the machine's CPUs)
#   --no-setup    leave the installed packages alone
#
# The build stands in build/dev (or build/asan). Tests that need the shared test
# data look for it in $QCC_SHARED_DATA, or in ../shared/data beside the project,
# and are skipped without it. The last line is `N passed, N failed, N skipped`,
# with each GoogleTest case and each lit test counted once; the exit status is 0
# if none failed. A build that fails counts as one failed test.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=dev
jobs=$(nproc)
setup=yes
while [[ $# -gt 0 ]]; do
  case "$1" in
  --asan) preset=asan ;;
  --jobs | -j) jobs=${2:?--jobs needs a number} && shift ;;
  --no-setup) setup=no ;;
  -h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' scripts/test.sh
    exit 0
    ;;
  *)
    echo "test: error: unknown option '$1'; see --help" >&2
    exit 2
    ;;
  esac
  shift
done
build=build/$preset

say() { echo "test: $*"; }
stop() {
  echo "test: error: $*" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

if [[ $setup == yes ]]; then
  scripts/setup.sh || stop "the packages could not be installed"
fi

say "building in $build"
mkdir -p build
cmake --preset "$preset" >"$build.log" 2>&1 || {
  cat "$build.log" >&2
  stop "the configuration failed"
}
cmake --build "$build" --parallel "$jobs" || stop "the build failed"

if [[ $preset == asan ]]; then
  # Containers and arenas that cross into LLVM's libraries, which are not
  # instrumented, look overfull or freed to the annotations of those that are.
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_container_overflow=0:allow_user_poisoning=0}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
fi

# A test of a real model needs it; without a network that one is skipped.
if [[ $setup == yes ]]; then
  scripts/fetch_smollm2.sh >/dev/null || say "SmolLM2 could not be fetched"
fi

say "running the tests"
status=0
rm -f "$build/ctest.xml" "$build/lit.json"
ctest --test-dir "$build" --parallel "$jobs" --output-on-failure \
  --output-junit ctest.xml --exclude-regex '^lit$' || status=1
/usr/lib/llvm-22/bin/lit -v --no-progress-bar --workers "$jobs" \
  --output "$build/lit.json" "$build/tests" || status=1

python3 scripts/count_tests.py "$build/ctest.xml" "$build/lit.json" || status=1
exit $status
