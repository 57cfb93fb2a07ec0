#!/usr/bin/env bash
# Packs what a machine with an NVIDIA GPU needs to test and measure: qcc and qrt
# linked statically, the benchmarks, the GPU scripts and small test data.
#
#   scripts/gpu_bundle.sh [-o FILE] [--jobs N] [--data FOLDER] [--no-build]
#
#   -o FILE        the archive (default build/qcc-gpu.tar.xz)
#   --jobs N       compilations at once (default: the machine's CPUs); links of
#                  LLVM are large and run one at a time
#   --data FOLDER  the shared test data (default $QCC_SHARED_DATA or
#                  ../shared/data); without it only what needs none is packed
#   --no-build     pack what stands in build/portable
#
# The other machine needs a glibc as new as this one's, Python 3, a driver for
# CUDA 12 or newer, and NVRTC to compile models. There: unpack the archive, then
# qcc-gpu/scripts/gpu_test.sh, gpu_bench.sh and gpu_calibration.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

output=build/qcc-gpu.tar.xz
jobs=$(nproc)
data=${QCC_SHARED_DATA:-../shared/data}
build=yes
while [[ $# -gt 0 ]]; do
  case "$1" in
  -o) output=${2:?-o needs a file} && shift ;;
  --jobs | -j) jobs=${2:?--jobs needs a number} && shift ;;
  --data) data=${2:?--data needs a folder} && shift ;;
  --no-build) build=no ;;
  -h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' scripts/gpu_bundle.sh
    exit 0
    ;;
  *)
    echo "gpu_bundle: error: unknown option '$1'; see --help" >&2
    exit 2
    ;;
  esac
  shift
done

say() { echo "gpu_bundle: $*"; }

if [[ $build == yes ]]; then
  cmake --preset portable >/dev/null
  cmake --build build/portable --parallel "$jobs" --target qcc qrt_tool \
    gpu_limits gpu_prompts gpu_gptq gpu_gptq_test gpu_sampling_test \
    gpu_batch_test
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/qcc-gpu
mkdir -p "$root/bin" "$root/data/text"
cp build/portable/bin/{qcc,qrt,gpu_{limits,prompts,gptq,{gptq,sampling,batch}_test}} \
  "$root/bin/"
strip --strip-all "$root"/bin/*
cp -r scripts/gpu scripts/gpu_{test,bench,calibration}.sh "$folder/"
mkdir "$root/scripts"
mv "$folder"/gpu "$folder"/gpu_{test,bench,calibration}.sh "$root/scripts/"
rm -rf "$root/scripts/gpu/__pycache__"
if [[ -d $data ]]; then
  cp -r "$data/configs" "$data/minis" "$root/data/"
  mkdir -p "$root/data/goldens"
  # Checkpoints of the architectures that run on GPUs; others are refused.
  cp -r "$data"/goldens/* "$root/data/goldens/"
  mkdir -p "$root/data/quant-goldens"
  cp -r "$data/quant-goldens/gptq" "$root/data/quant-goldens/"
  head -c 400000 "$data/text/wiki.test.raw" >"$root/data/text/wiki.test.raw"
else
  say "no test data at $data: packing tools alone"
  mkdir -p "$root/data/configs"
  cp -r bench/models/* "$root/data/configs/"
fi

tar -C "$folder" -c qcc-gpu | xz -6 -T "$jobs" >"$output.part"
mv "$output.part" "$output"
needs=$(objdump -T "$root"/bin/* | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1)
say "$output: $(du -m "$output" | cut -f 1) MB; needs ${needs/_/ }"
