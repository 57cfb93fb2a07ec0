#!/usr/bin/env python3
"""Kills calibrations at random moments and lets each go on.

  tests/e2e/kill_calibration.py MODEL TEXT [--moments 20] [--seed 0]
                                [--bin build/dev/bin] [--device cpu]

Compiles MODEL with gptq.int4 on TEXT once undisturbed, then --moments times
with `kill -9` after a random part of that time, and again with the same
command. Nothing must stand under the artifact's name after the kill; the second
run must go on after the layers that were finished, give the same bytes and leave
no state. Too slow for the test suite; Calibration.GoesOnAfterBeingKilled is its short form.
"""

import argparse
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bin", type=pathlib.Path,
                        default=pathlib.Path("build/dev/bin"))
    parser.add_argument("--device", default="cpu",
                        help="as qcc's --calibration-device")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def start(output):
            return subprocess.Popen(
                [arguments.bin / "qcc", "compile", arguments.model,
                 "--quantize", "gptq.int4", "--group-size", "32",
                 "--calibration", arguments.text, "--samples", "32",
                 "--sequence-length", "256", "--calibration-device",
                 arguments.device, "--target", "cpu",
                 "--cpu-variants", "native", "-o", output],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        begin = time.monotonic()
        whole = folder / "whole.qbin"
        first = start(whole)
        _, errors = first.communicate()
        if first.returncode:
            sys.exit(f"kill_calibration: {errors.strip()}")
        seconds = time.monotonic() - begin
        expected = whole.read_bytes()
        whole.unlink()
        failures, resumed, killed = 0, 0, 0
        while killed < arguments.moments:
            output = folder / f"{killed}.qbin"
            begin = time.monotonic()
            victim = start(output)
            after = rng.uniform(0, seconds)
            try:
                victim.communicate(timeout=after)
                # The machine is faster now than it was.
                seconds = min(seconds, time.monotonic() - begin)
                output.unlink()
                continue
            except subprocess.TimeoutExpired:
                victim.send_signal(signal.SIGKILL)
                victim.communicate()
                killed += 1
            appeared = output.exists()
            state = pathlib.Path(f"{output}.calibration")
            layers = (len(list(state.glob("layer-????.bin")))
                      if state.exists() else 0)
            again = start(output)
            _, errors = again.communicate()
            went_on = re.search(r"going on after layer (\d+) of (\d+)", errors)
            resumed += went_on is not None
            same = (again.returncode == 0 and output.exists()
                    and output.read_bytes() == expected)
            # The last layer's file may stand without its activations yet.
            on = int(went_on[1]) if went_on else 0
            good = (same and not appeared and not state.exists()
                    and layers - 1 <= on <= layers)
            failures += not good
            print(f"killed after {after:.1f} of {seconds:.1f} s with {layers} "
                  f"layers done: went on after {on}, "
                  f"{'the same file' if same else 'ANOTHER FILE'}"
                  f"{'' if good else ', NOT AS IT SHOULD BE'}", flush=True)
            output.unlink(missing_ok=True)
        print(f"{killed} killed, {resumed} went on after a finished layer, "
              f"{failures} failures")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
