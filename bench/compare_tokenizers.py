#!/usr/bin/env python3
"""Compares the speed of our tokenizer with that of Hugging Face's Rust
tokenizers, each on one thread.

    bench/compare_tokenizers.py BENCH_TOKENIZER TEXT TOKENIZER.json...

BENCH_TOKENIZER is the program bench_tokenizer (-DQCC_BUILD_BENCHMARKS=ON). The two
take turns, and medians of CPU time over the rounds count, so that other load on the
machine matters little. A text is encoded as a whole and
line by line (Hugging Face: encode_batch_fast, which makes no offsets); the ids must
agree. Prints a Markdown table.

Needs: pip install tokenizers
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "7"))


class Ours:
    def __init__(self, program, tokenizer, text, by_lines):
        command = [program, tokenizer, text] + ["--lines"] * by_lines
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def timed(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main():
    program, text_file, *tokenizers = sys.argv[1:]
    text = Path(text_file).read_bytes().decode()
    size = len(text.encode()) / 1e6
    print("| tokenizer | text | encode MB/s | Hugging Face | ratio "
          "| decode MB/s | Hugging Face | ratio |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for path in tokenizers:
        theirs = Tokenizer.from_file(path)
        for by_lines in [False, True]:
            parts = text.split("\n") if by_lines else [text]
            if by_lines:
                parts = [part + "\n" for part in parts[:-1]] + parts[-1:]
                parts = [part for part in parts if part]
            ours = Ours(program, path, text_file, by_lines)
            times = {key: [] for key in ["oe", "od", "te", "td"]}
            for _ in range(ROUNDS):
                times["oe"].append(ours.ask("encode"))
                took, encoded = timed(
                    lambda: theirs.encode_batch_fast(parts, add_special_tokens=False)
                )
                times["te"].append(took)
                ids = [encoding.ids for encoding in encoded]
                times["od"].append(ours.ask("decode"))
                took, _texts = timed(
                    lambda: theirs.decode_batch(ids, skip_special_tokens=False)
                )
                times["td"].append(took)
            if int(ours.ask("ids")) != sum(map(len, ids)):
                sys.exit(f"{path}: the numbers of ids differ")
            rate = {key: size / statistics.median(t) for key, t in times.items()}
            print(f"| {Path(path).parent.name} | {'lines' if by_lines else 'whole'} "
                  f"| {rate['oe']:.1f} | {rate['te']:.1f} "
                  f"| {rate['oe'] / rate['te']:.1f} | {rate['od']:.1f} "
                  f"| {rate['td']:.1f} | {rate['od'] / rate['td']:.1f} |")  # fmt: skip


if __name__ == "__main__":
    main()
