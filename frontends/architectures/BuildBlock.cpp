//===- BuildBlock.cpp - The function of a layer ---------------------------===//

#include "frontends/architectures/BuildBlock.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace qcc {

Value createNorm(OpBuilder &b, Location loc, const NormSpec &norm, Value x,
                 Value weight, Value bias, int64_t heads) {
  FloatAttr eps = b.getF32FloatAttr(norm.eps),
            offset = b.getF32FloatAttr(norm.offset);
  IntegerAttr slices = b.getI64IntegerAttr(heads);
  if (norm.kind == NormSpec::Layer)
    return tfm::LayerNormOp::create(b, loc, x.getType(), x, weight, bias, eps,
                                    offset, slices);
  return tfm::RMSNormOp::create(b, loc, x.getType(), x, weight, eps, offset,
                                slices);
}

namespace {

/// Builds the body of one block.
class BlockBuilder {
public:
  BlockBuilder(func::FuncOp function, const ModelSpec &spec,
               const LayerSpec &layer, const LayerWeights &weights)
      : spec(spec), layer(layer), b(function.getContext()),
        loc(function.getLoc()) {
    Block *body = function.addEntryBlock();
    b.setInsertionPointToStart(body);
    step = body->getArgument(0);
    cache = body->getArgument(1);
    x = body->getArgument(2);
    for (auto [i, weight] : llvm::enumerate(weights.values))
      role[weight.first] = body->getArgument(unsigned(3 + i));
  }

  void build();

private:
  RankedTensorType activations(int64_t features) {
    return RankedTensorType::get({ShapedType::kDynamic, features},
                                 b.getF32Type());
  }
  Value weight(const Twine &name) { return role.lookup(name.str()); }
  Value linear(Value input, StringRef name, int64_t outputs) {
    return tfm::LinearOp::create(b, loc, activations(outputs), input,
                                 weight(name), weight(name + "_bias"));
  }
  Value map(tfm::MapKind kind, Value input, float value) {
    auto attr = tfm::MapKindAttr::get(b.getContext(), kind);
    return tfm::MapOp::create(b, loc, input.getType(), attr, input,
                              b.getF32FloatAttr(value));
  }
  Value activate(Value input) {
    auto kind = tfm::ActivationAttr::get(b.getContext(), spec.activation);
    return tfm::ActivationOp::create(b, loc, input.getType(), kind, input);
  }
  /// The norm of that role, if the layer has one.
  Value norm(StringRef name, Value input) {
    if (!weight(name))
      return input;
    return createNorm(b, loc, spec.norm, input, weight(name),
                      weight(name + "_bias"));
  }
  /// Clips, norms and rotates q or k.
  Value prepare(Value input, StringRef normName, int64_t heads);
  Value attention(Value input);
  Value mlp(Value input);
  /// to + multiplier * norm(from).
  Value addTo(Value to, Value from, StringRef normName);

  const ModelSpec &spec;
  const LayerSpec &layer;
  OpBuilder b;
  Location loc;
  Value step, cache, x;
  llvm::StringMap<Value> role;
};

Value BlockBuilder::prepare(Value input, StringRef normName, int64_t heads) {
  if (spec.clipQkv > 0)
    input = map(tfm::MapKind::Clamp, input, spec.clipQkv);
  if (weight(normName))
    input = createNorm(b, loc, spec.qkNorm.norm, input, weight(normName),
                       weight(normName + "_bias"),
                       spec.qkNorm.span == QkNormSpec::Row ? 1 : heads);
  if (layer.rope == LayerSpec::kNoRope)
    return input;
  const RopeSpec &rope = spec.ropes[size_t(layer.rope)];
  tfm::LengthScalingAttr lengthScaling;
  if (rope.original)
    lengthScaling = tfm::LengthScalingAttr::get(
        b.getContext(), rope.original,
        rope.factor > 0 ? b.getF32FloatAttr(rope.factor) : FloatAttr());
  return tfm::RopeOp::create(
      b, loc, input.getType(), step, input, weight("frequencies"),
      b.getI64IntegerAttr(heads), b.getI64IntegerAttr(rope.rotary),
      rope.interleaved ? b.getUnitAttr() : UnitAttr(),
      b.getF32FloatAttr(rope.attentionFactor), lengthScaling);
}

Value BlockBuilder::attention(Value input) {
  int64_t kvWidth = spec.kvHeads * spec.headDim;
  Value q = linear(input, "q", spec.heads * spec.headDim);
  Value k = linear(input, "k", kvWidth);
  Value v = linear(input, "v", kvWidth);
  q = prepare(q, "q_norm", spec.heads);
  k = prepare(k, "k_norm", spec.kvHeads);
  if (spec.clipQkv > 0)
    v = map(tfm::MapKind::Clamp, v, spec.clipQkv);
  Value attended = tfm::AttentionOp::create(
      b, loc, q.getType(), step, cache, q, k, v, weight("slopes"),
      b.getI64IntegerAttr(spec.heads), b.getF32FloatAttr(layer.scale),
      b.getF32FloatAttr(spec.attentionSoftCap),
      spec.bf16Slopes ? b.getUnitAttr() : UnitAttr());
  return linear(attended, "o", spec.hidden);
}

Value BlockBuilder::mlp(Value input) {
  Value inner = linear(input, "up", spec.intermediate);
  if (weight("gate")) {
    Value gate = activate(linear(input, "gate", spec.intermediate));
    inner = tfm::MulOp::create(b, loc, gate, inner);
  } else {
    inner = activate(inner);
  }
  return linear(inner, "down", spec.hidden);
}

Value BlockBuilder::addTo(Value to, Value from, StringRef normName) {
  from = norm(normName, from);
  if (spec.residualMultiplier != 1)
    from = map(tfm::MapKind::Scale, from, spec.residualMultiplier);
  return tfm::AddOp::create(b, loc, to, from);
}

void BlockBuilder::build() {
  Value normed = norm("attention_norm", x);
  Value stream = addTo(spec.residualFromNorm ? normed : x, attention(normed),
                       "attention_out_norm");
  stream = norm("attention_sum_norm", stream);

  Value mlpInput = normed;
  if (!spec.parallel || weight("mlp_norm"))
    mlpInput = norm("mlp_norm", spec.parallel ? x : stream);
  stream = addTo(spec.residualFromNorm ? mlpInput : stream, mlp(mlpInput),
                 "mlp_out_norm");
  stream = norm("mlp_sum_norm", stream);
  func::ReturnOp::create(b, loc, stream);
}

} // namespace

func::FuncOp buildBlock(ModuleOp module, StringRef name, const ModelSpec &spec,
                        const LayerSpec &layer, const LayerWeights &weights,
                        tfm::CacheType cache) {
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  auto rows = RankedTensorType::get({ShapedType::kDynamic, spec.hidden},
                                    b.getF32Type());
  SmallVector<Type> arguments = {tfm::StepType::get(b.getContext()), cache,
                                 rows};
  llvm::append_range(arguments, weights.types());
  auto function = func::FuncOp::create(b, b.getUnknownLoc(), name,
                                       b.getFunctionType(arguments, {rows}));
  function.setPrivate();
  BlockBuilder(function, spec, layer, weights).build();
  return function;
}

} // namespace qcc
