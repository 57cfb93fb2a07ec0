#!/usr/bin/env python3
"""Writes types.gguf and types.safetensors: blocks of every tensor type that
qcc reads from GGUF, and their values by the package `gguf`, ggml's own Python
reader. The bytes are random, so that every code and every bit of the scales
occurs; only the f16 scales are kept finite and small.

Needs: pip install gguf numpy safetensors
"""

from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

BLOCKS = 4
# Where the f16 scales of a block lie.
SCALES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
    "MXFP4": [],
}


def main():
    folder = Path(__file__).parent
    random = np.random.default_rng(20)
    writer = gguf.GGUFWriter(folder / "types.gguf", "none")
    values = {}
    for name, scales in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        # Two rows, so that the shape's order counts.
        blocks = random.integers(0, 256, (2 * BLOCKS, size), dtype=np.uint8)
        for offset in scales:
            scale = random.normal(0, 0.05, 2 * BLOCKS).astype(np.float16)
            blocks[:, offset : offset + 2] = scale.view(np.uint8).reshape(-1, 2)
        if name == "MXFP4":  # scales from 2^-127 on, none that is infinite
            blocks[:, 0] = [0, 1, 2, 100, 120, 127, 130, 200]
        rows = blocks.reshape(2, BLOCKS * size)
        writer.add_tensor(name, rows, raw_dtype=kind)
        values[name] = gguf.dequantize(rows, kind).astype(np.float32)
        assert values[name].shape == (2, BLOCKS * elements)

    plain = random.normal(0, 1, (3, 5)).astype(np.float32)
    bits = (plain.view(np.uint32) >> 16).astype(np.uint16)
    for name, kind, data, expected in [
        ("F32", "F32", plain, plain),
        ("F16", "F16", plain.astype(np.float16), plain.astype(np.float16)),
        ("F64", "F64", plain.astype(np.float64), plain),
        ("BF16", "BF16", bits, (bits.astype(np.uint32) << 16).view(np.float32)),
        ("I8", "I8", np.arange(-7, 8, dtype=np.int8).reshape(3, 5), None),
        ("I32", "I32", np.arange(-7, 8, dtype=np.int32).reshape(3, 5), None),
    ]:
        kind = gguf.GGMLQuantizationType[kind]
        if name == "BF16":
            writer.add_tensor(name, data.view(np.uint8), raw_dtype=kind)
        else:
            writer.add_tensor(name, data, raw_dtype=kind)
        expected = data if expected is None else expected
        values[name] = expected.astype(np.float32)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(values, folder / "types.safetensors")


if __name__ == "__main__":
    main()
