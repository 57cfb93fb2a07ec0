//===- Architectures.cpp - The architectures that qcc knows ---------------===//

#include "frontends/architectures/Architectures.h"

#include "runtime/support/Error.h"

namespace qcc {

static constexpr Architecture kArchitectures[] = {
    {"llama", "Llama 1 to 3.x, SmolLM2, TinyLlama", readLlama},
    {"mistral", "Mistral (sliding window)", readMistral},
    {"qwen3", "Qwen3 (norms of q and k)", readQwen3},
    {"falcon", "Falcon 7b (multi-query) and 40b/180b (new architecture)",
     readFalcon},
};

llvm::ArrayRef<Architecture> architectures() { return kArchitectures; }

ModelSpec readModelSpec(const nlohmann::json &json) {
  ConfigReader config(json);
  std::string type = config.string({"model_type"});
  // Falcon's first releases carried their own model code.
  if (type == "RefinedWebModel" || type == "RefinedWeb")
    type = "falcon";
  std::string known;
  for (const Architecture &architecture : kArchitectures) {
    if (type == architecture.modelType) {
      if (config.has({"quantization_config"}))
        config.refuse("quantization_config",
                      "says that the checkpoint is quantized; reading "
                      "quantized Hugging Face checkpoints is not supported");
      return architecture.read(config);
    }
    known += std::string(known.empty() ? "" : ", ") + architecture.modelType;
  }
  if (type.empty())
    throw qrt::Error("field 'model_type' is missing", config.where());
  throw qrt::Error("architecture '" + type + "' is not supported",
                   config.where(), "supported are " + known);
}

tfm::Activation readActivation(const ConfigReader &config,
                               ConfigReader::Names names,
                               const std::string &fallback) {
  static const std::pair<const char *, tfm::Activation> table[] = {
      {"silu", tfm::Activation::Silu},
      {"swish", tfm::Activation::Silu},
      {"gelu", tfm::Activation::Gelu},
      {"gelu_new", tfm::Activation::GeluTanh},
      {"gelu_fast", tfm::Activation::GeluTanh},
      {"gelu_pytorch_tanh", tfm::Activation::GeluTanh},
      {"quick_gelu", tfm::Activation::GeluQuick},
      {"relu", tfm::Activation::Relu},
      {"sigmoid", tfm::Activation::Sigmoid},
      {"tanh", tfm::Activation::Tanh},
  };
  std::string name = config.string(names, fallback);
  for (auto &[spelling, activation] : table)
    if (name == spelling)
      return activation;
  config.refuse(*names.begin(),
                "is '" + name + "', an activation that is not supported");
}

} // namespace qcc
