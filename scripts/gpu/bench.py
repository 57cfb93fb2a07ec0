"""Measures compiled models on the GPU of this machine.

First the limits of the card (gpu_limits: bytes a second read, bf16 products a
second), then for every model of the list: compiling with random weights,
loading, decoding, batches, a prompt of 2048 tokens (with cuBLASLt, where it is
present and used, and without) and long contexts, as asked for. Writes DIR/gpu_bench.json and DIR/gpu_bench.md; a model that fails is a row
with its message. Needs disk for one artifact at a time (falcon-7b in bf16:
15 GB) unless --keep is given.

MODELS is a list of NAME:FORMAT, NAME being a folder of the data's configs or a
path; for example falcon-7b:int4,llama-3-8b:bf16."""

import argparse
import json
import os
import pathlib
import tempfile
import time

import common
import models

# Two of them by shorter names.
FORMATS = {**models.FORMATS, "int2": models.FORMATS["int2-g64"],
           "bnb-int8": models.FORMATS["int8-llm"]}
TABLE = ("falcon-7b:int4,falcon-7b:nf4,falcon-7b:int8,falcon-7b:bf16,"
         "llama-3-8b:int4,llama-3-8b:bf16")
UNTUNED = ("llama-2-13b:int4,mistral-7b:int4,qwen3-8b:int4,falcon-7b:int4-g32,"
           "falcon-7b:int4-row,falcon-7b:int3,falcon-7b:int2,falcon-7b:fp4,"
           "falcon-7b:f16")
PARTS = {
    # name: (arguments of qrt bench, repetitions)
    "decode": (["-p", 0, "-n", 128, "-b", 1], 5),
    "batch": (["-p", 0, "-n", 32, "-b", "8,16,32"], 3),
    "prefill": (["-p", 2048, "-n", 0, "-b", 1], 5),
    "context": (["-p", 0, "-n", 32, "-d", "8192,32000", "-b", 1], 2),
}


def linear_parameters(inspected):
    """Parameters of the weights that a token is multiplied with in every
    layer; the head works on the last token of a prompt only."""
    total = 0
    for tensor in inspected.get("tensors", []):
        shape = tensor.get("shape") or [tensor.get("rows", 1),
                                        tensor.get("columns", 1)]
        if len(shape) == 2 and shape[0] > 1 and tensor["name"].startswith(
                "layers."):
            total += shape[0] * shape[1]
    return total


