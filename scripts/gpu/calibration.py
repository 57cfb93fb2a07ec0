"""Measures GPTQ's calibration on the GPU of this machine.

Every model of the list is compiled with random weights and `gptq.int4`, groups
of 128 in activation order, calibrated on 128 x 2048 tokens. Its folder of the
data's configs gets a small tokenizer beside the config, so that a text can be
tokenized; what the tokens are changes no time. MODEL:N takes the first N layers
of a model and says what calibrating all of them would take, by the layers'
number. Writes DIR/gpu_calibration.json and DIR/gpu_calibration.md: the seconds
of the whole compilation and, by stage, of the calibration, the most memory of
the GPU that nvidia-smi saw, and the most of the host's that a process had."""

import argparse
import json
import pathlib
import re
import resource
import shutil
import tempfile

import common

STAGES = ["all", "activations", "weights", "Hessians", "factors",
          "quantization", "state"]


def cut(path, layers):
    """Gives a config so many layers; returns how many it had."""
    config = json.loads(path.read_text())
    key = next(k for k in ("num_hidden_layers", "n_layer", "num_layers")
               if k in config)
    had, config[key] = config[key], layers
    path.chmod(0o644)  # the data may be read-only
    path.write_text(json.dumps(config))
    return had


def measure(tools, data, entry, options, folder):
    name, _, layers = entry.partition(":")
    model = folder / name
    shutil.copytree(data / "configs" / name, model)
    had = cut(model / "config.json", int(layers)) if layers else None
    for path in (data / "minis/llama-mini").glob("tokenizer*"):
        shutil.copy(path, model)
    text = folder / "text.txt"
    if not text.exists():
        once = (data / "text/wiki.test.raw").read_text()
        text.write_text(once * (1 + 1600000 // len(once)))
    artifact = folder / f"{name}.qbin"
    with common.MemoryWatch() as memory:
        status, _, err, seconds = common.run(
            [tools / "qcc", "compile", model, "-o", artifact,
             "--random-weights", 1, "--quantize", "gptq.int4", "--group-size",
             128, "--act-order", "--calibration", text, "--samples",
             options.samples, "--sequence-length", 2048,
             "--calibration-device", "cuda",
             *(["--calibration-memory", options.calibration_memory]
               if options.calibration_memory else [])], options.timeout)
    shutil.rmtree(model)
    found = re.search(r"^calibration: ([\d.]+) s: (.*)$", err, re.MULTILINE)
    # Of all processes so far: name small models before large ones.
    host = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    row = {"model": entry, "samples": options.samples,
           "compile_seconds": seconds, "memory_mib": memory.most,
           "host_mib": host}
    if status:
        row["error"] = common.last_line(err)
    if found:
        row["seconds"] = {"all": float(found[1])}
        for part in found[2].split(", "):
            stage, _, value = part.rpartition(" ")
            row["seconds"][stage] = float(value)
        if had:
            row["extrapolated_seconds"] = (
                row["seconds"]["all"] * had / int(layers))
    if artifact.exists():
        row["bytes"] = artifact.stat().st_size
        artifact.unlink()
    return row


def markdown(rows, gpu):
    lines = [f"# {gpu.get('name', 'GPU')}, driver "
             f"{gpu.get('driver_version', '?')}", "",
             "| model | samples | " + " | ".join(STAGES) +
             " | all layers, extrapolated | compilation | GPU MiB | host MiB |",
             "| --- | ---: |" + " ---: |" * (len(STAGES) + 4)]
    for row in rows:
        seconds = row.get("seconds", {})
        whole = row.get("extrapolated_seconds")
        lines.append(
            f"| {row['model']} | {row['samples']} | " +
            " | ".join(f"{seconds[stage]:.1f}" if stage in seconds else ""
                       for stage in STAGES) +
            (f" | {whole:.0f}" if whole else " | ") +
            f" | {row['compile_seconds']:.1f} | {row['memory_mib'] or ''}"
            f" | {row['host_mib']} |" +
            (f" {row['error']}" if "error" in row else ""))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        prog="gpu_calibration.sh", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", help="the folder with qcc and qrt")
    parser.add_argument("--data", help="the folder with the test data")
    parser.add_argument("-o", "--output", default=".", metavar="DIR",
                        help="where the reports go (default: here)")
    parser.add_argument("--models", default="falcon-7b,llama-2-7b",
                        help="folders of the data's configs, each with :N for "
                        "its first N layers (default falcon-7b,llama-2-7b)")
    parser.add_argument("--samples", type=int, default=128,
                        help="sequences of 2048 tokens (default 128)")
    parser.add_argument("--calibration-memory", metavar="MIB",
                        help="qcc's option, for large models")
    parser.add_argument("--timeout", type=int, default=600, metavar="SECONDS",
                        help="for each model (default 600)")
    options = parser.parse_args()
    tools, data = common.find_tools(options.bin), common.find_data(options.data)
    gpu = common.describe_gpu()
    rows = []
    with tempfile.TemporaryDirectory(prefix="qcc-gpu-calibration-") as folder:
        for name in options.models.split(","):
            rows.append(measure(tools, data, name, options,
                                pathlib.Path(folder)))
            print(rows[-1], flush=True)
    common.write_report(pathlib.Path(options.output), "gpu_calibration",
                        {"gpu": gpu, "models": rows}, markdown(rows, gpu))
    return 1 if any("error" in row for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
