#!/usr/bin/env python3
"""Writes what PyTorch's torch.save makes of the same state dictionary in both
of its formats (zip.bin, legacy.bin), of a checkpoint with more than weights in
it (nested.pt), and the values of all tensors as f32 (values.safetensors).

Needs: pip install torch numpy safetensors
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file


def state_dict():
    torch.manual_seed(6)
    base = torch.randn(6, 8)
    cube = torch.randn(2, 3, 4)
    weights = OrderedDict(
        dense=base,
        tied=base,
        rows=base[2:5],
        columns=base[:, 3:6],
        transposed=base.t(),
        every_other=base[::2, 1::3],
        permuted=cube.permute(2, 0, 1),
        expanded=torch.randn(1, 4).expand(3, 4),
        scalar=torch.tensor(1.5),
        empty=torch.zeros(0, 5),
        parameter=torch.nn.Parameter(torch.randn(2, 2)),
        half=torch.randn(3, 3).half(),
        half_transposed=torch.randn(5, 3).half().t(),
        bfloat=torch.randn(3, 3).bfloat16(),
        double=torch.randn(3, 3).double(),
    )
    for name in ["int64", "int32", "int16", "int8", "uint8", "bool"]:
        weights[name] = torch.arange(6).reshape(2, 3).to(getattr(torch, name))
    weights._metadata = OrderedDict({"": {"version": 1}})
    return weights


def main():
    folder = Path(__file__).parent
    weights = state_dict()
    torch.save(weights, folder / "zip.bin")
    torch.save(weights, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(
        {
            "epoch": 3,
            "loss": 0.5,
            "optimizer": {"state": {0: torch.zeros(2)}, "groups": [{"lr": 1e-3}]},
            "state_dict": dict(weights),
        },
        folder / "nested.pt",
        _use_new_zipfile_serialization=False,
    )
    save_file(
        {k: v.detach().float().contiguous().clone() for k, v in weights.items()},
        folder / "values.safetensors",
    )


if __name__ == "__main__":
    main()
