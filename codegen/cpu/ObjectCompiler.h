//===- ObjectCompiler.h - From LLVM IR to an object in memory ---*- C++ -*-===//

#ifndef QCC_CODEGEN_CPU_OBJECTCOMPILER_H
#define QCC_CODEGEN_CPU_OBJECTCOMPILER_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <span>
#include <string>

namespace qcc::cpu {

/// Links kernels into generated modules, optimizes and emits them for one CPU.
/// Not thread-safe, but several may run at once, each with its own context.
/// Every function throws qrt::Error.
class ObjectCompiler {
public:
  /// `cpu` is what LLVM calls the processor ("x86-64-v3"); `context` is the
  /// modules' and must outlive this. `optLevel` is 0 to 3.
  ObjectCompiler(llvm::LLVMContext &context, llvm::StringRef cpu,
                 unsigned optLevel);
  ~ObjectCompiler();

  /// Links into `module` the functions of `bitcode` that it declares without
  /// hidden visibility, and what these need. All of `module` then has the
  /// target attributes that the bitcode was compiled with; the functions that
  /// it called are inlined, and everything that it did not define is internal.
  /// Fails if a function stays undefined.
  void linkKernels(llvm::Module &module, std::span<const char> bitcode);

  /// Runs the default pipeline.
  void optimize(llvm::Module &module);

  /// The ELF object of `module`, which is changed by it.
  llvm::SmallVector<char, 0> emitObject(llvm::Module &module);

private:
  void failOnDiagnostics(llvm::StringRef what);

  llvm::LLVMContext &context;
  std::unique_ptr<llvm::TargetMachine> machine;
  unsigned optLevel;
  /// Errors that LLVM reported through the context.
  std::shared_ptr<std::string> errors;
};

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_OBJECTCOMPILER_H
