#!/usr/bin/env python3
"""Perplexity and KL divergence of every scheme, next to its reference.

  bench/fidelity/fidelity.py [--models NAME,...] [--schemes PREFIX,...]
                             [--data DIR] [--bin DIR] [--results FILE]
                             [--report FILE] [--jobs N] [--threads N]
                             [--seconds N] [--again] [--report-only]
                             [--calibration-device cpu|cuda]

Compiles and evaluates each row of quant-goldens/fidelity.json (the reference
implementations' numbers, with the protocol and the tolerances), and gptq with
this compiler's own defaults in each width and group size, --jobs rows at once
with --threads threads each. Writes a table with a verdict for each row to
docs/fidelity.md and a plot of size against perplexity to docs/fidelity.svg.

Each row is appended to --results (a JSON object a line) as soon as it is
measured, and not measured again unless --again is given: the command can be
interrupted and repeated, and files of several machines can be joined. With
--seconds, rows that are not finished by then are left for the next time. It
needs nothing but Python 3. smollm2 is measured where scripts/fetch_smollm2.sh
has put it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import report

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The references' gptq rows have only what their options say.
PLAIN = ["act-order", "group-aware-order", "mse", "static-groups",
         "true-sequential"]
CALIBRATION = ["--calibration", "wiki-calibration.txt", "--samples", 128,
               "--sequence-length", 512]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Fidelity of every scheme against its reference.")
    parser.add_argument("--models", default="llama-mini,falcon-mini,smollm2")
    parser.add_argument("--schemes", default="",
                        help="only schemes that begin so, comma-separated")
    parser.add_argument("--data", type=pathlib.Path,
                        default=ROOT.parent / "shared/data")
    parser.add_argument("--smollm2", type=pathlib.Path,
                        default=ROOT / ".cache/models"
                        / "SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--bin", type=pathlib.Path,
                        default=ROOT / "build/bin")
    parser.add_argument("--results", type=pathlib.Path,
                        default=ROOT / "bench/fidelity/results.jsonl")
    parser.add_argument("--report", type=pathlib.Path,
                        default=ROOT / "docs/fidelity.md")
    parser.add_argument("--jobs", type=int, default=1, help="rows at once")
    parser.add_argument("--threads", type=int, help="threads of a row "
                        "(default: the machine's by --jobs)")
    parser.add_argument("--seconds", type=float,
                        help="stop after so long, whatever is measured then")
    parser.add_argument("--calibration-device", default="cpu",
                        help="as qcc's option")
    parser.add_argument("--again", action="store_true",
                        help="measure what has been measured, too")
    parser.add_argument("--report-only", action="store_true",
                        help="measure nothing, write the report")
    arguments = parser.parse_args()
    if not arguments.threads:
        arguments.threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    return arguments


def defaults_rows(goldens):
    """Our gptq defaults where a reference has the same width and groups."""
    rows = []
    for row in goldens:
        if not row["scheme"].startswith("gptq"):
            continue
        group = row["options"][row["options"].index("--group-size") + 1]
        name = f"qcc defaults {row['scheme']} g{group}"
        if any(r["model"] == row["model"] and r["name"] == name for r in rows):
            continue
        rivals = [r for r in goldens if r["model"] == row["model"]
                  and r["scheme"] == row["scheme"]
                  and r["options"][r["options"].index("--group-size") + 1]
                  == group]
        best = min(rivals, key=lambda r: r["perplexity"])
        rows.append({
            "model": row["model"], "name": name, "scheme": row["scheme"],
            "options": ["--group-size", group, *CALIBRATION],
            "perplexity": best["perplexity"],
            "kl": min(r["kl"] for r in rivals),
            "tolerance": row["tolerance"],
            "kl_tolerance": row["kl_tolerance"],
            "reference": "the best of " + ", ".join(r["name"] for r in rivals),
        })
    return rows


def with_refined(rows, results):
    """All rows, and with refinement those of gptq that are worse without."""
    out = []
    for row in rows:
        out.append(row)
        result = results.get((row["model"], row["name"]))
        if (result and report.verdict(row, result)
                and row["scheme"].startswith("gptq")
                and not row["name"].startswith("qcc defaults")):
            out.append({**row, "name": f"{row['name']}, --refine 1",
                        "options": [*row["options"], "--refine", 1]})
    return out


class OutOfTime(Exception):
    pass


class Bench:
    """Runs the tools on one model; rows may be measured side by side."""

    def __init__(self, arguments, model, folder, deadline):
        self.arguments = arguments
        self.model = model
        self.folder = folder
        self.deadline = deadline
        is_real = model == "smollm2"
        self.path = (arguments.smollm2 if is_real
                     else arguments.data / "minis" / model)
        # fidelity.json's protocol.
        self.windows, self.kl_windows = (20, 10) if is_real else (40, 20)
        self.base = None

    def run(self, tool, *options, threads=None):
        command = [str(self.arguments.bin / tool), *map(str, options)]
        if threads:
            command += ["--threads", str(threads)]
        left = None
        if self.deadline:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise OutOfTime
        try:
            done = subprocess.run(command, capture_output=True, text=True,
                                  timeout=left)
        except subprocess.TimeoutExpired:
            raise OutOfTime from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise RuntimeError(lines[-1])
        return done.stdout

    def compile(self, file, scheme, options, threads):
        artifact = self.folder / file
        text = self.arguments.data / "text"
        options = [text / o if o == "wiki-calibration.txt" else o
                   for o in options]
        self.run("qcc", "compile", self.path, "--quantize", scheme, "--quiet",
                 "--target", "cpu", "--cpu-variants", "native", "-o", artifact,
                 *options, threads=threads)
        return artifact

    def compile_base(self):
        self.base = self.compile(f"{self.model}.base.qbin", "none",
                                 ["--dtype", "f32"], os.cpu_count())

    def evaluate(self, artifact, windows, base=None):
        options = ["--base", base] if base else []
        return json.loads(self.run(
            "qrt", "eval", artifact, "--dataset",
            self.arguments.data / "text/wiki.test.raw", "--context", 512,
            "--max-windows", windows, "--json", "--quiet", "--device", "cpu",
            *options, threads=self.arguments.threads))

    def bits(self, artifact):
        """Bits of a quantized weight, scales and all; of any, if none is."""
        tensors = [t for t in json.loads(self.run(
            "qcc", "inspect", artifact, "--json"))["tensors"]
            if t["shape"][0] > 1]
        quantized = [t for t in tensors if "error" in t] or tensors
        weights = sum(t["shape"][0] * t["shape"][1] for t in quantized)
        return 8 * sum(t["bytes"] for t in quantized) / weights

    def measure(self, row):
        options = list(row["options"])
        if (row["scheme"].startswith("gptq")
                and not row["name"].startswith("qcc defaults")):
            options += [f"--no-{name}" for name in PLAIN
                        if f"--{name}" not in options]
            if "--refine" not in options:
                options += ["--refine", 0]
        if row["scheme"].startswith("gptq"):
            options += ["--calibration-device",
                        self.arguments.calibration_device]
        start = time.monotonic()
        file = "".join(c if c.isalnum() else "-" for c in row["name"])
        artifact = self.compile(f"{self.model}-{file}.qbin", row["scheme"],
                                options, self.arguments.threads)
        compiled = time.monotonic()
        try:
            scores = self.evaluate(artifact, self.windows)
            apart = self.evaluate(artifact, self.kl_windows, self.base)
            return {
                "model": self.model,
                "name": row["name"],
                "perplexity": scores["perplexity"],
                "standard_error": scores["standard_error"],
                "kl": apart["kl_divergence"],
                "kl_99": apart["kl_99"],
                "same_top": apart["same_top"],
                "bits": self.bits(artifact),
                "bytes": artifact.stat().st_size,
                "compile_seconds": round(compiled - start, 2),
                "eval_seconds": round(time.monotonic() - compiled, 2),
            }
        finally:
            artifact.unlink()


def load_results(path):
    """By (model, name); a line that was cut off does not count."""
    results = {}
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                result = json.loads(line)
            except json.JSONDecodeError:
                continue
            results[result["model"], result["name"]] = result
    return results


def measure_all(arguments, rows, results):
    """Fills `results` and appends each row to the file. True if all went."""
    complete = True
    lock = threading.Lock()
    deadline = (time.monotonic() + arguments.seconds if arguments.seconds
                else None)

    def one(bench, row):
        result = bench.measure(row)
        with lock:
            results[row["model"], row["name"]] = result
            # A line that was cut off must not swallow this one.
            with arguments.results.open("a+") as file:
                file.seek(0, os.SEEK_END)
                if file.tell():
                    file.seek(file.tell() - 1)
                    if file.read(1) != "\n":
                        file.write("\n")
                file.write(json.dumps(result) + "\n")
            print(f"{row['model']}, {row['name']}: perplexity "
                  f"{result['perplexity']:.4f} ({row['perplexity']:.4f}), KL "
                  f"{result['kl']:.6f} ({row['kl']:.6f}), "
                  f"{result['compile_seconds']:.0f} + "
                  f"{result['eval_seconds']:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        waiting = {}
        try:
            for model in arguments.models.split(","):
                wanted = [row for row in rows if row["model"] == model
                          and (arguments.again
                               or (model, row["name"]) not in results)]
                bench = Bench(arguments, model, pathlib.Path(folder), deadline)
                if not wanted:
                    continue
                if not bench.path.exists():
                    print(f"fidelity: {model} is not at {bench.path}",
                          file=sys.stderr)
                    complete = False
                    continue
                bench.compile_base()
                for row in wanted:
                    waiting[pool.submit(one, bench, row)] = row
            for done in concurrent.futures.as_completed(waiting):
                row = waiting[done]
                try:
                    done.result()
                except OutOfTime:
                    complete = False
                except RuntimeError as error:
                    complete = False
                    print(f"fidelity: {row['model']}, {row['name']}: {error}",
                          file=sys.stderr)
        except OutOfTime:
            complete = False
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return complete


def main():
    arguments = parse_arguments()
    goldens = json.loads(
        (arguments.data / "quant-goldens/fidelity.json").read_text())
    rows = goldens["rows"] + defaults_rows(goldens["rows"])
    results = load_results(arguments.results)
    complete = True
    if not arguments.report_only:
        prefixes = tuple(arguments.schemes.split(","))
        wanted = [row for row in rows if row["scheme"].startswith(prefixes)]
        # What takes longest goes first, so that the jobs end together.
        wanted.sort(key=lambda row: not row["scheme"].startswith("gptq"))
        complete = measure_all(arguments, wanted, results)
        refined = [row for row in with_refined(wanted, results)
                   if row not in wanted]
        complete &= measure_all(arguments, refined, results)
    rows = with_refined(rows, results)
    report.write(arguments.report, goldens["protocol"], rows, results,
                 arguments.models.split(","))
    worse = [row for row in rows if (row["model"], row["name"]) in results
             and report.verdict(row, results[row["model"], row["name"]])]
    for row in worse:
        print(f"fidelity: {row['model']}, {row['name']} is worse than the "
              "reference", file=sys.stderr)
    return 1 if worse or not complete else 0


if __name__ == "__main__":
    sys.exit(main())
