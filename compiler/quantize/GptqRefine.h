//===- GptqRefine.h - Codes and scales, once more ---------------*- C++ -*-===//
//
// GPTQ decides each code once, knowing nothing of the errors that later
// columns will make. Coordinate descent goes over them again: a sweep sets
// every code to the best one for all others as they are now (QuantEase, Behdin
// et al. 2023, arXiv 2309.01885), and then every scale to the best one for the
// codes (least squares). Neither can raise the error on the calibration data.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_GPTQREFINE_H
#define QCC_COMPILER_QUANTIZE_GPTQREFINE_H

#include "compiler/quantize/Gptq.h"

namespace qcc {

/// Some rows of a quantized weight, columns in the order of quantization:
/// column i of a row is steps[i] * scales[group[i]].
struct QuantizedRows {
  int64_t rows, columns, groups;
  float maxCode;
  qrt::ScaleType scaleType;
  const int32_t *group; ///< [columns]
  const float *weight;  ///< [rows][columns]
  const float *zeros;   ///< [rows][groups]
  float *steps;         ///< [rows][columns], codes less zero points
  float *scales;        ///< [rows][groups]
};

/// options.refineSweeps sweeps over the codes and, where each group is a run of
/// the order, the scales. Returns ‖(W-Q)R‖² of the rows, which is the error on
/// the calibration data with the damping.
double refine(const QuantizedRows &rows, const GptqFactor &factor,
              const GptqOptions &options);

/// For GptqFactor::corners, of blocks of `block` columns.
std::vector<float> hessianCorners(const GptqFactor &factor, int64_t block,
                                  unsigned threads);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_GPTQREFINE_H
