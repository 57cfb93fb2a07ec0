//===- Scheme.cpp - Quantization schemes as users name them ---------------===//

#include "compiler/driver/Scheme.h"

#include "runtime/formats/Format.h"
#include "runtime/support/Error.h"

#include <algorithm>

using qrt::Code;
using qrt::Format;
using qrt::UsageError;

namespace qcc {

// GPTQ's defaults: what measured best (docs/formats.md, "Recipes").
static constexpr bool kGroupAwareOrder = true, kTrueSequential = true,
                      kGptqMse = true;
static constexpr double kDamp = 0.01;
static constexpr int64_t kRefine = 1;

const std::vector<SchemeInfo> &schemes() {
  static const std::vector<SchemeInfo> known = {
      {"none", "weights as they are (--dtype f32, bf16, f16)"},
      {"rtn.int2", "round to nearest, 2 bits"},
      {"rtn.int3", "round to nearest, 3 bits"},
      {"rtn.int4", "round to nearest, 4 bits"},
      {"rtn.int8", "round to nearest, 8 bits"},
      {"gptq.int2", "GPTQ with calibration data, 2 bits"},
      {"gptq.int3", "GPTQ with calibration data, 3 bits"},
      {"gptq.int4", "GPTQ with calibration data, 4 bits"},
      {"gptq.int8", "GPTQ with calibration data, 8 bits"},
      {"bnb.nf4", "bitsandbytes' 4-bit NormalFloat"},
      {"bnb.nf4-dq", "the same with 8-bit scales (double quantization)"},
      {"bnb.fp4", "bitsandbytes' 4-bit float"},
      {"bnb.fp4-dq", "the same with 8-bit scales"},
      {"bnb.int8", "LLM.int8: int8, outlier columns of activations in float"},
  };
  return known;
}

/// Aliases that other tools' users type.
static std::string canonicalName(std::string_view name,
                                 const SchemeOptions &options) {
  if (name == "bitsandbytes-nf4")
    return "bnb.nf4";
  if (name == "bitsandbytes-fp4")
    return "bnb.fp4";
  if (name == "bitsandbytes")
    return "bnb.int8";
  if (name == "rtn" || name == "gptq") {
    if (!options.bits)
      throw UsageError("scheme '" + std::string(name) + "' needs --bits");
    return std::string(name) + ".int" + std::to_string(*options.bits);
  }
  if (options.bits)
    throw UsageError("--bits does not apply to the scheme '" +
                     std::string(name) + "', which says its width");
  return std::string(name);
}

static void refuse(bool given, const char *option, const std::string &scheme) {
  if (given)
    throw UsageError(std::string(option) + " does not apply to the scheme '" +
                     scheme + "'");
}

static void refuseGptq(const SchemeOptions &options, const std::string &name) {
  if (options.gptqElsewhere)
    return;
  refuse(options.actOrder.has_value(), "--act-order", name);
  refuse(options.staticGroups.has_value(), "--static-groups", name);
  refuse(options.groupAwareOrder.has_value(), "--group-aware-order", name);
  refuse(options.trueSequential.has_value(), "--true-sequential", name);
  refuse(options.damp.has_value(), "--damp", name);
  refuse(options.refine.has_value(), "--refine", name);
}

GptqRule gptqRule(const SchemeOptions &options) {
  GptqRule rule;
  bool actOrder = options.actOrder.value_or(false);
  bool groupAware =
      options.groupAwareOrder.value_or(kGroupAwareOrder && !options.actOrder);
  if (actOrder && options.groupAwareOrder.value_or(false))
    throw UsageError("--act-order and --group-aware-order exclude each other");
  rule.order = actOrder ? "activation" : groupAware ? "group-aware" : "natural";
  rule.staticGroups = options.staticGroups.value_or(false);
  rule.trueSequential = options.trueSequential.value_or(kTrueSequential);
  rule.damp = options.damp.value_or(kDamp);
  if (!(rule.damp >= 0 && rule.damp <= 1))
    throw UsageError("--damp is not between 0 and 1");
  rule.refine = options.refine.value_or(kRefine);
  return rule;
}

/// rtn and gptq make the same formats.
static std::string intRule(const std::string &method, const std::string &name,
                           int bits, const SchemeOptions &options) {
  bool isGptq = method == "gptq";
  refuse(options.blockSize.has_value(), "--block-size", name);
  if (isGptq)
    gptqRule(options);
  else
    refuseGptq(options, name);
  Format format;
  format.code = bits == 8   ? Code::Int8
                : bits == 4 ? Code::Int4
                : bits == 3 ? Code::Int3
                            : Code::Int2;
  format.group = options.groupSize.value_or(128);
  if (format.group != -1 && format.group < 1)
    throw UsageError("--group-size " + std::to_string(format.group) +
                     " is neither -1 nor at least 1");
  // Zero points measured best (quant-goldens' rtn rows, docs/formats.md).
  format.zero = !options.symmetric.value_or(false);
  format.scale = qrt::ScaleType::F16;
  return method + ":" + format.mangled() +
         (options.mse.value_or(isGptq && kGptqMse) ? ":mse" : "");
}

/// Scales that share a nested scale in bitsandbytes' double quantization.
constexpr int64_t kNestedBlock = 256;

static std::string bnbRule(const std::string &name, Code code, bool isNested,
                           const SchemeOptions &options) {
  refuse(options.groupSize.has_value(), "--group-size", name);
  refuse(options.symmetric.has_value(), "--sym/--asym", name);
  refuse(options.mse.has_value(), "--mse", name);
  refuseGptq(options, name);
  Format format;
  format.code = code;
  format.group = options.blockSize.value_or(64);
  if (format.group < 32 || format.group > 4096 ||
      (format.group & (format.group - 1)) != 0)
    throw UsageError("--block-size " + std::to_string(format.group) +
                     " is no power of two between 32 and 4096");
  format.flattened = true;
  format.scale = isNested ? qrt::ScaleType::U8 : qrt::ScaleType::F32;
  format.nested = isNested ? kNestedBlock : 0;
  return "bnb:" + format.mangled();
}

static std::string int8Rule(const std::string &name,
                            const SchemeOptions &options) {
  refuse(options.groupSize.has_value(), "--group-size", name);
  refuse(options.symmetric.has_value(), "--sym/--asym", name);
  refuse(options.mse.has_value(), "--mse", name);
  refuse(options.blockSize.has_value(), "--block-size", name);
  refuseGptq(options, name);
  return "int8:int8.row.sf32";
}

std::string parseScheme(std::string_view given, const SchemeOptions &options) {
  std::string name = canonicalName(given, options);
  if (name == "none") {
    refuse(options.groupSize.has_value(), "--group-size", name);
    refuse(options.symmetric.has_value(), "--sym/--asym", name);
    refuse(options.mse.has_value(), "--mse", name);
    refuse(options.blockSize.has_value(), "--block-size", name);
    refuseGptq(options, name);
    return "none";
  }
  for (const char *method : {"rtn", "gptq"})
    for (int bits : {2, 3, 4, 8})
      if (name == method + (".int" + std::to_string(bits)))
        return intRule(method, name, bits, options);
  if (name == "bnb.nf4" || name == "bnb.nf4-dq")
    return bnbRule(name, Code::NF4, name.ends_with("-dq"), options);
  if (name == "bnb.fp4" || name == "bnb.fp4-dq")
    return bnbRule(name, Code::FP4, name.ends_with("-dq"), options);
  if (name == "bnb.int8")
    return int8Rule(name, options);

  std::string known;
  for (const SchemeInfo &scheme : schemes())
    known += (known.empty() ? "" : ", ") + scheme.name;
  throw UsageError("unknown quantization scheme '" + std::string(given) + "'",
                   "known are " + known);
}

} // namespace qcc
