"""The formats and the small models of the GPU tests, whose formats the
benchmarks have, too, and how far logits may be from the CPU's."""

# Relative errors of logits, GPU against CPU: activations, keys and values are
# 16-bit floats on the GPU (one rounding is 2^-12 in f16, 2^-9 in bf16), over a
# few layers.
# LLM.int8 rounds activations to 8 bits. The keys and values of GPU and CPU
# differ by 2^-12, so some 5 % of the codes are neighbours: noise as large as the
# rounding itself (tests/e2e/GoldenTest.cpp).
TOLERANCE = {"f16": 4e-3, "bf16": 2e-2, "int8-llm": 4e-2}
# Their rotation depends on how far the sequence has come, not on positions
# alone: a golden of one step is not that of many.
SCALED_BY_LENGTH = ("llama-dynamic", "phi3-longrope")
# Their attention does not divide scores by the root of the head's size, so that
# the roundings of queries and keys count for more.
UNSCALED = ("gpt-neo",)


def tolerance(format_name):
    return TOLERANCE.get(format_name, TOLERANCE["f16"])


COUNTS = [1, 2, 5, 8, 9, 16, 24, 33, 64, 65, 129, 300]
FORMATS = {
    "int4": ["--quantize", "rtn.int4"],
    "int4-sym": ["--quantize", "rtn.int4", "--sym"],
    "int4-g32": ["--quantize", "rtn.int4", "--group-size", "32"],
    "int4-row": ["--quantize", "rtn.int4", "--group-size", "-1"],
    "int4-g100": ["--quantize", "rtn.int4", "--group-size", "100"],
    "int3": ["--quantize", "rtn.int3"],
    "int3-sym": ["--quantize", "rtn.int3", "--sym"],
    "int3-g32": ["--quantize", "rtn.int3", "--group-size", "32"],
    "int3-g64": ["--quantize", "rtn.int3", "--group-size", "64"],
    "int2-g32": ["--quantize", "rtn.int2", "--group-size", "32"],
    "int2-g16": ["--quantize", "rtn.int2", "--group-size", "16"],
    "int2-g64": ["--quantize", "rtn.int2", "--group-size", "64"],
    "int8": ["--quantize", "rtn.int8"],
    "int8-row": ["--quantize", "rtn.int8", "--group-size", "-1"],
    "int8-llm": ["--quantize", "bnb.int8"],
    "nf4": ["--quantize", "bnb.nf4"],
    "nf4-dq": ["--quantize", "bnb.nf4-dq"],
    "fp4": ["--quantize", "bnb.fp4"],
    "fp4-dq": ["--quantize", "bnb.fp4-dq"],
    "bf16": ["--dtype", "bf16"],
    "f16": ["--dtype", "f16"],
}
# Of small checkpoints only: their own text calibrates them.
GPTQ = {
    "gptq": ["--quantize", "gptq.int4", "--calibration", "self", "--samples",
             "4", "--sequence-length", "32"],
}
SMALL = {
    # Odd N and ragged K of every kind: 5 heads of 40, 1000 = 7.8 groups, 321
    # words.
    "odd": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 200, "intermediate_size": 1000, "num_hidden_layers": 2,
        "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 40,
        "vocab_size": 321, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "max_position_embeddings": 4096, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16"},
    # The same, large enough for a library; with biases.
    "odd-large": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "hidden_size": 1160, "intermediate_size": 2736, "num_hidden_layers": 1,
        "num_attention_heads": 29, "num_key_value_heads": 29,
        "vocab_size": 321, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "max_position_embeddings": 4096, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16"},
    # A parallel block, whose QKV and MLP are one launch for batches; several
    # runs of it share a block of rows.
    "parallel": {
        "architectures": ["FalconForCausalLM"], "model_type": "falcon",
        "hidden_size": 1480, "num_hidden_layers": 2, "num_attention_heads": 37,
        "multi_query": True, "parallel_attn": True,
        "new_decoder_architecture": False, "bias": False, "alibi": False,
        "vocab_size": 321, "layer_norm_epsilon": 1e-5,
        "torch_dtype": "bfloat16"},
    "small": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 2,
        "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 500,
        "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "max_position_embeddings": 4096, "rope_theta": 10000.0,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16"},
}
