//===- GemmKernels.cpp - GEMMs and the staging of their input -------------===//

#include "codegen/cuda/EntryGenerator.h"

#include "codegen/cpu/WeightPlanes.h"
#include "runtime/abi/cuda_abi.h"

#include "mlir/IR/BuiltinTypes.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::Operand;
using qrt::fb::OperandKind;

template <typename Op>
EntryGenerator::StageConfig
EntryGenerator::stageConstants(Op op, qrt::Code code, bool needsSums,
                               double threshold, int64_t threads) const {
  krn::StagedType staged = op.getOutput().getType();
  bool isSplit = staged.getActivations() == "split8";
  if (isSplit && orderOf(op))
    refuse(op, "splits outliers off a row in another order");
  bool isFloat = !isSplit && staged.getActivations() != "i16";
  bool wide = takesWide(op.getOutput());
  GemmLayout layout =
      gemmLayout(int(staged.getBits()), staged.getColumns(), staged.getGroup());
  ConfigText c = rowConstants(op, code, isFloat);
  c.integer("units", layout.units);
  c.integer("unitElements", layout.unitElements);
  c.integer("group", layout.group);
  c.integer("paddedGroup", layout.paddedGroup);
  int64_t blockElements = isFloat && !wide ? 4 : 8;
  int64_t unitBlocks = layout.unitSteps * layout.stepElements / blockElements;
  c.integer("unitBlocks", unitBlocks);
  c.integer("rowBlocks", layout.units * unitBlocks);
  if (!threads)
    threads =
        stageThreads(layout.units * unitBlocks, tokens > kMostBatchTokens);
  c.integer("threads", threads);
  c.flag("isPadded",
         layout.units * unitBlocks * blockElements != staged.getColumns());
  c.flag("isWide", wide);
  c.flag("isRowMajor", isWayOfLibrary);
  c.flag("needsSums", needsSums && !wide);
  c.integer("sumsAt", layout.sumsAt(tokens));
  c.integer("scalesAt",
            wide ? layout.wideScalesAt(tokens) : layout.scalesAt(tokens));
  c.integer("slices", layout.wideSlices());
  c.integer("sliceBytes", layout.wideSliceBytes(tokens));
  c.integer("stepBlocks", layout.stepElements / 8);
  c.flag("isRaw", wide && tokens <= kMostBatchTokens && qrt::isIntCode(code) &&
                      layout.isRaw());
  c.flag("hasUpperNibbles", code == qrt::Code::Int4);
  c.integer("chunkBlocks", layout.chunkBlocks());
  c.integer("tokenSumsAt", layout.tokenSumsAt(tokens));
  c.integer("tokenSumsStride", layout.tokenSumsStride(tokens));
  c.flag("isTable", !isFloat && !qrt::isIntCode(code));
  SplitLayout split = splitLayout(layout, tokens, staged.getColumns());
  c.flag("isSplit", isSplit);
  c.real("threshold", float(threshold));
  c.integer("maskAt", isSplit ? split.maskAt : 0);
  c.integer("listAt", isSplit ? split.listAt : 0);
  c.integer("valuesAt", isSplit ? split.valuesAt : 0);
  return {std::move(c), threads};
}

template EntryGenerator::StageConfig
EntryGenerator::stageConstants(krn::StageOp op, qrt::Code code, bool needsSums,
                               double threshold, int64_t threads) const;

void EntryGenerator::add(krn::FindOutliersOp op) {
  auto [c, threads] =
      stageConstants(op, qrt::Code::Int8, /*needsSums=*/false,
                     double(op.getOutlierThreshold().convertToFloat()));
  c.flag("findsOnly", true);
  c.flag("findsOutliers", false);
  c.integer("linears", 0);
  c.flag("isFinishing", false);
  launch("ClearOutliers", "stage.cuh", "clear_outliers", c, 256, 1, 0,
         {address(op.getOutput())})
      .row_block = uint32_t(tokens);
  launches.back().gather = op.getGather();
  launch("Stage", "stage.cuh", "find_outliers", c, threads, 1, 0,
         {address(op.getInput()), vector(op, op.getNormWeight()),
          vector(op, op.getNormBias()), address(op.getOutput())})
      .gather = op.getGather();
}

std::optional<qrt::Code> EntryGenerator::codeBehind(krn::StageOp op) {
  std::optional<qrt::Code> code;
  for (Operation *user : op.getOutput().getUsers())
    if (auto gemm = dyn_cast<krn::GemmOp>(user))
      code = gemm.getWeight().getType().getFormat().getValue().code;
  return code;
}

