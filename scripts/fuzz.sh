#!/usr/bin/env bash
# Builds the libFuzzer targets in tests/fuzz under sanitizers and runs each.
#
#   scripts/fuzz.sh [--seconds N] [--jobs N] [TARGET...]
#
#   --seconds N   how long each target runs (default: 60)
#   --jobs N      processes at once when building (default: the machine's CPUs)
#   TARGET        fuzz-pickle and the like (default: all)
#
# The build, the corpora, which grow from run to run, and whatever input a target
# fails on stand in build/fuzz. Seeds come from tests/Inputs and, where they are
# there, from the shared test data. A line a target says how it went; the exit
# status is 0 if all were clean.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
jobs=$(nproc)
targets=()
while [[ $# -gt 0 ]]; do
  case "$1" in
  --seconds) seconds=${2:?--seconds needs a number} && shift ;;
  --jobs | -j) jobs=${2:?--jobs needs a number} && shift ;;
  -h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' scripts/fuzz.sh
    exit 0
    ;;
  -*)
    echo "fuzz: error: unknown option '$1'; see --help" >&2
    exit 2
    ;;
  *) targets+=("$1") ;;
  esac
  shift
done

build=build/fuzz
mkdir -p build
cmake --preset fuzz >"$build.log" 2>&1 || {
  cat "$build.log" >&2
  echo "fuzz: error: the configuration failed" >&2
  exit 1
}
if [[ ${#targets[@]} -eq 0 ]]; then
  cmake --build "$build" --parallel "$jobs" --target fuzzers
  for file in "$build"/bin/fuzz-*; do
    targets+=("$(basename "$file")")
  done
else
  cmake --build "$build" --parallel "$jobs" --target "${targets[@]}"
fi
cmake --build "$build" --parallel "$jobs" --target seed-tokenizers qrt_write_fake_model

inputs=tests/Inputs
shared=${QCC_SHARED_DATA:-../shared/data}

# seed TARGET FILE...: copies what is there to the target's corpus.
seed() {
  local folder=$build/corpus/$1 file
  shift
  mkdir -p "$folder"
  for file in "$@"; do
    if [[ -f $file ]]; then
      cp "$file" "$folder/seed-$(sha256sum <"$file" | cut -c1-16)"
    fi
  done
}

seed_target() {
  case "$1" in
  fuzz-safetensors)
    seed "$1" "$inputs"/gguf/*.safetensors "$inputs"/pytorch/*.safetensors \
      "$shared"/containers/*.safetensors
    ;;
  fuzz-pickle)
    seed "$1" "$inputs"/pytorch/*.bin "$inputs"/pytorch/*.pt
    python3 -c 'import sys, zipfile
sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("zip/data.pkl"))' \
      "$inputs/pytorch/zip.bin" >"$build/data.pkl"
    seed "$1" "$build/data.pkl"
    ;;
  fuzz-gguf)
    seed "$1" "$inputs"/gguf/*.gguf "$shared"/containers/*.gguf
    ;;
  fuzz-tokenizer-json)
    seed "$1" "$inputs"/tokenizer/components/*.json
    # With a tokenizer_config.json behind it.
    printf '%s\0%s' \
      '{"added_tokens": [{"id": 2, "content": "<s>", "special": true}],
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}' \
      '{"bos_token": "<s>", "add_bos_token": true, "added_tokens_decoder": {
        "2": {"content": "<s>", "rstrip": true},
        "3": {"content": "<x>", "special": true, "single_word": true}}}' \
      >"$build/configured.json"
    seed "$1" "$build/configured.json"
    ;;
  fuzz-sentencepiece)
    seed "$1" "$inputs"/tokenizer/*/tokenizer.model
    ;;
  fuzz-config)
    seed "$1" tests/fuzz/configs/*.json "$shared"/goldens/*/config.json
    ;;
  fuzz-template)
    mkdir -p "$build/snippets"
    python3 -c 'import json, pathlib, sys
for i, case in enumerate(json.load(open(sys.argv[1]))["cases"]):
    pathlib.Path(sys.argv[2], f"{i}.jinja").write_text(case["template"])' \
      "$inputs/chat/snippets.json" "$build/snippets"
    seed "$1" "$build"/snippets/*.jinja
    ;;
  fuzz-tokenizer-data)
    if [[ -x $build/bin/seed-tokenizers ]]; then
      mkdir -p "$build/tokenizers"
      "$build/bin/seed-tokenizers" "$build/tokenizers" \
        "$inputs"/tokenizer/components/*.json "$inputs"/tokenizer/*/tokenizer.model
      seed "$1" "$build"/tokenizers/*
    fi
    ;;
  fuzz-qbin)
    if [[ -x $build/bin/qrt_write_fake_model ]]; then
      "$build/bin/qrt_write_fake_model" "$build/fake.qbin"
      seed "$1" "$build/fake.qbin"
    fi
    ;;
  esac
  mkdir -p "$build/corpus/$1"
}

# LLVM's libraries are not instrumented: containers that cross into them look
# overfull.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_container_overflow=0:allocator_may_return_null=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
mkdir -p "$build/failures"
status=0
for target in "${targets[@]}"; do
  seed_target "$target"
  log=$build/$target.log
  if "$build/bin/$target" -max_total_time="$seconds" -timeout=20 \
    -rss_limit_mb=2560 -max_len=65536 \
    -artifact_prefix="$build/failures/$target-" \
    "$build/corpus/$target" >"$log" 2>&1; then
    echo "$target: clean, $(grep -oE 'Done [0-9]+ runs' "$log" | tail -1 || true)"
  else
    echo "$target: FAILED; see $log and $build/failures"
    status=1
  fi
done
exit $status
