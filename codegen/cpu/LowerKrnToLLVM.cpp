//===- LowerKrnToLLVM.cpp - From KRN to the LLVM dialect ------------------===//
//
// An entry becomes a straight function: addresses of buffers are the arena
// plus a constant, each phase is a call of a specialised kernel
// (KernelCalls.h), a barrier is a call through the step, and a repeat is a
// loop that reads its layer's weights from a constant table.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/LowerKrnToLLVM.h"

#include "codegen/cpu/AbiOffsets.h"
#include "codegen/cpu/ConfigBytes.h"
#include "codegen/cpu/KernelCalls.h"
#include "codegen/cpu/PhaseConfigs.h"
#include "codegen/cpu/WeightPlanes.h"
#include "codegen/cpu/kernels/Layout.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::cpu;

namespace {

/// Lowers one entry into one function of `module`.
class EntryLowering {
public:
  EntryLowering(ModuleOp module, krn::EntryOp entry, KernelCalls &kernels,
                const std::string &name)
      : module(module), entry(entry), kernels(kernels), name(name),
        b(OpBuilder::atBlockEnd(module.getBody())), loc(b.getUnknownLoc()),
        pointerType(LLVM::LLVMPointerType::get(b.getContext())),
        i32(b.getI32Type()), i64(b.getI64Type()) {}

  LogicalResult lower();

private:
  LogicalResult lowerBlock(Block &block);
  LogicalResult lowerOp(Operation *op);
  LogicalResult lowerRepeat(krn::RepeatOp repeat);

  LogicalResult lowerPhase(krn::EmbedOp op);
  LogicalResult lowerPhase(krn::RopeTableOp op);
  LogicalResult lowerPhase(krn::FindOutliersOp op);
  LogicalResult lowerPhase(krn::StageOp op);
  LogicalResult lowerPhase(krn::GemmOp op);
  LogicalResult lowerPhase(krn::RopeAppendOp op);
  LogicalResult lowerPhase(krn::AttentionOp op);
  LogicalResult lowerPhase(krn::NormOp op);
  LogicalResult lowerPhase(krn::RopeOp op);
  LogicalResult lowerPhase(krn::ActivationOp op);
  LogicalResult lowerPhase(krn::MapOp op);
  LogicalResult lowerPhase(krn::MulOp op);
  LogicalResult lowerPhase(krn::AddOp op);

  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(b, loc, i64, value);
  }
  Value offset(Value pointer, Value bytes) {
    return LLVM::GEPOp::create(b, loc, pointerType, b.getI8Type(), pointer,
                               ValueRange(bytes));
  }
  Value offset(Value pointer, int64_t bytes) {
    return bytes ? offset(pointer, constant(bytes)) : pointer;
  }
  Value loadStep(Type type, int64_t fieldOffset) {
    return LLVM::LoadOp::create(b, loc, type, offset(step, fieldOffset));
  }
  Value extend(Value value) { return LLVM::ZExtOp::create(b, loc, i64, value); }
  /// The tensor at `index` (i64) of step->weights.
  Value loadWeight(Value index) {
    Value slot = LLVM::GEPOp::create(b, loc, pointerType, pointerType, weights,
                                     ValueRange(index));
    return LLVM::LoadOp::create(b, loc, pointerType, slot);
  }

  /// The address of a buffer, a staged buffer or a weight.
  Value address(Value value) { return addresses.lookup(value); }
  /// The same, or a constant null pointer where the operand is absent.
  KernelArgument argument(Value value) {
    return value ? KernelArgument(address(value)) : null();
  }
  KernelArgument null() { return KernelArgument(pointerType, 0); }

  /// Runs `emit` only if some row wants logits, if `gather`.
  template <typename Emit>
  void guarded(bool gather, Emit emit);

  template <typename Config>
  void call(StringRef kernel, const Config &config,
            ArrayRef<KernelArgument> arguments) {
    kernels.call(b, loc, kernel, configBytes(config), arguments);
  }

