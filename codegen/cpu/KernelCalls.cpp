//===- KernelCalls.cpp - Calls of kernels for one configuration -----------===//

#include "codegen/cpu/KernelCalls.h"

#include "llvm/ADT/Twine.h"

using namespace mlir;
using namespace qcc::cpu;

void KernelCalls::call(OpBuilder &b, Location loc, StringRef kernel,
                       StringRef config, ArrayRef<KernelArgument> arguments) {
  LLVM::LLVMFuncOp callee = specialise(kernel, config, arguments);
  SmallVector<Value> values;
  for (const KernelArgument &argument : arguments)
    if (!argument.isConstant())
      values.push_back(argument.value);
  LLVM::CallOp::create(b, loc, callee, values);
}

LLVM::LLVMFuncOp KernelCalls::declare(OpBuilder &b, StringRef kernel,
                                      ArrayRef<KernelArgument> arguments) {
  LLVM::LLVMFuncOp &function = kernels[kernel];
  if (!function) {
    SmallVector<Type> types = {LLVM::LLVMPointerType::get(b.getContext())};
    for (const KernelArgument &argument : arguments)
      types.push_back(argument.type);
    function = LLVM::LLVMFuncOp::create(
        b, b.getUnknownLoc(), kernel,
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                    types));
  }
  return function;
}

LLVM::LLVMFuncOp KernelCalls::specialise(StringRef kernel, StringRef config,
                                         ArrayRef<KernelArgument> arguments) {
  std::string key = kernel.str() + '\0' + config.str();
  for (auto [i, argument] : llvm::enumerate(arguments))
    if (argument.isConstant())
      key += '\0' + std::to_string(i) + '=' + std::to_string(argument.constant);
  LLVM::LLVMFuncOp &function = specialisations[key];
  if (function)
    return function;

  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  Location loc = b.getUnknownLoc();
  LLVM::LLVMFuncOp callee = declare(b, kernel, arguments);
  std::string name =
      (kernel + "." + Twine(specialisationCount[kernel]++)).str();
  auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), config.size());
  auto global = LLVM::GlobalOp::create(
      b, loc, bytes, /*isConstant=*/true, LLVM::Linkage::Private,
      name + ".config", b.getStringAttr(config), /*alignment=*/8);

  SmallVector<Type> types;
  for (const KernelArgument &argument : arguments)
    if (!argument.isConstant())
      types.push_back(argument.type);
  function = LLVM::LLVMFuncOp::create(
      b, loc, name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                  types),
      LLVM::Linkage::Internal);
  function.setNoInline(true);
  Block *body = function.addEntryBlock(b);
  b.setInsertionPointToStart(body);
  SmallVector<Value> values = {LLVM::AddressOfOp::create(b, loc, global)};
  unsigned next = 0;
  for (const KernelArgument &argument : arguments) {
    if (!argument.isConstant())
      values.push_back(body->getArgument(next++));
    else if (isa<LLVM::LLVMPointerType>(argument.type))
      values.push_back(LLVM::ZeroOp::create(b, loc, argument.type));
    else
      values.push_back(
          LLVM::ConstantOp::create(b, loc, argument.type, argument.constant));
  }
  LLVM::CallOp::create(b, loc, callee, values);
  LLVM::ReturnOp::create(b, loc, ValueRange());
  return function;
}
