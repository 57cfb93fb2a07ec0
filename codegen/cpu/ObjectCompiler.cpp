//===- ObjectCompiler.cpp - From LLVM IR to an object in memory -----------===//

#include "codegen/cpu/ObjectCompiler.h"

#include "runtime/support/Error.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Linker/Linker.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/Internalize.h"

#include <mutex>

using namespace llvm;
using namespace qcc::cpu;

namespace {

constexpr char kTriple[] = "x86_64-pc-linux-gnu";

void initializeTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
  });
}

/// Keeps the text of errors; the rest of what LLVM reports is of no use here.
struct ErrorCollector : DiagnosticHandler {
  explicit ErrorCollector(std::shared_ptr<std::string> errors)
      : errors(std::move(errors)) {}
  bool handleDiagnostics(const DiagnosticInfo &info) override {
    if (info.getSeverity() != DS_Error || !errors->empty())
      return true;
    raw_string_ostream stream(*errors);
    DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
    return true;
  }
  std::shared_ptr<std::string> errors;
};

/// What the kernels were compiled for. Callers must have the same attributes,
/// or LLVM may not inline the kernels into them.
struct TargetAttributes {
  StringRef cpu, tuneCpu, features;

  void apply(Function &function) const {
    auto set = [&](StringRef key, StringRef value) {
      if (!value.empty())
        function.addFnAttr(key, value);
    };
    set("target-cpu", cpu);
    set("tune-cpu", tuneCpu);
    set("target-features", features);
    // LLVM prefers 256 bits on many CPUs with AVX-512; the kernels are written
    // for the full width.
    if (features.contains("+avx512f"))
      function.addFnAttr("prefer-vector-width", "512");
    // The kernels are freestanding; LLVM inlines nothing of theirs into a
    // caller that is not.
    function.addFnAttr("no-builtins");
    // Nothing unwinds through these functions.
    function.addFnAttr(Attribute::NoUnwind);
    function.removeFnAttr(Attribute::UWTable);
  }
};

/// Hidden functions are defined in another object of the same program.
bool isKernelDeclaration(const Function &function) {
  return function.isDeclaration() && !function.isIntrinsic() &&
         !function.hasHiddenVisibility();
}

} // namespace

ObjectCompiler::ObjectCompiler(LLVMContext &context, StringRef cpu,
                               unsigned optLevel)
    : context(context), optLevel(optLevel),
      errors(std::make_shared<std::string>()) {
  initializeTarget();
  context.setDiagnosticHandler(std::make_unique<ErrorCollector>(errors));
  Triple triple(kTriple);
  std::string message;
  const Target *target = TargetRegistry::lookupTarget(triple, message);
  if (!target)
    throw qrt::Error("LLVM has no target " + std::string(kTriple) + ": " +
                     message);
  TargetOptions options;
  options.FunctionSections = options.DataSections = true;
  CodeGenOptLevel level = optLevel == 0   ? CodeGenOptLevel::None
                          : optLevel == 1 ? CodeGenOptLevel::Less
                          : optLevel == 2 ? CodeGenOptLevel::Default
                                          : CodeGenOptLevel::Aggressive;
  machine.reset(target->createTargetMachine(
      triple, cpu, "", options, Reloc::PIC_, CodeModel::Small, level));
}

ObjectCompiler::~ObjectCompiler() = default;

void ObjectCompiler::failOnDiagnostics(StringRef what) {
  if (!errors->empty())
    throw qrt::Error(what.str() + ": " + *errors);
}

void ObjectCompiler::linkKernels(Module &module,
                                 std::span<const char> bitcode) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  MemoryBufferRef buffer({bitcode.data(), bitcode.size()}, "kernels");
  Expected<std::unique_ptr<Module>> kernels =
      getLazyBitcodeModule(buffer, context);
  if (!kernels)
    throw qrt::Error("the kernels' bitcode is not readable: " +
                     toString(kernels.takeError()));

  StringSet<> called, own;
  for (Function &function : module)
    if (isKernelDeclaration(function))
      called.insert(function.getName());
  if (called.empty())
    return;
  for (GlobalValue &value : module.global_values())
    if (!value.isDeclaration() && !value.hasLocalLinkage())
      own.insert(value.getName());
  TargetAttributes attributes;
  std::string cpu, tuneCpu, features;
  for (const Function &kernel : **kernels)
    if (called.contains(kernel.getName())) {
      cpu = kernel.getFnAttribute("target-cpu").getValueAsString();
      tuneCpu = kernel.getFnAttribute("tune-cpu").getValueAsString();
      features = kernel.getFnAttribute("target-features").getValueAsString();
      break;
    }
  attributes = {cpu, tuneCpu, features};

  if (Linker::linkModules(module, std::move(*kernels),
                          Linker::Flags::LinkOnlyNeeded)) {
    failOnDiagnostics("the kernels do not link");
    throw qrt::Error("the kernels do not link");
  }
  for (Function &function : module) {
    if (isKernelDeclaration(function) && !function.use_empty())
      throw qrt::Error("function '" + function.getName().str() +
                       "' is in no kernel for " +
                       machine->getTargetCPU().str());
    if (function.isDeclaration())
      continue;
    attributes.apply(function);
    if (called.contains(function.getName())) {
      function.removeFnAttr(Attribute::NoInline);
      function.removeFnAttr(Attribute::OptimizeNone);
      function.addFnAttr(Attribute::AlwaysInline);
    }
  }
  if (module.getNamedGlobal("llvm.global_ctors"))
    throw qrt::Error("the kernels have static constructors");
  internalizeModule(module, [&](const GlobalValue &value) {
    return own.contains(value.getName());
  });
}

void ObjectCompiler::optimize(Module &module) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager sccs;
  ModuleAnalysisManager modules;
  PassBuilder builder(machine.get());
  // The object stands alone: no call is a library's, and none may become one.
  TargetLibraryInfoImpl library(module.getTargetTriple());
  library.disableAllFunctions();
  functions.registerPass([&] { return TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  OptimizationLevel level = optLevel == 0   ? OptimizationLevel::O0
                            : optLevel == 1 ? OptimizationLevel::O1
                            : optLevel == 2 ? OptimizationLevel::O2
                                            : OptimizationLevel::O3;
  ModulePassManager passes = builder.buildPerModuleDefaultPipeline(level);
  passes.run(module, modules);
  failOnDiagnostics("optimization failed");
}

SmallVector<char, 0> ObjectCompiler::emitObject(Module &module) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  SmallVector<char, 0> object;
  raw_svector_ostream stream(object);
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   CodeGenFileType::ObjectFile))
    throw qrt::Error("LLVM emits no objects for " +
                     machine->getTargetCPU().str());
  passes.run(module);
  failOnDiagnostics("code generation failed");
  return object;
}
