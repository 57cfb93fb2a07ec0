//===- LibraryGemms.cpp - Products of prompts by a library ----------------===//
//
// The other way of a GEMM of many tokens: panels of the weight as 16-bit floats
// (kernels/panel.cuh), a product of cuBLASLt for each, and what the epilogue
// would have done: by a kernel, by the product itself, or by the staging that
// alone reads the result.
//
// Memory for a library: its own room, factors of staged rows, a panel, and sums
// that are not left in the output.
//
//===----------------------------------------------------------------------===//

#include "codegen/cuda/EntryGenerator.h"
#include "codegen/cuda/LibraryChoice.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::Operand;
using qrt::fb::OperandKind;

/// What NVIDIA recommends for Hopper.
static constexpr int64_t kLibraryRoom = int64_t(32) << 20;
/// Of a panel, and of the sums of one where they are not left in the output.
static constexpr int64_t kMostPanelBytes = int64_t(256) << 20;
/// Rows of panels of a weight that has several.
static constexpr int64_t kPanelMultiple = 128;
/// Blocks of a multiprocessor; tables of codes leave room for no more. There
/// are twice as many as 132 multiprocessors take at once, so that a product
/// need not wait for long ones, and each has work for all of its threads.
static constexpr int64_t kPanelThreads = 256, kPanelBlocks = 6,
                         kMostPanelWriters = 2 * kPanelBlocks * 132,
                         kLeastElements = 8 * 1024;
/// Threads of a multiprocessor that stage rows: two of falcon-7b's long ones.
static constexpr int64_t kStageThreads = 1152;
/// Staged inputs of an entry; further ones are for our own kernels.
static constexpr unsigned kMostFactors = 64;

/// Rows of a weight in whole pairs of tiles, for gates.
static int64_t paddedRowsOf(krn::GemmOp op) {
  return krn::roundUp(op.getWeight().getType().getRows(), 32);
}
/// Elements from one row of a weight's panel to the next.
static int64_t panelStrideOf(krn::GemmOp op) {
  const qnt::PackedType weight = op.getWeight().getType();
  return gemmLayout(weight.getFormat().getValue().codeBits(),
                    weight.getColumns(), op.getInput().getType().getGroup())
             .wideSlices() *
         64;
}
static int64_t factorBytes(int64_t tokens) {
  return krn::roundUp(tokens * 4, 256);
}
static Operand libraryAt(int64_t offset) {
  return Operand(OperandKind::Library, 0, uint64_t(offset));
}

int64_t EntryGenerator::libraryFrom(Value staged) const {
  if (!takesWide(staged) || tokens <= kMostBatchTokens ||
      !factors.contains(staged))
    return 0;
  int64_t from = 0;
  for (Operation *user : staged.getUsers()) {
    if (auto stage = dyn_cast<krn::StageOp>(user); stage && stage.getGather())
      return 0;
    auto gemm = dyn_cast<krn::GemmOp>(user);
    if (!gemm)
      continue;
    const qnt::PackedType weight = gemm.getWeight().getType();
    const int64_t own =
        gemm.getGather()
            ? 0
            : fasterByLibrary(weight.getFormat().getValue(), weight.getRows(),
                              weight.getColumns());
    if (own == 0 || own > tokens)
      return 0;
    from = std::max(from, own);
  }
  return from;
}

void EntryGenerator::prepareLibrary() {
  entry.walk([&](krn::StageOp op) {
    if (factors.size() < kMostFactors)
      factors.try_emplace(op.getOutput(), factors.size());
  });
  // Two places for panels, which no larger ones of other weights overlap.
  entry.walk([&](krn::GemmOp op) {
    if (!libraryFrom(op.getInput()))
      return;
    const int64_t row = panelStrideOf(op) * 2;
    const int64_t all = paddedRowsOf(op) * row;
    panelBytes = std::max(
        panelBytes,
        krn::roundUp(std::min(all, kMostPanelBytes + kPanelMultiple * row),
                     256));
  });
}

Operand EntryGenerator::factorsOf(Value staged) const {
  return libraryAt(kLibraryRoom + factors.at(staged) * factorBytes(tokens));
}

Operand EntryGenerator::panelAt(uint32_t place) const {
  return libraryAt(kLibraryRoom + kMostFactors * factorBytes(tokens) +
                   place * panelBytes);
}

