//===- Architectures.h - The architectures that qcc knows -------*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_ARCHITECTURES_H
#define QCC_FRONTENDS_ARCHITECTURES_ARCHITECTURES_H

#include "frontends/architectures/ConfigReader.h"
#include "frontends/architectures/ModelSpec.h"

#include "llvm/ADT/ArrayRef.h"

namespace qcc {

/// One architecture: what a config.json's `model_type` selects.
struct Architecture {
  const char *modelType;   ///< "llama"
  const char *description; ///< for `qcc list`
  ModelSpec (*read)(const ConfigReader &config);
};

/// All architectures, in the order in which `qcc list` shows them.
llvm::ArrayRef<Architecture> architectures();

/// The specification of the model that `config` describes. Throws qrt::Error
/// for an unknown `model_type` (naming the known ones), a missing field, or a
/// field that changes the result and is not supported.
ModelSpec readModelSpec(const nlohmann::json &config);

// The families.
ModelSpec readLlama(const ConfigReader &config);
ModelSpec readMistral(const ConfigReader &config);
ModelSpec readQwen3(const ConfigReader &config);
ModelSpec readFalcon(const ConfigReader &config);

/// transformers' names of activation functions (its ACT2FN).
tfm::Activation readActivation(const ConfigReader &config,
                               ConfigReader::Names names,
                               const std::string &fallback);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_ARCHITECTURES_H
