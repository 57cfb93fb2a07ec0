//===- Compile.cpp - The whole way from a model to an artifact ------------===//

#include "compiler/driver/Compile.h"

#include "codegen/cpu/CompileCpu.h"
#include "codegen/cuda/CompileCuda.h"
#include "compiler/driver/Calibration.h"
#include "compiler/driver/LoadModel.h"
#include "compiler/driver/Manifest.h"
#include "compiler/driver/Progress.h"
#include "compiler/driver/QuantLog.h"
#include "compiler/weights/WeightStream.h"
#include "dialects/QNT/QNT.h"
#include "passes/RegisterPasses.h"
#include "passes/fuse/Pipeline.h"
#include "passes/import/Pipeline.h"
#include "passes/layout/Pipeline.h"
#include "passes/lower/Pipeline.h"
#include "passes/quantize/Pipeline.h"
#include "runtime/artifact/ArtifactWriter.h"
#include "runtime/chat/ChatTemplates.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Cpu.h"
#include "runtime/support/Error.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <thread>

using namespace mlir;
using qrt::Error;
using qrt::UsageError;

namespace qcc {
namespace {

/// The phases after which a compilation can stop.
enum class Phase { Import, Quantize, Fuse, Layout, Lower };

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

std::string activationsOf(const CompileOptions &options) {
  const std::string &given = options.activations;
  if (given.empty() || given == "i16") // as qcc inspect names it
    return "i16";
  if (given == "f32" && targetsOf(options).back() != "cpu")
    throw Error("--activations f32 is not supported on CUDA targets");
  if (given == "f32")
    return "f32";
  if (given == "bf16" || given == "f16" || given == "int8")
    throw Error("--activations " + given +
                " is not supported; f32 is, on the target cpu");
  throw UsageError("unknown --activations '" + given + "'",
                   "known are f32, bf16, f16 and int8");
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

/// Builds the passes up to and including `last`.
void buildPipeline(OpPassManager &pm, const CompileOptions &options,
                   const std::string &dtype, Phase last) {
  buildImportPipeline(pm);
  if (last == Phase::Import)
    return;
  QuantizeOptions quantize;
  SchemeOptions headOptions = options.schemeOptions;
  quantize.defaultScheme = parseScheme(options.scheme, options.schemeOptions);
  for (const std::string &rule : options.modules)
    quantize.rules.push_back(moduleRule(rule, options.schemeOptions));
  if (!options.lmHead.empty())
    quantize.lmHead =
        moduleRule("head=" + options.lmHead, headOptions).substr(5);
  GptqRule gptq = gptqRule(options.schemeOptions);
  quantize.order = gptq.order;
  quantize.staticGroups = gptq.staticGroups;
  quantize.damp = gptq.damp;
  quantize.trueSequential = gptq.trueSequential;
  quantize.refine = gptq.refine;
  quantize.outlierThreshold = outlierThreshold(options, quantize);
  buildQuantizePipeline(pm, quantize);
  if (last == Phase::Quantize)
    return;
  FuseOptions fuse;
  fuse.dtype = dtype;
  buildFusePipeline(pm, fuse);
  if (last == Phase::Fuse)
    return;
  buildLayoutPipeline(pm);
  if (last == Phase::Layout)
    return;
  std::vector<std::string> targets = targetsOf(options);
  SmallVector<LowerToKRNPassOptions> lower;
  if (targets.front() == "cpu")
    lower.emplace_back().activations = activationsOf(options);
  if (targets.back() != "cpu") {
    LowerToKRNPassOptions &cuda = lower.emplace_back();
    cuda.target = "cuda";
    cuda.tokenEntry = true;
    cuda.prefillTokens = 2048;
  }
  buildLowerPipeline(pm, lower);
}

/// Reads passes as --print-pipeline prints them.
void parsePipeline(PassManager &pm, StringRef text) {
  registerAllPasses();
  registerTransformsPasses();
  std::string error;
  llvm::raw_string_ostream stream(error);
  // The text names the operation that the manager is anchored on already.
  if (!text.consume_front("builtin.module(") || !text.consume_back(")"))
    throw UsageError("--pipeline is not builtin.module(...)");
  if (failed(parsePassPipeline(text, pm, stream)))
    throw UsageError("--pipeline: " + error);
}

/// Runs `pm`; the first error that a pass reports becomes the exception.
void runPasses(PassManager &pm, ModuleOp module, bool quiet) {
  std::string error;
  ScopedDiagnosticHandler handler(
      module.getContext(), [&](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == DiagnosticSeverity::Error) {
          if (error.empty())
            error = diagnostic.str();
        } else if (diagnostic.getSeverity() == DiagnosticSeverity::Warning &&
                   !quiet) {
          llvm::errs() << "qcc: warning: " << diagnostic.str() << '\n';
        }
        return success();
      });
  if (failed(pm.run(module)))
    throw Error(error.empty() ? "a pass failed" : error);
}

/// Keeps the program as it is before the fuse phase, for the calibrator.
class KeepQuantized : public PassInstrumentation {
public:
  explicit KeepQuantized(OwningOpRef<ModuleOp> &kept) : kept(kept) {}
  void runBeforePass(Pass *pass, Operation *op) override {
    if (pass->getArgument() == "fuse-form-gemms" && !kept)
      if (auto module = dyn_cast<ModuleOp>(op);
          module && needsCalibration(module))
        kept = module.clone();
  }

private:
  OwningOpRef<ModuleOp> &kept;
};

/// Writes one intermediate file if --save-temps asks for it.
void saveTemp(const CompileOptions &options, const char *name,
              ModuleOp module) {
  if (options.saveTemps.empty())
    return;
  std::error_code error;
  std::filesystem::create_directories(options.saveTemps, error);
  std::string path = options.saveTemps + "/" + name;
  llvm::raw_fd_ostream file(path, error);
  if (error)
    throw Error("cannot write the file: " + error.message(), path);
  module.print(file);
}

/// Kernels and tensors go into the file as they are made, the manifest last.
class ArtifactBuilder {
public:
  /// `calibration`: what was calibrated, or null.
  ArtifactBuilder(const CompileOptions &options, LoadedModel &loaded,
                  ModuleOp module, unsigned threads, Calibration *calibration)
      : options(options), loaded(loaded), module(module), threads(threads),
        calibration(calibration), writer(options.output) {}

