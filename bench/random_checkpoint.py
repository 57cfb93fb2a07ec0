#!/usr/bin/env python3
"""Writes a Hugging Face folder of a Llama-shaped model with random weights.

Usage: random_checkpoint.py CONFIG_FOLDER OUT_FOLDER [--shard-gb N] [--seed N]

The dimensions come from CONFIG_FOLDER/config.json (Llama without biases). The
weights are bf16 in shards of at most N GB (5) with their index, as
save_pretrained writes them. Needs nothing but Python: the values of a tensor
are a random block of 1 MiB over and over, which costs a reader as much as any.
"""

import argparse
import json
import pathlib
import random
import shutil
import struct

BLOCK = 1 << 20


def tensors(config):
    """Names and shapes of the parameters, as LlamaForCausalLM names them."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or hidden // heads
    kv = config.get("num_key_value_heads", heads)
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", [hidden]
        yield prefix + "self_attn.q_proj.weight", [heads * size, hidden]
        yield prefix + "self_attn.k_proj.weight", [kv * size, hidden]
        yield prefix + "self_attn.v_proj.weight", [kv * size, hidden]
        yield prefix + "self_attn.o_proj.weight", [hidden, heads * size]
        yield prefix + "post_attention_layernorm.weight", [hidden]
        yield prefix + "mlp.gate_proj.weight", [inner, hidden]
        yield prefix + "mlp.up_proj.weight", [inner, hidden]
        yield prefix + "mlp.down_proj.weight", [hidden, inner]
    yield "model.norm.weight", [hidden]
    if not config.get("tie_word_embeddings", False):
        yield "lm_head.weight", [config["vocab_size"], hidden]


def byte_size(shape):
    size = 2
    for extent in shape:
        size *= extent
    return size


def random_block(seed, deviation):
    rng = random.Random(seed)
    words = bytearray()
    for _ in range(BLOCK // 2):
        words += struct.pack("<f", rng.gauss(0, deviation))[2:]
    return bytes(words)


def write_shard(path, entries, block):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in entries:
        end = offset + byte_size(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in entries:
            left = byte_size(shape)
            while left:
                left -= file.write(block[: min(left, BLOCK)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--shard-gb", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    config = json.loads((args.config / "config.json").read_text())
    args.output.mkdir(parents=True, exist_ok=True)
    shutil.copy(args.config / "config.json", args.output / "config.json")
    shards, filled = [[]], 0
    for name, shape in tensors(config):
        if shards[-1] and filled + byte_size(shape) > args.shard_gb * 1e9:
            shards.append([])
            filled = 0
        shards[-1].append((name, shape))
        filled += byte_size(shape)
    block = random_block(args.seed, config.get("initializer_range", 0.02))
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for number, entries in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(args.output / file, entries, block)
        for name, shape in entries:
            index["weight_map"][name] = file
            index["metadata"]["total_size"] += byte_size(shape)
    (args.output / "model.safetensors.index.json").write_text(
        json.dumps(index, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
