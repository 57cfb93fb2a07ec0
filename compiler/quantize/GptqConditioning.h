//===- GptqConditioning.h - Hessians made fit to be factored ----*- C++ -*-===//
//
// What factoring on the CPU and on the GPU share: all but the algebra.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_GPTQCONDITIONING_H
#define QCC_COMPILER_QUANTIZE_GPTQCONDITIONING_H

#include "compiler/quantize/Gptq.h"

#include <functional>

namespace qcc {

/// What is done to the diagonal of the Hessian before it is factored.
struct Conditioning {
  double added = 0;
  /// Every diagonal element is at least the sum of its row.
  bool floored = false;
};

/// Finds all of `factor` but r and corners for a Hessian of this diagonal, in
/// which dead columns then have 1. Calls tryFactor, which may read the order,
/// with stronger and stronger conditioning until it returns true. False, with
/// a note, if the Hessian is of no use.
bool conditionHessian(
    std::vector<double> &diagonal, int64_t groupSize,
    const GptqOptions &options, GptqFactor &factor,
    const std::function<bool(const Conditioning &)> &tryFactor);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_GPTQCONDITIONING_H
