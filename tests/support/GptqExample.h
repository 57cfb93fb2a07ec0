//===- GptqExample.h - A weight and inputs for GPTQ -------------*- C++ -*-===//

#ifndef QCC_TESTS_SUPPORT_GPTQEXAMPLE_H
#define QCC_TESTS_SUPPORT_GPTQEXAMPLE_H

#include "compiler/quantize/Gptq.h"
#include "runtime/formats/Reference.h"

#include <random>

namespace qcc::test {

/// A weight and inputs whose features correlate and differ in size.
struct Example {
  Example(int64_t rows, int64_t columns, int64_t tokens, unsigned seed)
      : rows(rows), columns(columns), tokens(tokens), hessian(columns) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < rows * columns; ++i)
      w.push_back(normal(random) * 0.02f);
    x.resize(size_t(tokens * columns));
    for (int64_t t = 0; t < tokens; ++t) {
      float common = normal(random);
      for (int64_t k = 0; k < columns; ++k)
        x[size_t(t * columns + k)] =
            (normal(random) + common) * float(1 + k % 7);
    }
    hessian.add(x.data(), tokens, 2);
  }
  /// ‖(W-Q)X‖² / ‖WX‖², one element at a time.
  double error(const GptqResult &result, const qrt::Format &format,
               const std::vector<int32_t> *storedOrder = nullptr) const {
    qrt::PackedWeight packed{format,       rows,          columns,
                             result.codes, result.scales, result.zeros};
    std::vector<float> q(w.size());
    qrt::dequantize(packed, q.data());
    double lost = 0, whole = 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t t = 0; t < tokens; ++t) {
        double difference = 0, product = 0;
        for (int64_t k = 0; k < columns; ++k) {
          int64_t column = storedOrder ? (*storedOrder)[size_t(k)] : k;
          double input = x[size_t(t * columns + column)];
          double weight = w[size_t(row * columns + column)];
          difference += (weight - q[size_t(row * columns + k)]) * input;
          product += weight * input;
        }
        lost += difference * difference;
        whole += product * product;
      }
    return lost / whole;
  }
  int64_t rows, columns, tokens;
  std::vector<float> w, x;
  Hessian hessian;
};

} // namespace qcc::test

#endif // QCC_TESTS_SUPPORT_GPTQEXAMPLE_H