  void build() {
    // Hashing the source reads all of it; kernels are compiled meanwhile.
    auto hash = std::async(std::launch::async, loaded.contentHash);
    for (auto program : module.getOps<krn::ProgramOp>()) {
      if (program.getTarget().getName() == "cpu")
        addCpuKernels(program);
      else
        addCudaKernels(program);
      checkCancelled();
    }
    addTensors();
    fillManifest(manifest, loaded, options, hash.get());
    if (calibration)
      manifest.provenance->options.push_back(calibration->describe());
    writer.finish(manifest);
  }

private:
  void checkCancelled() const {
    if (options.cancelled && *options.cancelled)
      throw Error("interrupted", "", "", qrt::ErrorKind::Cancelled);
  }

  void addCpuKernels(krn::ProgramOp program) {
    CompileCpuOptions cpu;
    cpu.threads = threads;
    cpu.variants = cpuVariantsOf(options);
    cpu.saveTemps = options.saveTemps;
    std::vector<char> code = compileCpu(program, cpu);
    std::span<const uint8_t> bytes(
        reinterpret_cast<const uint8_t *>(code.data()), code.size());
    addKernels(program, describeKernels(program, cpu.variants), bytes);
  }

  void addCudaKernels(krn::ProgramOp program) {
    CompileCudaOptions cuda;
    cuda.threads = threads;
    cuda.saveTemps = options.saveTemps;
    for (const std::string &target : targetsOf(options)) {
      if (target == "cpu")
        continue;
      // Code generation writes into GEMMs what they became on this target.
      OwningOpRef<krn::ProgramOp> own = program.clone();
      CudaCode code = compileCuda(*own, target, cuda);
      describeCudaKernels(*own, *code.kernels);
      addKernels(*own, std::move(code.kernels),
                 {reinterpret_cast<const uint8_t *>(code.bytes.data()),
                  code.bytes.size()});
    }
  }

  void addKernels(krn::ProgramOp program,
                  std::unique_ptr<qrt::fb::KernelsT> kernels,
                  std::span<const uint8_t> bytes) {
    kernels->code =
        std::make_unique<qrt::fb::Range>(writer.append(bytes, 4096));
    kernels->checksum = qrt::checksum(bytes);
    manifest.kernels.push_back(std::move(kernels));
    manifest.kv_bytes_per_token = program.getKvBytes();
    manifest.kv_dtype = program.getTarget().getKv().str();
    manifest.activations = program.getTarget().getActivations().str();
  }

  void addTensors() {
    WeightStreamOptions stream;
    stream.threads = threads;
    stream.cancelled = options.cancelled;
    Progress progress("weights", options.quiet);
    stream.progress = [&](int64_t done, int64_t total) {
      progress.update(done, total);
    };
    QuantLog log(options.quantLog);
    auto weights = module.lookupSymbol<func::FuncOp>("weights");
    const ParameterReader &parameters =
        calibration ? calibration->parameters() : *loaded.parameters;
    streamWeights(weights, parameters, stream,
                  [&](const StreamedTensor &tensor) {
                    manifest.tensors.push_back(
                        describeTensor(tensor, writer.append(tensor.data, 64)));
                    log.add(tensor);
                    for (const QuantizeStatistics &part : tensor.statistics)
                      if (part.needsF32Scales())
                        llvm::errs() << "qcc: warning: '" << tensor.name
                                     << "' has scales out of f16's range\n";
                  });
    log.finish();
  }

