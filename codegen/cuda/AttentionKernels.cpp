//===- AttentionKernels.cpp - Attention and what is fused with it ---------===//

#include "codegen/cuda/EntryGenerator.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::Operand;
using qrt::fb::OperandKind;

static void checkCache(Operation *op, tfm::CacheType cache) {
  if (!cache.getElement().isF16() && !cache.getElement().isBF16())
    refuse(op, "keeps keys and values in " + textOf(cache.getElement()) +
                   "; on CUDA --kv-dtype is f16 or bf16");
  if (cache.getDim() % 8 || cache.getDim() > 256)
    refuse(op, "has heads of " + std::to_string(cache.getDim()) +
                   " dimensions; on CUDA they are a multiple of 8, at most "
                   "256");
}

/// What rotates and appends, but for what attention knows itself.
static void addAppendConstants(krn::RopeAppendOp op, ConfigText &c) {
  c.integer("rotary", op.getRotary());
  c.flag("isInterleaved", op.getInterleaved());
  c.integer("kStride", strideOf(op.getKey()));
  c.integer("vStride", strideOf(op.getValue()));
  c.flag("normQk", bool(op.getQNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
}

void EntryGenerator::add(krn::RopeAppendOp op, int64_t kvOffset) {
  auto cache = cast<tfm::CacheType>(op.getCache());
  checkCache(op, cache);
  if (auto next = dyn_cast_or_null<krn::AttentionOp>(op->getNextNode());
      next && appendedBy(next))
    return;
  int64_t heads = op.getHeads();
  ConfigText c;
  c.integer("heads", heads);
  c.integer("kvHeads", cache.getHeads());
  c.integer("headDim", cache.getDim());
  c.integer("qStride", strideOf(op.getQuery()));
  c.flag("kvIsBfloat", cache.getElement().isBF16());
  addAppendConstants(op, c);
  qrt::fb::LaunchT &l = launch(
      "RopeAppend", "elementwise.cuh", "rope_append", c, 128, 1, 0,
      {address(op.getQuery()), address(op.getKey()), address(op.getValue()),
       address(op.getTable()), vector(op, op.getQNorm()),
       vector(op, op.getKNorm()), immediate(kvOffset)});
  l.multiple = uint32_t(heads + cache.getHeads());
  l.per_block = 4;
}

krn::RopeAppendOp EntryGenerator::appendedBy(krn::AttentionOp op) const {
  auto append = dyn_cast_or_null<krn::RopeAppendOp>(op->getPrevNode());
  // Lanes have runs of eight dimensions, which are rotated all or not at all.
  if (!append || !append.getFused() || tokens > kMostSplitTokens ||
      append.getQuery() != op.getQuery() ||
      append.getRotary() % (append.getInterleaved() ? 8 : 16) ||
      address(op.getQuery()).offset() % 8 || strideOf(op.getQuery()) % 2)
    return {};
  return append;
}

EntryGenerator::StagedOutput
EntryGenerator::stagedBy(krn::AttentionOp op) const {
  if (tokens > kMostSplitTokens)
    return {};
  Operation *next = op->getNextNode();
  while (isa_and_nonnull<krn::BarrierOp, krn::BufferOp, krn::StagedBufferOp,
                         krn::ViewOp>(next))
    next = next->getNextNode();
  auto stage = dyn_cast_or_null<krn::StageOp>(next);
  if (!stage || stage.getInput() != op.getOutput() || stage.getNormWeight() ||
      stage.getOrder() || stage.getGather() || !takesWide(stage.getOutput()) ||
      libraryFrom(stage.getOutput()))
    return {};
  // What it stages to must not be something else during the attention.
  for (Operation *at = op; at; at = at->getNextNode()) {
    if (at == stage.getOutput().getDefiningOp())
      break;
    if (isa<krn::BarrierOp>(at))
      return {};
  }
  krn::StagedType staged = stage.getOutput().getType();
  const GemmLayout layout =
      gemmLayout(int(staged.getBits()), staged.getColumns(), staged.getGroup());
  const int64_t blocks =
      layout.units * layout.unitSteps * layout.stepElements / 8;
  const std::optional<qrt::Code> code = codeBehind(stage);
  const bool isVector = staged.getColumns() % 8 == 0 && layout.group % 8 == 0 &&
                        layout.paddedGroup % 8 == 0;
  if (!code || *code == qrt::Code::Int8 || !isVector ||
      blocks > kMostStagedBlocks || strideOf(op.getOutput()) % 4 ||
      address(op.getOutput()).offset() % 16)
    return {};
  return {stage, *code};
}

void EntryGenerator::add(krn::AttentionOp op, int64_t kvOffset) {
  auto cache = cast<tfm::CacheType>(op.getCache());
  checkCache(op, cache);
  bool isSplit = tokens <= kMostSplitTokens;
  int64_t heads = op.getHeads(), kvHeads = cache.getHeads();
  AttentionLayout layout = attentionLayout(heads, kvHeads, isSplit);
  ConfigText c;
  c.integer("heads", heads);
  c.integer("kvHeads", kvHeads);
  c.integer("headDim", cache.getDim());
  c.integer("qStride", strideOf(op.getQuery()));
  c.integer("outputStride", strideOf(op.getOutput()));
  c.integer("window", cache.getWindow());
  c.flag("kvIsBfloat", cache.getElement().isBF16());
  c.integer("alibi", !op.getSlopes() ? 0 : op.getBf16Bias() ? 2 : 1);
  c.real("scale", op.getScale().convertToFloat());
  c.real("softCap", op.getSoftCap().convertToFloat());
  const int64_t splits = isSplit ? splitsOf(tokens) : 0;
  c.integer("splits", splits);
  if (!isSplit && cache.getDim() <= kMostPromptDim) {
    int64_t warps = promptWarps(cache.getDim());
    c.integer("warps", warps);
    qrt::fb::LaunchT &l =
        launch("PromptAttention", "prompt_attention.cuh", "prompt_attention", c,
               warps * 32, cache.getDim() > 64 ? 1 : 2,
               promptSharedBytes(cache.getDim()),
               {address(op.getQuery()), vector(op, op.getSlopes()),
                address(op.getOutput()), immediate(kvOffset)});
    l.row_block = uint32_t(warps * 16);
    l.multiple = uint32_t(heads);
    return;
  }
  krn::RopeAppendOp append = appendedBy(op);
  c.flag("appends", bool(append));
  if (append)
    addAppendConstants(append, c);
  StagedOutput output = stagedBy(op);
  c.flag("stages", bool(output.stage));
  int64_t rowBytes = 0;
  if (output.stage) {
    krn::StagedType staged = output.stage.getOutput().getType();
    ConfigText rows =
        stageConstants(output.stage, output.code,
                       /*needsSums=*/false, /*threshold=*/0, kAttentionThreads)
            .text;
    rows.flag("isFinishing", false);
    c.nested("Staged", rows);
    rowBytes = gemmLayout(int(staged.getBits()), staged.getColumns(),
                          staged.getGroup())
                   .wideRowBytes();
    done.insert(output.stage);
    addPhase(output.stage.getOutput().getDefiningOp(), kvOffset);
  }
  const Operand none(OperandKind::None, 0, 0);
  int64_t rowBlocks = kvHeads * layout.headBlocks;
  qrt::fb::LaunchT &l =
      launch("Attention", "attention.cuh", "attention", c, kAttentionThreads, 1,
             attentionSharedBytes(cache.getDim(), isSplit, rowBytes),
             {address(op.getQuery()), vector(op, op.getSlopes()),
              address(op.getOutput()), immediate(kvOffset),
              Operand(OperandKind::Counters, 0, 0),
              Operand(OperandKind::Partials, 0, 0),
              append ? address(append.getKey()) : none,
              append ? address(append.getValue()) : none,
              append ? address(append.getTable()) : none,
              append ? vector(append, append.getQNorm()) : none,
              append ? vector(append, append.getKNorm()) : none,
              output.stage ? address(output.stage.getOutput()) : none});
  l.row_block = uint32_t(layout.rowTokens);
  l.multiple = uint32_t(rowBlocks);
  if (isSplit) {
    l.grid_y = uint32_t(splits);
    l.counters = uint32_t(tokens * (rowBlocks + 1));
    l.partial_bytes =
        uint64_t(tokens * rowBlocks * splits * 16 * (cache.getDim() + 2) * 4);
  } else {
    l.per_block = kAttentionThreads / 32;
  }
}