EntryGenerator::LibraryPlan EntryGenerator::planLibrary(krn::GemmOp op) const {
  const qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  LibraryPlan plan;
  // bf16 is staged as it is: products need no factors.
  plan.isSimple = format.code == qrt::Code::BF16 && !op.getBias() &&
                  !op.getActivation() && !op.getGlu() &&
                  op.getMultiplier().convertToFloat() == 1.0F &&
                  op.getSoftCap().convertToFloat() == 0.0F;
  const bool isAligned =
      isAlignedForVectors(op.getOutput()) &&
      (!op.getResidual() || isAlignedForVectors(op.getResidual()));
  plan.isInPlace =
      isAligned && !op.getGlu() && (plan.isSimple || !op.getResidual());

  const int64_t all = paddedRowsOf(op);
  plan.panelStride = panelStrideOf(op);
  int64_t most = kMostPanelBytes / (plan.panelStride * 2);
  if (!plan.isInPlace)
    most = std::min(most, kMostPanelBytes / (tokens * 4));
  const int64_t panels = (all + most - 1) / std::max<int64_t>(most, 1);
  plan.panelRows =
      std::min(all, krn::roundUp((all + panels - 1) / panels, kPanelMultiple));
  plan.sumsAt = panelAt(2).offset();
  plan.bytes = plan.sumsAt + (plan.isInPlace ? 0 : tokens * plan.panelRows * 4);
  plan.sumStride = plan.isInPlace ? strideOf(op.getOutput()) : plan.panelRows;
  return plan;
}

bool EntryGenerator::isAlignedForVectors(Value buffer) const {
  return address(buffer).offset() % 16 == 0 && strideOf(buffer) % 4 == 0;
}

/// The next phase in its block; buffers and weights are none.
static Operation *nextPhase(Operation *op) {
  do
    op = op->getNextNode();
  while (op && (isa<krn::BarrierOp>(op) || op->getNumResults() > 0));
  return op;
}

EntryGenerator::FinishedGemm
EntryGenerator::finishedBy(krn::StageOp stage) const {
  krn::GemmOp source;
  for (Operation *user : stage.getInput().getUsers()) {
    if (user == stage)
      continue;
    auto gemm = dyn_cast<krn::GemmOp>(user);
    if (!gemm || source || gemm.getOutput() != stage.getInput())
      return {};
    source = gemm;
  }
  if (!source || source->getBlock() != stage->getBlock() ||
      !source->isBeforeInBlock(stage) || source.getResidual() ||
      source.getGather())
    return {};
  const int64_t first = libraryFrom(source.getInput()),
                second = libraryFrom(stage.getOutput());
  if (!first || !second)
    return {};
  const LibraryPlan plan = planLibrary(source);
  if (plan.isSimple)
    return {};
  // Sums elsewhere are those of one panel, until the next product.
  const bool isWhole = plan.panelRows >= source.getWeight().getType().getRows();
  if (!plan.isInPlace && !(isWhole && nextPhase(source) == stage))
    return {};
  return {source, std::max(first, second)};
}

void EntryGenerator::addFinishConstants(krn::GemmOp op, ConfigText &c) {
  const qrt::Format &format = op.getWeight().getType().getFormat().getValue();
  c.integer("sumCode", codeOf(format.code));
  addEpilogueConstants(op, c);
  c.integer("sumStride", planLibrary(op).sumStride);
}

void EntryGenerator::addLibraryStage(krn::StageOp op, qrt::Code code) {
  const auto [source, both] = finishedBy(op);
  const int64_t from = wayFrom;
  if (!source)
    return addLibraryStage(op, code, {});
  if (from < both) {
    setWay(from, /*isLibrary=*/true, both);
    addLibraryStage(op, code, {});
  }
  setWay(both, /*isLibrary=*/true);
  addLibraryStage(op, code, source);
}

void EntryGenerator::addLibraryStage(krn::StageOp op, qrt::Code code,
                                     krn::GemmOp source) {
  auto [c, threads] =
      stageConstants(op, code, /*needsSums=*/false, /*threshold=*/0);
  c.flag("findsOnly", false);
  c.flag("findsOutliers", false);
  c.integer("linears", 0);
  c.flag("isFinishing", bool(source));
  Operand input = address(op.getInput()), sumFactors = libraryAt(0), bias;
  if (source) {
    addFinishConstants(source, c);
    const LibraryPlan plan = planLibrary(source);
    if (!plan.isInPlace)
      input = libraryAt(plan.sumsAt);
    sumFactors = factorsOf(source.getInput());
    bias = vector(source, source.getBias());
  }
  launch("Stage", "stage.cuh", "stage", c, threads,
         std::max<int64_t>(1, kStageThreads / threads), 0,
         {input, vector(op, op.getNormWeight()), vector(op, op.getNormBias()),
          address(op.getOutput()), vector(op, op.getOrder()),
          factorsOf(op.getOutput()), sumFactors, bias});
}

