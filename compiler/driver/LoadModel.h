//===- LoadModel.h - From a user's MODEL to a TFM program -------*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_LOADMODEL_H
#define QCC_COMPILER_DRIVER_LOADMODEL_H

#include "compiler/weights/Sources.h"
#include "frontends/architectures/BuildModel.h"
#include "frontends/checkpoint/Checkpoint.h"
#include "runtime/chat/ChatSource.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <functional>
#include <memory>
#include <optional>

namespace qcc {

/// A model as the frontends read it.
struct LoadedModel {
  ModelSpec spec;
  ImportedModel imported;
  /// Values of all parameters of `imported`.
  std::unique_ptr<ParameterReader> parameters;
  std::optional<qrt::TokenizerModel> tokenizer;
  qrt::chat::ChatSource chat;
  int32_t bosId = -1;
  std::vector<int32_t> eosIds;
  /// The format of unquantized weights unless the user says another one: the
  /// checkpoint's, bf16 for a quantized GGUF.
  std::string dtype;
  /// What identifies the source: a hash of its content. Reads all of it.
  std::function<uint64_t()> contentHash;
};

/// Resolves and reads MODEL. With `randomSeed`, only its configuration is
/// read and weights are made from the seed. `kvDtype` (f32, f16, bf16) is the
/// type of the KV cache. Throws qrt::Error.
LoadedModel loadModel(mlir::MLIRContext &context, const std::string &model,
                      std::optional<uint64_t> randomSeed,
                      const std::string &kvDtype);

/// The tokenizer of MODEL: a model, a folder with a tokenizer alone, or a
/// tokenizer's file. Throws qrt::Error if there is none.
qrt::TokenizerModel loadTokenizer(const std::string &model);

/// The chat templates of MODEL: a model, a folder with a tokenizer alone, or a
/// file with a template (.jinja, tokenizer_config.json). Throws qrt::Error if
/// there are none.
qrt::chat::ChatSource loadChat(const std::string &model);

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_LOADMODEL_H
