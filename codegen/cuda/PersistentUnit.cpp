//===- PersistentUnit.cpp - A step as one kernel --------------------------===//

#include "codegen/cuda/PersistentGenerator.h"

#include "runtime/abi/cuda_abi.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::Operand;
using qrt::fb::OperandKind;

namespace {

/// What a block of sm_90 and sm_100 can have.
constexpr int64_t kMostShared = 227 * 1024;
constexpr int64_t kFewestSlots = 4;
/// Bytes that are on their way to a block: while it multiplies, and while it
/// waits for activations (measured on an H200, docs/adr/0004).
constexpr int64_t kFlying = 68 * 1024, kFlyingAhead = 26 * 1024;
/// Units of small groups, which take as many instructions to scale as larger
/// ones do.
constexpr int64_t kSmallUnitBytes = 256;

} // namespace

int64_t cuda::columnOf(Value buffer) {
  int64_t column = 0;
  while (auto view = buffer.getDefiningOp<krn::ViewOp>()) {
    column += int64_t(view.getColumn());
    buffer = view.getInput();
  }
  return column;
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

size_t PersistentGenerator::wordOf(Operand operand) {
  auto it = llvm::find_if(words, [&](const Operand &other) {
    return other.kind() == operand.kind() &&
           other.tensor() == operand.tensor() &&
           other.offset() == operand.offset();
  });
  if (it == words.end())
    it = words.insert(words.end(), operand);
  return size_t(it - words.begin());
}

std::string PersistentGenerator::address(Value value, int64_t bytes) {
  if (!value)
    return "uint64_t(0)";
  Value root = rootOf(value);
  bytes += columnOf(value) * 4;
  std::string word;
  if (auto it = layerArguments.find(root); it != layerArguments.end()) {
    word = "a.layerWord(" + std::to_string(it->second) + ")";
  } else if (auto buffer = root.getDefiningOp<krn::BufferOp>()) {
    word = "a.word(" + std::to_string(wordOf({OperandKind::Arena, 0, 0})) + ")";
    bytes += int64_t(buffer.getOffset());
  } else if (root.getDefiningOp<krn::LogitsBufferOp>()) {
    word = "a.logits()";
  } else if (auto weight = root.getDefiningOp<krn::WeightOp>()) {
    word = "a.word(" +
           std::to_string(
               wordOf({OperandKind::Tensor, uint32_t(weight.getIndex()), 0})) +
           ")";
  } else {
    throw qrt::Error("a phase reads what nothing wrote");
  }
  return bytes ? word + " + " + std::to_string(bytes) : word;
}

std::string PersistentGenerator::rest(Value buffer) {
  if (!hasRest(buffer))
    return "uint64_t(0)";
  return "a.word(" + std::to_string(wordOf({OperandKind::Arena, 0, 0})) +
         ") + " +
         std::to_string(rests.lookup(rootOf(buffer)) + columnOf(buffer) * 4);
}

std::string PersistentGenerator::vector(Operation *op, Value value) {
  if (value) {
    auto type = cast<qnt::PackedType>(value.getType());
    if (type.getFormat().getValue().code != qrt::Code::F32 ||
        !type.getLayout() || type.getLayout().getValue() != "rows")
      refuse(op, "needs vectors of f32 in layout \"rows\"");
  }
  return address(value);
}

std::string PersistentGenerator::config(const char *name,
                                        const ConfigText &constants) {
  std::string structName =
      name + std::to_string(llvm::StringRef(configs).count("\nstruct "));
  configs += "\nstruct " + structName + " {\n" + constants.text() + "};\n";
  return structName;
}

void PersistentGenerator::call(const std::string &member,
                               const std::string &config,
                               std::initializer_list<std::string> operands) {
  if (member == "gemv" || member == "attention")
    streamed += layers;
  body += indent + "a.template " + member + "<" + config + ">(";
  bool isFirst = true;
  for (const std::string &operand : operands) {
    body += (isFirst ? "" : ", ") + operand;
    isFirst = false;
  }
  body += ");\n";
}

bool PersistentGenerator::mayHaveRest(Value buffer) const {
  bool isSplit = false;
  SmallVector<Value> names = {buffer};
  while (!names.empty()) {
    Value name = names.pop_back_val();
    for (OpOperand &use : name.getUses()) {
      Operation *user = use.getOwner();
      if (auto view = dyn_cast<krn::ViewOp>(user)) {
        names.push_back(view);
      } else if (auto gemm = dyn_cast<krn::GemmOp>(user)) {
        isSplit |= gemm.getOutput() == name && isLinear(gemm);
      } else if (auto append = dyn_cast<krn::RopeAppendOp>(user)) {
        if (!append.getFused())
          return false;
      } else if (auto attention = dyn_cast<krn::AttentionOp>(user)) {
        if (attention.getOutput() == name)
          return false;
      } else if (!isa<krn::StageOp, krn::EmbedOp>(user)) {
        return false;
      }
    }
  }
  return isSplit;
}

void PersistentGenerator::findRests() {
  entry.walk([&](krn::StageOp stage) {
    xBytes = std::max(xBytes, layoutOf(stage.getOutput()).stagedBytes(1));
  });
  arena = krn::roundUp(entry.getArena(), 256);
  entry.walk([&](krn::BufferOp buffer) {
    if (!mayHaveRest(buffer))
      return;
    rests[buffer] = arena;
    arena += krn::roundUp(buffer.getType().getColumns() * 4, 256);
  });
  // Attentions come one after the other and share a room for parts.
  partsAt = arena;
  int64_t partBytes = 0;
  entry.walk([&](krn::AttentionOp op) {
    partBytes = std::max(partBytes, elementsOfPart(op) * 8);
  });
  arena += krn::roundUp(kMostParts * partBytes, 256);
}

void PersistentGenerator::findSlots() {
  int64_t largest = 0, inLayers = 0;
  // Whether all codes take many instructions a byte: those of three bits, and
  // those of small groups.
  bool areBusy = true;
  entry.walk([&](krn::GemmOp gemm) {
    const GemmLayout layout = layoutOf(gemm.getInput());
    const int64_t most =
        layout.unitLines * 64 * persistentUnits(layout, 1 << 20);
    const qrt::Code code =
        gemm.getWeight().getType().getFormat().getValue().code;
    if (isTableCode(code))
      tables.insert(code);
    largest = std::max(largest, most);
    if (!gemm->getParentOfType<krn::RepeatOp>())
      return;
    inLayers = std::max(inLayers, most);
    areBusy &=
        code == qrt::Code::Int3 || layout.unitLines * 64 <= kSmallUnitBytes;
  });
  warpBytes = inLayers ? inLayers : largest;
  isSpread = !tables.empty() && xBytes + kSpreadTableBytes <= kMuchShared;
  if (isSpread || (tables.empty() && inLayers && areBusy))
    consumerWarps = kManyConsumerWarps;
  sumsInTable = isSpread && tables.size() == 1;
  entry.walk([&](krn::AttentionOp op) {
    sumsInTable &= attentionBytes(op, consumerWarps) <= xBytes;
  });
  const bool isFew = !sumsInTable && xBytes + tableBytes() > kMuchShared;
  sumsBytes = (isFew ? kFewSumTiles : kSumTiles) * consumerWarps * 64;
}

//===----------------------------------------------------------------------===//
// Walking the entry
//===----------------------------------------------------------------------===//

void PersistentGenerator::addPhase(Operation *op, const std::string &outer) {
  indent = outer;
  llvm::TypeSwitch<Operation *>(op)
      .Case<krn::BufferOp, krn::ViewOp, krn::LogitsBufferOp, krn::WeightOp>(
          [](auto) {})
      .Case([&](krn::StagedBufferOp buffer) {
        if (!buffer.getPrivate_())
          refuse(op, "is not private to a block");
      })
      .Case([&](krn::RopeAppendOp append) {
        if (!append.getFused())
          refuse(op, "is not fused with its attention");
      })
      .Case([&](krn::RepeatOp repeat) { addRepeat(repeat, outer); })
      .Case([&](krn::BarrierOp barrier) {
        const bool isInLayer = isa<krn::RepeatOp>(barrier->getParentOp());
        if (!tags->isTagged() || !isInLayer)
          body += indent + "a.barrier();\n";
      })
      .Case<krn::EmbedOp, krn::RopeTableOp, krn::StageOp, krn::GemmOp,
            krn::NormOp, krn::RopeOp, krn::AttentionOp>(
          [&](auto phase) { add(phase); })
      .Case([&](krn::ActivationOp phase) {
        addElementwise("Activate", phase.getInput(), phase.getInput(),
                       phase.getOutput(), activationOf(phase.getKind()));
      })
      .Case([&](krn::MulOp phase) {
        addElementwise("Mul", phase.getLhs(), phase.getRhs(), phase.getOutput(),
                       0);
      })
      .Case([&](krn::AddOp phase) {
        addElementwise("Add", phase.getLhs(), phase.getRhs(), phase.getOutput(),
                       0);
      })
      .Default([](Operation *other) {
        refuse(other, "is no phase of a persistent kernel");
      });
}

void PersistentGenerator::addBlock(Block &block, const std::string &outer) {
  for (Operation &op : block)
    addPhase(&op, outer);
}

void PersistentGenerator::addRepeat(krn::RepeatOp op,
                                    const std::string &outer) {
  Block &block = op.getBody().front();
  ArrayRef<int64_t> weights = op.getWeights();
  const size_t arguments = block.getNumArguments();
  if (weights.size() != arguments * size_t(op.getLayers()))
    refuse(op, "has a table of " + std::to_string(weights.size()) + " weights");
  const size_t first = layerWords.size();
  for (int64_t weight : weights)
    layerWords.push_back({OperandKind::Tensor, uint32_t(weight), 0});
  for (size_t i = 0; i < arguments; ++i)
    layerArguments[block.getArgument(unsigned(i))] = i;
  kvOffset = "int64_t(" + std::to_string(op.getKvOffset()) + ") + layer * " +
             std::to_string(op.getKvStride());
  body += outer + "for (int layer = 0; layer < " +
          std::to_string(op.getLayers()) + "; ++layer) {\n" + outer +
          "  a.setLayer(layersAt + " + std::to_string(first) + " + layer * " +
          std::to_string(arguments) + ");\n";
  tags->beginRepeat(int64_t(op.getLayers()));
  layers = int64_t(op.getLayers());
  addBlock(block, outer + "  ");
  layers = 1;
  tags->endRepeat();
  body += outer + "}\n";
  layerArguments.clear();
  kvOffset.assign(1, '0');
}

PersistentUnit PersistentGenerator::run() {
  if (entry.getMaxTokens() != 1)
    throw qrt::Error("steps of " + std::to_string(entry.getMaxTokens()) +
                     " tokens are not one kernel, only steps of 1 are");
  findRests();
  findSlots();
  tags.emplace(entry, [&](krn::GemmOp gemm) { return sharesOf(gemm); });
  addBlock(entry.getBody().front(), "    ");

  xBytes = krn::roundUp(xBytes, 64);
  if (!sumsInTable)
    sumsBytes = std::max(sumsBytes, roomBytes - xBytes);
  const int64_t mapBytes = hasNested ? kMapBytes : 0;
  const int64_t count = int64_t(words.size() + layerWords.size());
  // The order of kernels/persistent.cuh's Places.
  // Chunks for a full ring, and two for phases that end within one.
  auto chunksWith = [&](int64_t slots) {
    return chunkBytes
               ? std::min<int64_t>(
                     (slots + leastChunkSlots - 1) / leastChunkSlots + 2, 32)
               : 0;
  };
  auto bytesWith = [&](int64_t slots) {
    int64_t at = 16 * slots + 16 + 2 * 4 * 32;
    at = krn::roundUp(at + 8 * int64_t(streams.size()), 16) +
         int64_t(sizeof(qrt_cuda_inline_step));
    at = krn::roundUp(at + 8 * count, 128) + xBytes;
    return krn::roundUp(at + sumsRoom(), 128) + mapBytes + tableBytes() +
           chunksWith(slots) * chunkBytes + slots * slotBytes + kBehindRing;
  };
  int64_t slots = kFewestSlots;
  if (slotBytes == 0 || bytesWith(slots) > kMostShared)
    throw qrt::Error("activations of " + std::to_string(xBytes) +
                     " bytes leave too little shared memory for weights");
  while (slots < 64 && bytesWith(slots + 1) <= kMostShared)
    ++slots;
  ConfigText plan;
  plan.integer("slots", slots);
  plan.integer("slotBytes", slotBytes);
  plan.integer("chunks", chunksWith(slots));
  plan.integer("chunkBytes", chunkBytes);
  plan.integer("flying", std::clamp<int64_t>(kFlying / slotBytes, 2, slots));
  plan.integer("flyingAhead",
               std::clamp<int64_t>(kFlyingAhead / slotBytes, 1, slots));
  plan.integer("streams", int64_t(streams.size()));
  plan.integer("words", count);
  plan.integer("barriers", tags->barriers());
  plan.integer("streamed", streamed);
  plan.integer("xBytes", xBytes);
  plan.integer("sumsBytes", sumsRoom());
  plan.integer("mapBytes", mapBytes);
  plan.flag("isSpread", isSpread);
  plan.flag("sumsInTable", sumsInTable);
  plan.flag("hasNF4", tables.contains(qrt::Code::NF4));
  plan.flag("hasFP4", tables.contains(qrt::Code::FP4));
  plan.integer("sharedBytes", bytesWith(slots));

  PersistentUnit result;
  result.arenaBytes = uint64_t(arena);
  result.unit.function = function;
  const std::string warps = std::to_string(consumerWarps),
                    threads = std::to_string(consumers() + 32);
  result.unit.source =
      "#define QCC_CONSUMER_WARPS " + warps +
      "\n#include \"codegen/cuda/kernels/persistent_kernel.cuh\"\n\nnamespace "
      "{\nconstexpr int layersAt = " +
      std::to_string(words.size()) + ";\n\nstruct Plan {\n" + plan.text() +
      "};\n" + configs +
      "\nstruct Program {\n  template <class Actor>\n  static __device__ "
      "__forceinline__ void run(Actor &a) {\n" +
      body +
      "  }\n};\n} // namespace\n\nextern \"C\" __global__ void "
      "__launch_bounds__(" +
      threads + ", 1)\n" + function +
      "(const __grid_constant__ qcc::cuda::InlineStep step,\n    const "
      "__grid_constant__ qcc::cuda::Args args) {\n  extern __shared__ "
      "__align__(128) char "
      "shared[];\n  qcc::cuda::Persistent<Plan, Program>::run(step, args, "
      "shared);\n}\n";
  qrt::fb::LaunchT &launch = result.launch;
  launch.threads = uint32_t(consumers() + 32);
  launch.shared_bytes = uint32_t(bytesWith(slots));
  launch.per_sm = 1;
  launch.cooperative = true;
  launch.operands = {Operand(OperandKind::Table, 0, 0),
                     Operand(OperandKind::Cuts, 0, 0),
                     Operand(OperandKind::Sync, 0, 0)};
  launch.table = words;
  launch.table.insert(launch.table.end(), layerWords.begin(), layerWords.end());
  launch.streams = std::move(streams);
  return result;
}

bool cuda::hasPersistentKernels(llvm::StringRef architecture) {
  return architecture == "sm_90" || architecture == "sm_100" ||
         architecture == "compute_90";
}

PersistentUnit cuda::generatePersistent(krn::EntryOp entry,
                                        const std::string &function) {
  return PersistentGenerator(entry, function).run();
}