void EntryGenerator::add(krn::StageOp op) {
  if (done.contains(op))
    return;
  const std::optional<qrt::Code> code = codeBehind(op);
  bool needsSums = false;
  for (Operation *user : op.getOutput().getUsers())
    if (auto gemm = dyn_cast<krn::GemmOp>(user)) {
      const qrt::Format &format =
          gemm.getWeight().getType().getFormat().getValue();
      // Table codes of gemm.cuh are unsigned, those of gemv.cuh are not.
      needsSums |=
          format.zero || (tokens > kMostGemvTokens && format.isQuantized() &&
                          !qrt::isIntCode(format.code));
    }
  if (!code)
    refuse(op, "stages what no gemm reads");
  const int64_t from = libraryFrom(op.getOutput());
  if (from) {
    setWay(from, /*isLibrary=*/true);
    addLibraryStage(op, *code);
    setWay(from, /*isLibrary=*/false);
  }
  FloatAttr threshold = op.getOutlierThresholdAttr();
  auto [c, threads] = stageConstants(
      op, *code, needsSums, threshold ? threshold.getValueAsDouble() : 0);
  c.flag("findsOnly", false);
  c.flag("findsOutliers", tokens == 1);
  c.integer("linears", int64_t(op.getLinears()));
  c.flag("isFinishing", false);
  int64_t rowBytes = takesWide(op.getOutput())
                         ? gemmLayout(int(op.getOutput().getType().getBits()),
                                      op.getOutput().getType().getColumns(),
                                      op.getOutput().getType().getGroup())
                               .wideRowBytes()
                         : 0;
  // Rows of prompts: as many blocks as hide what each waits for.
  const int64_t perSm =
      tokens > kMostBatchTokens ? std::max<int64_t>(1, 1024 / threads) : 1;
  launch("Stage", "stage.cuh", "stage", c, threads, perSm, rowBytes,
         {address(op.getInput()), vector(op, op.getNormWeight()),
          vector(op, op.getNormBias()), address(op.getOutput()),
          vector(op, op.getOrder())})
      .gather = op.getGather();
  setWay(0, false);
}

void EntryGenerator::addEpilogueConstants(krn::GemmOp op, ConfigText &c) {
  c.flag("hasBias", bool(op.getBias()));
  c.integer("activation",
            op.getActivation() ? activationOf(*op.getActivation()) : 0);
  c.flag("glu", op.getGlu());
  c.real("multiplier", op.getMultiplier().convertToFloat());
  c.real("softCap", op.getSoftCap().convertToFloat());
}

EntryGenerator::GemmKernel EntryGenerator::describe(krn::GemmOp op) {
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  if (format.code == qrt::Code::F32)
    refuse(op, "has no CUDA kernel for weights of f32; use --dtype bf16 or "
               "f16, or --target cpu");
  if (!weight.getLayout() || weight.getLayout().getValue() != "t16" ||
      format.flattened)
    refuse(op, "needs a weight in layout \"t16\", not " + textOf(weight));
  krn::StagedType staged = op.getInput().getType();
  GemmLayout layout =
      gemmLayout(format.codeBits(), weight.getColumns(), staged.getGroup());
  int64_t tiles = (weight.getRows() + 15) / 16;
  if (tiles * layout.units >= int64_t(1) << 31)
    refuse(op, "has a weight of " + std::to_string(weight.getRows()) +
                   " rows, too many for a CUDA kernel");
  bool wide = takesWide(op.getInput());

  ConfigText c;
  c.integer("code", codeOf(format.code));
  c.integer("rows", weight.getRows());
  c.integer("tiles", tiles);
  addUnits(c, layout);
  c.integer("sumsAt", layout.sumsAt(tokens));
  c.integer("scalesAt",
            wide ? layout.wideScalesAt(tokens) : layout.scalesAt(tokens));
  c.integer("scaleType", elementOf(format.scale));
  c.flag("hasZero", format.zero);
  c.integer("defaultZero", qrt::defaultZero(format.code));
  // Kernels of many tokens find scales as f32 instead.
  const bool isUnnested = wide && format.nested;
  c.integer("nested", isUnnested ? 0 : format.nested);
  c.integer("nestedTileBytes",
            format.nested ? krn::nestedTileBytes(layout.groups, format.nested)
                          : 0);
  c.integer("maxTokens", tokens);
  SplitLayout split = splitLayout(layout, tokens, weight.getColumns());
  bool isSplit = staged.getActivations() == "split8";
  c.flag("isSplit", isSplit);
  c.integer("columns", weight.getColumns());
  c.integer("listAt", isSplit ? split.listAt : 0);
  c.integer("valuesAt", isSplit ? split.valuesAt : 0);
  c.flag("gather", op.getGather());
  addEpilogueConstants(op, c);
  c.flag("hasResidual", bool(op.getResidual()));
  c.integer("residualStride",
            op.getResidual() ? strideOf(op.getResidual()) : 0);
  c.integer("outputStride", strideOf(op.getOutput()));
  const Operand codes = address(op.getWeight());
  const cpu::WeightPlanes planes = cpu::weightPlanes(weight);
  GemmOperands operands = {
      .codes = codes,
      .scales = planes.scales ? plus(codes, *planes.scales)
                              : Operand(OperandKind::None, 0, 0),
      .zeros = planes.zeros ? plus(codes, *planes.zeros)
                            : Operand(OperandKind::None, 0, 0),
      .bias = vector(op, op.getBias()),
      .residual = address(op.getResidual()),
      .output = address(op.getOutput()),
      .input = address(op.getInput())};
  if (isUnnested) {
    operands.scales = addUnnest(op, layout, operands.scales, operands.zeros);
    operands.zeros = Operand(OperandKind::None, 0, 0);
  }
  if (wide)
    c.flag("canPair",
           strideOf(op.getOutput()) % 2 == 0 &&
               operands.output.offset() % 8 == 0 &&
               (!op.getResidual() || (strideOf(op.getResidual()) % 2 == 0 &&
                                      operands.residual.offset() % 8 == 0)));
  return {std::move(c), layout, operands};
}

