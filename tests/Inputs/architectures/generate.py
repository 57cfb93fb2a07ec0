#!/usr/bin/env python3
"""Writes NAME.json: a tiny checkpoint of an architecture and its logits.

A file holds the configuration as transformers saves it, the tensors' names, shapes, centres and widths, token ids and the logits that transformers
computes in float64. Weights are made from the name and the index by `uniform`, which tests/e2e/ArchitectureTest.cpp has as well.

    pip install torch transformers
    tests/Inputs/architectures/generate.py [NAME...]      # default: all
"""
import json
import pathlib
import sys

import numpy
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

LLAMA = dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=48, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
MHA = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}
GPT2 = dict(vocab_size=40, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
OPT = dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, word_embed_proj_dim=32,
           max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0)

CASES = {
    "llama-yarn": ("llama", LLAMA, dict(rope_parameters=YARN)),
    "llama-dynamic": ("llama", LLAMA, dict(max_position_embeddings=8, rope_parameters=dict(
        rope_type="dynamic", factor=4.0, rope_theta=10000.0))),
    "llama-bias": ("llama", LLAMA, dict(attention_bias=True, mlp_bias=True, head_dim=10, hidden_act="mish")),
    "qwen2-window": ("qwen2", LLAMA, dict(use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    "phi-qk": ("phi", LLAMA, dict(qk_layernorm=True)),
    "phi3-longrope": ("phi3", LLAMA, dict(original_max_position_embeddings=8, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5, original_max_position_embeddings=8,
        short_factor=[1.0, 1.1], long_factor=[1.5, 3.0]))),
    "gemma2": ("gemma2", LLAMA, dict(head_dim=12, query_pre_attn_scalar=10, sliding_window=5,
                                     attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "falcon-rw": ("falcon", dict(vocab_size=40, hidden_size=36, num_hidden_layers=2, num_attention_heads=3, bos_token_id=1,
                                 eos_token_id=2),
                  dict(alibi=True, bias=True, multi_query=False, parallel_attn=False)),
    "opt-350m": ("opt", OPT, dict(do_layer_norm_before=False, word_embed_proj_dim=16)),
    "bloom-6": ("bloom", dict(vocab_size=40, hidden_size=36, n_layer=2, n_head=6, bos_token_id=1, eos_token_id=2),
                dict(apply_residual_connection_post_layernorm=True)),
    "gpt-neox-serial": ("gpt_neox", MHA, dict(use_parallel_residual=False)),
    "gpt2": ("gpt2", GPT2, dict(scale_attn_by_inverse_layer_idx=True)),
    "gptj": ("gptj", GPT2, dict(rotary_dim=4)),
    "gpt-bigcode-mha": ("gpt_bigcode", GPT2, dict(multi_query=False)),
    "starcoder2": ("starcoder2", LLAMA, dict(sliding_window=5)),
    "stablelm": ("stablelm", LLAMA, dict(use_qkv_bias=True)),
    "stablelm-qk": ("stablelm", LLAMA, dict(qk_layernorm=True, use_parallel_residual=True, partial_rotary_factor=0.5)),
    "mpt-clip": ("mpt", dict(vocab_size=40, d_model=36, n_layers=2, n_heads=6, max_seq_len=64),
                 dict(attn_config=dict(clip_qkv=0.3))),
    "olmo-clip": ("olmo", LLAMA, dict(clip_qkv=0.5)),
    "olmo2": ("olmo2", LLAMA, {}),
    "olmo3": ("olmo3", LLAMA, dict(sliding_window=5, num_hidden_layers=4)),
    "granite": ("granite", LLAMA, dict(embedding_multiplier=3.0, logits_scaling=4.0, residual_multiplier=0.22,
                                       attention_multiplier=0.1)),
    "olmo3-v4": ("olmo3", LLAMA, dict(sliding_window=5, num_hidden_layers=4, rope_parameters=dict(
        full_attention=YARN, sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
    "gemma3-v4": ("gemma3_text", LLAMA, dict(
        head_dim=12, query_pre_attn_scalar=12, sliding_window=4, num_hidden_layers=3,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
            sliding_attention=dict(rope_type="default", rope_theta=1e4)))),
    "smollm3": ("smollm3", LLAMA, dict(no_rope_layer_interval=2)),
    "cohere-qk": ("cohere", LLAMA, dict(use_qk_norm=True)),
    "cohere2": ("cohere2", LLAMA, dict(sliding_window=5, num_hidden_layers=4)),
    "glm": ("glm", LLAMA, dict(head_dim=8)),
    "glm4": ("glm4", LLAMA, dict(head_dim=8)),
    "nemotron": ("nemotron", LLAMA, {}),
}


def uniform(name, count):
    """Numbers in [-1, 1): splitmix64 of the index and a hash (FNV-1a) of the name."""
    seed = 14695981039346656037
    for byte in name.encode():
        seed = (seed ^ byte) * 1099511628211 % 2**64
    with numpy.errstate(over="ignore"):
        x = numpy.uint64(seed) + (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(1)) * numpy.uint64(
            0x9E3779B97F4A7C15)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        x = x ^ (x >> numpy.uint64(31))
    return ((x >> numpy.uint64(40)).astype(numpy.float64) / 2**23 - 1).astype(numpy.float32)


def generate(name):
    model_type, base, changes = CASES[name]
    config = CONFIG_MAPPING[model_type](**{**base, **changes})
    # Falcon's eager attention adds ALiBi's biases twice.
    attention = "sdpa" if model_type == "falcon" else "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    tensors = []
    for key, parameter in model.named_parameters():
        is_norm = "norm" in key or ".ln" in key
        is_weight = key.endswith("weight")
        centre = 1.0 if is_norm and is_weight and "gemma" not in model_type and model_type != "nemotron" else 0.0
        width = 0.25 if parameter.dim() == 1 or is_norm else 0.5 if "emb" in key or "wte" in key or "wpe" in key else 0.375
        values = numpy.float32(centre) + numpy.float32(width) * uniform(key, parameter.numel())
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))
        tensors.append([key, list(parameter.shape), centre, width])
    model.tie_weights()
    ids = [3 + i * i * 7 % 37 for i in range(12)]
    with torch.no_grad():
        logits = model.double()(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    saved = json.loads(config.to_json_string(use_diff=False))
    for key in ("transformers_version", "id2label", "label2id"):
        saved.pop(key, None)
    saved["architectures"] = [type(model).__name__]
    if name.endswith("-v4"):  # as transformers 4 wrote it
        full, sliding = (saved["rope_parameters"][f"{kind}_attention"] for kind in ("full", "sliding"))
        saved.update(rope_theta=full.pop("rope_theta"), rope_scaling=full)
        if model_type == "gemma3_text":
            saved["rope_local_base_freq"] = sliding["rope_theta"]
        del saved["rope_parameters"]
    text = json.dumps({"config": saved, "tensors": tensors, "input_ids": ids,
                       "logits": [float(f"{x:.8g}") for x in logits.flatten().tolist()]})
    (pathlib.Path(__file__).parent / f"{name}.json").write_text(text + "\n")


for each in sys.argv[1:] or CASES:
    generate(each)
