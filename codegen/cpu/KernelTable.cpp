//===- KernelTable.cpp - The one symbol that the object exports -----------===//

#include "codegen/cpu/KernelTable.h"

#include "runtime/abi/kernel_abi.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"

using namespace llvm;
using namespace qcc::cpu;

namespace {

class TableBuilder {
public:
  explicit TableBuilder(Module &module)
      : module(module), context(module.getContext()),
        pointer(PointerType::get(context, 0)), i32(Type::getInt32Ty(context)),
        i64(Type::getInt64Ty(context)) {}

  void build(const KernelTable &table) {
    std::vector<Constant *> variants;
    for (const KernelTable::Variant &variant : table.variants)
      variants.push_back(buildVariant(variant));
    // qrt_kernel_table_t
    Constant *value =
        aggregate({u32(QRT_KERNEL_ABI_VERSION), u32(uint32_t(variants.size())),
                   array("variants", variants), u64(table.kvBytesPerToken),
                   u32(table.vocabulary), u32(table.weightCount)});
    auto *global = new GlobalVariable(
        module, value->getType(), /*isConstant=*/true,
        GlobalValue::ExternalLinkage, value, QRT_KERNEL_TABLE_SYMBOL);
    global->setAlignment(Align(8));
  }

private:
  Constant *buildVariant(const KernelTable::Variant &variant) {
    std::vector<Constant *> entries;
    for (const KernelTable::Entry &entry : variant.entries) {
      FunctionCallee function = module.getOrInsertFunction(
          entry.function,
          FunctionType::get(Type::getVoidTy(context), {pointer, i32}, false));
      auto *callee = cast<Function>(function.getCallee());
      callee->setVisibility(GlobalValue::HiddenVisibility);
      callee->setDSOLocal(true);
      // qrt_entry
      entries.push_back(
          aggregate({text(entry.name), callee, u64(entry.arenaBytes),
                     u64(entry.scratchBytes), u32(entry.maxTokens), u32(0)}));
    }
    // qrt_variant
    return aggregate({u32(variant.cpuLevel), u32(uint32_t(entries.size())),
                      array("entries", entries)});
  }

  Constant *u32(uint32_t value) { return ConstantInt::get(i32, value); }
  Constant *u64(uint64_t value) { return ConstantInt::get(i64, value); }
  Constant *aggregate(ArrayRef<Constant *> fields) {
    return ConstantStruct::getAnon(context, fields);
  }
  Constant *privateGlobal(const Twine &name, Constant *value) {
    auto *global =
        new GlobalVariable(module, value->getType(), /*isConstant=*/true,
                           GlobalValue::PrivateLinkage, value, name);
    return global;
  }
  Constant *array(const Twine &name, ArrayRef<Constant *> elements) {
    if (elements.empty())
      return ConstantPointerNull::get(pointer);
    return privateGlobal(
        name, ConstantArray::get(
                  ArrayType::get(elements.front()->getType(), elements.size()),
                  elements));
  }
  Constant *text(StringRef value) {
    return privateGlobal("name", ConstantDataArray::getString(context, value));
  }

  Module &module;
  LLVMContext &context;
  PointerType *pointer;
  Type *i32, *i64;
};

/// memcpy, memmove and memset with the string instructions. LLVM calls them
/// for copies of unknown size only, so that their speed matters little.
class MemoryFunctions {
public:
  explicit MemoryFunctions(Module &module)
      : module(module), context(module.getContext()), builder(context),
        pointer(PointerType::get(context, 0)), i32(Type::getInt32Ty(context)),
        i64(Type::getInt64Ty(context)) {}

  void build() {
    Type *byte = builder.getInt8Ty();
    Function *copy = begin("memcpy", {pointer, pointer, i64});
    copyForward(copy);
    builder.CreateRet(copy->getArg(0));

    Function *move = begin("memmove", {pointer, pointer, i64});
    auto *forward = BasicBlock::Create(context, "forward", move);
    auto *backward = BasicBlock::Create(context, "backward", move);
    // Forward unless the destination begins inside the source.
    Value *distance =
        builder.CreateSub(builder.CreatePtrToInt(move->getArg(0), i64),
                          builder.CreatePtrToInt(move->getArg(1), i64));
    builder.CreateCondBr(builder.CreateICmpUGE(distance, move->getArg(2)),
                         forward, backward);
    builder.SetInsertPoint(forward);
    copyForward(move);
    builder.CreateRet(move->getArg(0));
    builder.SetInsertPoint(backward);
    Value *last = builder.CreateSub(move->getArg(2), ConstantInt::get(i64, 1));
    emitString("std\n\trep movsb\n\tcld", "={di},={si},={cx},0,1,2",
               {builder.CreateGEP(byte, move->getArg(0), last),
                builder.CreateGEP(byte, move->getArg(1), last),
                move->getArg(2)},
               {pointer, pointer, i64});
    builder.CreateRet(move->getArg(0));

    Function *set = begin("memset", {pointer, i32, i64});
    emitString("rep stosb", "={di},={cx},0,1,{al}",
               {set->getArg(0), set->getArg(2),
                builder.CreateTrunc(set->getArg(1), byte)},
               {pointer, i64});
    builder.CreateRet(set->getArg(0));
  }

private:
  Function *begin(StringRef name, ArrayRef<Type *> arguments) {
    auto *function =
        Function::Create(FunctionType::get(pointer, arguments, false),
                         GlobalValue::ExternalLinkage, name, module);
    function->setVisibility(GlobalValue::HiddenVisibility);
    function->setDSOLocal(true);
    function->addFnAttr(Attribute::NoUnwind);
    builder.SetInsertPoint(BasicBlock::Create(context, "", function));
    return function;
  }

  void copyForward(Function *function) {
    emitString("rep movsb", "={di},={si},={cx},0,1,2",
               {function->getArg(0), function->getArg(1), function->getArg(2)},
               {pointer, pointer, i64});
  }

  /// An instruction that changes its inputs; `changed` are the types of those.
  void emitString(StringRef text, StringRef constraints,
                  ArrayRef<Value *> inputs, ArrayRef<Type *> changed) {
    SmallVector<Type *> types;
    for (Value *input : inputs)
      types.push_back(input->getType());
    auto *type =
        FunctionType::get(StructType::get(context, changed), types, false);
    builder.CreateCall(
        type,
        InlineAsm::get(type, text,
                       (constraints + ",~{memory},~{flags},~{dirflag}").str(),
                       /*hasSideEffects=*/true),
        inputs);
  }

  Module &module;
  LLVMContext &context;
  IRBuilder<> builder;
  PointerType *pointer;
  Type *i32, *i64;
};

} // namespace

std::unique_ptr<Module>
qcc::cpu::makeKernelTableModule(LLVMContext &context,
                                const KernelTable &table) {
  auto module = std::make_unique<Module>("kernel_table", context);
  TableBuilder(*module).build(table);
  MemoryFunctions(*module).build();
  return module;
}
