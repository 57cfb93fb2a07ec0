//===- Architectures.cpp - The architectures that qcc knows ---------------===//

#include "frontends/architectures/Architectures.h"

#include "runtime/support/Error.h"

namespace qcc {

static constexpr Architecture kArchitectures[] = {
    {"llama", "Llama 1 to 3.x, SmolLM2, TinyLlama, Yi", readLlama, true},
    {"mistral", "Mistral (sliding window)", readMistral, true},
    {"qwen2", "Qwen2, Qwen2.5 (biases)", readQwen2, true},
    {"qwen3", "Qwen3 (norms of q and k)", readQwen3, true},
    {"phi", "Phi-1, Phi-2 (parallel)", readPhi, true},
    {"phi3", "Phi-3, Phi-4 (fused projections, LongRoPE)", readPhi3, true},
    {"gemma", "Gemma (scaled embeddings)", readGemma, true},
    {"gemma2", "Gemma 2 (soft caps, every other layer slides)", readGemma2,
     false},
    {"gemma3_text", "Gemma 3 (text; two rotary bases)", readGemma3, true},
    {"falcon", "Falcon 7b, 40b/180b (new architecture), RW (ALiBi)", readFalcon,
     true},
    {"opt", "OPT (350m's post-norm and projections included)", readOpt, true},
    {"bloom", "BLOOM (ALiBi)", readBloom, true},
    {"gpt_neox", "GPT-NeoX, Pythia (parallel or serial)", readGptNeoX, true},
    {"gpt2", "GPT-2", readGpt2, true},
    {"gptj", "GPT-J (interleaved rotation)", readGptJ, false},
    {"gpt_neo", "GPT-Neo (local attention)", readGptNeo, true},
    {"gpt_bigcode", "GPT-BigCode, StarCoder (multi-query)", readGptBigCode,
     true},
    {"starcoder2", "StarCoder2", readStarcoder2, false},
    {"stablelm", "StableLM (partial rotation, parallel or serial)",
     readStableLm, false},
    {"mpt", "MPT (ALiBi)", readMpt, true},
    {"olmo", "OLMo (norms without weights)", readOlmo, true},
    {"olmo2", "OLMo 2 (norms after attention and MLP)", readOlmo2, false},
    {"olmo3", "OLMo 3 (OLMo 2 with windows)", readOlmo3, false},
    {"granite", "Granite (multipliers)", readGranite, false},
    {"smollm3", "SmolLM3 (layers without rotation)", readSmolLM3, false},
    {"cohere", "Command-R", readCohere, true},
    {"cohere2", "Command-R7B (windows)", readCohere2, false},
    {"glm", "GLM (partial interleaved rotation)", readGlm, false},
    {"glm4", "GLM-4 (four norms)", readGlm4, false},
    {"nemotron", "Nemotron, Minitron (squared relu)", readNemotron, false},
};

llvm::ArrayRef<Architecture> architectures() { return kArchitectures; }

/// Other names of some model types.
static std::string canonicalType(const std::string &type) {
  // Falcon's first releases carried their own model code.
  if (type == "RefinedWebModel" || type == "RefinedWeb")
    return "falcon";
  return type;
}

/// Refuses models that are no dense decoders of text.
static void refuseOtherKinds(const ConfigReader &config,
                             const std::string &type) {
  for (const char *field :
       {"num_local_experts", "num_experts", "n_routed_experts",
        "moe_intermediate_size", "num_experts_per_tok"})
    if (config.has({field}) && *config.find({field}) != 0)
      throw qrt::Error("architecture '" + type +
                           "' is a mixture of experts (field '" + field +
                           "'), which is not supported yet",
                       config.where());
  if (config.boolean({"is_encoder_decoder"}, false))
    config.refuse("is_encoder_decoder", "is true; only decoders are supported");
  for (const char *field :
       {"vision_config", "audio_config", "vision_tower", "visual"})
    if (config.has({field}))
      throw qrt::Error("architecture '" + type +
                           "' reads more than text (field '" + field +
                           "'), which is not supported",
                       config.where());
  const nlohmann::json *classes = config.find({"architectures"});
  if (!classes || !classes->is_array() || classes->empty() ||
      !(*classes)[0].is_string())
    return;
  auto name = (*classes)[0].get<std::string>();
  for (const char *kind :
       {"ForMaskedLM", "ForSequenceClassification", "ForTokenClassification",
        "ForQuestionAnswering", "ForConditionalGeneration", "EncoderModel"})
    if (name.ends_with(kind))
      config.refuse("architectures",
                    "is " + name + ", no causal language model");
}

ModelSpec readModelSpec(const nlohmann::json &json) {
  ConfigReader config(json);
  std::string type = canonicalType(config.string({"model_type"}));
  if (type.empty())
    throw qrt::Error("field 'model_type' is missing", config.where());
  refuseOtherKinds(config, type);
  std::string known;
  for (const Architecture &architecture : kArchitectures) {
    if (type == architecture.modelType) {
      if (config.has({"quantization_config"}))
        config.refuse("quantization_config",
                      "says that the checkpoint is quantized; reading "
                      "quantized Hugging Face checkpoints is not supported");
      ModelSpec spec = architecture.read(config);
      config.refuseUnknown();
      return spec;
    }
    known += std::string(known.empty() ? "" : ", ") + architecture.modelType;
  }
  if (config.has({"auto_map"}))
    throw qrt::Error("architecture '" + type +
                         "' is defined by code in the checkpoint (auto_map), "
                         "which is not run",
                     config.where(), "supported are " + known);
  throw qrt::Error("architecture '" + type + "' is not supported",
                   config.where(), "supported are " + known);
}

} // namespace qcc
