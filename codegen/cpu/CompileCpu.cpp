//===- CompileCpu.cpp - From KRN to one ELF shared object -----------------===//
//
// The unit of work is a module: the entries of a variant, or one kernel of it
// with all its specialisations. Modules are generated and translated in the
// caller's thread (MLIR's context is shared), then linked with their kernel,
// optimized and emitted side by side, each with its own LLVMContext.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/CompileCpu.h"

#include "codegen/cpu/KernelTable.h"
#include "codegen/cpu/LowerKrnToLLVM.h"
#include "codegen/cpu/ObjectCompiler.h"
#include "codegen/cpu/SharedObject.h"
#include "codegen/cpu/kernels/KernelBitcode.h"
#include "runtime/support/Error.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

using namespace mlir;
using namespace qcc;
using namespace qcc::cpu;

namespace {

struct Variant {
  qrt_cpu_level level;
  StringRef suffix;
  /// LLVM's name of the CPU. Features come with the kernels' bitcode.
  StringRef cpu;
  /// The suffix of the variant that compiles the kernels which would be the
  /// same here; empty: this one compiles all it calls.
  StringRef base = {};

  /// AMX adds tiles to the GEMMs of fixed-point activations, and changes how
  /// these are staged for more tokens than a gemv has.
  bool compiles(StringRef kernel) const {
    return base.empty() || kernel == "krn_stage_i16" ||
           kernel == "krn_stage_split8" ||
           (kernel.starts_with("krn_gemm_") &&
            (kernel.ends_with("_i16") || kernel.ends_with("_split8")));
  }
};

Variant describe(qrt_cpu_level level) {
  switch (level) {
  case QRT_CPU_X86_64_V3:
    return {level, "x86_64_v3", "x86-64-v3"};
  case QRT_CPU_X86_64_V4:
    return {level, "x86_64_v4", "x86-64-v4"};
  case QRT_CPU_X86_64_AMX:
    return {level, "amx", "x86-64-v4"};
  }
  throw qrt::Error("cpu level " + std::to_string(level) + " is unknown");
}

std::vector<Variant> variantsOf(const CompileCpuOptions &options) {
  std::vector<Variant> variants;
  for (qrt_cpu_level level : options.variants)
    variants.push_back(describe(level));
  llvm::sort(variants, [](const Variant &a, const Variant &b) {
    return a.level < b.level;
  });
  if (variants.empty())
    throw qrt::Error("no cpu variant is to be compiled");
  for (size_t i = 1; i < variants.size(); ++i) {
    if (variants[i].level == QRT_CPU_X86_64_AMX &&
        variants[i - 1].level == QRT_CPU_X86_64_V4)
      variants[i].base = variants[i - 1].suffix;
    if (variants[i].level == variants[i - 1].level)
      throw qrt::Error("cpu variant " + variants[i].suffix.str() +
                       " is named twice");
  }
  return variants;
}

/// Turns the first error that MLIR reports while it lives into an exception.
class DiagnosticText {
public:
  explicit DiagnosticText(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error &&
              text.empty())
            text = diagnostic.str();
          return success();
        }) {}

  [[noreturn]] void raise(const char *otherwise) const {
    throw qrt::Error(text.empty() ? otherwise : text);
  }

private:
  std::string text;
  ScopedDiagnosticHandler handler;
};

/// Entries by ascending max_tokens.
SmallVector<krn::EntryOp> entriesOf(krn::ProgramOp program) {
  if (program.getTarget().getName() != "cpu")
    throw qrt::Error("the program is for target '" +
                     program.getTarget().getName().str() + "', not cpu");
  auto range = program.getOps<krn::EntryOp>();
  SmallVector<krn::EntryOp> entries(range.begin(), range.end());
  if (entries.empty())
    throw qrt::Error("the program has no entry");
  llvm::stable_sort(entries, [](krn::EntryOp a, krn::EntryOp b) {
    return a.getMaxTokens() < b.getMaxTokens();
  });
  return entries;
}

/// The table's numbers that all variants share.
KernelTable describeProgram(krn::ProgramOp program) {
  KernelTable table;
  int64_t kvBytes = program.getKvBytes();
  if (kvBytes < 0)
    throw qrt::Error("the program has " + std::to_string(kvBytes) +
                     " kv_bytes");
  table.kvBytesPerToken = uint64_t(kvBytes);
  program.walk([&](Operation *op) {
    int64_t count = 0;
    if (auto weight = dyn_cast<krn::WeightOp>(op))
      count = int64_t(weight.getIndex()) + 1;
    else if (auto repeat = dyn_cast<krn::RepeatOp>(op))
      for (int64_t index : repeat.getWeights())
        count = std::max(count, index + 1);
    else if (auto logits = dyn_cast<krn::LogitsBufferOp>(op))
      table.vocabulary = uint32_t(logits.getType().getColumns());
    else if (auto output = dyn_cast<krn::OutputBufferOp>(op))
      table.vocabulary = uint32_t(output.getType().getColumns());
    table.weightCount = std::max(table.weightCount, uint32_t(count));
  });
  return table;
}

/// One unit of work: a module, until it is an object.
struct Unit {
  Unit(const Variant &variant, std::string name)
      : variant(variant), name(std::move(name)),
        context(std::make_unique<llvm::LLVMContext>()) {}

