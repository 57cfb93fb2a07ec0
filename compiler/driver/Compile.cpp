//===- Compile.cpp - The whole way from a model to an artifact ------------===//

#include "compiler/driver/Compile.h"

#include "codegen/cpu/CompileCpu.h"
#include "codegen/cuda/CompileCuda.h"
#include "compiler/driver/Calibration.h"
#include "compiler/driver/LoadModel.h"
#include "compiler/driver/Manifest.h"
#include "compiler/driver/Options.h"
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
#include "runtime/support/AtomicFile.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
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

/// Builds the passes up to and including `last`.
void buildPipeline(OpPassManager &pm, const CompileOptions &options,
                   const std::string &dtype, Phase last) {
  buildImportPipeline(pm);
  if (last == Phase::Import)
    return;
  QuantizeOptions quantize;
  fillQuantizeOptions(options, quantize);
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

void writeFile(const std::string &path, StringRef text) {
  qrt::AtomicFile file(path);
  file.writeAt(0, {text.bytes_begin(), text.size()});
  file.commit();
}

std::string textOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  stream << '\n';
  return text;
}

/// What --emit and --print-pipeline print: to -o FILE, or to standard output,
/// which "-" is, too.
void print(const CompileOptions &options, StringRef text) {
  if (!options.output.empty() && options.output != "-")
    return writeFile(options.output, text);
  // raw_ostream would end the program where the disk is full.
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0)
    throw Error(std::string("cannot write to standard output: ") +
                std::strerror(errno));
}

/// Writes one intermediate file if --save-temps asks for it.
void saveTemp(const CompileOptions &options, const char *name,
              ModuleOp module) {
  if (options.saveTemps.empty())
    return;
  std::error_code error;
  std::filesystem::create_directories(options.saveTemps, error);
  writeFile(options.saveTemps + "/" + name, textOf(module));
}

/// Kernels and tensors go into the file as they are made, the manifest last.
class ArtifactBuilder {
public:
  /// `cudaHint`: what to do where CUDA code cannot be made, or empty.
  /// `calibration`: what was calibrated, or null.
  ArtifactBuilder(const CompileOptions &options, std::string cudaHint,
                  LoadedModel &loaded, ModuleOp module, unsigned threads,
                  Calibration *calibration)
      : options(options), cudaHint(std::move(cudaHint)), loaded(loaded),
        module(module), threads(threads), calibration(calibration),
        writer(options.output) {}

  void build() {
    // Hashing the source reads all of it; kernels are compiled meanwhile.
    auto hash = std::async(std::launch::async, loaded.contentHash);
    for (auto program : module.getOps<krn::ProgramOp>()) {
      if (program.getTarget().getName() == "cpu")
        addCpuKernels(program);
      else
        addCudaKernels(program);
      qrt::throwIfCancelled(options.cancelled);
    }
    addTensors();
    fillManifest(manifest, loaded, options, hash.get());
    if (calibration)
      for (std::string &option : calibration->describe())
        manifest.provenance->options.push_back(std::move(option));
    writer.finish(manifest);
  }

private:
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
      CudaCode code = compileForGpu(*own, target, cuda);
      describeCudaKernels(*own, *code.kernels);
      addKernels(*own, std::move(code.kernels),
                 {reinterpret_cast<const uint8_t *>(code.bytes.data()),
                  code.bytes.size()});
    }
  }

  CudaCode compileForGpu(krn::ProgramOp program, const std::string &target,
                         const CompileCudaOptions &cuda) const {
    try {
      return compileCuda(program, target, cuda);
    } catch (const Error &error) {
      throw Error(error.what(), "", cudaHint, error.kind());
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
  std::string cudaHint;
  LoadedModel &loaded;
  ModuleOp module;
  unsigned threads;
  Calibration *calibration;
  qrt::ArtifactWriter writer;
  qrt::fb::ManifestT manifest;
};

} // namespace

/// What `qrt chat` could not render is said now.
static void checkChat(const qrt::chat::ChatSource &chat,
                      const std::string &model) {
  try {
    qrt::chat::ChatTemplates templates(chat);
  } catch (const Error &error) {
    throw Error(error.what(), model, "--no-chat-template leaves it out");
  }
}

static unsigned threadsOf(const CompileOptions &options) {
  return options.threads ? options.threads
                         : std::thread::hardware_concurrency();
}

