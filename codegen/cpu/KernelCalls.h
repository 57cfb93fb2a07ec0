//===- KernelCalls.h - Calls of kernels for one configuration ---*- C++ -*-===//
//
// A kernel (codegen/cpu/kernels/kernels.h) takes its shape as a pointer to a
// config. Each distinct use becomes one small function that calls the kernel
// with a constant config: LLVM inlines the kernel there and folds the shape,
// and every phase of that shape calls the one specialisation.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_KERNELCALLS_H
#define QCC_CODEGEN_CPU_KERNELCALLS_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"

#include <functional>
#include <map>
#include <string>

namespace qcc::cpu {

/// An argument of a kernel: a value that the caller passes on, or a constant
/// that the kernel is specialised for.
class KernelArgument {
public:
  KernelArgument(mlir::Value value) : value(value), type(value.getType()) {}
  /// A constant of an integer type; 0 of a pointer type is the null pointer.
  KernelArgument(mlir::Type type, int64_t constant)
      : type(type), constant(constant) {}

  bool isConstant() const { return !value; }

  mlir::Value value;
  mlir::Type type;
  int64_t constant = 0;
};

/// The suffix of the variant whose code of a kernel is called.
using KernelSuffix = std::function<std::string(llvm::StringRef kernel)>;

/// Makes specialisations of kernels and calls of them. The specialisations of
/// one kernel stand in a module of their own, so that kernels can be compiled
/// side by side.
class KernelCalls {
public:
  /// Calls stand in `caller`, which must outlive this. As the specialisations
  /// of all variants of a program meet when it is linked, their names end in
  /// the suffix of the variant that compiles them.
  KernelCalls(mlir::ModuleOp caller, const KernelSuffix &suffixOf)
      : caller(caller), suffixOf(suffixOf) {}

  /// Calls `kernel` with `config` (configBytes() of its config struct) and
  /// `arguments` at the insertion point of `b`.
  void call(mlir::OpBuilder &b, mlir::Location loc, llvm::StringRef kernel,
            llvm::StringRef config, llvm::ArrayRef<KernelArgument> arguments);

  /// The modules of the kernels that were called, by the kernel's name.
  std::map<std::string, mlir::OwningOpRef<mlir::ModuleOp>> takeModules() {
    return std::move(modules);
  }

private:
  /// Defines a function, in the kernel's module, and declares it for callers.
  mlir::LLVM::LLVMFuncOp specialise(llvm::StringRef kernel,
                                    llvm::StringRef config,
                                    llvm::ArrayRef<KernelArgument> arguments);

  mlir::ModuleOp caller;
  KernelSuffix suffixOf;
  std::map<std::string, mlir::OwningOpRef<mlir::ModuleOp>> modules;
  /// The declarations in `caller`, by kernel, config and constants.
  std::map<std::string, mlir::LLVM::LLVMFuncOp> specialisations;
  llvm::StringMap<unsigned> specialisationCount;
};

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_KERNELCALLS_H