  ModuleOp module;
  krn::EntryOp entry;
  KernelCalls &kernels;
  std::string name;
  OpBuilder b;
  Location loc;
  Type pointerType, i32, i64;

  LLVM::LLVMFuncOp function;
  Value step, thread;
  /// Of the step: i64 except `threads` (i32) and the pointers.
  Value threads, tokens, logitCount, logitRows, logits, weights, arena;
  Value barrier, barrierContext;
  /// The thread's own scratch, and the part of it that kernels use.
  Value scratch, kernelScratch;
  /// Inside a repeat: bytes a token of the layers before this one (i64).
  Value kvLayerOffset;
  llvm::DenseMap<Value, Value> addresses;
  unsigned tables = 0;
};

LogicalResult EntryLowering::lower() {
  if (failed(checkEntry(entry)))
    return failure();
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(b.getContext()), {pointerType, i32});
  function = LLVM::LLVMFuncOp::create(b, loc, name, type);
  function.setVisibility_(LLVM::Visibility::Hidden);
  function.setDsoLocal(true);
  Block *body = function.addEntryBlock(b);
  b.setInsertionPointToStart(body);
  step = body->getArgument(0);
  thread = body->getArgument(1);
  threads = loadStep(i32, StepOffsets::threads);
  tokens = extend(loadStep(i32, StepOffsets::tokens));
  logitCount = extend(loadStep(i32, StepOffsets::logitCount));
  logitRows = loadStep(pointerType, StepOffsets::logitRows);
  logits = loadStep(pointerType, StepOffsets::logits);
  weights = loadStep(pointerType, StepOffsets::weights);
  arena = loadStep(pointerType, StepOffsets::arena);
  barrier = loadStep(pointerType, StepOffsets::barrier);
  barrierContext = loadStep(pointerType, StepOffsets::barrierContext);
  int64_t scratchBytes = entry.getScratch();
  Value before =
      LLVM::MulOp::create(b, loc, extend(thread), constant(scratchBytes));
  scratch = offset(offset(arena, int64_t(entry.getArena())), before);
  kernelScratch = offset(scratch, scratchBytes - kernelScratchBytes());

  if (failed(lowerBlock(entry.getBody().front())))
    return failure();
  LLVM::ReturnOp::create(b, loc, ValueRange());
  return success();
}

LogicalResult EntryLowering::lowerBlock(Block &block) {
  for (Operation &op : block)
    if (failed(lowerOp(&op)))
      return failure();
  return success();
}

LogicalResult EntryLowering::lowerOp(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](krn::BufferOp buffer) -> LogicalResult {
        FailureOr<int64_t> at = bufferOffset(buffer, entry);
        if (failed(at))
          return failure();
        addresses[buffer] = offset(arena, *at);
        return success();
      })
      .Case([&](krn::StagedBufferOp buffer) -> LogicalResult {
        FailureOr<int64_t> at = bufferOffset(buffer, entry);
        if (failed(at))
          return failure();
        addresses[buffer] = offset(buffer.getPrivate_() ? scratch : arena, *at);
        return success();
      })
      .Case([&](krn::ViewOp view) -> LogicalResult {
        addresses[view] =
            offset(address(view.getInput()), int64_t(view.getColumn()) * 4);
        return success();
      })
      .Case([&](krn::LogitsBufferOp buffer) -> LogicalResult {
        // It has fewer rows than the step has tokens.
        for (Operation *user : buffer->getUsers())
          if (!isa<krn::GemmOp>(user))
            return user->emitOpError("uses the caller's logits; only a "
                                     "krn.gemm may");
        addresses[buffer] = logits;
        return success();
      })
      .Case([&](krn::OutputBufferOp buffer) -> LogicalResult {
        addresses[buffer] = logits;
        return success();
      })
      .Case([&](krn::WeightOp weight) -> LogicalResult {
        int64_t index = weight.getIndex();
        if (index < 0 || index > kMaxExtent)
          return weight.emitOpError() << "has index " << index;
        addresses[weight] = loadWeight(constant(index));
        return success();
      })
      .Case([&](krn::BarrierOp) -> LogicalResult {
        auto type = LLVM::LLVMFunctionType::get(
            LLVM::LLVMVoidType::get(b.getContext()), {pointerType, i32});
        LLVM::CallOp::create(b, loc, type,
                             ValueRange{barrier, barrierContext, thread});
        return success();
      })
      .Case([&](krn::RepeatOp repeat) { return lowerRepeat(repeat); })
      .Case<krn::EmbedOp, krn::RopeTableOp, krn::FindOutliersOp, krn::StageOp,
            krn::GemmOp, krn::RopeAppendOp, krn::AttentionOp, krn::NormOp,
            krn::RopeOp, krn::ActivationOp, krn::MapOp, krn::MulOp, krn::AddOp>(
          [&](auto phase) { return lowerPhase(phase); })
      .Default([](Operation *other) {
        return other->emitOpError("is nothing that code is generated for");
      });
}