  const CompileOptions &options;
  LoadedModel &loaded;
  ModuleOp module;
  unsigned threads;
  Calibration *calibration;
  qrt::ArtifactWriter writer;
  qrt::fb::ManifestT manifest;
};

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

/// What `qrt chat` could not render is said now.
static void checkChat(const qrt::chat::ChatSource &chat,
                      const std::string &model) {
  try {
    qrt::chat::ChatTemplates templates(chat);
  } catch (const Error &error) {
    throw Error(error.what(), model, "--no-chat-template leaves it out");
  }
}

void compile(const CompileOptions &options) {
  // Wrong usage is said before anything is read.
  std::vector<std::string> targets = targetsOf(options);
  cpuVariantsOf(options);
  if (!options.dtype.empty())
    checkDtype("--dtype", options.dtype);
  checkDtype("--kv-dtype", kvDtypeOf(options));
  activationsOf(options);
  parseScheme(options.scheme, options.schemeOptions);
  static const std::string_view emits[] = {"",     "tfm",  "qnt", "krn",
                                           "llvm", "cuda", "sass"};
  if (std::ranges::find(emits, options.emit) == std::end(emits))
    throw UsageError("unknown --emit '" + options.emit + "'",
                     "known are tfm, qnt, krn, llvm, cuda and sass");
  bool emitsCuda = options.emit == "cuda" || options.emit == "sass";
  if (emitsCuda && targets.back() == "cpu")
    throw UsageError("--emit " + options.emit + " needs a CUDA target",
                     "use --target sm_90, for example");
  if (options.emit == "llvm" && targets.front() != "cpu")
    throw UsageError("--emit llvm needs the target cpu");
  bool prints = !options.emit.empty() || options.printPipeline;
  if (prints && !options.quantLog.empty())
    throw UsageError("--quant-log needs an artifact to be made");
  if (!prints && options.output.empty())
    throw UsageError("-o FILE.qbin is missing");

  MLIRContext context;
  context.loadDialect<tfm::TFMDialect, qnt::QNTDialect, krn::KRNDialect>();
  unsigned threads =
      options.threads ? options.threads : std::thread::hardware_concurrency();
  LoadedModel loaded =
      loadModel(context, options.model, options.randomSeed, kvDtypeOf(options));
  if (options.noChatTemplate)
    loaded.chat = {};
  checkChat(loaded.chat, options.model);
  ModuleOp module = *loaded.imported.module;
  std::string dtype = options.dtype.empty() ? loaded.dtype : options.dtype;
  if (options.emit == "tfm") {
    module.print(llvm::outs());
    llvm::outs() << '\n';
    return;
  }
  saveTemp(options, "0-tfm.mlir", module);

  PassManager pm(&context, ModuleOp::getOperationName());
  OwningOpRef<ModuleOp> quantized;
  pm.addInstrumentation(std::make_unique<KeepQuantized>(quantized));
  if (options.timing)
    pm.enableTiming();
  if (options.pipeline.empty())
    buildPipeline(pm, options, dtype,
                  options.emit == "qnt" ? Phase::Quantize : Phase::Lower);
  else
    parsePipeline(pm, options.pipeline);
  if (options.printPipeline) {
    pm.printAsTextualPipeline(llvm::outs());
    llvm::outs() << '\n';
    return;
  }
  runPasses(pm, module, options.quiet);
  if (options.emit == "qnt" || options.emit == "krn") {
    module.print(llvm::outs());
    llvm::outs() << '\n';
    return;
  }
  saveTemp(options, "1-krn.mlir", module);
  auto programs = module.getOps<krn::ProgramOp>();
  if (programs.empty())
    throw Error("the passes made no krn.program");
  for (krn::ProgramOp program : programs) {
    bool isCpu = program.getTarget().getName() == "cpu";
    CompileCudaOptions cuda;
    cuda.threads = threads;
    cuda.saveTemps = options.saveTemps;
    if (options.emit == "llvm" && isCpu)
      llvm::outs() << emitLLVM(program);
    else if (options.emit == "cuda" && !isCpu)
      llvm::outs() << emitCuda(program, targets.back());
    else if (options.emit == "sass" && !isCpu)
      llvm::outs() << emitSass(program, targets.back(), cuda);
  }
  if (!options.emit.empty())
    return;
  std::unique_ptr<Calibration> calibration;
  if (quantized)
    calibration =
        std::make_unique<Calibration>(options, loaded, *quantized, threads);
  ArtifactBuilder(options, loaded, module, threads, calibration.get()).build();
  if (calibration)
    calibration->removeState();
}

} // namespace qcc
