//===- KernelUnits.cpp - From KRN to units of CUDA and launches -----------===//

#include "codegen/cuda/KernelUnits.h"

#include "codegen/cpu/WeightPlanes.h"
#include "codegen/cuda/ConfigText.h"
#include "codegen/cuda/PersistentUnit.h"
#include "codegen/cuda/kernels/Layout.h"
#include "runtime/abi/cuda_abi.h"
#include "runtime/support/Error.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;
using qrt::fb::Operand;
using qrt::fb::OperandKind;

namespace {

/// Blocks of positions are split over so many blocks of threads.
constexpr int64_t kSplits = 16;
/// Up to so many tokens, attention takes every token for itself.
constexpr int64_t kMostSplitTokens = 64;

[[noreturn]] void refuse(Operation *op, const std::string &why) {
  throw qrt::Error(op->getName().getStringRef().str() + " " + why);
}

std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

int64_t strideOf(Value buffer) {
  return cast<krn::BufferType>(buffer.getType()).rowStride();
}
int64_t columnsOf(Value buffer) {
  return cast<krn::BufferType>(buffer.getType()).getColumns();
}

/// Generates the launches of one entry.
class EntryGenerator {
public:
  EntryGenerator(krn::EntryOp entry, CudaProgram &program,
                 llvm::StringMap<uint32_t> &known, StringRef architecture)
      : entry(entry), tokens(entry.getMaxTokens()),
        isWide(architecture == "sm_90" && tokens >= kLeastWideTokens),
        program(program), known(known) {}

  std::vector<qrt::fb::LaunchT> run() {
    addBlock(entry.getBody().front(), 0);
    return std::move(launches);
  }

private:
  void addBlock(Block &block, int64_t kvOffset);
  void addPhase(Operation *op, int64_t kvOffset);
  void addRepeat(krn::RepeatOp op);

  void add(krn::EmbedOp op);
  void add(krn::RopeTableOp op);
  void add(krn::FindOutliersOp op);
  void add(krn::StageOp op);
  /// The constants of a kernel that stages rows; `code` is the weight's.
  template <typename Op>
  ConfigText stageConstants(Op op, qrt::Code code, bool needsSums,
                            double threshold);
  void add(krn::GemmOp op);
  /// True if what stands in `staged` is for wgmma: everything that reads it can
  /// take it so. Outliers and nested scales cannot.
  bool takesWide(Value staged) const {
    if (!isWide ||
        cast<krn::StagedType>(staged.getType()).getActivations() == "split8")
      return false;
    return llvm::none_of(staged.getUsers(), [](Operation *user) {
      auto gemm = dyn_cast<krn::GemmOp>(user);
      return gemm &&
             gemm.getWeight().getType().getFormat().getValue().nested != 0;
    });
  }
  /// Says in the op what it became.
  static void explain(krn::GemmOp op, const std::string &kernel,
                      const std::string &reason) {
    op.setKernel(kernel);
    op.setReason(reason);
  }
  void addWideGemm(krn::GemmOp op, ConfigText &c, const GemmLayout &layout,
                   std::initializer_list<Operand> operands);
  void add(krn::RopeAppendOp op, int64_t kvOffset);
  void add(krn::AttentionOp op, int64_t kvOffset);
  void add(krn::NormOp op);
  void add(krn::RopeOp op);
  void addElementwise(const char *kind, Value a, Value b, Value output,
                      int activation = 0, float value = 0);

  /// A launch of the kernel `type`<constants>, which is made if it is new.
  qrt::fb::LaunchT &launch(const std::string &type, const char *file,
                           const std::string &name, const ConfigText &constants,
                           int64_t threads, int64_t blocksPerSm,
                           int64_t sharedBytes,
                           std::initializer_list<Operand> operands,
                           int64_t cluster = 1);