LogicalResult EntryLowering::lowerRepeat(krn::RepeatOp repeat) {
  if (kvLayerOffset)
    return repeat.emitOpError("stands inside another repeat");
  Block &source = repeat.getBody().front();
  int64_t layers = repeat.getLayers();
  int64_t width = source.getNumArguments();
  ArrayRef<int64_t> indices = repeat.getWeights();
  for (int64_t index : indices)
    if (index < 0 || index > kMaxExtent)
      return repeat.emitOpError() << "has weight index " << index;

  // The table [layers][width] as i32.
  Value table;
  if (width > 0) {
    OpBuilder top = OpBuilder::atBlockEnd(module.getBody());
    SmallVector<int32_t> values(indices.begin(), indices.end());
    auto global = LLVM::GlobalOp::create(
        top, loc, LLVM::LLVMArrayType::get(i32, values.size()),
        /*isConstant=*/true, LLVM::Linkage::Private,
        name + ".weights." + std::to_string(tables++),
        top.getI32TensorAttr(values), /*alignment=*/64);
    table = LLVM::AddressOfOp::create(b, loc, global);
  }

  Block *body = new Block();
  Block *exit = new Block();
  function.getBody().push_back(body);
  Value layer = body->addArgument(i64, loc);
  LLVM::BrOp::create(b, loc, ValueRange{constant(0)}, body);

  b.setInsertionPointToStart(body);
  kvLayerOffset = LLVM::AddOp::create(
      b, loc, constant(repeat.getKvOffset()),
      LLVM::MulOp::create(b, loc, layer, constant(repeat.getKvStride())));
  for (auto [column, weight] : llvm::enumerate(source.getArguments())) {
    Value position = LLVM::AddOp::create(
        b, loc, LLVM::MulOp::create(b, loc, layer, constant(width)),
        constant(int64_t(column)));
    Value slot = LLVM::GEPOp::create(b, loc, pointerType, i32, table,
                                     ValueRange(position));
    addresses[weight] =
        loadWeight(extend(LLVM::LoadOp::create(b, loc, i32, slot)));
  }
  LogicalResult result = lowerBlock(source);
  // Also after a failure: every block must be owned by the function.
  function.getBody().push_back(exit);
  if (failed(result))
    return failure();
  Value next = LLVM::AddOp::create(b, loc, layer, constant(1));
  Value more = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ult, next,
                                    constant(layers));
  LLVM::CondBrOp::create(b, loc, more, body, ValueRange{next}, exit,
                         ValueRange());
  b.setInsertionPointToStart(exit);
  kvLayerOffset = {};
  return success();
}

