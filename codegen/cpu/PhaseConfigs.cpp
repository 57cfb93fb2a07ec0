//===- PhaseConfigs.cpp - From phases of KRN to kernel configs ------------===//

#include "codegen/cpu/PhaseConfigs.h"

#include "codegen/cpu/WeightPlanes.h"
#include "codegen/cpu/kernels/Layout.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSwitch.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cpu;

namespace {

bool isExtent(int64_t value) { return value >= 1 && value <= kMaxExtent; }

/// What kernels.h calls an element of a cache (f32, f16 or bf16).
int32_t elementOf(Type type) {
  return type.isF16()    ? krn::ElemF16
         : type.isBF16() ? krn::ElemBF16
                         : krn::ElemF32;
}

std::optional<int32_t> elementOf(qrt::Code code) {
  switch (code) {
  case qrt::Code::F32:
    return krn::ElemF32;
  case qrt::Code::F16:
    return krn::ElemF16;
  case qrt::Code::BF16:
    return krn::ElemBF16;
  default:
    return std::nullopt;
  }
}

int32_t elementOf(qrt::ScaleType type) {
  switch (type) {
  case qrt::ScaleType::F16:
    return krn::ElemF16;
  case qrt::ScaleType::BF16:
    return krn::ElemBF16;
  default:
    return krn::ElemF32;
  }
}

int32_t activationOf(tfm::Activation activation) {
  switch (activation) {
  case tfm::Activation::None:
    return krn::ActNone;
  case tfm::Activation::Silu:
    return krn::ActSilu;
  case tfm::Activation::Gelu:
    return krn::ActGeluErf;
  case tfm::Activation::GeluTanh:
    return krn::ActGeluTanh;
  case tfm::Activation::Relu:
    return krn::ActRelu;
  case tfm::Activation::GeluQuick:
    return krn::ActGeluQuick;
  case tfm::Activation::Sigmoid:
    return krn::ActSigmoid;
  case tfm::Activation::Tanh:
    return krn::ActTanh;
  case tfm::Activation::Relu2:
    return krn::ActRelu2;
  case tfm::Activation::Relu6:
    return krn::ActRelu6;
  case tfm::Activation::LeakyRelu:
    return krn::ActLeakyRelu;
  case tfm::Activation::HardSwish:
    return krn::ActHardSwish;
  case tfm::Activation::Mish:
    return krn::ActMish;
  case tfm::Activation::Gelu10:
    return krn::ActGelu10;
  }
  return krn::ActNone;
}

int32_t normOf(StringRef norm) {
  return llvm::StringSwitch<int32_t>(norm)
      .Case("rms", krn::NormRms)
      .Case("layer", krn::NormLayer)
      .Default(krn::NormNone);
}

/// Checks that `values` (those that are not null) are stored as plain f32.
/// Their sizes are the op's verifier's concern.
LogicalResult checkVectors(Operation *op, ArrayRef<Value> values) {
  for (Value value : values) {
    if (!value)
      continue;
    auto type = cast<qnt::PackedType>(value.getType());
    if (type.getFormat().getValue().code != qrt::Code::F32 ||
        !type.getLayout() || type.getLayout().getValue() != "rows")
      return op->emitOpError()
             << "needs vectors of f32 in layout \"rows\", not " << type;
  }
  return success();
}

/// Checks that `buffer`'s rows follow each other without a gap.
LogicalResult checkDense(Operation *op, StringRef what, Value buffer) {
  auto type = cast<krn::BufferType>(buffer.getType());
  if (type.rowStride() != type.getColumns())
    return op->emitOpError()
           << "needs whole rows as its " << what << ", not " << type;
  return success();
}

int64_t strideOf(Value buffer) {
  return cast<krn::BufferType>(buffer.getType()).rowStride();
}

/// Checks that `offset` is planned and that `bytes` from it are inside `room`.
FailureOr<int64_t> checkOffset(Operation *op, int64_t offset, int64_t bytes,
                               int64_t room) {
  if (offset < 0)
    return op->emitOpError("is not planned: run krn-plan-buffers first");
  if (offset % krn::kLineBytes != 0)
    return op->emitOpError() << "lies at byte " << offset
                             << ", which is no multiple of " << krn::kLineBytes;
  if (offset > room || bytes > room - offset)
    return op->emitOpError() << "of " << bytes << " bytes at byte " << offset
                             << " is not inside " << room << " bytes";
  return offset;
}

} // namespace

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

