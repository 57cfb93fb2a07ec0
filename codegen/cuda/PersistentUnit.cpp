//===- PersistentUnit.cpp - A step as one kernel --------------------------===//

#include "codegen/cuda/PersistentUnit.h"

#include "codegen/cpu/WeightPlanes.h"
#include "codegen/cuda/ConfigText.h"
#include "codegen/cuda/PersistentTags.h"
#include "codegen/cuda/Phases.h"
#include "codegen/cuda/kernels/Layout.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
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
/// Where sums of tiles meet: 32 tiles of one token.
constexpr int64_t kSumsBytes = 32 * kConsumerWarps * 64;
constexpr int64_t kFewestSlots = 4;
/// Scales of one copy: about so many bytes, of at most so many slots.
constexpr int64_t kChunkBytes = 4096, kMostChunkSlots = 8;
/// Elements of a row that a consumer holds while it stages, at most.
constexpr int64_t kMostStaged = 96, kMostInTwoParts = 32;
/// Bytes that are on their way to a block: while it multiplies, and while it
/// waits for activations (measured on an H200, docs/adr/0004).
constexpr int64_t kFlying = 68 * 1024, kFlyingAhead = 26 * 1024;

int64_t columnOf(Value buffer) {
  int64_t column = 0;
  while (auto view = buffer.getDefiningOp<krn::ViewOp>()) {
    column += int64_t(view.getColumn());
    buffer = view.getInput();
  }
  return column;
}
/// Bytes into the arena.
int64_t offsetOf(Value buffer) {
  return int64_t(
             cast<krn::BufferOp>(rootOf(buffer).getDefiningOp()).getOffset()) +
         columnOf(buffer) * 4;
}

class Generator {
public:
  Generator(krn::EntryOp entry, std::string function)
      : entry(entry), tokens(entry.getMaxTokens()),
        function(std::move(function)) {}

  PersistentUnit run();

private:
  void addBlock(Block &block, const std::string &indent);
  void addPhase(Operation *op, const std::string &indent);
  void addRepeat(krn::RepeatOp op, const std::string &indent);
  void add(krn::StageOp op);
  void add(krn::GemmOp op);
  void add(krn::AttentionOp op);
  void add(krn::EmbedOp op);
  void add(krn::RopeTableOp op);
  void add(krn::NormOp op);
  void add(krn::RopeOp op);
  void addElementwise(const char *kind, Value a, Value b, Value output,
                      int activation);

  /// Finds the buffers whose rows may lie in two parts, and the largest room
  /// for activations.
  void findRests();
  bool mayHaveRest(Value buffer) const;
  bool canSplit(krn::GemmOp gemm) const;
  /// Of a weight in slots: copies that begin at a line of 128 bytes are the
  /// fast ones.
  static int64_t alignment(int64_t unitBytes, int64_t scaleLine);
  int64_t sharesOf(krn::GemmOp gemm) const;
  bool hasRest(Value buffer) const {
    return buffer && rests.count(rootOf(buffer));
  }
  static bool isLinear(krn::GemmOp gemm) {
    return !gemm.getGlu() && !gemm.getGather() &&
           (!gemm.getActivation() ||
            *gemm.getActivation() == tfm::Activation::None);
  }

  /// The number of an operand in the table.
  size_t wordOf(Operand operand);
  /// C++ for the address of a buffer or of a weight's data, or 0.
  std::string address(Value value, int64_t bytes = 0);
  std::string rest(Value buffer);
  std::string vector(Operation *op, Value value);
  /// Adds a struct of constants; its name.
  std::string config(const char *name, const ConfigText &constants);
  /// Adds a call of the program.
  void call(const std::string &member, const std::string &config,
            std::initializer_list<std::string> operands);

  krn::EntryOp entry;
  int64_t tokens;
  std::string function;

