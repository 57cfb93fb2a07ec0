#!/usr/bin/env bash
# Measures qrt beside llama.cpp on this machine's CPU.
#
#   bench/peers/llama_cpp.sh [--models LIST] [--threads LIST] [--rounds N]
#                            [--text FILE] [--output FOLDER] [--build-only]
#
#   --models LIST    of smollm2,llama-3.2-3b (default: both)
#   --threads LIST   thread counts (default: 1,2)
#   --rounds N       runs of each program, one after the other (default: 5)
#   --text FILE      also compares perplexities on this text
#                    (default: wiki.test.raw of the shared test data, if there)
#   --output FOLDER  where report.md and report.json go (default: .cache/peers)
#   --build-only     builds llama.cpp and makes the models, measures nothing
#
# Needs build/bin/qcc and build/bin/qrt (scripts/quickstart.sh builds them), or
# another folder of theirs in $QCC_BIN. llama.cpp comes from the PyPI sdist of
# llama-cpp-python, is built for this machine, and stays in .cache/peers with
# the models. Both sides have 4-bit weights in groups of 32 and 8-bit heads:
# Q4_0 with a Q8_0 head there, int4 with an int8 head here. SmolLM2 is the
# trained model, the Llama 3.2 3B shape has random weights.
set -euo pipefail
cd "$(dirname "$0")/../.."

models=smollm2,llama-3.2-3b
threads=1,2
rounds=5
text=${QCC_SHARED_DATA:-../shared/data}/text/wiki.test.raw
[[ -e $text ]] || text=
output=.cache/peers
build_only=no
while [[ $# -gt 0 ]]; do
  case "$1" in
  --models) models=${2:?--models needs a list} && shift ;;
  --threads) threads=${2:?--threads needs a list} && shift ;;
  --rounds) rounds=${2:?--rounds needs a number} && shift ;;
  --text) text=${2:?--text needs a file} && shift ;;
  --output) output=${2:?--output needs a folder} && shift ;;
  --build-only) build_only=yes ;;
  -h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' bench/peers/llama_cpp.sh
    exit 0
    ;;
  *)
    echo "llama_cpp: error: unknown option '$1'; see --help" >&2
    exit 2
    ;;
  esac
  shift
done

sdist=llama-cpp-python==0.3.36
peers=.cache/peers
build=$peers/llama.cpp-build
bin=${QCC_BIN:-build/bin}

say() { echo "llama_cpp: $*" >&2; }

# Runs the rest of the arguments to make file $1, unless it is there and newer
# than files $2; the command writes to the path in place of `%`.
make_file() {
  local file=$1 newer_than=$2 argument stale=no
  shift 2
  for argument in $newer_than; do
    [[ $file -nt $argument ]] || stale=yes
  done
  [[ -e $file && $stale == no ]] && return
  say "making $file"
  local part=${file%/*}/part-${file##*/}
  "${@//%/$part}" >"$file.log" 2>&1 || {
    tail -n 20 "$file.log" >&2
    return 1
  }
  mv "$part" "$file"
}

build_llama_cpp() {
  [[ -x $build/bin/llama-bench && -x $build/bin/llama-quantize ]] && return
  scripts/setup.sh >&2
  python3 -m pip --version >/dev/null 2>&1 || scripts/setup.sh python3-pip >&2
  if [[ ! -d $peers/source ]]; then
    say "fetching $sdist"
    rm -rf "$peers/fetch" && mkdir -p "$peers/fetch"
    # Of this package alone: `:all:` would build CMake and Ninja from source.
    python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python \
      --dest "$peers/fetch" "$sdist" >&2
    tar -C "$peers/fetch" -xf "$peers"/fetch/*.tar.gz
    mv "$peers"/fetch/*/vendor/llama.cpp "$peers/source"
    rm -rf "$peers/fetch"
  fi
  say "building llama.cpp (log: $build.log)"
  # clang: g++ 12 miscompiles the AMX tile loads of ggml. Its own thread pool
  # needs no OpenMP library of clang's.
  {
    cmake -S "$peers/source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
      -DCMAKE_C_COMPILER_LAUNCHER=ccache \
      -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DBUILD_SHARED_LIBS=OFF \
      -DGGML_NATIVE=ON -DGGML_OPENMP=OFF -DLLAMA_CURL=OFF \
      -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
      -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF
    cmake --build "$build" --target llama-bench llama-quantize
  } >"$build.log" 2>&1 || {
    tail -n 20 "$build.log" >&2
    return 1
  }
}

# A Python with the packages that random_gguf.py needs.
peers_python() {
  if [[ ! -e $peers/venv/done ]]; then
    scripts/setup.sh python3-venv >&2
    /usr/bin/python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet gguf==0.19.0 numpy >&2
    touch "$peers/venv/done"
  fi
  echo "$peers/venv/bin/python"
}

mkdir -p "$peers" "$output"
build_llama_cpp
make_file "$peers/read_bandwidth" bench/read_bandwidth.cpp \
  g++ -std=c++20 -O3 -march=native -pthread bench/read_bandwidth.cpp -o %

measured=()
for model in ${models//,/ }; do
  peer=$peers/$model.q4_0.gguf
  ours=$peers/$model.int4.qbin
  int4=(--target cpu --quantize rtn.int4 --group-size 32 --lm-head rtn.int8)
  case "$model" in
  smollm2)
    checkpoint=$(scripts/fetch_smollm2.sh)
    # Its embedding, the head as well, is Q8_0 and stays so.
    make_file "$peer" "$checkpoint" "$build/bin/llama-quantize" \
      --allow-requantize "$checkpoint" % Q4_0
    ;;
  llama-3.2-3b)
    checkpoint=bench/models/$model
    make_file "$peer" bench/peers/random_gguf.py "$(peers_python)" \
      bench/peers/random_gguf.py "$checkpoint" % --head q8_0
    int4+=(--random-weights 0)
    ;;
  *)
    say "error: unknown model '$model'"
    exit 2
    ;;
  esac
  measured+=("$model=$ours=$peer")
  [[ $build_only == yes ]] && continue
  make_file "$ours" "$bin/qcc" \
    "$bin/qcc" compile "$checkpoint" "${int4[@]}" -o %
done
[[ $build_only == yes ]] && exit 0

perplexity=()
if [[ $models == *smollm2* && -n $text ]]; then
  # Their file by our protocol: read as it is and run in f32.
  make_file "$peers/smollm2.q4_0.qbin" "$bin/qcc $peers/smollm2.q4_0.gguf" \
    "$bin/qcc" compile "$peers/smollm2.q4_0.gguf" --target cpu --dtype f32 -o %
  perplexity=(--text "$text" --perplexity
    "$peers/smollm2.int4.qbin=$peers/smollm2.q4_0.qbin")
fi

python3 bench/peers/compare.py --qrt "$bin/qrt" \
  --llama-bench "$build/bin/llama-bench" \
  --read-bandwidth "$peers/read_bandwidth" --peer "llama.cpp ($sdist)" \
  --threads "$threads" --rounds "$rounds" --output "$output" \
  "${perplexity[@]}" "${measured[@]}"
