//===- PersistentPhases.cpp - The phases of a step as one kernel ----------===//

#include "codegen/cpu/WeightPlanes.h"
#include "codegen/cuda/PersistentGenerator.h"
#include "runtime/abi/cuda_abi.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::OperandKind;

namespace {

/// What a block streams while another one attends to a short context.
constexpr int64_t kAttentionBytes = 128 * 1024;
/// Scales of one copy: about so many bytes.
constexpr int64_t kChunkBytes = 4096;
/// Elements of a row that a consumer holds while it stages, at most.
constexpr int64_t kMostStaged = 96, kMostInTwoParts = 32;

/// Bytes into the arena.
int64_t offsetOf(Value buffer) {
  return int64_t(
             cast<krn::BufferOp>(rootOf(buffer).getDefiningOp()).getOffset()) +
         columnOf(buffer) * 4;
}

} // namespace

GemmLayout PersistentGenerator::layoutOf(Value staged) {
  auto type = cast<krn::StagedType>(staged.getType());
  bool isTable = false;
  for (Operation *user : staged.getUsers())
    if (auto gemm = dyn_cast<krn::GemmOp>(user))
      isTable |=
          isTableCode(gemm.getWeight().getType().getFormat().getValue().code);
  return persistentLayout(int(type.getBits()), type.getColumns(),
                          type.getGroup(), isTable);
}

void PersistentGenerator::add(krn::StageOp op) {
  krn::StagedType staged = op.getOutput().getType();
  std::optional<qrt::Code> code;
  bool needsSums = false;
  for (Operation *user : op.getOutput().getUsers())
    if (auto gemm = dyn_cast<krn::GemmOp>(user)) {
      const qrt::Format &format =
          gemm.getWeight().getType().getFormat().getValue();
      if (code && isTableCode(*code) != isTableCode(format.code))
        refuse(op, "is read by weights that want their activations in "
                   "different ways");
      code = format.code;
      needsSums |= format.zero;
    }
  if (!code)
    refuse(op, "stages what no gemm reads");
  const bool isFloat = staged.getActivations() != "i16";
  GemmLayout layout = layoutOf(op.getOutput());
  if (layout.rowBlocks * (isFloat ? 4 : 8) > kMostStaged * consumers())
    refuse(op, "has rows of " + std::to_string(staged.getColumns()) +
                   " elements, too many for one kernel");
  ConfigText c = rowConstants(op, *code, isFloat);
  c.flag("hasRest", hasRest(op.getInput()));
  c.flag("isTagged", tags->isTagged(op.getInput()));
  c.integer("units", layout.units);
  c.integer("unitElements", layout.unitElements);
  c.integer("unitBlocks", layout.unitBlocks);
  c.integer("rowBlocks", layout.rowBlocks);
  c.integer("group", layout.group);
  c.integer("paddedGroup", layout.paddedGroup);
  int64_t elements = layout.rowBlocks * (isFloat ? 4 : 8);
  c.flag("isPadded", elements != staged.getColumns());
  c.flag("isTable", isTableCode(*code));
  c.flag("needsSums", needsSums || layout.isUnsigned);
  c.integer("codeFactor", layout.codeFactor);
  c.integer("laneBlocks", layout.laneBlocks());
  c.flag("isPaired", layout.isPaired);
  c.flag("isUnsigned", layout.isUnsigned);
  c.integer("sumsAt", layout.sumsAt(1));
  c.integer("scalesAt", layout.scalesAt(1));
  call("stage", config("Stage", c),
       {address(op.getInput()), rest(op.getInput()),
        vector(op, op.getNormWeight()), vector(op, op.getNormBias()),
        vector(op, op.getOrder()), tags->read(op.getInput())});
}

