//===- Architectures.h - The architectures that qcc knows -------*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_ARCHITECTURES_H
#define QCC_FRONTENDS_ARCHITECTURES_ARCHITECTURES_H

#include "frontends/architectures/ConfigReader.h"
#include "frontends/architectures/Describe.h"
#include "frontends/architectures/ModelSpec.h"

#include "llvm/ADT/ArrayRef.h"

namespace qcc {

/// One architecture: what a config.json's `model_type` selects.
struct Architecture {
  const char *modelType;   ///< "llama"
  const char *description; ///< for `qcc list`
  ModelSpec (*read)(const ConfigReader &config);
  bool isTested; ///< a checkpoint with reference logits is among the tests
};

/// All architectures, in the order in which `qcc list` shows them.
llvm::ArrayRef<Architecture> architectures();

/// The specification of the model that `config` describes. Throws qrt::Error
/// for an unknown `model_type` (naming the known ones), a model of another kind
/// (encoder, vision, mixture of experts, remote code only), a missing field, or
/// a field that changes the result and is not understood.
ModelSpec readModelSpec(const nlohmann::json &config);

/// What those that have Llama's modules differ in.
struct LlamaOptions {
  bool qkvBias = false, outputBias = false, mlpBias = false;
  SizeDefaults sizes;
  bool tied = false;            ///< where the config does not say
  double defaultEps = 1e-6;     ///< of RMS norms
  std::optional<NormSpec> norm; ///< another one than RMS
};
/// Llama but for the rotary embedding.
ModelSpec readLlamaFamily(const ConfigReader &config, const char *name,
                          const LlamaOptions &options);

// The families.
ModelSpec readBloom(const ConfigReader &config);
ModelSpec readCohere(const ConfigReader &config);
ModelSpec readCohere2(const ConfigReader &config);
ModelSpec readFalcon(const ConfigReader &config);
ModelSpec readGemma(const ConfigReader &config);
ModelSpec readGemma2(const ConfigReader &config);
ModelSpec readGemma3(const ConfigReader &config);
ModelSpec readGlm(const ConfigReader &config);
ModelSpec readGlm4(const ConfigReader &config);
ModelSpec readGpt2(const ConfigReader &config);
ModelSpec readGptBigCode(const ConfigReader &config);
ModelSpec readGptJ(const ConfigReader &config);
ModelSpec readGptNeo(const ConfigReader &config);
ModelSpec readGptNeoX(const ConfigReader &config);
ModelSpec readGranite(const ConfigReader &config);
ModelSpec readLlama(const ConfigReader &config);
ModelSpec readMistral(const ConfigReader &config);
ModelSpec readMpt(const ConfigReader &config);
ModelSpec readNemotron(const ConfigReader &config);
ModelSpec readOlmo(const ConfigReader &config);
ModelSpec readOlmo2(const ConfigReader &config);
ModelSpec readOlmo3(const ConfigReader &config);
ModelSpec readOpt(const ConfigReader &config);
ModelSpec readPhi(const ConfigReader &config);
ModelSpec readPhi3(const ConfigReader &config);
ModelSpec readQwen2(const ConfigReader &config);
ModelSpec readQwen3(const ConfigReader &config);
ModelSpec readSmolLM3(const ConfigReader &config);
ModelSpec readStableLm(const ConfigReader &config);
ModelSpec readStarcoder2(const ConfigReader &config);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_ARCHITECTURES_H
