#!/usr/bin/env python3
"""Perplexity and KL divergence of every scheme, next to its reference.

  bench/fidelity/fidelity.py [--models NAME,...] [--schemes PREFIX,...]
                             [--data DIR] [--bin DIR] [--results FILE]
                             [--report FILE] [--threads N] [--again]

Compiles and evaluates each row of quant-goldens/fidelity.json (the reference
implementations' numbers, with the protocol and the tolerances) and writes a
table with a verdict for each row to docs/fidelity.md and a plot of size
against perplexity to docs/fidelity.svg.

What has been measured is kept in --results and not measured again, unless
--again is given; a scheme that qcc does not have is left out. So the command
can be interrupted and repeated. It needs nothing but Python 3. smollm2 is
measured where scripts/fetch_smollm2.sh has put it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Fidelity of every scheme against its reference.")
    parser.add_argument("--models", default="llama-mini,falcon-mini,smollm2")
    parser.add_argument("--schemes", default="",
                        help="only schemes that begin so, comma-separated")
    parser.add_argument("--data", type=pathlib.Path,
                        default=ROOT.parent / "shared/data")
    parser.add_argument("--bin", type=pathlib.Path,
                        default=ROOT / "build/bin")
    parser.add_argument("--results", type=pathlib.Path,
                        default=ROOT / "bench/fidelity/results.json")
    parser.add_argument("--report", type=pathlib.Path,
                        default=ROOT / "docs/fidelity.md")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--again", action="store_true")
    return parser.parse_args()


class Model:
    """Where a model is and how it is evaluated (fidelity.json's protocol)."""

    def __init__(self, name, data):
        self.name = name
        is_real = name == "smollm2"
        self.path = SMOLLM2 if is_real else data / "minis" / name
        self.windows, self.kl_windows = (20, 10) if is_real else (40, 20)


class Bench:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder
        self.text = arguments.data / "text/wiki.test.raw"

    def run(self, tool, *options):
        command = [str(self.arguments.bin / tool), *map(str, options),
                   "--threads", str(self.arguments.threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise RuntimeError(lines[-1])
        return done.stdout

    def compile(self, model, name, scheme, options):
        artifact = self.folder / name
        calibration = self.arguments.data / "text"
        options = [calibration / o if o == "wiki-calibration.txt" else o
                   for o in options]
        self.run("qcc", "compile", model.path, "--quantize", scheme, "--quiet",
                 "-o", artifact, *options)
        return artifact

    def evaluate(self, artifact, windows, base=None):
        options = ["--base", base] if base else []
        return json.loads(self.run(
            "qrt", "eval", artifact, "--dataset", self.text, "--context", 512,
            "--max-windows", windows, "--json", "--quiet", "--device", "cpu",
            *options))

    def bits(self, artifact):
        """Bits of a quantized weight, scales and all; of any, if none is."""
        done = subprocess.run(
            [str(self.arguments.bin / "qcc"), "inspect", str(artifact),
             "--json"], capture_output=True, text=True, check=True)
        tensors = [t for t in json.loads(done.stdout)["tensors"]
                   if t["shape"][0] > 1]
        quantized = [t for t in tensors if "error" in t] or tensors
        weights = sum(t["shape"][0] * t["shape"][1] for t in quantized)
        return 8 * sum(t["bytes"] for t in quantized) / weights

    def measure(self, model, base, row):
        start = time.monotonic()
        artifact = self.compile(model, "model.qbin", row["scheme"],
                                row["options"])
        compiled = time.monotonic()
        scores = self.evaluate(artifact, model.windows)
        apart = self.evaluate(artifact, model.kl_windows, base)
        result = {
            "perplexity": scores["perplexity"],
            "standard_error": scores["standard_error"],
            "kl": apart["kl_divergence"],
            "kl_99": apart["kl_99"],
            "same_top": apart["same_top"],
            "bits": self.bits(artifact),
            "bytes": artifact.stat().st_size,
            "compile_seconds": compiled - start,
        }
        artifact.unlink()
        return result


def measure_all(arguments, rows, results):
    """Fills `results` (by "model|name") and saves them after each row."""
    missing = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, pathlib.Path(folder))
        for name in arguments.models.split(","):
            model = Model(name, arguments.data)
            wanted = [row for row in rows if row["model"] == name]
            if not model.path.exists():
                print(f"fidelity: {name} is not at {model.path}",
                      file=sys.stderr)
                continue
            base = None
            for row in wanted:
                key = f"{name}|{row['name']}"
                if key in results and not arguments.again:
                    continue
                try:
                    if not base:
                        base = bench.compile(model, f"{name}.base.qbin",
                                             "none", ["--dtype", "f32"])
                    result = bench.measure(model, base, row)
                except RuntimeError as error:
                    missing[key] = str(error)
                    print(f"fidelity: {key}: {error}", file=sys.stderr)
                    continue
                results[key] = result
                arguments.results.write_text(
                    json.dumps(results, indent=1, sort_keys=True) + "\n")
                print(f"{key}: perplexity {result['perplexity']:.4f} "
                      f"(reference {row['perplexity']:.4f}), KL "
                      f"{result['kl']:.6f} ({row['kl']:.6f})", flush=True)
            if base:
                base.unlink()
    return missing


def verdict(row, result):
    """What is worse than the reference by more than its tolerance."""
    worse = []
    if result["perplexity"] > row["perplexity"] * (1 + row["tolerance"]):
        worse.append("perplexity")
    # The unquantized row is its own base.
    if row["kl"] and result["kl"] > row["kl"] * (1 + row["kl_tolerance"]):
        worse.append("KL")
    return " and ".join(worse)


def percent(ours, reference):
    return f"{100 * (ours / reference - 1):+.2f} %" if reference else ""


def table(model, rows, results):
    lines = [
        "| scheme | bits | perplexity | reference | | KL | reference | | "
        "verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        result = results.get(f"{model}|{row['name']}")
        if not result:
            lines.append(f"| {row['name']} | | | {row['perplexity']:.4f} | | | "
                         f"{row['kl']:.6f} | | not measured |")
            continue
        worse = verdict(row, result)
        lines.append(
            f"| {row['name']} | {result['bits']:.3f} "
            f"| {result['perplexity']:.4f} | {row['perplexity']:.4f} "
            f"| {percent(result['perplexity'], row['perplexity'])} "
            f"| {result['kl']:.6f} | {row['kl']:.6f} "
            f"| {percent(result['kl'], row['kl'])} "
            f"| {'worse: ' + worse if worse else 'ok'} |")
    return "\n".join(lines)


def summary(model, rows, results):
    measured = [(row, results[f"{model}|{row['name']}"]) for row in rows
                if f"{model}|{row['name']}" in results]
    good = sum(not verdict(*pair) for pair in measured)
    return (f"{good} of {len(measured)} measured rows are no worse than the "
            f"reference within its tolerance; {len(rows) - len(measured)} of "
            f"{len(rows)} were not measured.")


REPORT = """\
# Fidelity

Every scheme against its reference implementation: the same model, the same
text, the same windows. The references' numbers, the protocol and the
tolerances are those of `quant-goldens/fidelity.json`:

> {protocol}

`bits` are those of a quantized weight as it lies in the artifact: codes, scales,
zero points, padding. The base of the KL divergence is this compiler's own
unquantized artifact in f32. A row is "worse" where perplexity or KL divergence
is above the reference's by more than the row's tolerance. Reproduce with

```
bench/fidelity/fidelity.py
```

![size against perplexity](fidelity.svg)

{sections}"""

METHODS = [("rtn", "#1f77b4"), ("gptq", "#2ca02c"), ("GPTQModel", "#9467bd"),
           ("bnb", "#d62728")]


def method_of(row):
    for name, color in METHODS:
        if row["name"].startswith(name):
            return name, color
    return None, None


def plot(rows, results, models):
    """An SVG with a panel a model: ours filled, references hollow."""
    width, height, left, top = 460, 380, 56, 40
    panels = [m for m in models
              if any(f"{m}|{r['name']}" in results for r in rows)]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * len(panels)}"'
           f' height="{height + 60}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    for number, model in enumerate(panels):
        points = [(r, results[f"{model}|{r['name']}"]) for r in rows
                  if r["model"] == model and method_of(r)[0]
                  and f"{model}|{r['name']}" in results]
        base = next((r["perplexity"] for r in rows if r["model"] == model
                     and r["scheme"] == "none"), None)
        if not points or not base:
            continue
        # Logarithm of the excess over the unquantized perplexity.
        import math
        excess = lambda p: math.log10(max(p / base - 1, 1e-4))
        low, high = -4, max(excess(r["perplexity"]) for r, _ in points) + 0.2
        x0 = number * width + left
        x = lambda bits: x0 + (bits - 2) / 6.8 * (width - left - 16)
        y = lambda p: top + (high - excess(p)) / (high - low) * (height - top)
        out.append(f'<text x="{x0}" y="{top - 16}" font-size="14">{model}: '
                   f'unquantized {base:.2f}</text>')
        out.append(f'<rect x="{x0}" y="{top}" width="{width - left - 16}" '
                   f'height="{height - top}" fill="none" stroke="#999"/>')
        for bits in range(2, 9):
            out.append(f'<text x="{x(bits):.1f}" y="{height + 16}" '
                       f'text-anchor="middle">{bits}</text>')
        for exponent in range(low, int(high) + 1):
            at = y(base * (1 + 10 ** exponent))
            label = f"{100 * 10 ** exponent:g} %"
            out.append(f'<line x1="{x0}" x2="{x0 + width - left - 16}" '
                       f'y1="{at:.1f}" y2="{at:.1f}" stroke="#eee"/>'
                       f'<text x="{x0 - 6}" y="{at + 4:.1f}" '
                       f'text-anchor="end">{label}</text>')
        for row, result in points:
            color = method_of(row)[1]
            title = (f"{row['name']}: {result['perplexity']:.3f}, reference "
                     f"{row['perplexity']:.3f}")
            at = x(result["bits"])
            out.append(f'<circle cx="{at:.1f}" cy="{y(row["perplexity"]):.1f}" '
                       f'r="5" fill="none" stroke="{color}"/>'
                       f'<circle cx="{at:.1f}" '
                       f'cy="{y(result["perplexity"]):.1f}" r="2.5" '
                       f'fill="{color}"><title>{title}</title></circle>')
        out.append(f'<text x="{x0 + (width - left) / 2}" y="{height + 34}" '
                   f'text-anchor="middle">bits a weight</text>')
    legend = 60
    for name, color in METHODS:
        out.append(f'<circle cx="{legend}" cy="{height + 48}" r="4" '
                   f'fill="{color}"/><text x="{legend + 8}" '
                   f'y="{height + 52}">{name}</text>')
        legend += 100
    out.append(f'<text x="{legend}" y="{height + 52}">dots: ours, rings: the '
               f'reference; height: perplexity above the unquantized one</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    arguments = parse_arguments()
    goldens = json.loads(
        (arguments.data / "quant-goldens/fidelity.json").read_text())
    rows = goldens["rows"]
    models = arguments.models.split(",")
    prefixes = tuple(arguments.schemes.split(","))
    results = {}
    if arguments.results.exists():
        results = json.loads(arguments.results.read_text())
    wanted = [row for row in rows if row["scheme"].startswith(prefixes)]
    missing = measure_all(arguments, wanted, results)
    sections = []
    for model in models:
        own = [row for row in rows if row["model"] == model]
        sections.append(f"## {model}\n\n{summary(model, own, results)}\n\n"
                        f"{table(model, own, results)}\n")
    arguments.report.write_text(REPORT.format(
        protocol=goldens["protocol"].replace("\n", "\n> "),
        sections="\n".join(sections)))
    arguments.report.with_suffix(".svg").write_text(
        plot(rows, results, models))
    worse = [f"{row['model']}|{row['name']}" for row in rows
             if f"{row['model']}|{row['name']}" in results
             and verdict(row, results[f"{row['model']}|{row['name']}"])]
    for key in worse:
        print(f"fidelity: {key} is worse than the reference", file=sys.stderr)
    return 1 if worse or missing else 0


if __name__ == "__main__":
    sys.exit(main())