void EntryGenerator::add(krn::GemmOp op) {
  if (done.contains(op))
    return;
  const qrt::Format &format = op.getWeight().getType().getFormat().getValue();
  const int64_t tiles = (op.getWeight().getType().getRows() + 15) / 16;
  GemmKernel kernel = describe(op);
  auto &[c, layout, operands] = kernel;
  const auto &[codes, scales, zeros, bias, residual, output, input] = operands;
  if (takesWide(op.getInput())) {
    if (tokens <= kMostBatchTokens) {
      addBatchGemm(op, std::move(kernel));
      return;
    }
    const int64_t from = libraryFrom(op.getInput());
    if (from) {
      setWay(from, /*isLibrary=*/true);
      addLibraryGemm(op, c, layout, operands);
    }
    setWay(from, /*isLibrary=*/false);
    addWideGemm(op, c, layout, operands);
    setWay(0, false);
    return;
  }
  if (tokens <= kMostGemvTokens) {
    qrt::fb::LaunchT &l = launch(
        "Gemv", "gemv.cuh", "gemv_" + std::string(qrt::codeName(format.code)),
        c, kGemvThreads, 2, gemvSharedBytes(layout, tokens, op.getGlu()),
        {codes, scales, zeros, bias, residual, output, input,
         Operand(OperandKind::Counters, 0, 0),
         Operand(OperandKind::Partials, 0, 0)});
    l.per_sm = 2;
    l.counters = uint32_t(tiles);
    l.partial_bytes = uint64_t(gemvPartialBytes(tokens, op.getGlu()));
    l.gather = op.getGather();
    return;
  }
  // Large steps are bound by arithmetic: floats take the upper halves only.
  bool isTable = !qrt::isIntCode(format.code) && format.isQuantized();
  int64_t halves = format.isQuantized() || tokens <= kMostSplitTokens ? 2 : 1;
  c.integer("planes", halves);
  qrt::fb::LaunchT &l = launch(
      "Gemm", "gemm.cuh", "gemm_" + std::string(qrt::codeName(format.code)), c,
      kGemmThreads, halves == 2 && !isTable ? 1 : 2,
      gemmSharedBytes(layout, format.codeBits(), isTable),
      {codes, scales, zeros, bias, residual, output, input});
  l.row_block = uint32_t(gemmTokens(isTable));
  l.grid_y = uint32_t((tiles * 16 + kGemmRows - 1) / kGemmRows);
  l.gather = op.getGather();
}

krn::GemmOp EntryGenerator::batchedWith(krn::GemmOp op) const {
  const auto isThere = [&](Value operand) {
    return addresses.contains(operand);
  };
  for (Operation *next = op->getNextNode();
       next && !isa<krn::BarrierOp, krn::RepeatOp>(next);
       next = next->getNextNode()) {
    auto other = dyn_cast<krn::GemmOp>(next);
    if (other && krn::arePairable(op, other) &&
        llvm::all_of(other->getOperands(), isThere))
      return other;
  }
  return {};
}