  /// The address of a buffer or of a weight's data.
  Operand address(Value value) const {
    if (!value)
      return Operand(OperandKind::None, 0, 0);
    auto it = addresses.find(value);
    if (it == addresses.end())
      throw qrt::Error("a phase reads what nothing wrote: " +
                       textOf(value.getType()));
    return it->second;
  }
  static Operand immediate(int64_t value) {
    return Operand(OperandKind::Immediate, 0, uint64_t(value));
  }
  static Operand plus(Operand operand, int64_t bytes) {
    return Operand(operand.kind(), operand.tensor(),
                   operand.offset() + uint64_t(bytes));
  }
  /// A vector of f32, or null.
  Operand vector(Operation *op, Value value) const {
    if (!value)
      return address(value);
    auto type = cast<qnt::PackedType>(value.getType());
    if (type.getFormat().getValue().code != qrt::Code::F32 ||
        !type.getLayout() || type.getLayout().getValue() != "rows")
      refuse(op,
             "needs vectors of f32 in layout \"rows\", not " + textOf(type));
    return address(value);
  }

  krn::EntryOp entry;
  int64_t tokens;
  /// GEMMs may take wgmma.
  bool isWide;
  CudaProgram &program;
  llvm::StringMap<uint32_t> &known;
  llvm::DenseMap<Value, Operand> addresses;
  std::vector<qrt::fb::LaunchT> launches;
};

qrt::fb::LaunchT &EntryGenerator::launch(
    const std::string &type, const char *file, const std::string &name,
    const ConfigText &constants, int64_t threads, int64_t blocksPerSm,
    int64_t sharedBytes, std::initializer_list<Operand> operands,
    int64_t cluster) {
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
  launch.operands.assign(operands.begin(), operands.end());
  return launch;
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

void EntryGenerator::add(krn::EmbedOp op) {
  qnt::PackedType table = op.getTable().getType();
  const qrt::Format &format = table.getFormat().getValue();
  if (format.isQuantized() || !table.getLayout())
    refuse(op, "needs a table of f32, f16 or bf16, not " + textOf(table));
  int64_t perLine = krn::lineElements(format.codeBits());
  ConfigText c;
  c.integer("hidden", table.getColumns());
  c.integer("element", elementOf(format.code));
  c.flag("isTiled", table.getLayout().getValue() == "t16");
  c.integer("perLine", perLine);
  c.integer("paddedHidden", krn::roundUp(table.getColumns(), perLine));
  c.real("multiplier", op.getMultiplier().convertToFloat());
  c.flag("positions", op.getPositions());
  c.integer("positionOffset", op.getOffset());
  c.integer("tableRows", table.getRows());
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

template <typename Op>
ConfigText EntryGenerator::stageConstants(Op op, qrt::Code code, bool needsSums,
                                          double threshold) {
  krn::StagedType staged = op.getOutput().getType();
  bool isSplit = staged.getActivations() == "split8";
  bool isFloat = !isSplit && staged.getActivations() != "i16";
  bool wide = takesWide(op.getOutput());
  GemmLayout layout =
      gemmLayout(int(staged.getBits()), staged.getColumns(), staged.getGroup());
  ConfigText c;
  c.integer("columns", staged.getColumns());
  c.integer("stride", strideOf(op.getInput()));
  c.integer("norm", normOf(op.getNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
  c.flag("hasNormBias", bool(op.getNormBias()));
  c.integer("code", isFloat ? codeOf(code) : placeCodeOf(code));
  c.flag("isFloat", isFloat);
  c.flag("gather", op.getGather());
  c.integer("units", layout.units);
  c.integer("unitElements", layout.unitElements);
  c.integer("group", layout.group);
  c.integer("paddedGroup", layout.paddedGroup);
  int64_t blockElements = isFloat && !wide ? 4 : 8;
  int64_t unitBlocks = layout.unitSteps * layout.stepElements / blockElements;
  c.integer("unitBlocks", unitBlocks);
  c.integer("rowBlocks", layout.units * unitBlocks);
  c.flag("isPadded",
         layout.units * unitBlocks * blockElements != staged.getColumns());
  c.flag("isWide", wide);
  c.flag("needsSums", needsSums && !wide);
  c.integer("sumsAt", layout.sumsAt(tokens));
  c.integer("scalesAt",
            wide ? layout.wideScalesAt(tokens) : layout.scalesAt(tokens));
  c.integer("slices", layout.wideSlices());
  c.integer("sliceBytes", layout.wideSliceBytes(tokens));
  c.integer("stepBlocks", layout.stepElements / 8);
  c.flag("isTable", !isFloat && !qrt::isIntCode(code));
  SplitLayout split = splitLayout(layout, tokens, staged.getColumns());
  c.flag("isSplit", isSplit);
  c.real("threshold", float(threshold));
  c.integer("maskAt", isSplit ? split.maskAt : 0);
  c.integer("listAt", isSplit ? split.listAt : 0);
  c.integer("valuesAt", isSplit ? split.valuesAt : 0);
  return c;
}

void EntryGenerator::add(krn::FindOutliersOp op) {
  ConfigText c =
      stageConstants(op, qrt::Code::Int8, /*needsSums=*/false,
                     double(op.getOutlierThreshold().convertToFloat()));
  c.flag("findsOnly", true);
  c.flag("findsOutliers", false);
  c.integer("linears", 0);
  launch("ClearOutliers", "stage.cuh", "clear_outliers", c, 256, 1, 0,
         {address(op.getOutput())})
      .row_block = uint32_t(tokens);
  launches.back().gather = op.getGather();
  launch("Stage", "stage.cuh", "find_outliers", c, kStageThreads, 1, 0,
         {address(op.getInput()), vector(op, op.getNormWeight()),
          vector(op, op.getNormBias()), address(op.getOutput())})
      .gather = op.getGather();
}

void EntryGenerator::add(krn::StageOp op) {
  // The weight that reads it says how elements are ordered.
  std::optional<qrt::Code> code;
  bool needsSums = false;
  for (Operation *user : op.getOutput().getUsers())
    if (auto gemm = dyn_cast<krn::GemmOp>(user)) {
      const qrt::Format &format =
          gemm.getWeight().getType().getFormat().getValue();
      code = format.code;
      // Table codes of gemm.cuh are unsigned, those of gemv.cuh are not.
      needsSums |=
          format.zero || (tokens > kMostGemvTokens && format.isQuantized() &&
                          !qrt::isIntCode(format.code));
    }
  if (!code)
    refuse(op, "stages what no gemm reads");
  FloatAttr threshold = op.getOutlierThresholdAttr();
  ConfigText c = stageConstants(op, *code, needsSums,
                                threshold ? threshold.getValueAsDouble() : 0);
  c.flag("findsOnly", false);
  c.flag("findsOutliers", tokens == 1);
  c.integer("linears", int64_t(op.getLinears()));
  int64_t rowBytes = takesWide(op.getOutput())
                         ? gemmLayout(int(op.getOutput().getType().getBits()),
                                      op.getOutput().getType().getColumns(),
                                      op.getOutput().getType().getGroup())
                                   .wideSlices() *
                               128
                         : 0;
  launch("Stage", "stage.cuh", "stage", c, kStageThreads, 1, rowBytes,
         {address(op.getInput()), vector(op, op.getNormWeight()),
          vector(op, op.getNormBias()), address(op.getOutput())})
      .gather = op.getGather();
}

void EntryGenerator::add(krn::GemmOp op) {
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  if (format.code == qrt::Code::F32)
    refuse(op, "has no CUDA kernel for weights of f32; use --dtype bf16 or "
               "f16, or --target cpu");
  if (!weight.getLayout() || weight.getLayout().getValue() != "t16" ||
      format.flattened)
    refuse(op, "needs a weight in layout \"t16\", not " + textOf(weight));
  krn::StagedType staged = op.getInput().getType();
  int bits = format.codeBits();
  GemmLayout layout = gemmLayout(bits, weight.getColumns(), staged.getGroup());
  int64_t tiles = (weight.getRows() + 15) / 16;
  if (tiles * layout.units >= int64_t(1) << 31)
    refuse(op, "has a weight of " + std::to_string(weight.getRows()) +
                   " rows, too many for a CUDA kernel");
  bool isTable = !qrt::isIntCode(format.code) && format.isQuantized();
  bool isSmall = tokens <= kMostGemvTokens;
  bool wide = takesWide(op.getInput());

  ConfigText c;
  c.integer("code", codeOf(format.code));
  c.integer("rows", weight.getRows());
  c.integer("tiles", tiles);
  c.integer("unitLines", layout.unitLines);
  c.integer("lastLines", layout.lastLines);
  c.integer("unitsPerRow", layout.units);
  c.integer("unitsPerGroup", layout.unitsPerGroup);
  c.integer("groups", layout.groups);
  c.integer("unitBlocks", layout.unitBlocks);
  c.integer("rowBlocks", layout.rowBlocks);
  c.integer("tileBytes", layout.tileBytes);
  c.integer("sumsAt", layout.sumsAt(tokens));
  c.integer("scalesAt",
            wide ? layout.wideScalesAt(tokens) : layout.scalesAt(tokens));
  c.integer("scaleType", elementOf(format.scale));
  c.flag("hasZero", format.zero);
  c.integer("defaultZero", qrt::defaultZero(format.code));
  c.integer("nested", format.nested);
  c.integer("maxTokens", tokens);
  SplitLayout split = splitLayout(layout, tokens, weight.getColumns());
  bool isSplit = staged.getActivations() == "split8";
  c.flag("isSplit", isSplit);
  c.integer("columns", weight.getColumns());
  c.integer("listAt", isSplit ? split.listAt : 0);
  c.integer("valuesAt", isSplit ? split.valuesAt : 0);
  c.flag("gather", op.getGather());
  c.flag("hasBias", bool(op.getBias()));
  c.integer("activation",
            op.getActivation() ? activationOf(*op.getActivation()) : 0);
  c.flag("glu", op.getGlu());
  c.real("multiplier", op.getMultiplier().convertToFloat());
  c.real("softCap", op.getSoftCap().convertToFloat());
  c.flag("hasResidual", bool(op.getResidual()));
  c.integer("residualStride",
            op.getResidual() ? strideOf(op.getResidual()) : 0);
  c.integer("outputStride", strideOf(op.getOutput()));
  Operand codes = address(op.getWeight());
  cpu::WeightPlanes planes = cpu::weightPlanes(weight);
  Operand scales = planes.scales ? plus(codes, *planes.scales)
                                 : Operand(OperandKind::None, 0, 0);
  Operand zeros = planes.zeros ? plus(codes, *planes.zeros)
                               : Operand(OperandKind::None, 0, 0);
  Operand bias = vector(op, op.getBias());
  Operand residual = address(op.getResidual());
  Operand output = address(op.getOutput());
  Operand input = address(op.getInput());
  Operand counters(OperandKind::Counters, 0, 0);
  Operand partials(OperandKind::Partials, 0, 0);
  if (isSmall) {
    qrt::fb::LaunchT &l = launch(
        "Gemv", "gemv.cuh", "gemv_" + std::string(qrt::codeName(format.code)),
        c, kGemvThreads, 2, gemvSharedBytes(layout, tokens, op.getGlu()),
        {codes, scales, zeros, bias, residual, output, input, counters,
         partials});
    l.per_sm = 2;
    l.counters = uint32_t(tiles);
    l.partial_bytes = uint64_t(gemvPartialBytes(tokens, op.getGlu()));
    l.gather = op.getGather();
    return;
  }
  if (wide)
    c.flag("canPair",
           strideOf(op.getOutput()) % 2 == 0 && output.offset() % 8 == 0 &&
               (!op.getResidual() || (strideOf(op.getResidual()) % 2 == 0 &&
                                      residual.offset() % 8 == 0)));
  if (wide && tokens <= kMostBatchTokens) {
    c.integer("xSliceStride", layout.wideSliceBytes(tokens));
    qrt::fb::LaunchT &l =
        launch("BatchGemm", "batch_gemm.cuh",
               "batch_gemm_" + std::string(qrt::codeName(format.code)), c,
               kBatchThreads, 1, kBatchSharedBytes,
               {codes, scales, zeros, bias, residual, output, input, counters,
                partials});
    l.per_sm = 1;
    explain(op, "batch_gemm_" + std::string(qrt::codeName(format.code)),
            "9 to 64 tokens of 16-bit floats: bound by the weight's bytes; "
            "wgmma with tiles of 16, 32 or 64 tokens");
    l.counters = uint32_t((tiles * 16 + kBatchRows - 1) / kBatchRows * 4);
    l.partial_bytes = uint64_t(kBatchPartialBytes);
    l.gather = op.getGather();
    return;
  }
  if (wide)
    return addWideGemm(op, c, layout,
                       {codes, scales, zeros, bias, residual, output, input});
  // Large steps are bound by arithmetic: floats take the upper halves only.
  int64_t halves = format.isQuantized() || tokens <= kMostSplitTokens ? 2 : 1;
  c.integer("planes", halves);
  qrt::fb::LaunchT &l = launch(
      "Gemm", "gemm.cuh", "gemm_" + std::string(qrt::codeName(format.code)), c,
      kGemmThreads, halves == 2 && !isTable ? 1 : 2,
      gemmSharedBytes(layout, bits, isTable),
      {codes, scales, zeros, bias, residual, output, input});
  l.row_block = uint32_t(gemmTokens(isTable));
  l.grid_y = uint32_t((tiles * 16 + kGemmRows - 1) / kGemmRows);
  l.gather = op.getGather();
}

void EntryGenerator::addWideGemm(krn::GemmOp op, ConfigText &c,
                                 const GemmLayout &layout,
                                 std::initializer_list<Operand> operands) {
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
             operands, 2);
  l.per_sm = 1;
  l.gather = op.getGather();
  explain(op, "wide_gemm_" + std::string(qrt::codeName(format.code)),
          "more than 64 tokens of 16-bit floats: bound by arithmetic; wgmma "
          "with tiles of 128 rows and " +
              std::to_string(blockTokens) + " tokens, which fill " +
              "132 multiprocessors best with " + std::to_string(tokens));
}

/// The constants that rope and rope_append share.
static ConfigText ropeConstants(int64_t heads, int64_t headDim, int64_t rotary,
                                bool isInterleaved, int64_t stride) {
  ConfigText c;
  c.integer("heads", heads);
  c.integer("headDim", headDim);
  c.integer("rotary", rotary);
  c.flag("isInterleaved", isInterleaved);
  c.integer("qStride", stride);
  return c;
}

static void checkCache(Operation *op, tfm::CacheType cache) {
  if (!cache.getElement().isF16() && !cache.getElement().isBF16())
    refuse(op, "keeps keys and values in " + textOf(cache.getElement()) +
                   "; on CUDA --kv-dtype is f16 or bf16");
  if (cache.getDim() % 8 || cache.getDim() > 256)
    refuse(op, "has heads of " + std::to_string(cache.getDim()) +
                   " dimensions; on CUDA they are a multiple of 8, at most "
                   "256");
}

void EntryGenerator::add(krn::RopeAppendOp op, int64_t kvOffset) {
  auto cache = cast<tfm::CacheType>(op.getCache());
  checkCache(op, cache);
  int64_t heads = op.getHeads();
  ConfigText c = ropeConstants(heads, cache.getDim(), op.getRotary(),
                               op.getInterleaved(), strideOf(op.getQuery()));
  c.integer("kvHeads", cache.getHeads());
  c.integer("kStride", strideOf(op.getKey()));
  c.integer("vStride", strideOf(op.getValue()));
  c.flag("kvIsBfloat", cache.getElement().isBF16());
  c.flag("normQk", bool(op.getQNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
  qrt::fb::LaunchT &l = launch(
      "RopeAppend", "elementwise.cuh", "rope_append", c, 128, 1, 0,
      {address(op.getQuery()), address(op.getKey()), address(op.getValue()),
       address(op.getTable()), vector(op, op.getQNorm()),
       vector(op, op.getKNorm()), immediate(kvOffset)});
  l.multiple = uint32_t(heads + cache.getHeads());
  l.per_block = 4;
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
  c.integer("splits", isSplit ? kSplits : 0);
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
  int64_t rowBlocks = kvHeads * layout.headBlocks;
  qrt::fb::LaunchT &l =
      launch("Attention", "attention.cuh", "attention", c, kAttentionThreads, 1,
             attentionSharedBytes(cache.getDim(), isSplit),
             {address(op.getQuery()), vector(op, op.getSlopes()),
              address(op.getOutput()), immediate(kvOffset),
              Operand(OperandKind::Counters, 0, 0),
              Operand(OperandKind::Partials, 0, 0)});
  l.row_block = uint32_t(layout.rowTokens);
  l.multiple = uint32_t(rowBlocks);
  if (isSplit) {
    l.grid_y = kSplits;
    l.counters = uint32_t(tokens * rowBlocks);
    l.partial_bytes =
        uint64_t(tokens * rowBlocks * kSplits * 16 * (cache.getDim() + 2) * 4);
  } else {
    l.per_block = kAttentionThreads / 32;
  }
}

void EntryGenerator::add(krn::NormOp op) {
  ConfigText c;
  int64_t heads = op.getHeads();
  c.integer("heads", heads);
  c.integer("columns", columnsOf(op.getInput()) / heads);
  c.integer("inputStride", strideOf(op.getInput()));
  c.integer("outputStride", strideOf(op.getOutput()));
  c.integer("norm", normOf(op.getNorm()));
  c.real("epsilon", op.getEps().convertToFloat());
  c.real("normOffset", op.getNormOffset().convertToFloat());
  c.flag("hasBias", bool(op.getBias()));
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
  ConfigText c =
      ropeConstants(heads, columnsOf(op.getInput()) / heads, op.getRotary(),
                    op.getInterleaved(), strideOf(op.getInput()));
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
      .Case([&](krn::LogitsBufferOp buffer) {
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

} // namespace

static void addPersistent(krn::EntryOp entry, CudaProgram &program) {
  try {
    PersistentUnit made =
        generatePersistent(entry, entry.getSymName().str() + "_" +
                                      std::to_string(program.units.size()));
    made.launch.image = uint32_t(program.units.size());
    program.units.push_back(std::move(made.unit));
    CudaProgram::Entry &added = program.entries.emplace_back();
    added.name = entry.getSymName().str();
    added.maxTokens = uint32_t(entry.getMaxTokens());
    added.arenaBytes = made.arenaBytes;
    added.launches.push_back(std::move(made.launch));
  } catch (const qrt::Error &error) {
    program.notes.push_back("no entry " + entry.getSymName().str() + ": " +
                            error.what());
  }
}

CudaProgram cuda::generateKernels(krn::ProgramOp program,
                                  StringRef architecture) {
  if (program.getTarget().getName() != "cuda")
    throw qrt::Error("the program is for target '" +
                     program.getTarget().getName().str() + "', not cuda");
  auto range = program.getOps<krn::EntryOp>();
  std::vector<krn::EntryOp> entries(range.begin(), range.end());
  std::ranges::stable_sort(entries, [](krn::EntryOp a, krn::EntryOp b) {
    return std::make_pair(a.getMaxTokens(), !a.getPersistent()) <
           std::make_pair(b.getMaxTokens(), !b.getPersistent());
  });
  CudaProgram result;
  llvm::StringMap<uint32_t> known;
  for (krn::EntryOp entry : entries) {
    if (entry.getPersistent()) {
      if (hasPersistentKernels(architecture))
        addPersistent(entry, result);
      continue;
    }
    std::vector<qrt::fb::LaunchT> launches =
        EntryGenerator(entry, result, known, architecture).run();
    CudaProgram::Entry &added = result.entries.emplace_back();
    added.name = entry.getSymName().str();
    added.maxTokens = uint32_t(entry.getMaxTokens());
    added.launches = std::move(launches);
  }
  if (result.entries.empty())
    throw qrt::Error("the program has no entry");
  return result;
}
