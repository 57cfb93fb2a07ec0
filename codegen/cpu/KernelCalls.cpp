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

/// A function that no other object may replace or see.
static LLVM::LLVMFuncOp makeHidden(OpBuilder &b, StringRef name,
                                   ArrayRef<Type> arguments) {
  auto function = LLVM::LLVMFuncOp::create(
      b, b.getUnknownLoc(), name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                  arguments));
  function.setVisibility_(LLVM::Visibility::Hidden);
  function.setDsoLocal(true);
  return function;
}

LLVM::LLVMFuncOp KernelCalls::specialise(StringRef kernel, StringRef config,
                                         ArrayRef<KernelArgument> arguments) {
  std::string key = kernel.str() + '\0' + config.str();
  for (auto [i, argument] : llvm::enumerate(arguments))
    if (argument.isConstant())
      key += '\0' + std::to_string(i) + '=' + std::to_string(argument.constant);
  LLVM::LLVMFuncOp &declaration = specialisations[key];
  if (declaration)
    return declaration;

  MLIRContext *context = caller.getContext();
  Location loc = UnknownLoc::get(context);
  SmallVector<Type> allTypes = {LLVM::LLVMPointerType::get(context)};
  SmallVector<Type> types;
  for (const KernelArgument &argument : arguments) {
    allTypes.push_back(argument.type);
    if (!argument.isConstant())
      types.push_back(argument.type);
  }
  std::string name = (kernel + "." + Twine(specialisationCount[kernel]++) +
                      "." + suffixOf(kernel))
                         .str();
  OpBuilder atCaller = OpBuilder::atBlockEnd(caller.getBody());
  declaration = makeHidden(atCaller, name, types);

  OwningOpRef<ModuleOp> &module = modules[kernel.str()];
  if (!module)
    module = ModuleOp::create(loc);
  OpBuilder b = OpBuilder::atBlockEnd(module->getBody());
  auto callee = module->lookupSymbol<LLVM::LLVMFuncOp>(kernel);
  if (!callee)
    callee = LLVM::LLVMFuncOp::create(
        b, loc, kernel,
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                    allTypes));
  auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), config.size());
  auto global = LLVM::GlobalOp::create(
      b, loc, bytes, /*isConstant=*/true, LLVM::Linkage::Private,
      name + ".config", b.getStringAttr(config), /*alignment=*/8);
  LLVM::LLVMFuncOp function = makeHidden(b, name, types);
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
  return declaration;
}
