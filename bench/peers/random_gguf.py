#!/usr/bin/env python3
"""Writes a GGUF file of a Llama-shaped model with random weights.

Usage: random_gguf.py CONFIG_FOLDER OUT.gguf [--head q6_k|q8_0] [--seed N]

The dimensions come from the folder's config.json (tied embeddings). The
linears are Q4_0; the embedding, which is the head as well, has the type of
--head: q6_k is what `llama-quantize ... Q4_0` would give it. The file has no
tokenizer: it is for measuring speed, which does not depend on the weights.
"""

import argparse
import json
import math
import pathlib

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType


def q4_0(rng, rows, columns):
    """Random Q4_0 rows as bytes: per 32 values one f16 scale, 16 code bytes."""
    blocks = rng.integers(0, 256, (rows, columns // 32, 18), dtype=np.uint8)
    blocks[..., 0:2] = np.frombuffer(np.float16(0.005).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


def q8_0(rng, rows, columns):
    """Random Q8_0 rows as bytes: per 32 values one f16 scale, 32 codes."""
    blocks = rng.integers(0, 256, (rows, columns // 32, 34), dtype=np.uint8)
    blocks[..., 0:2] = np.frombuffer(np.float16(0.0003).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


def q6_k(rng, rows, columns):
    """Random Q6_K rows as bytes: per 256 values 192 bytes of codes, 16 int8
    scales and one f16 scale of the scales."""
    blocks = rng.integers(0, 256, (rows, columns // 256, 210), dtype=np.uint8)
    blocks[..., 208:210] = np.frombuffer(np.float16(2e-5).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)


def rope_factors(config):
    """The divisors of the rotary frequencies under `llama3` scaling, f32
    [head_dim / 2], as transformers' modeling_rope_utils computes them."""
    scaling = config["rope_scaling"]
    original = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    half = config["head_dim"] // 2
    factors = []
    for i in range(half):
        wavelength = 2 * math.pi * config["rope_theta"] ** (i / half)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(scaling["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, np.float32)


def tensors(config, head):
    """Yields (name, type, rows, columns) of every matrix, and of every vector
    with rows = 0."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, head_dim = config["num_attention_heads"], config["head_dim"]
    kv = config["num_key_value_heads"] * head_dim
    yield "token_embd.weight", head, config["vocab_size"], hidden
    yield "output_norm.weight", Type.F32, 0, hidden
    yield "rope_freqs.weight", Type.F32, 0, head_dim // 2
    for layer in range(config["num_hidden_layers"]):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", Type.F32, 0, hidden
        yield block + "attn_q.weight", Type.Q4_0, heads * head_dim, hidden
        yield block + "attn_k.weight", Type.Q4_0, kv, hidden
        yield block + "attn_v.weight", Type.Q4_0, kv, hidden
        yield block + "attn_output.weight", Type.Q4_0, hidden, heads * head_dim
        yield block + "ffn_norm.weight", Type.F32, 0, hidden
        yield block + "ffn_gate.weight", Type.Q4_0, inner, hidden
        yield block + "ffn_up.weight", Type.Q4_0, inner, hidden
        yield block + "ffn_down.weight", Type.Q4_0, hidden, inner


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config_folder", type=pathlib.Path)
    parser.add_argument("output")
    parser.add_argument("--head", choices=["q6_k", "q8_0"], default="q6_k")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    config = json.loads((args.config_folder / "config.json").read_text())
    head = {"q6_k": Type.Q6_K, "q8_0": Type.Q8_0}[args.head]
    make = {Type.Q4_0: q4_0, Type.Q6_K: q6_k, Type.Q8_0: q8_0}
    rng = np.random.default_rng(args.seed)

    writer = gguf.GGUFWriter(args.output, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("no_vocab")

    # The table of tensors first, then their bytes, one tensor in memory.
    listed = list(tensors(config, head))
    for name, kind, rows, columns in listed:
        if rows == 0:
            writer.add_tensor_info(name, (columns,), np.dtype("float32"), 4 * columns)
            continue
        block, size = gguf.GGML_QUANT_SIZES[kind]
        shape = (rows, columns // block * size)
        writer.add_tensor_info(
            name, shape, np.dtype("uint8"), shape[0] * shape[1], raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, kind, rows, columns in listed:
        if rows:
            writer.write_tensor_data(make[kind](rng, rows, columns))
        elif name == "rope_freqs.weight":
            writer.write_tensor_data(rope_factors(config))
        else:
            writer.write_tensor_data(np.ones(columns, np.float32))
    writer.close()


if __name__ == "__main__":
    main()