int64_t cpu::kernelScratchBytes() {
  return std::max(krn::gemmScratchBytes(), krn::attentionScratchBytes());
}

LogicalResult cpu::checkEntry(krn::EntryOp entry) {
  int64_t maxTokens = entry.getMaxTokens(), arena = entry.getArena(),
          scratch = entry.getScratch();
  if (maxTokens < 1 || maxTokens > (1 << 20))
    return entry.emitOpError()
           << "has " << maxTokens << " tokens; 1 to 2^20 can be compiled";
  if (arena < 0 || arena % krn::kLineBytes != 0 || scratch < 0 ||
      scratch % krn::kLineBytes != 0)
    return entry.emitOpError()
           << "has an arena of " << arena << " and a scratch of " << scratch
           << " bytes; both must be multiples of " << krn::kLineBytes;
  if (scratch < kernelScratchBytes())
    return entry.emitOpError()
           << "has " << scratch << " bytes of scratch; kernels alone need "
           << kernelScratchBytes();
  return success();
}

FailureOr<int64_t> cpu::bufferOffset(krn::BufferOp op, krn::EntryOp entry) {
  krn::BufferType type = op.getType();
  if (type.rowStride() != type.getColumns())
    return op.emitOpError() << "has gaps between rows: " << type;
  if (!isExtent(type.getColumns()))
    return op.emitOpError() << "has " << type.getColumns() << " columns; up to "
                            << kMaxExtent << " can be compiled";
  return checkOffset(op, op.getOffset(),
                     int64_t(entry.getMaxTokens()) * type.getColumns() * 4,
                     entry.getArena());
}

