"""Tests of the texts that a GPU makes: a part of test.py's Tests, whose tools
and models they use."""

import json
import pathlib

import common
from models import FORMATS, tolerance


class TextTests:
    def text(self, model, format_name):
        """Greedy text of 64 tokens; where it parts from the CPU's, the gap
        between the two best tokens must be within the error of the logits."""
        def work():
            artifact = self.compile(f"{pathlib.Path(model).name}-text-"
                                    f"{format_name}", model,
                                    FORMATS[format_name])
            prompt = "The history of the city"
            found = {}
            for device in ("cpu", "cuda"):
                status, out, err, _ = self.qrt(
                    "generate", artifact, "--prompt", prompt, "--device",
                    device, "--temperature", "0", "--ignore-eos",
                    "--max-new-tokens", 64, "--json")
                if status:
                    raise RuntimeError("qrt: " + common.last_line(err))
                found[device] = json.loads(out)
            cpu, gpu = found["cpu"]["token_ids"], found["cuda"]["token_ids"]
            if cpu == gpu:
                return True, f"{len(gpu)} tokens are the same"
            at = next(i for i, pair in enumerate(zip(cpu, gpu))
                      if pair[0] != pair[1])
            ids = found["cpu"]["prompt_token_ids"] + cpu[:at]
            values, (_, width) = self.logits(artifact, ids, "cpu")
            row = sorted(values[-width:])
            gap = row[-1] - row[-2]
            mean = sum(row) / width
            spread = (sum((v - mean) ** 2 for v in row) / width) ** 0.5
            limit = 4 * tolerance(format_name) * spread
            return gap <= limit, (f"parts at token {at}: the two best are "
                                  f"{gap:.4f} apart, near tie up to "
                                  f"{limit:.4f}")
        return f"text/{pathlib.Path(model).name}/{format_name}", work

    def seeds(self):
        def work():
            artifact = self.compile("seeds", self.data / "minis/llama-mini",
                                    FORMATS["int4"])
            texts = []
            for seed in (7, 7, 8):
                status, out, err, _ = self.qrt(
                    "generate", artifact, "--prompt", "The river", "--device",
                    "cuda", "--temperature", "0.9", "--top-k", "40", "--seed",
                    seed, "--max-new-tokens", 48, "--ignore-eos", "--json")
                if status:
                    raise RuntimeError("qrt: " + common.last_line(err))
                texts.append(json.loads(out)["token_ids"])
            return texts[0] == texts[1] and texts[0] != texts[2], \
                "seed 7 twice and seed 8"
        return "seeds", work

    def sampling(self, artifact_format):
        """Tokens that the GPU chooses against those that the host chooses from
        the same logits: the same, whatever the options, and twice the same."""
        def work():
            artifact = self.compile(f"sampling-{artifact_format}",
                                    self.data / "minis/llama-mini",
                                    FORMATS[artifact_format])
            options = {
                "greedy": "--temperature 0 --ignore-eos",
                "default": "--seed 7",
                "all": "--seed 8 --temperature 1.2 --top-k 0 --ignore-eos",
                "top-p": "--seed 9 --top-p 0.9 --top-k 0",
                "min-p": "--seed 1 --min-p 0.05 --top-k 0",
                "penalty": "--seed 2 --repetition-penalty 1.3 --top-p 0.95",
                "stop": "--seed 3 --stop the"}
            notes, good = [], True
            for name, given in options.items():
                def text(environment):
                    status, out, err, _ = common.run(
                        [self.bin / "qrt", "generate", artifact, "--prompt",
                         "The history of the city", "--device", "cuda",
                         "--max-new-tokens", "64", "--json", "--quiet",
                         *given.split()], 300, environment)
                    if status:
                        raise RuntimeError("qrt: " + common.last_line(err))
                    found = json.loads(out)
                    return (found["token_ids"], found["finish_reason"]), \
                        found["timings"]["sampled_on_device"]
                gpu, on_gpu = text({})
                again, _ = text({})
                host, on_host = text({"QRT_CUDA_SAMPLING": "0"})
                same = gpu == host and gpu == again and on_gpu and not on_host
                good &= same
                notes.append(f"{name} {len(gpu[0])} tokens" +
                             ("" if same else " DIFFER"))
            return good, "; ".join(notes)
        return f"sampling/{artifact_format}", work
