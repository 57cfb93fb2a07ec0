//===- GgufArchitecture.cpp - How GGUF names modules ----------------------===//
//
// llama.cpp's gguf-py/gguf/tensor_mapping.py and src/llama-arch.cpp.
//
//===----------------------------------------------------------------------===//

#include "frontends/checkpoint/GgufArchitecture.h"

#include <algorithm>

namespace qcc {
namespace {

using Modules = std::vector<std::pair<std::string_view, std::string_view>>;

/// `own`, and of `base` what it does not name.
Modules with(Modules own, const Modules &base) {
  for (const auto &[gguf, module] : base)
    if (std::ranges::none_of(own, [&](const auto &entry) {
          return entry.first == gguf;
        }))
      own.push_back({gguf, module});
  return own;
}

const Modules kLlama = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

const Modules kFourNorms = with(
    {{"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
     {"blk.{}.ffn_norm", "model.layers.{}.pre_feedforward_layernorm"},
     {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"}},
    kLlama);

const Modules kFusedMlp =
    with({{"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"}}, kLlama);

const Modules kGpt2 = {
    {"token_embd", "transformer.wte"},
    {"position_embd", "transformer.wpe"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.ln_1"},
    {"blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn"},
    {"blk.{}.attn_output", "transformer.h.{}.attn.c_proj"},
    {"blk.{}.ffn_norm", "transformer.h.{}.ln_2"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc"},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj"},
};

const Modules kBloom = {
    {"token_embd", "transformer.word_embeddings"},
    {"token_embd_norm", "transformer.word_embeddings_layernorm"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.input_layernorm"},
    {"blk.{}.attn_norm_2", "transformer.h.{}.ln_attn"},
    {"blk.{}.attn_qkv", "transformer.h.{}.self_attention.query_key_value"},
    {"blk.{}.attn_output", "transformer.h.{}.self_attention.dense"},
    {"blk.{}.ffn_norm", "transformer.h.{}.post_attention_layernorm"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.dense_h_to_4h"},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.dense_4h_to_h"},
};

const Modules kGptNeoX = {
    {"token_embd", "gpt_neox.embed_in"},
    {"output_norm", "gpt_neox.final_layer_norm"},
    {"output", "embed_out"},
    {"blk.{}.attn_norm", "gpt_neox.layers.{}.input_layernorm"},
    {"blk.{}.attn_qkv", "gpt_neox.layers.{}.attention.query_key_value"},
    {"blk.{}.attn_output", "gpt_neox.layers.{}.attention.dense"},
    {"blk.{}.ffn_norm", "gpt_neox.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_up", "gpt_neox.layers.{}.mlp.dense_h_to_4h"},
    {"blk.{}.ffn_down", "gpt_neox.layers.{}.mlp.dense_4h_to_h"},
};

const Modules kMpt = {
    {"token_embd", "transformer.wte"},
    {"output_norm", "transformer.norm_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.blocks.{}.norm_1"},
    {"blk.{}.attn_qkv", "transformer.blocks.{}.attn.Wqkv"},
    {"blk.{}.attn_output", "transformer.blocks.{}.attn.out_proj"},
    {"blk.{}.ffn_norm", "transformer.blocks.{}.norm_2"},
    {"blk.{}.ffn_up", "transformer.blocks.{}.ffn.up_proj"},
    {"blk.{}.ffn_down", "transformer.blocks.{}.ffn.down_proj"},
};

const std::vector<GgufArchitecture> &all() {
  static const std::vector<GgufArchitecture> list = {
      {"llama", "llama", kLlama, true},
      {"qwen2", "qwen2", kLlama},
      {"qwen3", "qwen3", kLlama},
      {"granite", "granite", kLlama, true},
      {"smollm3", "smollm3", kLlama, true},
      {"olmo", "olmo", kLlama, true},
      {"olmo2", "olmo2",
       with({{"blk.{}.post_attention_norm",
              "model.layers.{}.post_attention_layernorm"},
             {"blk.{}.post_ffw_norm",
              "model.layers.{}.post_feedforward_layernorm"}},
            kLlama)},
      {"phi2", "phi",
       with({{"output_norm", "model.final_layernorm"},
             {"blk.{}.attn_output", "model.layers.{}.self_attn.dense"},
             {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_layernorm"},
             {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_layernorm"},
             {"blk.{}.ffn_up", "model.layers.{}.mlp.fc1"},
             {"blk.{}.ffn_down", "model.layers.{}.mlp.fc2"}},
            kLlama)},
      {"phi3", "phi3", kFusedMlp},
      {"gemma", "gemma", kLlama},
      {"gemma2", "gemma2", kFourNorms},
      {"gemma3", "gemma3_text", kFourNorms},
      {"falcon", "falcon", kBloom},
      {"bloom", "bloom", kBloom},
      {"gptneox", "gpt_neox", kGptNeoX},
      {"gpt2", "gpt2", kGpt2},
      {"starcoder", "gpt_bigcode", kGpt2},
      {"starcoder2", "starcoder2",
       with({{"blk.{}.ffn_up", "model.layers.{}.mlp.c_fc"},
             {"blk.{}.ffn_down", "model.layers.{}.mlp.c_proj"}},
            kLlama)},
      {"stablelm", "stablelm",
       with({{"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_layernorm"},
             {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_layernorm"}},
            kLlama)},
      {"mpt", "mpt", kMpt},
      {"command-r", "cohere", kLlama},
      {"cohere2", "cohere2", kLlama},
      {"chatglm", "glm", kFusedMlp},
      {"glm4", "glm4",
       with({{"blk.{}.post_attention_norm",
              "model.layers.{}.post_self_attn_layernorm"},
             {"blk.{}.post_ffw_norm", "model.layers.{}.post_mlp_layernorm"}},
            kFusedMlp)},
      {"nemotron", "nemotron", kLlama},
  };
  return list;
}

/// "blk.<layer>.<module>.<suffix>" or "<module>.<suffix>" as a module with "{}"
/// in the layer's place.
struct TensorName {
  std::string module, layer, suffix;

  explicit TensorName(const std::string &name) {
    size_t last = name.rfind('.');
    if (last == std::string::npos)
      return;
    module = name.substr(0, last);
    suffix = name.substr(last);
    size_t second = module.find('.', 4);
    if (!module.starts_with("blk.") || second == std::string::npos)
      return;
    layer = module.substr(4, second - 4);
    module.replace(4, second - 4, "{}");
  }
};

} // namespace

const GgufArchitecture *findGgufArchitecture(std::string_view name) {
  auto it = std::ranges::find_if(
      all(), [&](const GgufArchitecture &each) { return each.name == name; });
  return it == all().end() ? nullptr : &*it;
}

std::string ggufArchitectureNames() {
  std::string names;
  for (const GgufArchitecture &each : all())
    names += std::string(names.empty() ? "" : ", ") + each.name;
  return names;
}

std::string huggingFaceName(const GgufArchitecture &architecture,
                            const std::string &ggufName) {
  TensorName name(ggufName);
  for (const auto &[gguf, module] : architecture.modules) {
    if (gguf != name.module)
      continue;
    std::string result(module);
    if (size_t at = result.find("{}"); at != std::string::npos)
      result.replace(at, 2, name.layer);
    return result + name.suffix;
  }
  return ggufName;
}

bool isRotaryPermuted(const GgufArchitecture &architecture,
                      const std::string &ggufName) {
  TensorName name(ggufName);
  return architecture.isPermuted && (name.module == "blk.{}.attn_q" ||
                                     name.module == "blk.{}.attn_k");
}

} // namespace qcc
