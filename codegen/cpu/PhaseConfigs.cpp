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

/// What kernels.h calls an element of type `type`, if it has it.
std::optional<int32_t> elementOf(Type type) {
  if (type.isF32())
    return krn::ElemF32;
  if (type.isF16())
    return krn::ElemF16;
  if (type.isBF16())
    return krn::ElemBF16;
  return std::nullopt;
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
  }
  return krn::ActNone;
}

int32_t normOf(StringRef norm) {
  return llvm::StringSwitch<int32_t>(norm)
      .Case("rms", krn::NormRms)
      .Case("layer", krn::NormLayer)
      .Default(krn::NormNone);
}

/// Checks that `value` (may be null) is a plain vector of `elements` f32.
LogicalResult checkVector(Operation *op, StringRef what, Value value,
                          int64_t elements) {
  if (!value)
    return success();
  auto type = cast<qnt::PackedType>(value.getType());
  const qrt::Format &format = type.getFormat().getValue();
  if (format.code != qrt::Code::F32 || !type.getLayout() ||
      type.getLayout().getValue() != "rows" || type.getRows() != 1 ||
      type.getColumns() != elements)
    return op->emitOpError() << "needs " << what << " as 1 by " << elements
                             << " f32 in layout \"rows\", not " << type;
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

LogicalResult checkColumns(Operation *op, StringRef what, Value buffer,
                           int64_t columns) {
  auto type = cast<krn::BufferType>(buffer.getType());
  if (type.getColumns() != columns || !isExtent(type.rowStride()))
    return op->emitOpError() << "needs " << columns << " columns as its "
                             << what << ", not " << type;
  return success();
}

int64_t strideOf(Value buffer) {
  return cast<krn::BufferType>(buffer.getType()).rowStride();
}
int64_t columnsOf(Value buffer) {
  return cast<krn::BufferType>(buffer.getType()).getColumns();
}

/// Checks the weight of a GEMM, or a table that shares a GEMM's layout.
LogicalResult checkTiled(Operation *op, qnt::PackedType type) {
  const qrt::Format &format = type.getFormat().getValue();
  if (!isExtent(type.getRows()) || !isExtent(type.getColumns()))
    return op->emitOpError() << "has a weight of " << type.getRows() << " by "
                             << type.getColumns() << "; up to " << kMaxExtent
                             << " each can be compiled";
  if (!type.getLayout() || type.getLayout().getValue() != "t16")
    return op->emitOpError()
           << "needs a weight in layout \"t16\", not " << type;
  if (format.flattened)
    return op->emitOpError() << "needs groups along rows, not " << type;
  return success();
}

struct HeadShape {
  int64_t heads, kvHeads, headDim;
  int32_t element;
};

/// The shape of an attention over `cache`, if the kernels can do it.
FailureOr<HeadShape> headShape(Operation *op, Type cacheType, int64_t heads) {
  auto cache = cast<tfm::CacheType>(cacheType);
  std::optional<int32_t> element = elementOf(cache.getElement());
  if (!element)
    return op->emitOpError()
           << "needs a cache of f32, f16 or bf16, not " << cache;
  if (!isExtent(heads) || !isExtent(cache.getHeads()) ||
      !isExtent(cache.getDim()) || heads % cache.getHeads() != 0)
    return op->emitOpError() << "has " << heads << " heads over " << cache;
  return HeadShape{heads, cache.getHeads(), cache.getDim(), *element};
}

LogicalResult checkRotary(Operation *op, int64_t rotary, int64_t headDim,
                          Value table) {
  if (rotary < 0 || rotary > headDim || rotary % 2 != 0)
    return op->emitOpError()
           << "rotates " << rotary << " dimensions of heads of " << headDim;
  if (rotary == 0)
    return success();
  if (!table)
    return op->emitOpError()
           << "rotates " << rotary << " dimensions without a table";
  if (failed(checkDense(op, "rope table", table)))
    return failure();
  return checkColumns(op, "rope table", table, rotary);
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
  if (!isFixed && type.getActivations() != "f32")
    return op.emitOpError()
           << "needs activations f32 or i16, not " << type.getActivations();
  int64_t group =
      type.getGroup() > 0 ? std::min(type.getGroup(), columns) : columns;
  int64_t elements = krn::stagedColumns(
      columns, group, krn::paddedGroup(group, int(type.getBits())));
  int64_t groups = (columns + group - 1) / group;
  int64_t tokens = entry.getMaxTokens();
  int64_t bytes = isFixed ? krn::stagedBytesI16(tokens, elements, groups)
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
  krn::EmbedConfig config = {};
  StringRef layout = table.getLayout() ? table.getLayout().getValue() : "";
  std::optional<int32_t> element = elementOf(table.getFormat().getValue().code);
  if (!element || (layout != "rows" && layout != "t16") ||
      !isExtent(table.getRows()) || !isExtent(table.getColumns()))
    return op.emitOpError() << "needs a table of f32, f16 or bf16 in layout "
                               "\"rows\" or \"t16\", not "
                            << table;
  if (failed(checkDense(op, "output", op.getOutput())) ||
      failed(checkColumns(op, "output", op.getOutput(), table.getColumns())))
    return failure();
  config.vocabulary = table.getRows();
  config.hidden = table.getColumns();
  config.element = *element;
  config.tiled = layout == "t16";
  config.multiplier = op.getMultiplier().convertToFloat();
  return config;
}

FailureOr<krn::RopeTableConfig> cpu::ropeTableConfig(krn::RopeTableOp op) {
  int64_t columns = columnsOf(op.getOutput());
  if (columns % 2 != 0)
    return op.emitOpError()
           << "makes " << columns << " columns, which are no pairs";
  if (failed(checkDense(op, "output", op.getOutput())) ||
      failed(checkVector(op, "frequencies", op.getFrequencies(), columns / 2)))
    return failure();
  krn::RopeTableConfig config = {};
  config.half = columns / 2;
  config.attentionFactor = op.getAttentionFactor().convertToFloat();
  return config;
}

FailureOr<krn::StageConfig> cpu::stageConfig(krn::StageOp op) {
  krn::StagedType staged = op.getOutput().getType();
  int64_t columns = staged.getColumns();
  if (failed(checkColumns(op, "input", op.getInput(), columns)) ||
      failed(checkVector(op, "a norm's weight", op.getNormWeight(), columns)) ||
      failed(checkVector(op, "a norm's bias", op.getNormBias(), columns)))
    return failure();
  krn::StageConfig config = {};
  config.columns = columns;
  config.inputStride = strideOf(op.getInput());
  config.group =
      staged.getGroup() > 0 ? std::min(staged.getGroup(), columns) : columns;
  config.paddedGroup = krn::paddedGroup(config.group, int(staged.getBits()));
  config.norm = normOf(op.getNorm());
  config.epsilon = op.getEps().convertToFloat();
  config.normOffset = op.getNormOffset().convertToFloat();
  config.hasNormBias = bool(op.getNormBias());
  config.heads = 1;
  return config;
}

FailureOr<krn::GemmConfig> cpu::gemmConfig(krn::GemmOp op, int64_t maxTokens) {
  qnt::PackedType weight = op.getWeight().getType();
  krn::StagedType staged = op.getInput().getType();
  if (failed(checkTiled(op, weight)))
    return failure();
  const qrt::Format &format = weight.getFormat().getValue();
  int64_t columns = weight.getColumns(), group = groupOf(weight);
  int64_t stagedGroup =
      staged.getGroup() > 0 ? std::min(staged.getGroup(), columns) : columns;
  if (staged.getColumns() != columns || stagedGroup != group ||
      staged.getBits() != format.codeBits())
    return op.emitOpError()
           << "reads " << staged << " with a weight of " << weight;
  if (staged.getActivations() == "i16" && !qrt::isIntCode(format.code))
    return op.emitOpError() << "has no kernel for i16 activations and "
                            << qrt::codeName(format.code) << " codes";
  std::string suffix = std::string(qrt::codeName(format.code)) + "_" +
                       staged.getActivations().str();
  if (op.getKernel() != "krn_gemv_" + suffix &&
      op.getKernel() != "krn_gemm_" + suffix)
    return op.emitOpError()
           << "needs kernel krn_gemv_" << suffix << " or krn_gemm_" << suffix
           << ", not " << op.getKernel();
  bool isLogits = op.getOutput().getDefiningOp<krn::LogitsBufferOp>();
  if (isLogits != op.getGather())
    return op.emitOpError(
        "must write the caller's logits if it gathers rows, and only then");
  int64_t outputs = op.getGlu() ? weight.getRows() / 2 : weight.getRows();
  if (failed(checkColumns(op, "output", op.getOutput(), outputs)) ||
      (op.getResidual() &&
       failed(checkColumns(op, "residual", op.getResidual(), outputs))) ||
      failed(checkVector(op, "the bias", op.getBias(), weight.getRows())))
    return failure();

  krn::GemmConfig config = {};
  config.rows = weight.getRows();
  config.columns = columns;
  config.group = group;
  config.paddedGroup = krn::paddedGroup(group, format.codeBits());
  config.outputStride = strideOf(op.getOutput());
  config.residualStride = op.getResidual() ? strideOf(op.getResidual()) : 0;
  config.maxTokens = maxTokens;
  config.scaleType = elementOf(format.scale);
  config.hasZero = format.zero;
  config.defaultZero = qrt::defaultZero(format.code);
  config.hasBias = bool(op.getBias());
  config.activation = op.getActivation() ? activationOf(*op.getActivation())
                                         : int32_t(krn::ActNone);
  config.glu = op.getGlu();
  config.hasResidual = bool(op.getResidual());
  config.multiplier = 1.0F;
  return config;
}

FailureOr<krn::RopeAppendConfig> cpu::ropeAppendConfig(krn::RopeAppendOp op) {
  FailureOr<HeadShape> shape = headShape(op, op.getCache(), op.getHeads());
  if (failed(shape))
    return failure();
  int64_t queries = shape->heads * shape->headDim;
  int64_t keys = shape->kvHeads * shape->headDim;
  if (failed(checkColumns(op, "query", op.getQuery(), queries)) ||
      failed(checkColumns(op, "key", op.getKey(), keys)) ||
      failed(checkColumns(op, "value", op.getValue(), keys)) ||
      failed(checkRotary(op, op.getRotary(), shape->headDim, op.getTable())) ||
      failed(checkVector(op, "q_norm", op.getQNorm(), shape->headDim)) ||
      failed(checkVector(op, "k_norm", op.getKNorm(), shape->headDim)))
    return failure();
  if (bool(op.getQNorm()) != bool(op.getKNorm()))
    return op.emitOpError("norms only one of query and key");
  krn::RopeAppendConfig config = {};
  config.heads = shape->heads;
  config.kvHeads = shape->kvHeads;
  config.headDim = shape->headDim;
  config.rotary = op.getRotary();
  config.interleaved = op.getInterleaved();
  config.qStride = strideOf(op.getQuery());
  config.kStride = strideOf(op.getKey());
  config.vStride = strideOf(op.getValue());
  config.kvElement = shape->element;
  config.normQk = bool(op.getQNorm());
  config.epsilon = op.getEps().convertToFloat();
  config.normOffset = op.getNormOffset().convertToFloat();
  return config;
}

FailureOr<krn::AttentionConfig> cpu::attentionConfig(krn::AttentionOp op) {
  FailureOr<HeadShape> shape = headShape(op, op.getCache(), op.getHeads());
  if (failed(shape))
    return failure();
  int64_t columns = shape->heads * shape->headDim;
  if (failed(checkColumns(op, "query", op.getQuery(), columns)) ||
      failed(checkColumns(op, "output", op.getOutput(), columns)) ||
      failed(checkVector(op, "slopes", op.getSlopes(), shape->heads)))
    return failure();
  krn::AttentionConfig config = {};
  config.heads = shape->heads;
  config.kvHeads = shape->kvHeads;
  config.headDim = shape->headDim;
  config.qStride = strideOf(op.getQuery());
  config.outputStride = strideOf(op.getOutput());
  config.window = cast<tfm::CacheType>(op.getCache()).getWindow();
  config.kvElement = shape->element;
  config.scale = op.getScale().convertToFloat();
  config.softCap = op.getSoftCap().convertToFloat();
  config.alibi = bool(op.getSlopes());
  return config;
}

FailureOr<krn::StageConfig> cpu::normConfig(krn::NormOp op) {
  int64_t heads = op.getHeads(), columns = columnsOf(op.getInput());
  if (heads < 1 || columns % heads != 0)
    return op.emitOpError()
           << "norms " << columns << " columns as " << heads << " heads";
  int32_t norm = normOf(op.getNorm());
  if (norm == krn::NormNone)
    return op.emitOpError() << "has unknown norm '" << op.getNorm() << "'";
  if (failed(checkColumns(op, "output", op.getOutput(), columns)) ||
      failed(checkVector(op, "a weight", op.getWeight(), columns / heads)) ||
      failed(checkVector(op, "a bias", op.getBias(), columns / heads)))
    return failure();
  krn::StageConfig config = {};
  config.columns = columns / heads;
  config.inputStride = strideOf(op.getInput());
  config.group = config.paddedGroup = config.columns;
  config.norm = norm;
  config.epsilon = op.getEps().convertToFloat();
  config.normOffset = op.getNormOffset().convertToFloat();
  config.hasNormBias = bool(op.getBias());
  config.heads = int32_t(heads);
  return config;
}

FailureOr<krn::RopeAppendConfig> cpu::ropeConfig(krn::RopeOp op) {
  int64_t heads = op.getHeads(), columns = columnsOf(op.getInput());
  if (heads < 1 || columns % heads != 0)
    return op.emitOpError()
           << "rotates " << columns << " columns as " << heads << " heads";
  if (failed(checkColumns(op, "output", op.getOutput(), columns)) ||
      failed(checkRotary(op, op.getRotary(), columns / heads, op.getTable())))
    return failure();
  if (strideOf(op.getInput()) != strideOf(op.getOutput()))
    return op.emitOpError()
           << "reads rows " << strideOf(op.getInput())
           << " apart and writes them " << strideOf(op.getOutput()) << " apart";
  krn::RopeAppendConfig config = {};
  config.heads = heads;
  config.headDim = columns / heads;
  config.rotary = op.getRotary();
  config.interleaved = op.getInterleaved();
  config.qStride = strideOf(op.getInput());
  return config;
}

namespace {

FailureOr<krn::ElementwiseConfig> elementwise(Operation *op, Value a, Value b,
                                              Value output) {
  int64_t columns = columnsOf(output);
  if (failed(checkColumns(op, "input", a, columns)) ||
      failed(checkColumns(op, "input", b, columns)) ||
      failed(checkColumns(op, "output", output, columns)))
    return failure();
  krn::ElementwiseConfig config = {};
  config.columns = columns;
  config.aStride = strideOf(a);
  config.bStride = strideOf(b);
  config.outputStride = strideOf(output);
  return config;
}

} // namespace

FailureOr<krn::ElementwiseConfig> cpu::activationConfig(krn::ActivationOp op) {
  FailureOr<krn::ElementwiseConfig> config =
      elementwise(op, op.getInput(), op.getInput(), op.getOutput());
  if (succeeded(config))
    config->activation = activationOf(op.getKind());
  return config;
}

FailureOr<krn::ElementwiseConfig> cpu::mulConfig(krn::MulOp op) {
  return elementwise(op, op.getLhs(), op.getRhs(), op.getOutput());
}

FailureOr<krn::ElementwiseConfig> cpu::addConfig(krn::AddOp op) {
  return elementwise(op, op.getLhs(), op.getRhs(), op.getOutput());
}
