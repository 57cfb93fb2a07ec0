//===- Options.cpp - What the options of a compilation mean ---------------===//

#include "compiler/driver/Options.h"

#include "codegen/cpu/CompileCpu.h"
#include "codegen/cuda/CompileCuda.h"
#include "codegen/cuda/DetectTargets.h"
#include "runtime/executor/cuda/Device.h"
#include "runtime/support/Cpu.h"
#include "runtime/support/Error.h"

#include "llvm/Support/Regex.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

using llvm::StringRef;
using qrt::UsageError;

namespace qcc {
namespace {

/// "REGEX=SCHEME" with the scheme in the internal grammar.
std::string moduleRule(const std::string &rule, const SchemeOptions &options) {
  size_t equals = rule.rfind('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError("--modules '" + rule + "' is not REGEX=SCHEME");
  std::string error;
  if (!llvm::Regex(rule.substr(0, equals)).isValid(error))
    throw UsageError("--modules '" + rule +
                     "' begins with no regular expression: " + error);
  // The options are about --quantize; of them a rule takes those that apply.
  std::string scheme = rule.substr(equals + 1);
  SchemeOptions applicable;
  if (scheme.starts_with("rtn") || scheme.starts_with("gptq")) {
    applicable = options;
    applicable.blockSize.reset();
    if (scheme != "rtn" && scheme != "gptq")
      applicable.bits.reset();
    applicable.gptqElsewhere = true;
  } else if (scheme.starts_with("bnb") || scheme.starts_with("bitsandbytes")) {
    if (scheme != "bnb.int8" && scheme != "bitsandbytes")
      applicable.blockSize = options.blockSize;
  }
  return rule.substr(0, equals + 1) + parseScheme(scheme, applicable);
}

void checkDtype(const char *option, const std::string &dtype) {
  if (dtype != "f32" && dtype != "f16" && dtype != "bf16")
    throw UsageError(std::string("unknown ") + option + " '" + dtype + "'",
                     "known are f32, bf16 and f16");
}

/// The threshold of LLM.int8, which some module must ask for if it is given.
double outlierThreshold(const CompileOptions &options,
                        const QuantizeOptions &quantize) {
  double threshold = options.outlierThreshold.value_or(6.0);
  if (!(threshold >= 0) || !std::isfinite(threshold))
    throw UsageError("--outlier-threshold " + std::to_string(threshold) +
                     " is neither 0 (no outliers) nor positive");
  bool applies = StringRef(quantize.defaultScheme).starts_with("int8:") ||
                 StringRef(quantize.lmHead).starts_with("int8:");
  for (const std::string &rule : quantize.rules)
    applies |= StringRef(rule).contains("=int8:");
  if (options.outlierThreshold && !applies)
    throw UsageError("--outlier-threshold does not apply to the scheme '" +
                     options.scheme + "'");
  return threshold;
}

/// Whether a program for CUDA is asked for.
bool emitsCuda(const CompileOptions &options) {
  return options.emit == "cuda" || options.emit == "sass";
}

void checkEmit(const CompileOptions &options) {
  static const std::string_view emits[] = {"",     "tfm",  "qnt", "krn",
                                           "llvm", "cuda", "sass"};
  if (std::ranges::find(emits, options.emit) == std::end(emits))
    throw UsageError("unknown --emit '" + options.emit + "'",
                     "known are tfm, qnt, krn, llvm, cuda and sass");
  std::vector<std::string> targets = targetsOf(options);
  // The default may yet be a CUDA target.
  if (emitsCuda(options) && !options.targets.empty() && targets.back() == "cpu")
    throw UsageError("--emit " + options.emit + " needs a CUDA target",
                     "use --target sm_90, for example");
  if (options.emit == "llvm" && targets.front() != "cpu")
    throw UsageError("--emit llvm needs the target cpu");
  if (!options.emit.empty() && options.printPipeline)
    throw UsageError("--emit and --print-pipeline exclude each other");
  bool prints = !options.emit.empty() || options.printPipeline;
  if (prints && !options.quantLog.empty())
    throw UsageError("--quant-log needs an artifact to be made");
  if (!prints && options.output.empty())
    throw UsageError("-o FILE.qbin is missing");
  if (!prints && options.output == "-")
    throw UsageError("an artifact needs a file, which '-' is not");
  std::error_code error; // of files that are not there
  if (std::filesystem::equivalent(options.output, options.model, error) &&
      std::filesystem::is_regular_file(options.model, error))
    throw UsageError("-o " + options.output + " would replace the model");
  if (!options.quantLog.empty() && options.quantLog == options.output)
    throw UsageError("--quant-log and -o name the same file");
}

/// Refuses activations that the schemes' products do not take.
void checkActivations(const CompileOptions &options,
                      const QuantizeOptions &quantize) {
  const std::string &given = options.activations;
  if (given.empty() || given == "i16") // as qcc inspect names it
    return;
  if (given != "f32" && given != "bf16" && given != "f16" && given != "int8")
    throw UsageError("unknown --activations '" + given + "'",
                     "known are f32, bf16, f16 and int8");
  if (given == "bf16" || given == "f16")
    throw UsageError("--activations " + given + " is not supported",
                     "leave it out for 16-bit fixed point with int codes and "
                     "f32 with others, or use f32 for all");
  // LLM.int8 is int8 times int8 by its definition; nothing else is.
  std::vector<std::string> schemes = {quantize.defaultScheme, quantize.lmHead};
  for (const std::string &rule : quantize.rules)
    schemes.push_back(rule.substr(rule.rfind('=') + 1));
  auto isInt8 = [](const std::string &scheme) {
    return scheme.starts_with("int8:");
  };
  bool anyInt8 = std::ranges::any_of(schemes, isInt8);
  bool allInt8 = std::ranges::all_of(schemes, [&](const std::string &scheme) {
    return isInt8(scheme) || scheme.empty() || scheme == "none";
  });
  if (given == "int8" && !(anyInt8 && allInt8))
    throw UsageError("--activations int8 is supported for bnb.int8 only",
                     "leave it out for 16-bit fixed point, which is nearer to "
                     "the float model");
  if (given == "f32" && anyInt8)
    throw UsageError("--activations f32 contradicts bnb.int8, which "
                     "multiplies int8 by int8",
                     "leave it out, or use rtn.int8");
  if (given == "f32" && targetsOf(options).back() != "cpu")
    throw UsageError("--activations f32 is not supported on CUDA targets");
}

} // namespace

std::vector<std::string> targetsOf(const CompileOptions &options) {
  const std::vector<std::string> &known = cudaArchitectures();
  std::vector<std::string> targets;
  if (options.targets.empty() ||
      std::ranges::find(options.targets, "cpu") != options.targets.end())
    targets.emplace_back("cpu");
  for (const std::string &target : options.targets)
    if (target != "cpu" && std::ranges::find(known, target) == known.end()) {
      std::string names = "cpu";
      for (const std::string &name : known)
        names += ", " + name;
      throw UsageError("unknown target '" + target + "'", "known are " + names);
    }
  for (const std::string &name : known)
    if (std::ranges::find(options.targets, name) != options.targets.end())
      targets.push_back(name);
  return targets;
}

std::vector<qrt_cpu_level> cpuVariantsOf(const CompileOptions &options) {
  std::vector<qrt_cpu_level> variants;
  std::string names;
  std::vector<std::string> wanted = options.cpuVariants;
  for (std::string &name : wanted)
    if (name == "native")
      name = qrt::cpuLevelName(qrt::cpuLevel());
  for (qrt_cpu_level level : CompileCpuOptions().variants) {
    std::string name(qrt::cpuLevelName(level));
    names += name + ", ";
    if (wanted.empty() || std::ranges::find(wanted, name) != wanted.end())
      variants.push_back(level);
  }
  names += "native";
  for (const std::string &name : wanted)
    if (std::ranges::none_of(variants, [&](qrt_cpu_level level) {
          return qrt::cpuLevelName(level) == name;
        }))
      throw UsageError("unknown CPU variant '" + name + "'",
                       "known are " + names);
  if (!options.cpuVariants.empty() && targetsOf(options).front() != "cpu")
    throw UsageError("--cpu-variants needs the target cpu");
  return variants;
}

std::string kvDtypeOf(const CompileOptions &options) {
  if (!options.kvDtype.empty())
    return options.kvDtype;
  return targetsOf(options).back() == "cpu" ? "f32" : "f16";
}

std::string activationsOf(const CompileOptions &options) {
  // Where the scheme has int8 (checkActivations), its products take it anyway.
  return options.activations == "f32" ? "f32" : "i16";
}

void fillQuantizeOptions(const CompileOptions &options,
                         QuantizeOptions &quantize) {
  quantize.defaultScheme = parseScheme(options.scheme, options.schemeOptions);
  for (const std::string &rule : options.modules)
    quantize.rules.push_back(moduleRule(rule, options.schemeOptions));
  if (!options.lmHead.empty())
    quantize.lmHead =
        moduleRule("head=" + options.lmHead, options.schemeOptions).substr(5);
  GptqRule gptq = gptqRule(options.schemeOptions);
  quantize.order = gptq.order;
  quantize.staticGroups = gptq.staticGroups;
  quantize.damp = gptq.damp;
  quantize.trueSequential = gptq.trueSequential;
  quantize.refine = gptq.refine;
  quantize.outlierThreshold = outlierThreshold(options, quantize);
}

void checkOptions(const CompileOptions &options) {
  checkEmit(options);
  cpuVariantsOf(options);
  if (!options.dtype.empty())
    checkDtype("--dtype", options.dtype);
  checkDtype("--kv-dtype", kvDtypeOf(options));
  QuantizeOptions quantize;
  fillQuantizeOptions(options, quantize);
  checkActivations(options, quantize);
  const std::string &device = options.calibration.device;
  if (!device.empty() && device != "cpu" && !qrt::cuda::gpuNumber(device))
    throw UsageError("--calibration-device " + device +
                     " is unknown; known are cpu, cuda and cuda:N");
}

std::string takeDefaultTargets(CompileOptions &options) {
  if (!options.targets.empty())
    return "";
  std::string names = "cpu";
  DetectedTargets cuda;
  if (options.activations == "f32")
    cuda.reason = "--activations f32 is for it alone";
  else
    cuda = detectCudaTargets();
  options.targets = {"cpu"};
  for (const std::string &name : cuda.architectures) {
    options.targets.push_back(name);
    names.append(",").append(name);
  }
  checkEmit(options);
  return "--target " + names + ": " + cuda.reason;
}

} // namespace qcc
