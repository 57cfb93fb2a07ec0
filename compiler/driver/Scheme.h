//===- Scheme.h - Quantization schemes as users name them -------*- C++ -*-===//
//
// `rtn.int4`, `bnb.nf4`, ... with Hugging Face's and GPTQ-for-LLaMa's option
// names. What comes out is the one internal grammar that `qnt-select` takes:
// method ":" format (runtime/formats/Format.h) [":mse"], or "none".
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_DRIVER_SCHEME_H
#define QCC_COMPILER_DRIVER_SCHEME_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

/// Options that say more about a scheme; unset means the scheme's default.
struct SchemeOptions {
  std::optional<int64_t> bits;      ///< with the aliases `rtn` and `gptq`
  std::optional<int64_t> groupSize; ///< -1: a whole row
  std::optional<bool> symmetric;
  std::optional<bool> mse;
  std::optional<int64_t> blockSize; ///< bnb
  // gptq
  std::optional<bool> actOrder;
  std::optional<bool> staticGroups;
  std::optional<bool> groupAwareOrder;
  std::optional<bool> trueSequential;
  std::optional<double> damp;
  std::optional<int64_t> refine; ///< sweeps
  /// They are meant for modules that a rule calibrates: other schemes pass
  /// over them.
  bool gptqElsewhere = false;
};

/// How GPTQ goes about a model: the options of `qnt-quantize-gptq`.
struct GptqRule {
  std::string order; ///< natural, activation, group-aware
  bool staticGroups = false;
  bool trueSequential = false;
  double damp = 0;
  int64_t refine = 0;
};

/// The options of GPTQ with its defaults. Throws qrt::UsageError for options
/// that exclude each other or are out of range.
GptqRule gptqRule(const SchemeOptions &options);

/// What users can ask for, for `qcc list`.
struct SchemeInfo {
  std::string name, description;
};
const std::vector<SchemeInfo> &schemes();

/// The internal rule of `name` with `options`. Throws qrt::UsageError for an
/// unknown scheme (naming the known ones), a width that does not exist, or an
/// option that does not apply to the scheme.
std::string parseScheme(std::string_view name, const SchemeOptions &options);

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_SCHEME_H
