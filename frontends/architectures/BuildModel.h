//===- BuildModel.h - From a specification to a TFM program -----*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_BUILDMODEL_H
#define QCC_FRONTENDS_ARCHITECTURES_BUILDMODEL_H

#include "frontends/architectures/ModelSpec.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qcc {

/// A tensor that a checkpoint holds, under its Hugging Face name.
struct StoredTensor {
  std::vector<int64_t> shape; ///< PyTorch's order
  mlir::Type elementType;     ///< f64, f32, f16 or bf16 (f32 for block types)
  /// The rows of q and k are in GGUF's rotary order and must be put back.
  bool rotaryPermuted = false;
};

/// Where the builder looks tensors up.
class TensorSource {
public:
  virtual ~TensorSource() = default;
  /// The scope of `tfm.param`: "checkpoint" or "random".
  virtual llvm::StringRef scope() const = 0;
  /// Where tensors come from, for messages ("model.safetensors").
  virtual std::string where() const = 0;
  virtual std::optional<StoredTensor> find(const std::string &name) const = 0;
};

/// A source for which every tensor exists, in the shape the model wants:
/// weights are made from a seed.
class RandomSource : public TensorSource {
public:
  explicit RandomSource(mlir::Type elementType) : elementType(elementType) {}
  llvm::StringRef scope() const override { return "random"; }
  std::string where() const override { return "random weights"; }
  std::optional<StoredTensor> find(const std::string &) const override {
    return StoredTensor{{}, elementType, false};
  }

private:
  mlir::Type elementType;
};

/// A program and the values that the frontend computed for it.
struct ImportedModel {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// Parameters of scope `constant`, by key.
  std::map<std::string, std::vector<float>> constants;
  /// Names of the source's tensors that the program reads.
  std::set<std::string> tensors;
};

/// Builds `@weights`, one function for each kind of block, and `@model`.
/// Throws qrt::Error if a tensor is missing or its shape does not fit `spec`.
/// `kvElement` is the type of keys and values in the cache.
ImportedModel buildModel(mlir::MLIRContext &context, const ModelSpec &spec,
                         const TensorSource &source, mlir::Type kvElement);

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_BUILDMODEL_H