template <typename Emit>
void EntryLowering::guarded(bool gather, Emit emit) {
  if (!gather)
    return emit();
  Block *work = new Block();
  Block *join = new Block();
  function.getBody().push_back(work);
  function.getBody().push_back(join);
  Value any = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne, logitCount,
                                   constant(0));
  LLVM::CondBrOp::create(b, loc, any, work, join);
  b.setInsertionPointToStart(work);
  emit();
  LLVM::BrOp::create(b, loc, join);
  b.setInsertionPointToStart(join);
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

LogicalResult EntryLowering::lowerPhase(krn::EmbedOp op) {
  FailureOr<krn::EmbedConfig> config = embedConfig(op);
  if (failed(config))
    return failure();
  call(
      "krn_embed", *config,
      {step, address(op.getTable()), address(op.getOutput()), thread, threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::RopeTableOp op) {
  FailureOr<krn::RopeTableConfig> config = ropeTableConfig(op);
  if (failed(config))
    return failure();
  call("krn_rope_table", *config,
       {step, address(op.getFrequencies()), address(op.getOutput()), thread,
        threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::FindOutliersOp op) {
  FailureOr<krn::StageConfig> config = findOutliersConfig(op);
  if (failed(config))
    return failure();
  auto buffer = op.getOutput().getDefiningOp<krn::StagedBufferOp>();
  if (!buffer || buffer.getPrivate_())
    return op.emitOpError("writes no shared krn.staged_buffer");
  guarded(op.getGather(), [&] {
    call("krn_find_outliers", *config,
         {op.getGather() ? logitCount : tokens, address(op.getInput()),
          op.getGather() ? KernelArgument(logitRows) : null(),
          argument(op.getNormWeight()), argument(op.getNormBias()),
          address(op.getOutput()), thread, threads});
  });
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::StageOp op) {
  FailureOr<krn::StageConfig> config = stageConfig(op);
  if (failed(config))
    return failure();
  auto buffer = op.getOutput().getDefiningOp<krn::StagedBufferOp>();
  if (!buffer)
    return op.emitOpError("writes no krn.staged_buffer");
  bool isPrivate = buffer.getPrivate_();
  StringRef activations = op.getOutput().getType().getActivations();
  bool isSplit = activations == "split8";
  StringRef kernel = isSplit                ? "krn_stage_split8"
                     : activations == "i16" ? "krn_stage_i16"
                                            : "krn_stage_f32";
  guarded(op.getGather(), [&] {
    KernelArgument rows = op.getGather() ? logitCount : tokens;
    KernelArgument rowIndex =
        op.getGather() ? KernelArgument(logitRows) : null();
    // In private, the thread stages all rows by itself.
    KernelArgument part = isPrivate ? KernelArgument(i32, 0) : thread;
    KernelArgument parts = isPrivate ? KernelArgument(i32, 1) : threads;
    SmallVector<KernelArgument> arguments = {
        rows,
        KernelArgument(i64, entry.getMaxTokens() <= krn::kGemvTokens),
        address(op.getInput()),
        rowIndex,
        argument(op.getNormWeight()),
        argument(op.getNormBias()),
    };
    if (!isSplit)
      arguments.push_back(argument(op.getOrder()));
    arguments.push_back(address(op.getOutput()));
    if (isSplit) {
      Value statistics = loadStep(pointerType, StepOffsets::outlierStatistics);
      // Where every thread stages the first row, the first thread counts.
      if (isPrivate) {
        Value isFirst =
            LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, thread,
                                 LLVM::ConstantOp::create(b, loc, i32, 0));
        statistics =
            LLVM::SelectOp::create(b, loc, isFirst, statistics,
                                   LLVM::ZeroOp::create(b, loc, pointerType));
      }
      arguments.push_back(statistics);
    }
    arguments.append({part, parts});
    call(kernel, *config, arguments);
  });
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::GemmOp op) {
  FailureOr<krn::GemmConfig> config = gemmConfig(op, entry.getMaxTokens());
  if (failed(config))
    return failure();
  WeightPlanes planes = weightPlanes(op.getWeight().getType());
  guarded(op.getGather(), [&] {
    Value codes = address(op.getWeight());
    KernelArgument rows = op.getGather() ? logitCount : tokens;
    KernelArgument scales =
        planes.scales ? KernelArgument(offset(codes, *planes.scales)) : null();
    KernelArgument zeros =
        planes.zeros ? KernelArgument(offset(codes, *planes.zeros)) : null();
    call(op.getKernel(), *config,
         {rows, address(op.getInput()), codes, scales, zeros,
          argument(op.getBias()), argument(op.getResidual()),
          address(op.getOutput()), kernelScratch, thread, threads});
  });
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::RopeAppendOp op) {
  FailureOr<krn::RopeAppendConfig> config = ropeAppendConfig(op);
  if (failed(config))
    return failure();
  if (!kvLayerOffset)
    return op.emitOpError("stands in no krn.repeat, which says where the "
                          "layer's cache lies");
  call("krn_rope_append", *config,
       {step, kvLayerOffset, address(op.getQuery()), address(op.getKey()),
        address(op.getValue()), argument(op.getTable()),
        argument(op.getQNorm()), argument(op.getKNorm()), thread, threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::AttentionOp op) {
  FailureOr<krn::AttentionConfig> config = attentionConfig(op);
  if (failed(config))
    return failure();
  if (!kvLayerOffset)
    return op.emitOpError("stands in no krn.repeat, which says where the "
                          "layer's cache lies");
  call("krn_attention", *config,
       {step, kvLayerOffset, address(op.getQuery()), argument(op.getSlopes()),
        address(op.getOutput()), kernelScratch, thread, threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::NormOp op) {
  FailureOr<krn::StageConfig> config = normConfig(op);
  if (failed(config))
    return failure();
  call("krn_norm", *config,
       {tokens, address(op.getInput()), argument(op.getWeight()),
        argument(op.getBias()), address(op.getOutput()),
        KernelArgument(i64, op.getOutput().getType().rowStride()), thread,
        threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::RopeOp op) {
  FailureOr<krn::RopeAppendConfig> config = ropeConfig(op);
  if (failed(config))
    return failure();
  call("krn_rope", *config,
       {step, address(op.getInput()), address(op.getTable()),
        address(op.getOutput()), thread, threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::ActivationOp op) {
  call("krn_activation", activationConfig(op),
       {tokens, address(op.getInput()), address(op.getOutput()), thread,
        threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::MapOp op) {
  call("krn_map", mapConfig(op),
       {tokens, address(op.getInput()), address(op.getOutput()), thread,
        threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::MulOp op) {
  call("krn_mul", mulConfig(op),
       {tokens, address(op.getLhs()), address(op.getRhs()),
        address(op.getOutput()), thread, threads});
  return success();
}

LogicalResult EntryLowering::lowerPhase(krn::AddOp op) {
  call("krn_add", addConfig(op),
       {tokens, address(op.getLhs()), address(op.getRhs()),
        address(op.getOutput()), thread, threads});
  return success();
}

} // namespace

std::string cpu::entryFunctionName(krn::EntryOp entry, StringRef suffix) {
  return (entry.getSymName() + "_" + suffix).str();
}

FailureOr<LoweredProgram>
cpu::lowerKrnToLLVM(ArrayRef<krn::EntryOp> entries, StringRef suffix,
                    const KernelSuffix &kernelSuffix) {
  LoweredProgram program;
  if (entries.empty())
    return program;
  krn::EntryOp first = entries.front();
  first->getContext()->getOrLoadDialect<LLVM::LLVMDialect>();
  program.entries = ModuleOp::create(UnknownLoc::get(first->getContext()));
  KernelCalls kernels(*program.entries, kernelSuffix);
  for (krn::EntryOp entry : entries)
    if (failed(EntryLowering(*program.entries, entry, kernels,
                             entryFunctionName(entry, suffix))
                   .lower()))
      return failure();
  program.kernels = kernels.takeModules();
  return program;
}
