"""What the GPU scripts share: finding the tools, running them, and
describing the GPU. Python's standard library only."""

import array
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def find_tools(given):
    """The folder with qcc and qrt: `given`, a bundle's, or a build's."""
    folders = [given] if given else [
        ROOT / "bin", ROOT / "build/portable/bin", ROOT / "build/bin",
        ROOT / "build/dev/bin"]
    for folder in map(pathlib.Path, folders):
        if (folder / "qcc").exists() and (folder / "qrt").exists():
            return folder.resolve()
    sys.exit("error: no qcc and qrt in " + ", ".join(map(str, folders)) +
             "; name their folder with --bin")


def find_data(given):
    """The test data: `given`, a bundle's, or the shared one."""
    folders = [given] if given else [
        ROOT / "data", os.environ.get("QCC_SHARED_DATA", ""),
        ROOT.parent / "shared/data"]
    for folder in folders:
        if folder and (pathlib.Path(folder) / "configs").is_dir():
            return pathlib.Path(folder).resolve()
    sys.exit("error: no test data; name its folder with --data")


def run(command, timeout=600, environment=None):
    """Runs a command; returns (exit status, stdout, stderr, seconds)."""
    begin = time.monotonic()
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True,
            timeout=timeout, env={**os.environ, **(environment or {})})
        outcome = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        def text(part):
            return (part or b"").decode(errors="replace") if isinstance(
                part, (bytes, type(None))) else part
        outcome = 124, text(error.stdout), f"no end after {timeout} s"
    return (*outcome, time.monotonic() - begin)


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""


def describe_gpu():
    """Card, driver and clocks, as nvidia-smi has them."""
    names = ["name", "driver_version", "clocks.sm", "clocks.mem",
             "clocks.max.sm", "power.draw", "power.limit", "memory.total",
             "temperature.gpu"]
    if not shutil.which("nvidia-smi"):
        return {}
    status, out, _, _ = run(["nvidia-smi", "--query-gpu=" + ",".join(names),
                             "--format=csv,noheader", "--id=0"], 60)
    if status:
        return {}
    values = [value.strip() for value in out.strip().splitlines()[0].split(",")]
    return dict(zip(names, values))


class Watch:
    """Samples what nvidia-smi says of a GPU while something runs: `samples`,
    tuples of QUERY's numbers."""
    QUERY = ""

    def __enter__(self):
        self.process = None
        if shutil.which("nvidia-smi"):
            self.process = subprocess.Popen(
                ["nvidia-smi", "--query-gpu=" + self.QUERY,
                 "--format=csv,noheader,nounits", "--loop-ms=100", "--id=0"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, *_):
        self.samples = []
        if not self.process:
            return
        self.process.terminate()
        out, _ = self.process.communicate()
        for line in out.splitlines():
            try:
                self.samples.append(
                    tuple(float(part) for part in line.split(",")))
            except ValueError:
                pass


class MemoryWatch(Watch):
    """The most memory in use, in MiB."""
    QUERY = "memory.used"

    def __exit__(self, *error):
        super().__exit__(*error)
        self.most = max((int(used) for used, in self.samples), default=None)


class ClockWatch(Watch):
    """Clock and power."""
    QUERY = "clocks.sm,power.draw"

    def __exit__(self, *error):
        super().__exit__(*error)
        self.clock = self.power = None
        samples = [(power, clock) for clock, power in self.samples]
        if samples:
            # Of the busier half of the samples: loading is no load.
            busy = sorted(samples)[len(samples) // 2:]
            self.power = sum(power for power, _ in busy) / len(busy)
            self.clock = sum(clock for _, clock in busy) / len(busy)


def read_tensor(path, name):
    """A tensor of a safetensors file: (array, shape)."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(size))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        data = array.array({"F32": "f", "I64": "q", "F64": "d"}[entry["dtype"]])
        data.frombytes(file.read(end - begin))
    return data, entry["shape"]


def relative_error(values, expected):
    """|values - expected| / |expected|; infinite where anything is not a
    number."""
    error = sum((a - b) * (a - b) for a, b in zip(values, expected))
    size = sum(b * b for b in expected)
    if not (error == error and size > 0 and error < float("inf")):
        return float("inf")
    return (error / size) ** 0.5


def write_report(folder, name, report, markdown):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (name + ".json")).write_text(json.dumps(report, indent=1) + "\n")
    (folder / (name + ".md")).write_text(markdown)
    print(markdown)
    print(f"written: {folder / (name + '.json')}, {folder / (name + '.md')}")
