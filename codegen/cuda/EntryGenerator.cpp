//===- EntryGenerator.cpp - The launches of one entry ---------------------===//

#include "codegen/cuda/EntryGenerator.h"

#include "runtime/abi/cuda_abi.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::Operand;
using qrt::fb::OperandKind;

qrt::fb::LaunchT &EntryGenerator::launch(
    const std::string &type, const char *file, const std::string &name,
    const ConfigText &constants, int64_t threads, int64_t blocksPerSm,
    int64_t sharedBytes, ArrayRef<Operand> operands, int64_t cluster) {
  if (operands.size() > QRT_CUDA_ARGS)
    throw qrt::Error("a kernel has " + std::to_string(operands.size()) +
                     " operands; up to " + std::to_string(QRT_CUDA_ARGS) +
                     " can be passed");
  std::string key = type + " " + std::to_string(blocksPerSm) +
                    constants.text() + std::to_string(threads);
  auto [it, isNew] = known.try_emplace(key, uint32_t(program.units.size()));
  if (isNew) {
    std::string function = name + "_" + std::to_string(program.units.size());
    std::string shared =
        sharedBytes
            ? "  static_assert(qcc::cuda::" + type +
                  "<Config>::sharedBytes == " + std::to_string(sharedBytes) +
                  ");\n  extern __shared__ __align__(1024) char "
                  "shared[];\n"
            : "";
    program.units.push_back(
        {function,
         std::string("#include \"codegen/cuda/kernels/") + file +
             "\"\n\nnamespace {\nstruct Config {\n" + constants.text() +
             "};\n} // namespace\n\nextern \"C\" __global__ void " +
             (cluster > 1
                  ? "__cluster_dims__(" + std::to_string(cluster) + ", 1, 1) "
                  : "") +
             "__launch_bounds__(" + std::to_string(threads) + ", " +
             std::to_string(blocksPerSm) + ")\n" + function +
             "(const qcc::cuda::Step *step,\n    const "
             "__grid_constant__ qcc::cuda::Args args) {\n" +
             shared + "  qcc::cuda::" + type + "<Config>::run(step, args" +
             (sharedBytes ? ", shared" : "") + ");\n}\n"});
  }
  qrt::fb::LaunchT &launch = launches.emplace_back();
  launch.image = it->second;
  launch.threads = uint32_t(threads);
  launch.shared_bytes = uint32_t(sharedBytes);
  launch.cluster = uint32_t(cluster);
  launch.library_from = uint32_t(wayFrom);
  launch.for_library = isWayOfLibrary;
  launch.library_below = uint32_t(wayBelow);
  launch.operands.assign(operands.begin(), operands.end());
  return launch;
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

void EntryGenerator::add(krn::EmbedOp op) {
  ConfigText c = embedConstants(op);
  c.flag("positions", op.getPositions());
  c.integer("positionOffset", op.getOffset());
  c.integer("tableRows", op.getTable().getType().getRows());
  launch("Embed", "elementwise.cuh", "embed", c, 256, 1, 0,
         {address(op.getTable()), address(op.getOutput())});
}

void EntryGenerator::add(krn::RopeTableOp op) {
  ConfigText c;
  c.integer("half", columnsOf(op.getOutput()) / 2);
  tfm::LengthScalingAttr scaling = op.getLengthScalingAttr();
  c.integer("original", scaling ? scaling.getOriginal() : 0);
  c.real("factor", scaling ? scaling.factor() : 0);
  c.real("attentionFactor", op.getAttentionFactor().convertToFloat());
  launch("RopeTable", "elementwise.cuh", "rope_table", c, 64, 1, 0,
         {vector(op, op.getFrequencies()), address(op.getOutput())});
}

void EntryGenerator::add(krn::NormOp op) {
  ConfigText c = normConstants(op);
  const int64_t heads = op.getHeads();
  c.flag("weightPerHead", heads > 1 && op.getWeight().getType().getColumns() !=
                                           columnsOf(op.getInput()) / heads);
  launch("Norm", "elementwise.cuh", "norm", c, 256, 1, 0,
         {address(op.getInput()), vector(op, op.getWeight()),
          vector(op, op.getBias()), address(op.getOutput())})
      .multiple = uint32_t(heads);
}

void EntryGenerator::add(krn::RopeOp op) {
  int64_t heads = op.getHeads();
  if (strideOf(op.getInput()) != strideOf(op.getOutput()))
    refuse(op, "reads and writes rows of different strides");
  ConfigText c;
  c.integer("heads", heads);
  c.integer("headDim", columnsOf(op.getInput()) / heads);
  c.integer("rotary", op.getRotary());
  c.flag("isInterleaved", op.getInterleaved());
  c.integer("qStride", strideOf(op.getInput()));
  qrt::fb::LaunchT &l = launch("Rope", "elementwise.cuh", "rope", c, 128, 1, 0,
                               {address(op.getInput()), address(op.getTable()),
                                address(op.getOutput())});
  l.multiple = uint32_t(heads);
  l.per_block = 4;
}

void EntryGenerator::addElementwise(const char *kind, Value a, Value b,
                                    Value output, int activation, float value) {
  ConfigText c;
  c.integer("columns", columnsOf(output));
  c.integer("aStride", strideOf(a));
  c.integer("bStride", strideOf(b));
  c.integer("outputStride", strideOf(output));
  c.integer("activation", activation);
  c.real("value", value);
  c.value("kind", std::string("qcc::cuda::Elementwise") + kind);
  launch("Elementwise", "elementwise.cuh", "elementwise", c, 256, 1, 0,
         {address(a), address(b), address(output)});
}

//===----------------------------------------------------------------------===//
// Walking an entry
//===----------------------------------------------------------------------===//

void EntryGenerator::addPhase(Operation *op, int64_t kvOffset) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](krn::BufferOp buffer) {
        addresses[buffer] =
            Operand(OperandKind::Arena, 0, uint64_t(buffer.getOffset()));
      })
      .Case([&](krn::StagedBufferOp buffer) {
        if (buffer.getPrivate_())
          refuse(op, "is private, which CUDA has no room for");
        addresses[buffer] =
            Operand(OperandKind::Arena, 0, uint64_t(buffer.getOffset()));
      })
      .Case([&](krn::ViewOp view) {
        addresses[view] =
            plus(address(view.getInput()), int64_t(view.getColumn()) * 4);
      })
      .Case<krn::LogitsBufferOp, krn::OutputBufferOp>([&](auto buffer) {
        addresses[buffer] = Operand(OperandKind::Logits, 0, 0);
      })
      .Case([&](krn::WeightOp weight) {
        addresses[weight] =
            Operand(OperandKind::Tensor, uint32_t(weight.getIndex()), 0);
      })
      .Case([&](krn::RepeatOp repeat) { addRepeat(repeat); })
      .Case<krn::BarrierOp>([](auto) {})
      .Case<krn::EmbedOp, krn::RopeTableOp, krn::StageOp, krn::GemmOp,
            krn::NormOp, krn::RopeOp>([&](auto phase) { add(phase); })
      .Case([&](krn::FindOutliersOp phase) { add(phase); })
      .Case<krn::RopeAppendOp, krn::AttentionOp>(
          [&](auto phase) { add(phase, kvOffset); })
      .Case([&](krn::ActivationOp phase) {
        addElementwise("Activate", phase.getInput(), phase.getInput(),
                       phase.getOutput(), activationOf(phase.getKind()));
      })
      .Case([&](krn::MapOp phase) {
        const char *kind = phase.getKind() == tfm::MapKind::SoftCap ? "SoftCap"
                           : phase.getKind() == tfm::MapKind::Clamp ? "Clamp"
                                                                    : "Scale";
        addElementwise(kind, phase.getInput(), phase.getInput(),
                       phase.getOutput(), 0, phase.getValue().convertToFloat());
      })
      .Case([&](krn::MulOp phase) {
        addElementwise("Mul", phase.getLhs(), phase.getRhs(),
                       phase.getOutput());
      })
      .Case([&](krn::AddOp phase) {
        addElementwise("Add", phase.getLhs(), phase.getRhs(),
                       phase.getOutput());
      })
      .Default([](Operation *other) { refuse(other, "has no CUDA kernel"); });
}

void EntryGenerator::addBlock(Block &block, int64_t kvOffset) {
  for (Operation &op : block)
    addPhase(&op, kvOffset);
}

void EntryGenerator::addRepeat(krn::RepeatOp op) {
  Block &body = op.getBody().front();
  ArrayRef<int64_t> weights = op.getWeights();
  size_t arguments = body.getNumArguments();
  if (weights.size() != arguments * size_t(op.getLayers()))
    refuse(op, "has a table of " + std::to_string(weights.size()) + " weights");
  for (int64_t layer = 0; layer < int64_t(op.getLayers()); ++layer) {
    for (size_t i = 0; i < arguments; ++i)
      addresses[body.getArgument(unsigned(i))] =
          Operand(OperandKind::Tensor,
                  uint32_t(weights[size_t(layer) * arguments + i]), 0);
    addBlock(body,
             int64_t(op.getKvOffset()) + layer * int64_t(op.getKvStride()));
  }
}