void PersistentGenerator::add(krn::GemmOp op) {
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  if (format.code == qrt::Code::F32 || !weight.getLayout() ||
      weight.getLayout().getValue() != "t16" || format.flattened)
    refuse(op, "has a weight in a format or layout without CUDA kernels");
  if (op.getMultiplier().convertToFloat() != 1 ||
      op.getSoftCap().convertToFloat() != 0)
    refuse(op, "scales or caps its result, which one kernel does not");
  GemmLayout layout = layoutOf(op.getInput());
  const int64_t tiles = (weight.getRows() + 15) / 16;
  const int64_t unitBytes = layout.unitLines * 64;
  const int64_t perWarp = persistentUnits(layout, warpBytes),
                slotUnits = perWarp * consumerWarps;
  if (tiles * layout.units >= int64_t(1) << 31 ||
      slotUnits * layout.tileBytes >= int64_t(1) << 31)
    refuse(op, "has a weight of " + std::to_string(weight.getRows()) +
                   " rows, too many for a CUDA kernel");
  const int64_t scaleLine =
      format.isQuantized() ? 16 * qrt::scaleTypeBytes(format.scale) : 0;
  const int64_t zeroLine = format.zero ? 16 : 0;
  const int64_t nestedTileBytes =
      format.nested ? krn::nestedTileBytes(layout.groups, format.nested) : 0;
  hasNested |= format.nested != 0;
  slotBytes = std::max(slotBytes, krn::roundUp(slotUnits * unitBytes, 128));
  // Scales of so many slots are one copy; `lines` of them at most. A spread
  // table leaves room for another slot if chunks are small.
  const int64_t chunkSlots =
      std::clamp<int64_t>(kChunkBytes * layout.unitsPerGroup /
                              std::max<int64_t>(slotUnits * scaleLine, 1),
                          1, isSpread ? 1 : kMostChunkSlots);
  const int64_t chunkUnits = chunkSlots * slotUnits;
  const int64_t lines =
      layout.unitsPerGroup == 1
          ? chunkUnits
          : std::min(chunkUnits, chunkUnits / layout.unitsPerGroup +
                                     2 * (chunkUnits / layout.units + 2));
  const int64_t zerosAt = krn::roundUp(lines * scaleLine, 128);
  if (scaleLine) {
    // Nested scales are those of all tiles that the units may be of.
    const int64_t chunkTiles =
        (chunkUnits + layout.units - 2) / layout.units + 1;
    chunkBytes = std::max(
        chunkBytes,
        zerosAt +
            krn::roundUp(lines * zeroLine + chunkTiles * nestedTileBytes, 128));
    leastChunkSlots = std::min(leastChunkSlots, chunkSlots);
  }

  ConfigText c;
  c.integer("code", codeOf(format.code));
  c.integer("stream", int64_t(streams.size()));
  c.integer("rows", weight.getRows());
  addUnits(c, layout);
  c.integer("unitBytes", unitBytes);
  c.integer("perWarp", perWarp);
  c.integer("stepUnits", layout.stepUnits);
  c.integer("codeFactor", layout.codeFactor);
  c.flag("isPaired", layout.isPaired);
  c.flag("isUnsigned", layout.isUnsigned);
  c.integer("slotUnits", slotUnits);
  const int64_t align = alignment(unitBytes, scaleLine);
  c.flag("isEven", layout.units % perWarp == 0 &&
                       (!canSplit(op) || align % perWarp == 0));
  c.integer("scaleLine", scaleLine);
  c.integer("chunkSlots", chunkSlots);
  c.integer("zeroLine", zeroLine);
  c.integer("nested", format.nested);
  c.integer("nestedTileBytes", nestedTileBytes);
  c.integer("zerosAt", zerosAt);
  c.integer("sumsAt", layout.sumsAt(1));
  c.integer("xScalesAt", layout.scalesAt(1));
  c.integer("scaleType", elementOf(format.scale));
  c.flag("hasZero", format.zero);
  c.flag("hasSums", format.zero || layout.isUnsigned);
  c.integer("defaultZero", qrt::defaultZero(format.code));
  c.integer("roundTiles", sumsBytes / (consumerWarps * 64) / 2 * 2);
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

  auto stream = std::make_unique<qrt::fb::StreamT>();
  stream->tiles = uint32_t(tiles);
  stream->units = uint32_t(layout.units);
  stream->item_tiles = op.getGlu() ? 2 : 1;
  stream->can_split = canSplit(op);
  stream->align = uint32_t(align);
  // While a block attends, a slot of keys and one of values stand in its ring
  // in the place of this weight's first ones.
  if (attended) {
    stream->busy_blocks = uint32_t(*attended);
    stream->busy_units = uint32_t(2 * slotUnits);
    attended.reset();
  }
  streams.push_back(std::move(stream));
  lastGemm = op;
  lastUnitBytes = unitBytes;

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

bool PersistentGenerator::canSplit(krn::GemmOp gemm) const {
  const bool isInPlace = gemm.getResidual() &&
                         rootOf(gemm.getResidual()) == rootOf(gemm.getOutput());
  return isLinear(gemm) && hasRest(gemm.getOutput()) && !isInPlace;
}

int64_t PersistentGenerator::alignment(int64_t unitBytes, int64_t scaleLine) {
  int64_t align = 1;
  while (align < 8 && (align * unitBytes % 128 || align * scaleLine % 128))
    align *= 2;
  return align;
}

int64_t PersistentGenerator::sharesOf(krn::GemmOp gemm) const {
  qnt::PackedType weight = gemm.getWeight().getType();
  const int64_t tiles = (weight.getRows() + 15) / 16;
  // A thread that waits for a row in two parts holds both.
  if (hasRest(gemm.getOutput()) &&
      weight.getRows() > kMostInTwoParts * consumers())
    return 0;
  if (!canSplit(gemm))
    return tiles / (gemm.getGlu() ? 2 : 1);
  const GemmLayout layout = layoutOf(gemm.getInput());
  constexpr int64_t mostAlignment = 8;
  return tiles * layout.units / mostAlignment;
}

int64_t PersistentGenerator::liveRows(krn::AttentionOp op) {
  return std::min<int64_t>(int64_t(op.getHeads()) /
                               cast<tfm::CacheType>(op.getCache()).getHeads(),
                           16);
}

int64_t PersistentGenerator::elementsOfPart(krn::AttentionOp op) {
  return liveRows(op) * (cast<tfm::CacheType>(op.getCache()).getDim() + 2);
}

int64_t PersistentGenerator::attentionBytes(krn::AttentionOp op,
                                            int64_t warps) const {
  const int64_t dim = cast<tfm::CacheType>(op.getCache()).getDim(),
                query = krn::roundUp(16 * (dim + 8) * 2, 16) + 4 * dim,
                heads = krn::roundUp(liveRows(op) + 2, consumerWarps),
                fetched = heads * dim * 4;
  return query + std::max(warps * elementsOfPart(op) * 4, fetched);
}

void PersistentGenerator::add(krn::AttentionOp op) {
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
                dim = cache.getDim(), group = heads / kvHeads;
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
  const bool isSplit = hasRest(append.getQuery());
  if (hasRest(append.getKey()) != isSplit ||
      hasRest(append.getValue()) != isSplit)
    refuse(op, "has q, k and v of different kinds");
  c.flag("hasRest", isSplit);
  c.flag("isTagged", tags->isTagged(op.getOutput()));
  // As many warps as have room for their results.
  const int64_t room = krn::roundUp(xBytes, 64) + sumsRoom();
  int64_t warps = consumerWarps;
  while (warps > 4 &&
         attentionBytes(op, warps) > std::max(room, attentionBytes(op, 0)))
    --warps;
  const int64_t bytes = attentionBytes(op, warps);
  roomBytes = std::max(roomBytes, bytes);
  c.integer("warps", warps);
  c.integer("roomBytes", bytes);
  // A slot has room for a tile of keys or values.
  slotBytes = std::max<int64_t>(slotBytes, QRT_CUDA_KV_TILE * dim * 2);
  const int64_t rowBlocks = kvHeads * ((group + 15) / 16);
  attended = rowBlocks;
  // Blocks that attend are spared a part of the gemm in front, unless all wait
  // for the attention.
  const Value last = lastGemm ? rootOf(lastGemm.getOutput()) : Value();
  if (last && last != rootOf(append.getQuery()) &&
      last != rootOf(append.getKey()) && last != rootOf(append.getValue())) {
    streams.back()->busy_blocks = uint32_t(rowBlocks);
    streams.back()->busy_units = uint32_t(kAttentionBytes / lastUnitBytes);
  }
  auto place = [&](const char *name, Value value) {
    c.integer(name, value ? offsetOf(value) : 0);
  };
  place("qAt", append.getQuery());
  place("kAt", append.getKey());
  place("vAt", append.getValue());
  place("tableAt", append.getTable());
  place("outputAt", op.getOutput());
  c.integer("partsAt", partsAt);
  c.integer("mostParts", kMostParts);
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

void PersistentGenerator::add(krn::EmbedOp op) {
  if (op.getPositions())
    refuse(op, "reads rows by position, which one kernel does not");
  ConfigText c = embedConstants(op);
  c.flag("hasRest", hasRest(op.getOutput()));
  c.flag("isTagged", tags->isTagged(op.getOutput()));
  call("phase", "qcc::cuda::PersistentEmbed<" + config("Embed", c) + ">",
       {address(op.getTable()), address(op.getOutput()), rest(op.getOutput()),
        tags->write(op.getOutput())});
}

void PersistentGenerator::add(krn::RopeTableOp op) {
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

void PersistentGenerator::add(krn::NormOp op) {
  if (op.getHeads() > 1 &&
      op.getWeight().getType().getColumns() == columnsOf(op.getInput()))
    refuse(op, "has a weight for each slice, which one kernel does not read");
  const ConfigText c = normConstants(op);
  call("phase", "qcc::cuda::PersistentNorm<" + config("Norm", c) + ">",
       {address(op.getInput()), vector(op, op.getWeight()),
        vector(op, op.getBias()), address(op.getOutput())});
}

void PersistentGenerator::add(krn::RopeOp op) {
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

void PersistentGenerator::addElementwise(const char *kind, Value a, Value b,
                                         Value output, int activation) {
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