/// What --emit llvm, cuda and sass print.
static std::string emitPrograms(const CompileOptions &options,
                                ModuleOp module) {
  std::string text, target = targetsOf(options).back();
  CompileCudaOptions cuda;
  cuda.threads = threadsOf(options);
  cuda.saveTemps = options.saveTemps;
  for (auto program : module.getOps<krn::ProgramOp>()) {
    bool isCpu = program.getTarget().getName() == "cpu";
    if (options.emit == "llvm" && isCpu)
      text += emitLLVM(program);
    else if (options.emit == "cuda" && !isCpu)
      text += emitCuda(program, target);
    else if (options.emit == "sass" && !isCpu)
      text += emitSass(program, target, cuda);
  }
  return text;
}

/// The type of unquantized weights.
static std::string dtypeOf(const CompileOptions &options,
                           const LoadedModel &loaded) {
  return options.dtype.empty() ? loaded.dtype : options.dtype;
}

/// Why the CUDA targets cannot run the model, or an empty text if they can.
static std::string refusalOfCuda(const CompileOptions &options,
                                 LoadedModel &loaded) {
  OwningOpRef<ModuleOp> trial = loaded.imported.module->clone();
  PassManager pm(trial->getContext(), ModuleOp::getOperationName());
  if (options.pipeline.empty())
    buildPipeline(pm, options, dtypeOf(options, loaded), Phase::Lower);
  else
    parsePipeline(pm, options.pipeline);
  try {
    runPasses(pm, *trial, /*quiet=*/true);
    for (auto program : trial->getOps<krn::ProgramOp>())
      for (const std::string &target : targetsOf(options))
        if (target != "cpu" && program.getTarget().getName() == "cuda") {
          // Generating writes into the program.
          OwningOpRef<krn::ProgramOp> own = program.clone();
          emitCuda(*own, target);
        }
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

/// Reads the model and says which targets were taken where none are given.
static LoadedModel loadForTargets(MLIRContext &context,
                                  CompileOptions &options) {
  bool areChosen = options.targets.empty();
  std::string taken = takeDefaultTargets(options);
  auto load = [&] {
    return loadModel(context, options.model, options.randomSeed,
                     kvDtypeOf(options));
  };
  LoadedModel loaded = load();
  std::vector<std::string> targets = targetsOf(options);
  bool emitsCuda = options.emit == "cuda" || options.emit == "sass";
  // Whoever names no target wants an artifact, on the GPU or not.
  if (areChosen && targets.back() != "cpu" && !emitsCuda)
    if (std::string why = refusalOfCuda(options, loaded); !why.empty()) {
      taken = "--target cpu without " + targets.back() + ": " + why;
      options.targets = {"cpu"};
      loaded = load();
    }
  if (areChosen && !options.quiet)
    llvm::errs() << "qcc: note: " << taken << '\n';
  return loaded;
}

void compile(const CompileOptions &given) {
  checkOptions(given);
  CompileOptions options = given;
  MLIRContext context;
  context.loadDialect<tfm::TFMDialect, qnt::QNTDialect, krn::KRNDialect>();
  PassManager pm(&context, ModuleOp::getOperationName());
  if (!options.pipeline.empty())
    parsePipeline(pm, options.pipeline);
  LoadedModel loaded = loadForTargets(context, options);
  if (options.noChatTemplate)
    loaded.chat = {};
  checkChat(loaded.chat, options.model);
  ModuleOp module = *loaded.imported.module;
  if (options.emit == "tfm")
    return print(options, textOf(module));
  saveTemp(options, "0-tfm.mlir", module);

  OwningOpRef<ModuleOp> quantized;
  pm.addInstrumentation(std::make_unique<KeepQuantized>(quantized));
  if (options.timing)
    pm.enableTiming();
  if (options.pipeline.empty())
    buildPipeline(pm, options, dtypeOf(options, loaded),
                  options.emit == "qnt" ? Phase::Quantize : Phase::Lower);
  if (options.printPipeline) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    pm.printAsTextualPipeline(stream);
    stream << '\n';
    return print(options, text);
  }
  runPasses(pm, module, options.quiet);
  if (options.emit == "qnt" || options.emit == "krn")
    return print(options, textOf(module));
  saveTemp(options, "1-krn.mlir", module);
  if (module.getOps<krn::ProgramOp>().empty())
    throw Error("the passes made no krn.program");
  if (!options.emit.empty())
    return print(options, emitPrograms(options, module));
  unsigned threads = threadsOf(options);
  std::unique_ptr<Calibration> calibration;
  if (quantized)
    calibration =
        std::make_unique<Calibration>(options, loaded, *quantized, threads);
  std::string cudaHint;
  if (given.targets.empty())
    cudaHint = "--target cpu leaves the GPU out";
  ArtifactBuilder(options, cudaHint, loaded, module, threads, calibration.get())
      .build();
  if (calibration)
    calibration->removeState();
}

} // namespace qcc