  Variant variant;
  /// Of its files: "entries_x86_64_v3", "krn_attention_x86_64_v3".
  std::string name;
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

/// Generates the units of one variant: its entries, then each kernel.
std::vector<Unit> generate(ArrayRef<krn::EntryOp> entries,
                           const Variant &variant) {
  MLIRContext *context = entries.front()->getContext();
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context->appendDialectRegistry(registry);
  DiagnosticText diagnostics(context);
  FailureOr<LoweredProgram> program =
      lowerKrnToLLVM(entries, variant.suffix, [&](StringRef kernel) {
        return (variant.compiles(kernel) ? variant.suffix : variant.base).str();
      });
  if (failed(program))
    diagnostics.raise("the program cannot be lowered");

  std::vector<Unit> units;
  auto add = [&](StringRef name, ModuleOp module) {
    Unit &unit =
        units.emplace_back(variant, (name + "_" + variant.suffix).str());
    unit.module = translateModuleToLLVMIR(module, *unit.context, unit.name);
    if (!unit.module)
      diagnostics.raise("the program cannot be translated to LLVM IR");
    unit.module->setSourceFileName(unit.name);
  };
  add("entries", *program->entries);
  for (auto &[name, module] : program->kernels)
    if (variant.compiles(name))
      add(name, *module);
  return units;
}

std::string textOf(const llvm::Module &module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}

/// Writes intermediate files into a folder; does nothing without one.
class IntermediateFiles {
public:
  explicit IntermediateFiles(const std::string &folder) : folder(folder) {
    if (folder.empty())
      return;
    if (std::error_code error = llvm::sys::fs::create_directories(folder))
      throw qrt::Error("the folder cannot be made: " + error.message(), folder);
  }
  bool wanted() const { return !folder.empty(); }
  void write(const llvm::Twine &name, StringRef bytes) const {
    if (folder.empty())
      return;
    SmallString<128> path(folder);
    llvm::sys::path::append(path, name);
    std::error_code error;
    llvm::raw_fd_ostream stream(path, error);
    if (!error) {
      stream << bytes;
      stream.close();
      error = stream.error();
      stream.clear_error();
    }
    if (error)
      throw qrt::Error("the file cannot be written: " + error.message(),
                       path.str().str());
  }

private:
  std::string folder;
};

/// Runs jobs 0 .. count - 1 on up to `threads` threads; rethrows the failure of
/// the first job that failed.
void runJobs(size_t count, unsigned threads,
             const std::function<void(size_t)> &job) {
  if (threads == 0)
    threads = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::exception_ptr> failures(count);
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        job(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < std::min<size_t>(threads, count); ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
  for (const std::exception_ptr &failure : failures)
    if (failure)
      std::rethrow_exception(failure);
}

} // namespace

std::vector<char> qcc::compileCpu(krn::ProgramOp program,
                                  const CompileCpuOptions &options) {
  std::vector<Variant> variants = variantsOf(options);
  SmallVector<krn::EntryOp> entries = entriesOf(program);
  IntermediateFiles files(options.saveTemps);
  KernelTable table = describeProgram(program);
  for (const Variant &variant : variants) {
    KernelTable::Variant &row = table.variants.emplace_back();
    row.cpuLevel = variant.level;
    for (krn::EntryOp entry : entries)
      row.entries.push_back(
          {entry.getSymName().str(), entryFunctionName(entry, variant.suffix),
           uint64_t(entry.getArena()), uint64_t(entry.getScratch()),
           uint32_t(entry.getMaxTokens())});
  }

  std::vector<Unit> units;
  for (const Variant &variant : variants)
    for (Unit &unit : generate(entries, variant))
      units.push_back(std::move(unit));
  for (const Unit &unit : units)
    files.write(unit.name + ".ll", textOf(*unit.module));

  std::vector<SmallVector<char, 0>> objects(units.size() + 1);
  runJobs(units.size(), options.threads, [&](size_t i) {
    Unit &unit = units[i];
    ObjectCompiler compiler(*unit.context, unit.variant.cpu, options.optLevel);
    compiler.linkKernels(*unit.module, kernelBitcode(unit.variant.level));
    compiler.optimize(*unit.module);
    if (files.wanted())
      files.write(unit.name + ".opt.ll", textOf(*unit.module));
    objects[i] = compiler.emitObject(*unit.module);
    unit.module.reset();
  });

  llvm::LLVMContext tableContext;
  std::unique_ptr<llvm::Module> tableModule =
      makeKernelTableModule(tableContext, table);
  ObjectCompiler compiler(tableContext, "x86-64-v3", options.optLevel);
  objects.back() = compiler.emitObject(*tableModule);
  std::vector<char> bytes = linkSharedObject(objects);
  files.write("kernels.so", {bytes.data(), bytes.size()});
  return bytes;
}

std::string qcc::emitLLVM(krn::ProgramOp program,
                          const CompileCpuOptions &options) {
  SmallVector<krn::EntryOp> entries = entriesOf(program);
  std::string text;
  for (const Variant &variant : variantsOf(options))
    for (const Unit &unit : generate(entries, variant))
      text += textOf(*unit.module);
  return text;
}
