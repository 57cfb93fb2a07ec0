//===- Gptq.h - Quantization that makes up for its errors -------*- C++ -*-===//
//
// GPTQ (Frantar et al. 2022, arXiv 2210.17323): columns are quantized one
// after the other, and those that follow take up the error as the Hessian of
// the inputs says. Scales, dead columns, order and group parameters are those
// of IST-DASLab's gptq.py; group-aware order is that of GPTQModel. Instead of
// the inverse's Cholesky factor this uses the factor R of H = R R^T, R upper
// triangular:
//
//   w_k += sum over j < k of (W_j - Q_j) R_jk / R_kk
//
// with the weight W as it was (LDLQ, Chee et al. 2023, arXiv 2307.13304, which
// proves the two equal). docs/formats.md, "Recipes", has the whole.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_GPTQ_H
#define QCC_COMPILER_QUANTIZE_GPTQ_H

#include "compiler/quantize/Hessian.h"
#include "compiler/quantize/Rtn.h"
#include "runtime/formats/Format.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// In which order the columns are quantized.
enum class ColumnOrder {
  Natural,
  /// By falling diagonal element of the Hessian ("act-order", "desc-act").
  Activation,
  /// Groups by their largest diagonal element, columns by theirs within each:
  /// every group stays a run of the weight's own columns.
  GroupAware,
};

struct GptqOptions {
  ColumnOrder order = ColumnOrder::Natural;
  /// All groups are runs of the weight's own columns, and their scales are
  /// found before the first column is quantized.
  bool staticGroups = false;
  /// Added to the Hessian's diagonal, in units of its mean.
  double damp = 0.01;
  /// Columns after which the error is spread to all that follow; scales of
  /// groups are found of the weight as it is where their block begins.
  int64_t block = 128;
  RtnOptions scales;
  /// Sweeps of coordinate descent over codes and scales after the last column
  /// (GptqRefine.h).
  int64_t refineSweeps = 0;
  unsigned threads = 1;
  /// Checked now and then: a set flag ends it with an error of kind Cancelled.
  const std::atomic<bool> *cancelled = nullptr;
};

/// What the weights that read the same inputs share: the order of the columns
/// and the Hessian's factor.
struct GptqFactor {
  /// Column order[i] of the weight is the i-th that is quantized.
  std::vector<int32_t> order;
  /// Runs of that order which share scales, as groups of the weight.
  struct Group {
    int64_t first, size, index;
  };
  std::vector<Group> groups;
  /// R [n][n] in that order; empty where the Hessian is of no use.
  std::vector<float> r;
  /// With refineSweeps, the Hessian's blocks on its diagonal, damped, in the
  /// same order: [n / block][block][block].
  std::vector<float> corners;
  std::vector<uint8_t> dead; ///< by column of the weight: never an input
  double damp = 0;           ///< the damping that it took
  double added = 0;          ///< what that is, on the diagonal
  std::string note;          ///< what was not as usual; empty otherwise
};

/// Orders the columns and factors the Hessian for groups of `groupSize`. A
/// Hessian that is not positive definite is damped more (twice as much, up to
/// 1), then floored (every diagonal element at least the sum of its row, which
/// is always enough); one with infinities or NaNs, or of zeros alone, leaves
/// `r` empty and says so in `note`.
GptqFactor factorHessian(const Hessian &hessian, int64_t groupSize,
                         const GptqOptions &options);

/// A quantized weight.
struct GptqResult {
  /// As qrt::PackedWeight holds them; with ColumnOrder::Activation and without
  /// static groups, stored column i is column factor.order[i] of the weight.
  std::vector<uint8_t> codes;
  std::vector<float> scales;
  std::vector<uint8_t> zeros;
  /// ‖(W-Q)X‖² and ‖WX‖² (‖W-Q‖² and ‖W‖² without a factor), and the fit of
  /// the scales.
  QuantizeStatistics statistics;
};

/// True if the stored columns of a weight are those of factor.order.
inline bool storesPermuted(const GptqOptions &options) {
  return options.order == ColumnOrder::Activation && !options.staticGroups;
}

/// Quantizes the finite weight w [rows][columns] to an int format with groups
/// along the row; without a usable factor by round-to-nearest. The result does
/// not depend on options.threads.
GptqResult quantizeGptq(const float *w, int64_t rows, int64_t columns,
                        const qrt::Format &format, const GptqFactor &factor,
                        const GptqOptions &options);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_GPTQ_H
