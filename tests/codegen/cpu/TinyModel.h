//===- TinyModel.h - The model of Inputs/tiny.mlir, in scalars --*- C++ -*-===//

#ifndef QCC_TESTS_CODEGEN_CPU_TINYMODEL_H
#define QCC_TESTS_CODEGEN_CPU_TINYMODEL_H

#include "LoadedKernels.h"

#include <random>
#include <string>
#include <vector>

namespace qcc::test {

/// Random weights in the formats that Inputs/tiny.mlir says, packed as the
/// kernels read them, and the same model computed in double, token by token.
class TinyModel {
public:
  static constexpr int64_t vocabulary = 48, hidden = 64, heads = 4, kvHeads = 2,
                           headDim = 16, intermediate = 96, layers = 2;

  TinyModel();

  /// By index in the tensor table; valid as long as this.
  std::vector<const void *> weights() const;
  /// Logits [tokens.size()][vocabulary] of one sequence from its beginning.
  std::vector<float> reference(const std::vector<int32_t> &tokens) const;

private:
  /// A weight as values, row-major, and as bytes.
  struct Tensor {
    int64_t rows, columns;
    std::vector<float> values;
    AlignedBytes bytes;
  };
  void addPlain(int64_t rows, int64_t columns, float scale, float offset = 0);
  void addFrequencies();
  void addTiled(const std::string &format, int64_t rows, int64_t columns);
  float random() { return distribution(engine); }

  std::vector<double> product(const Tensor &weight,
                              const std::vector<double> &x) const;
  std::vector<double> normalize(const Tensor &norm,
                                const std::vector<double> &x) const;
  /// Rotates each head of `x` for `position`.
  void rotate(double *x, int64_t count, int64_t position) const;

  std::mt19937 engine{7};
  std::uniform_real_distribution<float> distribution{-1, 1};
  std::vector<Tensor> tensors;
};

} // namespace qcc::test

#endif // QCC_TESTS_CODEGEN_CPU_TINYMODEL_H