  std::string configs, body, indent;
  std::vector<Operand> words, layerWords;
  std::vector<std::unique_ptr<qrt::fb::StreamT>> streams;
  llvm::DenseMap<Value, int64_t> rests; ///< bytes into the arena
  std::optional<PersistentTags> tags;
  /// Of a repeat's arguments, while it is generated.
  llvm::DenseMap<Value, size_t> layerArguments;
  std::string kvOffset = "0";
  int64_t arena = 0, xBytes = 0, slotBytes = 0, roomBytes = 0;
  int64_t chunkBytes = 0, leastChunkSlots = kMostChunkSlots;
  int64_t counters = 0, partialBytes = 0;
};

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

size_t Generator::wordOf(Operand operand) {
  auto it = llvm::find_if(words, [&](const Operand &other) {
    return other.kind() == operand.kind() &&
           other.tensor() == operand.tensor() &&
           other.offset() == operand.offset();
  });
  if (it == words.end())
    it = words.insert(words.end(), operand);
  return size_t(it - words.begin());
}

std::string Generator::address(Value value, int64_t bytes) {
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
    word =
        "a.word(" + std::to_string(wordOf({OperandKind::Logits, 0, 0})) + ")";
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

std::string Generator::rest(Value buffer) {
  if (!hasRest(buffer))
    return "uint64_t(0)";
  return "a.word(" + std::to_string(wordOf({OperandKind::Arena, 0, 0})) +
         ") + " +
         std::to_string(rests.lookup(rootOf(buffer)) + columnOf(buffer) * 4);
}

std::string Generator::vector(Operation *op, Value value) {
  if (value) {
    auto type = cast<qnt::PackedType>(value.getType());
    if (type.getFormat().getValue().code != qrt::Code::F32 ||
        !type.getLayout() || type.getLayout().getValue() != "rows")
      refuse(op, "needs vectors of f32 in layout \"rows\"");
  }
  return address(value);
}

std::string Generator::config(const char *name, const ConfigText &constants) {
  std::string structName =
      name + std::to_string(llvm::StringRef(configs).count("\nstruct "));
  configs += "\nstruct " + structName + " {\n" + constants.text() + "};\n";
  return structName;
}

void Generator::call(const std::string &member, const std::string &config,
                     std::initializer_list<std::string> operands) {
  body += indent + "a.template " + member + "<" + config + ">(";
  bool isFirst = true;
  for (const std::string &operand : operands) {
    body += (isFirst ? "" : ", ") + operand;
    isFirst = false;
  }
  body += ");\n";
}

bool Generator::mayHaveRest(Value buffer) const {
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

void Generator::findRests() {
  entry.walk([&](krn::StageOp stage) {
    krn::StagedType type = stage.getOutput().getType();
    xBytes = std::max(xBytes, gemmLayout(int(type.getBits()), type.getColumns(),
                                         type.getGroup(), true)
                                  .stagedBytes(tokens));
  });
  arena = krn::roundUp(entry.getArena(), 256);
  entry.walk([&](krn::BufferOp buffer) {
    if (!mayHaveRest(buffer))
      return;
    rests[buffer] = arena;
    arena += krn::roundUp(tokens * buffer.getType().getColumns() * 4, 256);
  });
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

void Generator::add(krn::StageOp op) {
  krn::StagedType staged = op.getOutput().getType();
  std::optional<qrt::Code> code;
  bool needsSums = false, isTable = false;
  for (Operation *user : op.getOutput().getUsers())
    if (auto gemm = dyn_cast<krn::GemmOp>(user)) {
      const qrt::Format &format =
          gemm.getWeight().getType().getFormat().getValue();
      code = format.code;
      needsSums |= format.zero;
      isTable |= format.isQuantized() && !qrt::isIntCode(format.code);
    }
  if (!code)
    refuse(op, "stages what no gemm reads");
  if (op.getOrder())
    refuse(op, "has elements in another order, which one kernel does not take");
  const bool isFloat = staged.getActivations() != "i16";
  GemmLayout layout = gemmLayout(int(staged.getBits()), staged.getColumns(),
                                 staged.getGroup(), /*hasSmallUnits=*/true);
  if (layout.rowBlocks * (isFloat ? 4 : 8) >
      kMostStaged * (kPersistentThreads - 32))
    refuse(op, "has rows of " + std::to_string(staged.getColumns()) +
                   " elements, too many for one kernel");
  ConfigText c = rowConstants(op, *code, isFloat);
  c.flag("hasRest", hasRest(op.getInput()));
  c.flag("isTagged", tags->isTagged(op.getInput()));
  c.integer("maxTokens", tokens);
  c.integer("units", layout.units);
  c.integer("unitElements", layout.unitElements);
  c.integer("unitBlocks", layout.unitBlocks);
  c.integer("rowBlocks", layout.rowBlocks);
  c.integer("group", layout.group);
  c.integer("paddedGroup", layout.paddedGroup);
  int64_t elements = layout.rowBlocks * (isFloat ? 4 : 8);
  c.flag("isPadded", elements != staged.getColumns());
  c.flag("isTable", isTable);
  c.flag("needsSums", needsSums);
  c.integer("sumsAt", layout.sumsAt(tokens));
  c.integer("scalesAt", layout.scalesAt(tokens));
  call("stage", config("Stage", c),
       {address(op.getInput()), rest(op.getInput()),
        vector(op, op.getNormWeight()), vector(op, op.getNormBias()),
        tags->read(op.getInput())});
}

void Generator::add(krn::GemmOp op) {
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  if (format.code == qrt::Code::F32 || !weight.getLayout() ||
      weight.getLayout().getValue() != "t16" || format.flattened)
    refuse(op, "has a weight in a format or layout without CUDA kernels");
  if (op.getMultiplier().convertToFloat() != 1 ||
      op.getSoftCap().convertToFloat() != 0)
    refuse(op, "scales or caps its result, which one kernel does not");
  krn::StagedType staged = op.getInput().getType();
  const int bits = format.codeBits();
  GemmLayout layout = gemmLayout(bits, weight.getColumns(), staged.getGroup(),
                                 /*hasSmallUnits=*/true);
  const int64_t tiles = (weight.getRows() + 15) / 16;
  const int64_t unitBytes = layout.unitLines * 64;
  const int64_t perWarp = persistentUnits(unitBytes, layout.units),
                slotUnits = perWarp * kConsumerWarps;
  if (tiles * layout.units >= int64_t(1) << 31 ||
      slotUnits * layout.tileBytes >= int64_t(1) << 31)
    refuse(op, "has a weight of " + std::to_string(weight.getRows()) +
                   " rows, too many for a CUDA kernel");
  const int64_t scaleLine =
      format.isQuantized() ? 16 * qrt::scaleTypeBytes(format.scale) : 0;
  const int64_t zeroLine = format.zero ? 16 : 0;
  slotBytes = std::max(slotBytes, krn::roundUp(slotUnits * unitBytes, 128));
  // Scales of so many slots are one copy; `lines` of them at most.
  const int64_t chunkSlots =
      std::clamp<int64_t>(kChunkBytes * layout.unitsPerGroup /
                              std::max<int64_t>(slotUnits * scaleLine, 1),
                          1, kMostChunkSlots);
  const int64_t chunkUnits = chunkSlots * slotUnits;
  const int64_t lines =
      layout.unitsPerGroup == 1
          ? chunkUnits
          : std::min(chunkUnits, chunkUnits / layout.unitsPerGroup +
                                     2 * (chunkUnits / layout.units + 2));
  const int64_t zerosAt = krn::roundUp(lines * scaleLine, 128);
  if (scaleLine) {
    chunkBytes =
        std::max(chunkBytes, zerosAt + krn::roundUp(lines * zeroLine, 128));
    leastChunkSlots = std::min(leastChunkSlots, chunkSlots);
  }

  ConfigText c;
  c.integer("code", codeOf(format.code));
  c.integer("stream", int64_t(streams.size()));
  c.integer("rows", weight.getRows());
  c.integer("unitLines", layout.unitLines);
  c.integer("lastLines", layout.lastLines);
  c.integer("unitBytes", unitBytes);
  c.integer("unitsPerRow", layout.units);
  c.integer("unitsPerGroup", layout.unitsPerGroup);
  c.integer("groups", layout.groups);
  c.integer("unitBlocks", layout.unitBlocks);
  c.integer("rowBlocks", layout.rowBlocks);
  c.integer("tileBytes", layout.tileBytes);
  c.integer("perWarp", perWarp);
  c.integer("slotUnits", slotUnits);
  c.integer("scaleLine", scaleLine);
  c.integer("chunkSlots", chunkSlots);
  c.integer("zeroLine", zeroLine);
  c.integer("zerosAt", zerosAt);
  c.integer("sumsAt", layout.sumsAt(tokens));
  c.integer("xScalesAt", layout.scalesAt(tokens));
  c.integer("scaleType", elementOf(format.scale));
  c.flag("hasZero", format.zero);
  c.integer("defaultZero", qrt::defaultZero(format.code));
  c.integer("maxTokens", tokens);
  c.integer("roundTiles", kSumsBytes / (kConsumerWarps * 64 * tokens) / 2 * 2);
  c.flag("gather", op.getGather());
  c.flag("hasBias", bool(op.getBias()));
  c.integer("activation",
            op.getActivation() ? activationOf(*op.getActivation()) : 0);
  c.flag("glu", op.getGlu());
  c.flag("canSplit", canSplit(op));
  c.flag("hasRest", hasRest(op.getOutput()));
  c.flag("hasResidual", bool(op.getResidual()));
  c.flag("residualHasRest", hasRest(op.getResidual()));
  c.flag("isResidualTagged", tags->isTagged(op.getResidual()));
  c.flag("isOutputTagged", tags->isTagged(op.getOutput()));
  c.integer("residualStride",
            op.getResidual() ? strideOf(op.getResidual()) : 0);
  c.integer("outputStride", strideOf(op.getOutput()));

  auto stream = std::make_unique<qrt::fb::StreamT>();
  stream->tiles = uint32_t(tiles);
  stream->units = uint32_t(layout.units);
  stream->item_tiles = op.getGlu() ? 2 : 1;
  stream->can_split = canSplit(op);
  stream->align = uint32_t(alignment(unitBytes, scaleLine));
  streams.push_back(std::move(stream));

  cpu::WeightPlanes planes = cpu::weightPlanes(weight);
  const Value data = op.getWeight();
  const std::string residualTag = tags->read(op.getResidual());
  call("gemv", config("Gemv", c),
       {address(data),
        planes.scales ? address(data, *planes.scales) : address({}),
        planes.zeros ? address(data, *planes.zeros) : address({}),
        vector(op, op.getBias()), address(op.getResidual()),
        rest(op.getResidual()), address(op.getOutput()), rest(op.getOutput()),
        residualTag, tags->write(op.getOutput())});
}

bool Generator::canSplit(krn::GemmOp gemm) const {
  const bool isInPlace = gemm.getResidual() &&
                         rootOf(gemm.getResidual()) == rootOf(gemm.getOutput());
  return isLinear(gemm) && hasRest(gemm.getOutput()) && !isInPlace;
}

int64_t Generator::alignment(int64_t unitBytes, int64_t scaleLine) {
  int64_t align = 1;
  while (align < 8 && (align * unitBytes % 128 || align * scaleLine % 128))
    align *= 2;
  return align;
}

int64_t Generator::sharesOf(krn::GemmOp gemm) const {
  qnt::PackedType weight = gemm.getWeight().getType();
  const int64_t tiles = (weight.getRows() + 15) / 16;
  // A thread that waits for a row in two parts holds both.
  if (hasRest(gemm.getOutput()) &&
      weight.getRows() > kMostInTwoParts * kConsumerWarps * 32)
    return 0;
  if (!canSplit(gemm))
    return tiles / (gemm.getGlu() ? 2 : 1);
  const qrt::Format &format = weight.getFormat().getValue();
  const GemmLayout layout =
      gemmLayout(format.codeBits(), weight.getColumns(),
                 gemm.getInput().getType().getGroup(), /*hasSmallUnits=*/true);
  constexpr int64_t mostAlignment = 8;
  return tiles * layout.units / mostAlignment;
}

void Generator::add(krn::AttentionOp op) {
  auto append = dyn_cast_or_null<krn::RopeAppendOp>(op->getPrevNode());
  if (!append || !append.getFused() ||
      rootOf(append.getQuery()) != rootOf(op.getQuery()))
    refuse(op, "follows no fused rope_append");
  if (op.getBf16Bias())
    refuse(op, "rounds its biases, which one kernel does not");
  auto cache = cast<tfm::CacheType>(op.getCache());
  if ((!cache.getElement().isF16() && !cache.getElement().isBF16()) ||
      cache.getDim() % 8 || cache.getDim() > 128)
    refuse(op, "has heads of " + std::to_string(cache.getDim()) +
                   " dimensions; one kernel takes multiples of 8 up to 128, "
                   "in f16 or bf16");
  const int64_t heads = op.getHeads(), kvHeads = cache.getHeads(),
                dim = cache.getDim(), group = heads / kvHeads,
                liveRows = std::min<int64_t>(group, 16);
  ConfigText c;
  c.integer("heads", heads);
  c.integer("kvHeads", kvHeads);
  c.integer("headDim", dim);
  c.integer("qStride", strideOf(append.getQuery()));
  c.integer("kStride", strideOf(append.getKey()));
  c.integer("vStride", strideOf(append.getValue()));
  c.integer("outputStride", strideOf(op.getOutput()));
  c.integer("rotary", append.getRotary());
  c.flag("isInterleaved", append.getInterleaved());
  c.integer("window", cache.getWindow());
  c.flag("kvIsBfloat", cache.getElement().isBF16());
  c.flag("alibi", bool(op.getSlopes()));
  c.real("scale", op.getScale().convertToFloat());
  c.real("softCap", op.getSoftCap().convertToFloat());
  c.flag("normQk", bool(append.getQNorm()));
  c.real("epsilon", append.getEps().convertToFloat());
  c.real("normOffset", append.getNormOffset().convertToFloat());
  c.integer("splits", 1);
  const bool isSplit = hasRest(append.getQuery());
  if (hasRest(append.getKey()) != isSplit ||
      hasRest(append.getValue()) != isSplit)
    refuse(op, "has q, k and v of different kinds");
  c.flag("hasRest", isSplit);
  c.flag("isTagged", tags->isTagged(op.getOutput()));
  // As many warps as have room for their results.
  const int64_t query = krn::roundUp(16 * (dim + 8) * 2, 16),
                each = liveRows * (dim + 2) * 4,
                room = krn::roundUp(xBytes, 64) + kSumsBytes;
  const int64_t warps =
      std::clamp<int64_t>((room - query) / each, 4, kConsumerWarps);
  roomBytes = std::max(roomBytes, query + warps * each);
  c.integer("warps", warps);
  c.integer("roomBytes", query + warps * each);
  const int64_t rowBlocks = tokens * kvHeads * ((group + 15) / 16);
  counters = std::max(counters, rowBlocks);
  partialBytes = std::max(partialBytes, each);
  auto place = [&](const char *name, Value value) {
    c.integer(name, value ? offsetOf(value) : 0);
  };
  place("qAt", append.getQuery());
  place("kAt", append.getKey());
  place("vAt", append.getValue());
  place("tableAt", append.getTable());
  place("outputAt", op.getOutput());
  for (auto [name, value] : {std::pair("qRestAt", append.getQuery()),
                             std::pair("kRestAt", append.getKey()),
                             std::pair("vRestAt", append.getValue())})
    c.integer(name,
              isSplit ? rests.lookup(rootOf(value)) + columnOf(value) * 4 : 0);
  const std::string tag = tags->read(append.getQuery());
  call("attention", config("Attention", c),
       {"a.word(" + std::to_string(wordOf({OperandKind::Arena, 0, 0})) + ")",
        vector(op, append.getQNorm()), vector(op, append.getKNorm()),
        vector(op, op.getSlopes()), kvOffset, tag,
        tags->write(op.getOutput())});
}

void Generator::add(krn::EmbedOp op) {
  if (op.getPositions())
    refuse(op, "reads rows by position, which one kernel does not");
  ConfigText c = embedConstants(op);
  c.flag("hasRest", hasRest(op.getOutput()));
  c.flag("isTagged", tags->isTagged(op.getOutput()));
  call("phase", "qcc::cuda::PersistentEmbed<" + config("Embed", c) + ">",
       {address(op.getTable()), address(op.getOutput()), rest(op.getOutput()),
        tags->write(op.getOutput())});
}

void Generator::add(krn::RopeTableOp op) {
  if (op.getLengthScaling())
    refuse(op, "depends on the sequence's length, which one kernel does not "
               "know");
  ConfigText c;
  c.integer("half", op.getFrequencies().getType().getColumns());
  c.real("attentionFactor", op.getAttentionFactor().convertToFloat());
  call("phase",
       "qcc::cuda::PersistentRopeTable<" + config("RopeTable", c) + ">",
       {vector(op, op.getFrequencies()), address(op.getOutput())});
}

void Generator::add(krn::NormOp op) {
  ConfigText c;
  int64_t heads = op.getHeads();
  if (heads > 1 &&
      op.getWeight().getType().getColumns() ==
          cast<krn::BufferType>(op.getInput().getType()).getColumns())
    refuse(op, "has a weight for each slice, which one kernel does not read");
  c.integer("heads", heads);
  c.integer("columns",
            cast<krn::BufferType>(op.getInput().getType()).getColumns() /
                heads);
  c.integer("inputStride", strideOf(op.getInput()));
  c.integer("outputStride", strideOf(op.getOutput()));
  c.integer("norm", normOf(op.getNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
  c.flag("hasBias", bool(op.getBias()));
  call("phase", "qcc::cuda::PersistentNorm<" + config("Norm", c) + ">",
       {address(op.getInput()), vector(op, op.getWeight()),
        vector(op, op.getBias()), address(op.getOutput())});
}

void Generator::add(krn::RopeOp op) {
  if (strideOf(op.getInput()) != strideOf(op.getOutput()))
    refuse(op, "reads and writes rows of different strides");
  ConfigText c;
  c.integer("heads", op.getHeads());
  c.integer("headDim",
            cast<krn::BufferType>(op.getInput().getType()).getColumns() /
                int64_t(op.getHeads()));
  c.integer("rotary", op.getRotary());
  c.flag("isInterleaved", op.getInterleaved());
  c.integer("qStride", strideOf(op.getInput()));
  call("phase", "qcc::cuda::PersistentRope<" + config("Rope", c) + ">",
       {address(op.getInput()), address(op.getTable()),
        address(op.getOutput())});
}

void Generator::addElementwise(const char *kind, Value a, Value b, Value output,
                               int activation) {
  ConfigText c;
  c.integer("columns", cast<krn::BufferType>(output.getType()).getColumns());
  c.integer("aStride", strideOf(a));
  c.integer("bStride", strideOf(b));
  c.integer("outputStride", strideOf(output));
  c.integer("activation", activation);
  c.value("kind", std::string("qcc::cuda::Elementwise") + kind);
  call("phase",
       "qcc::cuda::PersistentElementwise<" + config("Elementwise", c) + ">",
       {address(a), address(b), address(output)});
}

//===----------------------------------------------------------------------===//
// Walking the entry
//===----------------------------------------------------------------------===//

void Generator::addPhase(Operation *op, const std::string &outer) {
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

void Generator::addBlock(Block &block, const std::string &outer) {
  for (Operation &op : block)
    addPhase(&op, outer);
}

void Generator::addRepeat(krn::RepeatOp op, const std::string &outer) {
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
  addBlock(block, outer + "  ");
  tags->endRepeat();
  body += outer + "}\n";
  layerArguments.clear();
  kvOffset = "0";
}

PersistentUnit Generator::run() {
  findRests();
  tags.emplace(entry, [&](krn::GemmOp gemm) { return sharesOf(gemm); });
  addBlock(entry.getBody().front(), "    ");

  xBytes = krn::roundUp(xBytes, 64);
  const int64_t sumsBytes = std::max(kSumsBytes, roomBytes - xBytes);
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
    at = krn::roundUp(at + 8 * int64_t(streams.size()), 16);
    at = krn::roundUp(at + 8 * count, 128) + xBytes;
    return krn::roundUp(at + sumsBytes, 128) + chunksWith(slots) * chunkBytes +
           slots * slotBytes;
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
  plan.integer("xBytes", xBytes);
  plan.integer("sumsBytes", sumsBytes);
  plan.integer("sharedBytes", bytesWith(slots));

  PersistentUnit result;
  result.arenaBytes = uint64_t(arena);
  result.unit.function = function;
  result.unit.source =
      "#include \"codegen/cuda/kernels/persistent_gemv.cuh\"\n\nnamespace "
      "{\nconstexpr int layersAt = " +
      std::to_string(words.size()) + ";\n\nstruct Plan {\n" + plan.text() +
      "};\n" + configs +
      "\nstruct Program {\n  template <class Actor>\n  static __device__ "
      "__forceinline__ void run(Actor &a) {\n" +
      body +
      "  }\n};\n} // namespace\n\nextern \"C\" __global__ void "
      "__launch_bounds__(" +
      std::to_string(kPersistentThreads) + ", 1)\n" + function +
      "(const qcc::cuda::Step *step,\n    const __grid_constant__ "
      "qcc::cuda::Args args) {\n  extern __shared__ __align__(128) char "
      "shared[];\n  qcc::cuda::Persistent<Plan, Program>::run(step, args, "
      "shared);\n}\n";
  qrt::fb::LaunchT &launch = result.launch;
  launch.threads = uint32_t(kPersistentThreads);
  launch.shared_bytes = uint32_t(bytesWith(slots));
  launch.per_sm = 1;
  launch.cooperative = true;
  launch.counters = uint32_t(counters);
  launch.partial_bytes = uint64_t(partialBytes);
  launch.operands = {
      Operand(OperandKind::Table, 0, 0), Operand(OperandKind::Cuts, 0, 0),
      Operand(OperandKind::Sync, 0, 0), Operand(OperandKind::Counters, 0, 0),
      Operand(OperandKind::Partials, 0, 0)};
  launch.table = words;
  launch.table.insert(launch.table.end(), layerWords.begin(), layerWords.end());
  launch.streams = std::move(streams);
  return result;
}

} // namespace

bool cuda::hasPersistentKernels(llvm::StringRef architecture) {
  return architecture == "sm_90" || architecture == "sm_100" ||
         architecture == "compute_90";
}

PersistentUnit cuda::generatePersistent(krn::EntryOp entry,
                                        const std::string &function) {
  return Generator(entry, function).run();
}