void EntryGenerator::addLibraryGemm(krn::GemmOp op, const ConfigText &common,
                                    const GemmLayout &layout,
                                    const GemmOperands &operands) {
  const qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  const std::string code(qrt::codeName(format.code));
  const int64_t rows = weight.getRows();
  const int64_t unitStride = layout.unitSteps * layout.stepElements;
  // Of the last unit, which may be short; the library reads 16 bytes at once.
  const int64_t lines = format.codeBits() == 3 ? 3 : 1;
  const int64_t lastElements = std::min(
      unitStride,
      krn::roundUp(
          layout.lastLines / lines * krn::lineElements(format.codeBits()), 8));
  const LibraryPlan plan = planLibrary(op);
  library = std::max(library, plan.bytes);
  const Operand none(OperandKind::None, 0, 0);
  const int64_t stride = strideOf(op.getOutput()),
                residualStride =
                    op.getResidual() ? strideOf(op.getResidual()) : 0;
  // From so many tokens on a staging does what is left.
  const int64_t from = wayFrom;
  int64_t finishedFrom = 0;
  for (Operation *user : op.getOutput().getUsers())
    if (auto stage = dyn_cast<krn::StageOp>(user))
      if (const FinishedGemm finished = finishedBy(stage); finished.gemm == op)
        finishedFrom = finished.from;

  ConfigText expand = common;
  expand.integer("unitStride", unitStride);
  expand.integer("panelStride", plan.panelStride);
  ConfigText finish;
  addFinishConstants(op, finish);
  finish.flag("hasResidual", bool(op.getResidual()));
  finish.integer("residualStride", residualStride);
  finish.integer("outputStride", stride);
  finish.flag("canVector", isAlignedForVectors(op.getOutput()) &&
                               (!op.getResidual() ||
                                isAlignedForVectors(op.getResidual())) &&
                               plan.sumStride % 4 == 0);
  const bool isTable = !qrt::isIntCode(format.code) && format.isQuantized();
  for (int64_t row = 0; row < rows; row += plan.panelRows) {
    const int64_t count = std::min(plan.panelRows, rows - row);
    // All products take turns: the panel in front may be in use.
    const uint32_t place = panelPlace;
    panelPlace = 1 - panelPlace;
    const Operand panel = panelAt(place);
    qrt::fb::LaunchT &writer =
        launch("Panel", "panel.cuh", "panel_" + code, expand, kPanelThreads,
               kPanelBlocks, isTable ? kPairTableBytes : 0,
               {operands.codes, operands.scales, operands.zeros, panel,
                immediate(row / 16), immediate((count + 15) / 16)});
    // So many, whatever the step.
    writer.row_block = uint32_t(tokens);
    writer.multiple = uint32_t(std::min(
        kMostPanelWriters,
        (count * plan.panelStride + kLeastElements - 1) / kLeastElements));
    // Scales that are made of nested ones are made in the step.
    writer.ahead = format.nested == 0;
    writer.place = place;

    const int64_t column = op.getGlu() ? row / 2 : row;
    const Operand output = plus(operands.output, column * 4);
    const Operand residual =
        op.getResidual() ? plus(operands.residual, column * 4) : none;
    const Operand sums = plan.isInPlace ? output : libraryAt(plan.sumsAt);
    const bool addsResidual =
        plan.isInPlace && plan.isSimple && op.getResidual();
    qrt::fb::LaunchT &product = launches.emplace_back();
    product.library_from = uint32_t(from);
    product.for_library = true;
    product.place = place;
    product.operands = {panel, operands.input, addsResidual ? residual : none,
                        sums, libraryAt(0)};
    product.product = std::make_unique<qrt::fb::ProductT>();
    qrt::fb::ProductT &p = *product.product;
    p.rows = uint32_t(count);
    p.columns = uint32_t((layout.units - 1) * unitStride + lastElements);
    p.bfloat = format.code == qrt::Code::BF16;
    p.weight_stride = p.input_stride = uint32_t(plan.panelStride);
    p.addend_stride = addsResidual ? uint32_t(residualStride) : 0;
    p.output_stride = uint32_t(plan.sumStride);
    p.most_tokens = uint32_t(tokens);
    p.room_bytes = uint64_t(kLibraryRoom);
    if (finishedFrom == from || (plan.isInPlace && plan.isSimple))
      continue;
    setWay(from, /*isLibrary=*/true, finishedFrom);
    const int64_t written = op.getGlu() ? count / 2 : count;
    launch("Finish", "panel.cuh", "finish", finish, 256, 4, 0,
           {sums, factorsOf(op.getInput()),
            op.getBias() ? plus(operands.bias, row * 4) : operands.bias,
            residual, output, immediate(count)})
        .grid_y = uint32_t((written + 2047) / 2048);
    setWay(from, /*isLibrary=*/true);
  }
}
