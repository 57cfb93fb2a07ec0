#!/usr/bin/env python3
"""Runs `qrt bench` and `llama-bench` in turn and reports how they compare.

Usage: compare.py [OPTIONS] NAME=OURS.qbin=THEIRS.gguf...

Each round measures the read bandwidth, then runs one program and the other;
which of the two comes first alternates. Reported are medians over the rounds,
and the median of the rounds' ratios (ours / theirs), which a machine that is
slower for a while does not disturb. Writes report.json and report.md.
"""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

PROMPT = 512
GENERATED = 128
# A buffer beyond the last-level cache of any machine that this is for.
MEMORY_MIB = 2048


def run(*command):
    """Returns the standard output of a command; ends the program if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.stderr.write(result.stderr)
        sys.exit(f"compare: error: {' '.join(words)} exited {result.returncode}")
    return result.stdout


def speeds(results):
    """Prefill and decode speed (tokens/s) and the bytes read a token in decode,
    out of the list that llama-bench and qrt bench print as JSON. llama-bench
    does not say what it reads: there it is the size of the weights, of which
    a token reads all."""
    row = {}
    for result in results:
        if result["n_prompt"] == PROMPT and not result["n_gen"]:
            row["prefill"] = result["avg_ts"]
        elif result["n_gen"] == GENERATED and not result["n_prompt"]:
            row["decode"] = result["avg_ts"]
            if "gbps" in result:
                row["bytes"] = result["gbps"] * 1e9 / result["avg_ts"]
            else:
                row["bytes"] = result["model_size"]
    return row


def bench(program, model, threads_option, threads):
    words = [program, "bench"] if program.name == "qrt" else [program]
    words += [model] if program.name == "qrt" else ["-m", model]
    words += ["-p", PROMPT, "-n", GENERATED, "-r", 1, "-o", "json"]
    return speeds(json.loads(run(*words, threads_option, threads)))


def summary(rounds):
    return {
        key: statistics.median(row[key] for row in rounds)
        for key in ("prefill", "decode", "bytes")
    }


def measure(args, name, ours, theirs, threads):
    """Measures one model at one number of threads: a row of the report."""
    sides = {
        "ours": lambda: bench(args.qrt, ours, "--threads", threads),
        "theirs": lambda: bench(args.llama_bench, theirs, "-t", threads),
    }
    rounds = {"ours": [], "theirs": []}
    model_mib = max(1, min(MEMORY_MIB, theirs.stat().st_size >> 20))
    bandwidth = {"memory": [], "model": []}
    for index in range(args.rounds):
        for key, mib in (("memory", MEMORY_MIB), ("model", model_mib)):
            bandwidth[key].append(float(run(args.read_bandwidth, threads, mib)))
        for side in sorted(sides, reverse=index % 2 == 1):
            rounds[side].append(sides[side]())
        print(
            f"compare: {name}, {threads} threads, round {index + 1}:"
            + "".join(
                f" {side} {rounds[side][-1]['prefill']:.1f} prefill,"
                f" {rounds[side][-1]['decode']:.1f} decode;"
                for side in rounds
            ),
            file=sys.stderr,
        )
    row = {
        "model": name,
        "threads": threads,
        "ours": summary(rounds["ours"]),
        "theirs": summary(rounds["theirs"]),
        # Of a buffer of the model's size, which may fit the cache.
        "read_gb_s": statistics.median(bandwidth["model"]),
        "memory_read_gb_s": statistics.median(bandwidth["memory"]),
        "rounds": rounds,
    }
    for key in ("prefill", "decode"):
        ratios = [o[key] / t[key] for o, t in zip(rounds["ours"], rounds["theirs"])]
        row[f"{key}_ratio"] = statistics.median(ratios)
        row[f"{key}_ratio_range"] = [min(ratios), max(ratios)]
    for side in ("ours", "theirs"):
        row[side]["read_share"] = (
            row[side]["decode"] * row[side]["bytes"] / 1e9 / row["read_gb_s"]
        )
    return row


def perplexity(args):
    """Perplexities of our artifact and of their file by our protocol."""
    ours, theirs = args.perplexity.split("=")
    result = {"text": args.text.name}
    for side, file in (("ours", ours), ("theirs", theirs)):
        words = [args.qrt, "eval", file, "--dataset", args.text, "--json"]
        values = json.loads(run(*words, "--max-windows", args.windows))
        result[side] = values["perplexity"]
        result["windows"] = values["windows"]
    return result


def markdown(report):
    lines = [
        f"# qrt and {report['peer']}",
        "",
        f"{report['cpu']}, {report['rounds']} rounds in turn; tokens/s, medians;"
        " the ratio is ours / theirs, with its range over the rounds. The share"
        " is of the read bandwidth, measured in the same run, of a buffer of"
        " the model's size.",
        "",
        "| model | threads | test | ours | theirs | ratio | our share"
        " | their share | read GB/s | memory GB/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        for key, test in (("prefill", f"pp{PROMPT}"), ("decode", f"tg{GENERATED}")):
            low, high = row[f"{key}_ratio_range"]
            line = (
                f"| {row['model']} | {row['threads']} | {test}"
                f" | {row['ours'][key]:.1f} | {row['theirs'][key]:.1f}"
                f" | **{row[f'{key}_ratio']:.2f}** ({low:.2f} to {high:.2f}) |"
            )
            if key == "decode":
                line += (
                    f" {row['ours']['read_share']:.0%} |"
                    f" {row['theirs']['read_share']:.0%} |"
                    f" {row['read_gb_s']:.1f} | {row['memory_read_gb_s']:.1f} |"
                )
            else:
                line += " | | | |"
            lines.append(line)
    if "perplexity" in report:
        values = report["perplexity"]
        lines += [
            "",
            f"Perplexity of {values['text']} by qrt's protocol, {values['windows']}"
            f" windows: ours {values['ours']:.4f}, theirs {values['theirs']:.4f}.",
        ]
    return "\n".join(lines) + "\n"


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="NAME=OURS=THEIRS")
    parser.add_argument("--qrt", type=pathlib.Path, required=True)
    parser.add_argument("--llama-bench", type=pathlib.Path, required=True)
    parser.add_argument("--read-bandwidth", type=pathlib.Path, required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--perplexity", metavar="OURS=THEIRS")
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()

    report = {
        "peer": args.peer,
        "cpu": cpu_name(),
        "rounds": args.rounds,
        "rows": [
            measure(args, name, pathlib.Path(ours), pathlib.Path(theirs), int(threads))
            for name, ours, theirs in (model.split("=") for model in args.models)
            for threads in args.threads.split(",")
        ],
    }
    if args.perplexity:
        report["perplexity"] = perplexity(args)
    text = markdown(report)
    (args.output / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (args.output / "report.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