FailureOr<int64_t> cpu::bufferOffset(krn::StagedBufferOp op,
                                     krn::EntryOp entry) {
  krn::StagedType type = op.getType();
  int64_t columns = type.getColumns();
  if (!isExtent(columns))
    return op.emitOpError() << "has " << columns << " columns; up to "
                            << kMaxExtent << " can be compiled";
  bool isFixed = type.getActivations() == "i16";
  bool isSplit = type.getActivations() == "split8";
  if (!isFixed && !isSplit && type.getActivations() != "f32")
    return op.emitOpError() << "needs activations f32, i16 or split8, not "
                            << type.getActivations();
  int64_t group = groupOf(type);
  int64_t elements = krn::stagedColumns(
      columns, group, krn::paddedGroup(group, int(type.getBits())));
  int64_t groups = (columns + group - 1) / group;
  int64_t tokens = entry.getMaxTokens();
  int64_t bytes = isSplit   ? krn::stagedBytesSplit(tokens, elements, columns)
                  : isFixed ? krn::stagedBytesI16(tokens, elements, groups)
                            : krn::stagedBytesF32(tokens, elements);
  int64_t room = op.getPrivate_()
                     ? int64_t(entry.getScratch()) - kernelScratchBytes()
                     : int64_t(entry.getArena());
  return checkOffset(op, op.getOffset(), bytes, room);
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

FailureOr<krn::EmbedConfig> cpu::embedConfig(krn::EmbedOp op) {
  qnt::PackedType table = op.getTable().getType();
  StringRef layout = table.getLayout() ? table.getLayout().getValue() : "";
  std::optional<int32_t> element = elementOf(table.getFormat().getValue().code);
  if (!element || (layout != "rows" && layout != "t16") ||
      !isExtent(table.getRows()))
    return op.emitOpError() << "needs a table of f32, f16 or bf16 in layout "
                               "\"rows\" or \"t16\", not "
                            << table;
  if (failed(checkDense(op, "output", op.getOutput())))
    return failure();
  krn::EmbedConfig config = {};
  config.vocabulary = table.getRows();
  config.hidden = table.getColumns();
  config.element = *element;
  config.tiled = layout == "t16";
  config.multiplier = op.getMultiplier().convertToFloat();
  config.positions = op.getPositions();
  config.positionOffset = op.getOffset();
  return config;
}

FailureOr<krn::RopeTableConfig> cpu::ropeTableConfig(krn::RopeTableOp op) {
  if (failed(checkDense(op, "output", op.getOutput())) ||
      failed(checkVectors(op, {op.getFrequencies()})))
    return failure();
  krn::RopeTableConfig config = {};
  config.half = op.getOutput().getType().getColumns() / 2;
  if (tfm::LengthScalingAttr scaling = op.getLengthScalingAttr()) {
    config.original = scaling.getOriginal();
    config.factor = scaling.factor();
  }
  config.attentionFactor = op.getAttentionFactor().convertToFloat();
  return config;
}

/// What staging and looking for outliers share: how rows are read and normed.
template <typename Op>
static krn::StageConfig normedRows(Op op) {
  krn::StagedType staged = op.getOutput().getType();
  krn::StageConfig config = {};
  config.columns = staged.getColumns();
  config.inputStride = strideOf(op.getInput());
  config.group = groupOf(staged);
  config.paddedGroup = krn::paddedGroup(config.group, int(staged.getBits()));
  config.norm = normOf(op.getNorm());
  config.epsilon = op.getEps().convertToFloat();
  config.normOffset = op.getNormOffset().convertToFloat();
  config.hasNormBias = bool(op.getNormBias());
  config.heads = 1;
  return config;
}

FailureOr<krn::StageConfig> cpu::stageConfig(krn::StageOp op) {
  if (failed(checkVectors(
          op, {op.getNormWeight(), op.getNormBias(), op.getOrder()})))
    return failure();
  krn::StageConfig config = normedRows(op);
  config.linears = int32_t(op.getLinears());
  if (FloatAttr threshold = op.getOutlierThresholdAttr())
    config.outlierThreshold = float(threshold.getValueAsDouble());
  auto buffer = op.getOutput().getDefiningOp<krn::StagedBufferOp>();
  config.findsOutliers = buffer && buffer.getPrivate_();
  return config;
}

FailureOr<krn::StageConfig> cpu::findOutliersConfig(krn::FindOutliersOp op) {
  if (failed(checkVectors(op, {op.getNormWeight(), op.getNormBias()})))
    return failure();
  krn::StageConfig config = normedRows(op);
  config.outlierThreshold = op.getOutlierThreshold().convertToFloat();
  return config;
}

/// Checks that the kernel `op` names is the one for its weight and input.
static LogicalResult checkKernel(krn::GemmOp op, int64_t maxTokens) {
  qnt::PackedType weight = op.getWeight().getType();
  krn::StagedType staged = op.getInput().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  if (!isExtent(weight.getRows()) || !isExtent(weight.getColumns()))
    return op.emitOpError() << "has a weight of " << weight.getRows() << " by "
                            << weight.getColumns() << "; up to " << kMaxExtent
                            << " each can be compiled";
  if (!weight.getLayout() || weight.getLayout().getValue() != "t16")
    return op.emitOpError()
           << "needs a weight in layout \"t16\", not " << weight;
  if (format.flattened)
    return op.emitOpError() << "needs groups along rows, not " << weight;
  if (groupOf(staged) != groupOf(weight) ||
      staged.getBits() != format.codeBits())
    return op.emitOpError()
           << "reads " << staged << " with a weight of " << weight;
  std::string_view code = qrt::codeName(format.code);
  if (staged.getActivations() == "i16" && !qrt::isIntCode(format.code))
    return op.emitOpError()
           << "has no kernel for i16 activations and " << code << " codes";
  if (staged.getActivations() == "split8" &&
      (format.code != qrt::Code::Int8 || format.zero ||
       groupOf(weight) != weight.getColumns()))
    return op.emitOpError()
           << "splits outliers off from rows of int8 only, not " << weight;
  std::string suffix = std::string(code) + "_" + staged.getActivations().str();
  std::string kernel =
      (maxTokens <= krn::kGemvTokens ? "krn_gemv_" : "krn_gemm_") + suffix;
  if (op.getKernel() != kernel)
    return op.emitOpError() << "needs kernel " << kernel << " for up to "
                            << maxTokens << " tokens, not " << op.getKernel();
  return success();
}

/// Checks that all that `op` reads and writes has as many rows as it works on.
static LogicalResult checkRows(krn::GemmOp op) {
  bool isLogits = op.getOutput().getDefiningOp<krn::LogitsBufferOp>();
  if (isLogits != op.getGather())
    return op.emitOpError(
        "must write the caller's logits if it gathers rows, and only then");
  if (op.getResidual() &&
      (op.getGather() || op.getResidual().getDefiningOp<krn::LogitsBufferOp>()))
    return op.emitOpError("adds a residual of other rows than it works on");
  for (Operation *user : op.getInput().getUsers())
    if (auto stage = dyn_cast<krn::StageOp>(user);
        stage && stage.getGather() != op.getGather())
      return op.emitOpError("does not read the rows that its input's stage "
                            "wrote: only one of them gathers");
  return success();
}

FailureOr<krn::GemmConfig> cpu::gemmConfig(krn::GemmOp op, int64_t maxTokens) {
  if (failed(checkKernel(op, maxTokens)) || failed(checkRows(op)) ||
      failed(checkVectors(op, {op.getBias()})))
    return failure();
  qnt::PackedType weight = op.getWeight().getType();
  const qrt::Format &format = weight.getFormat().getValue();
  krn::GemmConfig config = {};
  config.rows = weight.getRows();
  config.columns = weight.getColumns();
  config.group = groupOf(weight);
  config.paddedGroup = krn::paddedGroup(config.group, format.codeBits());
  config.outputStride = strideOf(op.getOutput());
  config.residualStride = op.getResidual() ? strideOf(op.getResidual()) : 0;
  config.scaleType = elementOf(format.scale);
  config.hasZero = format.zero;
  config.defaultZero = qrt::defaultZero(format.code);
  config.hasBias = bool(op.getBias());
  config.activation = op.getActivation() ? activationOf(*op.getActivation())
                                         : int32_t(krn::ActNone);
  config.glu = op.getGlu();
  config.hasResidual = bool(op.getResidual());
  config.mayBeFew = op.getGather();
  config.multiplier = op.getMultiplier().convertToFloat();
  config.softCap = op.getSoftCap().convertToFloat();
  config.nested = format.nested;
  return config;
}

static LogicalResult checkHeads(Operation *op, tfm::CacheType cache) {
  if (cache.getDim() <= krn::kMaxHeadDim)
    return success();
  return op->emitOpError() << "has heads of " << cache.getDim()
                           << " dimensions; up to " << krn::kMaxHeadDim
                           << " can be compiled";
}

FailureOr<krn::RopeAppendConfig> cpu::ropeAppendConfig(krn::RopeAppendOp op) {
  if ((op.getTable() && failed(checkDense(op, "rope table", op.getTable()))) ||
      failed(checkVectors(op, {op.getQNorm(), op.getKNorm()})))
    return failure();
  auto cache = cast<tfm::CacheType>(op.getCache());
  if (failed(checkHeads(op, cache)))
    return failure();
  krn::RopeAppendConfig config = {};
  config.heads = op.getHeads();
  config.kvHeads = cache.getHeads();
  config.headDim = cache.getDim();
  config.rotary = op.getRotary();
  config.interleaved = op.getInterleaved();
  config.qStride = strideOf(op.getQuery());
  config.kStride = strideOf(op.getKey());
  config.vStride = strideOf(op.getValue());
  config.kvElement = elementOf(cache.getElement());
  config.normQk = bool(op.getQNorm());
  config.epsilon = op.getEps().convertToFloat();
  config.normOffset = op.getNormOffset().convertToFloat();
  return config;
}

FailureOr<krn::AttentionConfig> cpu::attentionConfig(krn::AttentionOp op) {
  if (failed(checkVectors(op, {op.getSlopes()})))
    return failure();
  auto cache = cast<tfm::CacheType>(op.getCache());
  if (failed(checkHeads(op, cache)))
    return failure();
  krn::AttentionConfig config = {};
  config.heads = op.getHeads();
  config.kvHeads = cache.getHeads();
  config.headDim = cache.getDim();
  config.qStride = strideOf(op.getQuery());
  config.outputStride = strideOf(op.getOutput());
  config.window = cache.getWindow();
  config.kvElement = elementOf(cache.getElement());
  config.scale = op.getScale().convertToFloat();
  config.softCap = op.getSoftCap().convertToFloat();
  config.alibi = !op.getSlopes()    ? krn::AlibiNone
                 : op.getBf16Bias() ? krn::AlibiBf16
                                    : krn::AlibiExact;
  return config;
}

FailureOr<krn::StageConfig> cpu::normConfig(krn::NormOp op) {
  if (failed(checkVectors(op, {op.getWeight(), op.getBias()})))
    return failure();
  krn::StageConfig config = {};
  config.columns =
      op.getInput().getType().getColumns() / int64_t(op.getHeads());
  config.inputStride = strideOf(op.getInput());
  config.group = config.paddedGroup = config.columns;
  config.norm = normOf(op.getNorm());
  config.epsilon = op.getEps().convertToFloat();
  config.normOffset = op.getNormOffset().convertToFloat();
  config.hasNormBias = bool(op.getBias());
  config.heads = int32_t(op.getHeads());
  config.weightPerHead =
      config.heads > 1 &&
      op.getWeight().getType().getColumns() != config.columns;
  return config;
}

FailureOr<krn::RopeAppendConfig> cpu::ropeConfig(krn::RopeOp op) {
  int64_t stride = strideOf(op.getInput());
  if (stride != strideOf(op.getOutput()))
    return op.emitOpError()
           << "reads rows " << stride << " elements apart and writes them "
           << strideOf(op.getOutput()) << " apart";
  if (failed(checkDense(op, "rope table", op.getTable())))
    return failure();
  krn::RopeAppendConfig config = {};
  config.heads = op.getHeads();
  config.headDim = op.getInput().getType().getColumns() / config.heads;
  config.rotary = op.getRotary();
  config.interleaved = op.getInterleaved();
  config.qStride = stride;
  return config;
}

static krn::ElementwiseConfig elementwise(Value a, Value b,
                                          krn::BufferType output) {
  krn::ElementwiseConfig config = {};
  config.columns = output.getColumns();
  config.aStride = strideOf(a);
  config.bStride = strideOf(b);
  config.outputStride = output.rowStride();
  return config;
}

krn::ElementwiseConfig cpu::activationConfig(krn::ActivationOp op) {
  krn::ElementwiseConfig config =
      elementwise(op.getInput(), op.getInput(), op.getOutput().getType());
  config.activation = activationOf(op.getKind());
  return config;
}

krn::ElementwiseConfig cpu::mapConfig(krn::MapOp op) {
  krn::ElementwiseConfig config =
      elementwise(op.getInput(), op.getInput(), op.getOutput().getType());
  config.activation = op.getKind() == tfm::MapKind::SoftCap ? krn::MapSoftCap
                      : op.getKind() == tfm::MapKind::Clamp ? krn::MapClamp
                                                            : krn::MapScale;
  config.value = op.getValue().convertToFloat();
  return config;
}

krn::ElementwiseConfig cpu::mulConfig(krn::MulOp op) {
  return elementwise(op.getLhs(), op.getRhs(), op.getOutput().getType());
}

krn::ElementwiseConfig cpu::addConfig(krn::AddOp op) {
  return elementwise(op.getLhs(), op.getRhs(), op.getOutput().getType());
}