def forget(path):
    """Drops a file from the page cache; files in memory stay there."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = pathlib.Path(options.keep) if options.keep else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bin = common.find_tools(options.bin)
        self.data = common.find_data(options.data)
        self.rows = []
        self.limits = {}

    def measure_limits(self):
        program = self.bin / "gpu_limits"
        if not program.exists():
            return
        with common.ClockWatch() as watch:
            status, out, err, _ = common.run([program])
        if status:
            raise SystemExit("error: " + common.last_line(err))
        self.limits = json.loads(out)
        self.limits["clock_mhz"] = watch.clock

    def note(self, text):
        print(text, flush=True)

    def artifact(self, name, form):
        path = pathlib.Path(name)
        if path.suffix == ".qbin":
            return path, 0.0
        model = self.data / "configs" / name
        if not model.exists():
            model = path
        artifact = self.folder / f"{path.name}-{form}.qbin"
        if artifact.exists():
            return artifact, 0.0
        status, _, err, seconds = common.run(
            [self.bin / "qcc", "compile", model, "-o", artifact, "--quiet",
             "--random-weights", 1, "--target", self.options.target,
             *FORMATS[form]], 1200)
        if status:
            raise RuntimeError("qcc: " + common.last_line(err))
        return artifact, seconds

    def qrt(self, *arguments, environment=None):
        with common.ClockWatch() as watch:
            status, out, err, seconds = common.run(
                [self.bin / "qrt", *arguments, "--device", "cuda", "--quiet"],
                600, environment)
        if status:
            raise RuntimeError("qrt: " + common.last_line(err))
        return out, err, seconds, watch

    def one(self, name, form):
        begin = time.monotonic()
        artifact, compiling = self.artifact(name, form)
        row = {"model": name, "format": form, "compile_seconds": compiling,
               "bytes": artifact.stat().st_size, "tests": []}
        self.rows.append(row)
        _, out, _, _ = common.run([self.bin / "qcc", "inspect", artifact,
                                   "--json"])
        try:
            row["linear_parameters"] = linear_parameters(json.loads(out))
        except ValueError:
            row["linear_parameters"] = 0
        if "load" in self.options.parts:
            # First from the disk, where there is one below the folder.
            forget(artifact)
            row["loads"] = []
            for state in ("forgotten", "in memory"):
                out, _, seconds, _ = self.qrt(
                    "generate", artifact, "--token-ids", "1,2,3,4,5",
                    "--temperature", "0", "--ignore-eos", "--max-new-tokens",
                    2, "--json")
                row["loads"].append({
                    "file": state, "process_seconds": seconds,
                    "timings": json.loads(out)["timings"]})
        # Prompts also without the library that multiplies them.
        parts = [(part, environment) for part in self.options.parts
                 if part in PARTS for environment in
                 ([{}, {"QRT_CUBLASLT": "0"}] if part == "prefill" else [{}])]
        for part, environment in parts:
            arguments, repetitions = PARTS[part]
            try:
                out, _, _, watch = self.qrt(
                    "bench", artifact, *arguments, "-r",
                    self.options.repetitions or repetitions, "-o", "json",
                    environment=environment)
            except RuntimeError as error:
                row["tests"].append({"part": part, "error": str(error)})
                self.note(f"{name} {form} {part}: {error}")
                continue
            for test in json.loads(out):
                samples = sorted(test["samples_ns"])
                seconds = samples[len(samples) // 2] / 1e9
                tokens = (test["n_prompt"] or test["n_gen"]) * test["n_batch"]
                entry = {
                    "part": part, "batch": test["n_batch"],
                    "prompt": test["n_prompt"], "generated": test["n_gen"],
                    "depth": test["n_depth"],
                    "tokens_per_second": tokens / seconds,
                    "bytes_per_second": test["gbps"] * 1e9 *
                    test["avg_ns"] / 1e9 / seconds,
                    "memory_bytes": test["peak_memory"],
                    "clock_mhz": watch.clock, "power_w": watch.power}
                library = test.get("prompt_library", "")
                entry["library"] = \
                    library if library.startswith("cuBLASLt") else ""
                if self.limits:
                    entry["read_share"] = (
                        entry["bytes_per_second"] /
                        self.limits["read_bytes_per_second"])
                    flops = self.limits.get("bf16_gemm_flops")
                    if test["n_prompt"] and flops:
                        entry["gemm_share"] = (
                            2 * row["linear_parameters"] *
                            entry["tokens_per_second"] / flops)
                row["tests"].append(entry)
                self.note(f"{name} {form} {part} b{entry['batch']} "
                          f"d{entry['depth']} {entry['library']}: "
                          f"{entry['tokens_per_second']:.1f} tok/s")
        row["seconds"] = time.monotonic() - begin
        if not self.options.keep and artifact.parent == self.folder:
            artifact.unlink()

    def run(self):
        self.measure_limits()
        begin = time.monotonic()
        for model in self.options.models.split(","):
            name, _, form = model.partition(":")
            if self.options.budget and \
                    time.monotonic() - begin > self.options.budget:
                self.rows.append({"model": name, "format": form, "tests": [],
                                  "error": "no time left"})
                continue
            try:
                self.one(name, form or "int4")
            except (RuntimeError, OSError, ValueError) as error:
                self.note(f"{model}: {error}")
                self.rows.append({"model": name, "format": form, "tests": [],
                                  "error": str(error)})

    def markdown(self, gpu):
        limits = self.limits
        lines = [f"# {gpu.get('name', 'GPU')}, driver "
                 f"{gpu.get('driver_version', '?')}, target "
                 f"{self.options.target}", ""]
        if limits:
            rate = limits.get("bf16_gemm_flops")
            lines += [
                f"Read-only bandwidth {limits['read_bytes_per_second'] / 1e9:.0f}"
                " GB/s; bf16 GEMM (cuBLASLt, 8192^3, random numbers) " +
                (f"{rate / 1e12:.0f} TFLOP/s" if rate else "not measured") +
                (f"; SM clock {limits['clock_mhz']:.0f} MHz"
                 if limits.get("clock_mhz") else "") + ".", ""]
        lines += ["| model | weights | test | tok/s | GB/s | of read | of GEMM "
                  "| memory GB | SM MHz |",
                  "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
        def share(entry, key):
            return f"{100 * entry[key]:.1f} %" if key in entry else ""
        for row in self.rows:
            head = f"| {row['model']} | {row['format']} |"
            if "error" in row:
                lines.append(f"{head} {row['error']} | | | | | | |")
            for e in row["tests"]:
                if "error" in e:
                    lines.append(f"{head} {e['part']}: {e['error']} "
                                 "| | | | | | |")
                    continue
                test = f"pp{e['prompt']}" if e["prompt"] else \
                    f"tg{e['generated']}"
                test += f" b{e['batch']}" if e["batch"] > 1 else ""
                test += f" @ {e['depth']}" if e["depth"] else ""
                test += f", {e['library']}" if e["library"] else ""
                lines.append(
                    f"{head} {test} | {e['tokens_per_second']:.1f} | "
                    f"{e['bytes_per_second'] / 1e9:.0f} | "
                    f"{share(e, 'read_share')} | {share(e, 'gemm_share')} | "
                    f"{e['memory_bytes'] / 1e9:.2f} | "
                    f"{e['clock_mhz'] or 0:.0f} |")
            for load in row.get("loads", []):
                timings = load["timings"]
                parts = timings["load"]
                rate = parts["weight_bytes"] / parts["weights_seconds"] / 1e9
                lines.append(
                    f"{head} file {load['file']}: first token after "
                    f"{timings['first_token_seconds']:.2f} s (" + ", ".join(
                        f"{part} {parts[part + '_seconds']:.3f}" for part in
                        ("file", "device", "kernels", "memory", "weights",
                         "graphs", "tokenizer")) +
                    f", prompt {timings['prompt_seconds']:.3f}); weights "
                    f"{parts['weight_bytes'] / 1e9:.2f} GB at {rate:.1f} GB/s, "
                    f"threads read {parts['weights_reading_seconds']:.3f} s and "
                    f"waited {parts['weights_waiting_seconds']:.3f} s "
                    "| | | | | | |")
            if "loads" in row:
                lines.append(f"{head} compiled in {row['compile_seconds']:.0f} "
                             f"s, {row['bytes'] / 1e9:.2f} GB | | | | | | |")
        return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        prog="gpu_bench.sh", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", help="the folder with qcc, qrt, gpu_limits")
    parser.add_argument("--data", help="the folder with the test data")
    parser.add_argument("-o", "--output", default=".", metavar="DIR",
                        help="where the reports go (default: here)")
    parser.add_argument("--target", default="sm_90",
                        help="what to compile for (default sm_90)")
    parser.add_argument("--models", default=TABLE, metavar="MODELS",
                        help="default: " + TABLE + "; 'untuned': " + UNTUNED)
    parser.add_argument("--parts", default="load,decode,batch,prefill",
                        help="of load, " + ", ".join(PARTS) +
                        " (default: all but context)")
    parser.add_argument("-r", "--repetitions", type=int,
                        help="of each test (default: 2 to 5)")
    parser.add_argument("--budget", type=float, metavar="SECONDS",
                        help="begin no model after so many seconds")
    parser.add_argument("--keep", metavar="DIR",
                        help="keep artifacts there, and use those that are")
    options = parser.parse_args()
    if options.models == "untuned":
        options.models = UNTUNED
    options.parts = options.parts.split(",")
    for part in options.parts:
        if part != "load" and part not in PARTS:
            parser.error(f"unknown part '{part}'")
    for model in options.models.split(","):
        form = model.partition(":")[2] or "int4"
        if form not in FORMATS and not model.endswith(".qbin"):
            parser.error(f"unknown format '{form}'; known are " +
                         ", ".join(FORMATS))
    gpu = common.describe_gpu()
    with tempfile.TemporaryDirectory(prefix="qcc-gpu-bench-") as folder:
        bench = Bench(options, pathlib.Path(folder))
        bench.run()
    common.write_report(pathlib.Path(options.output), "gpu_bench",
                        {"gpu": gpu, "target": options.target,
                         "limits": bench.limits, "models": bench.rows},
                        bench.markdown(gpu))
    return 1 if any("error" in row for row in bench.rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
