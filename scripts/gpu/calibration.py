"""Measures GPTQ's calibration on the GPU of this machine.

Every model of the list is compiled with random weights and `gptq.int4`, groups
of 128 in activation order, calibrated on 128 x 2048 tokens. Its folder of the
data's configs gets a small tokenizer beside the config, so that a text can be
tokenized; what the tokens are changes no time. Writes DIR/gpu_calibration.json
and DIR/gpu_calibration.md: the seconds of the whole compilation and, by stage,
of the calibration, and the most memory of the GPU that nvidia-smi saw."""

import argparse
import pathlib
import re
import shutil
import tempfile

import common

STAGES = ["all", "activations", "weights", "Hessians", "factors",
          "quantization", "state"]


def measure(tools, data, name, options, folder):
    model = folder / name
    shutil.copytree(data / "configs" / name, model)
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
             "--calibration-device", "cuda"], options.timeout)
    shutil.rmtree(model)
    found = re.search(r"^calibration: ([\d.]+) s: (.*)$", err, re.MULTILINE)
    row = {"model": name, "samples": options.samples,
           "compile_seconds": seconds, "memory_mib": memory.most}
    if status:
        row["error"] = common.last_line(err)
    if found:
        row["seconds"] = {"all": float(found[1])}
        for part in found[2].split(", "):
            stage, _, value = part.rpartition(" ")
            row["seconds"][stage] = float(value)
    if artifact.exists():
        row["bytes"] = artifact.stat().st_size
        artifact.unlink()
    return row


def markdown(rows, gpu):
    lines = [f"# {gpu.get('name', 'GPU')}, driver "
             f"{gpu.get('driver_version', '?')}", "",
             "| model | samples | " + " | ".join(STAGES) +
             " | compilation | memory MiB |",
             "| --- | ---: |" + " ---: |" * (len(STAGES) + 2)]
    for row in rows:
        seconds = row.get("seconds", {})
        lines.append(
            f"| {row['model']} | {row['samples']} | " +
            " | ".join(f"{seconds[stage]:.1f}" if stage in seconds else ""
                       for stage in STAGES) +
            f" | {row['compile_seconds']:.1f} | {row['memory_mib'] or ''} |" +
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
                        help="folders of the data's configs "
                        "(default falcon-7b,llama-2-7b)")
    parser.add_argument("--samples", type=int, default=128,
                        help="sequences of 2048 tokens (default 128)")
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