void EntryGenerator::addBatchGemm(krn::GemmOp op, GemmKernel kernel) {
  const qrt::Code code = op.getWeight().getType().getFormat().getValue().code;
  const std::string name = "batch_gemm_" + std::string(qrt::codeName(code));
  krn::GemmOp second = batchedWith(op);
  const auto rowBlocksOf = [](krn::GemmOp gemm) {
    return (gemm.getWeight().getType().getRows() + kBatchRows - 1) / kBatchRows;
  };
  const int64_t allRowBlocks =
      rowBlocksOf(op) + (second ? rowBlocksOf(second) : 0);
  const auto complete = [&](GemmKernel &of, int64_t firstRowBlock) {
    ConfigText &c = of.constants;
    c.integer("xSliceStride", GemmLayout::wideSliceBytes(tokens));
    c.integer("mostBlocks", kMostBatchBlocks);
    c.flag("isRaw", qrt::isIntCode(code) && of.layout.isRaw());
    c.integer("tokenSumsAt", of.layout.tokenSumsAt(tokens));
    c.integer("tokenSumsStride", GemmLayout::tokenSumsStride(tokens));
    c.integer("firstRowBlock", firstRowBlock);
    c.integer("allRowBlocks", allRowBlocks);
    c.flag("canShare", !op.getGlu() && !(second && second.getGlu()));
  };
  complete(kernel, 0);
  const Operand words(OperandKind::Counters, 0, 0);
  const GemmOperands &a = kernel.operands;
  kernel.constants.flag("hasSecond", bool(second));
  std::vector<Operand> operands = {a.codes,    a.scales, a.zeros, a.bias,
                                   a.residual, a.output, a.input, words};
  if (second) {
    GemmKernel more = describe(second);
    complete(more, rowBlocksOf(op));
    kernel.constants.nested("Second", more.constants);
    const GemmOperands &b = more.operands;
    operands.insert(operands.end(), {b.codes, b.scales, b.zeros, b.bias,
                                     b.residual, b.output, b.input, words});
    done.insert(second);
    explain(second, name,
            "2 to 64 tokens of 16-bit floats: one launch with the gemm of the "
            "same input");
  }
  qrt::fb::LaunchT &l =
      launch("BatchGemm", "batch_gemm.cuh", name, kernel.constants,
             kBatchThreads, 1, kBatchSharedBytes, operands);
  l.per_sm = 1;
  explain(op, name,
          "2 to 64 tokens of 16-bit floats: bound by the weight's bytes; mma "
          "with 16 columns, wgmma with 32 or 64");
  l.counters = uint32_t(kBatchWords);
  l.gather = op.getGather();
}

Operand EntryGenerator::addUnnest(krn::GemmOp op, const GemmLayout &layout,
                                  Operand codes, Operand nested) {
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  const int64_t tiles = (weight.getRows() + 15) / 16;
  ConfigText c;
  c.integer("rows", weight.getRows());
  c.integer("tiles", tiles);
  c.integer("groups", layout.groups);
  c.integer("nested", format.nested);
  c.integer("nestedTileBytes",
            krn::nestedTileBytes(layout.groups, format.nested));
  const int64_t at = krn::roundUp(entry.getArena(), 256);
  const Operand output(OperandKind::Arena, 0, uint64_t(at));
  arena = std::max(arena, at + tiles * layout.groups * 16 * 4);
  qrt::fb::LaunchT &l = launch("Unnest", "nested.cuh", "unnest", c, 256, 1, 0,
                               {codes, nested, output});
  l.per_sm = 8;
  l.gather = op.getGather();
  return output;
}

void EntryGenerator::addWideGemm(krn::GemmOp op, ConfigText &c,
                                 const GemmLayout &layout,
                                 const GemmOperands &operands) {
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  bool isTable = !qrt::isIntCode(format.code) && format.isQuantized();
  int64_t blockTokens = wideBlockTokens(weight.getRows(), tokens);
  c.integer("blockTokens", blockTokens);
  c.integer("xSliceStride", layout.wideSliceBytes(tokens));
  qrt::fb::LaunchT &l =
      launch("WideGemm", "wide_gemm.cuh",
             "wide_gemm_" + std::string(qrt::codeName(format.code)), c,
             kWideThreads, 1,
             wideSharedBytes(layout.stepElements, format.codeBits(), isTable,
                             blockTokens),
             {operands.codes, operands.scales, operands.zeros, operands.bias,
              operands.residual, operands.output, operands.input},
             2);
  l.per_sm = 1;
  l.gather = op.getGather();
  explain(op, "wide_gemm_" + std::string(qrt::codeName(format.code)),
          "more than 64 tokens of 16-bit floats: bound by arithmetic; wgmma "
          "with tiles of 128 rows and " +
              std::to_string(blockTokens) + " tokens, which fill " +
              "132 multiprocessors best with " + std::to_string(tokens) +
              (wayFrom ? "; cuBLASLt from " + std::to_string(wayFrom) +
                             " tokens on where it is present"
                       : "; no library is faster"));
}
