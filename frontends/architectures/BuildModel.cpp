//===- BuildModel.cpp - From a specification to a TFM program -------------===//

#include "frontends/architectures/BuildModel.h"

#include "dialects/TFM/TFM.h"
#include "runtime/support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using qrt::Error;

namespace qcc {
namespace {

std::string expand(std::string name, int64_t layer) {
  size_t at = name.find("{}");
  if (at != std::string::npos)
    name.replace(at, 2, std::to_string(layer));
  return name;
}

std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "a scalar" : text;
}

/// Builds the three parts of a program side by side: each weight becomes a
/// `tfm.define` in @weights, a `tfm.weight` in @model and, in a layer, an
/// argument of its block.
class Builder {
public:
  Builder(MLIRContext &context, const ModelSpec &spec,
          const TensorSource &source, Type kvElement)
      : spec(spec), source(source), kvElement(kvElement),
        module(ModuleOp::create(UnknownLoc::get(&context))), weights(&context),
        model(&context), loc(UnknownLoc::get(&context)) {}

  ImportedModel build();

private:
  /// The weights of one layer, in the order of the block's arguments.
  struct Layer {
    SmallVector<std::pair<StringRef, Value>> weights;
    /// What distinguishes kinds of blocks: types of weights and the cache.
    SmallVector<Type> types;
  };

  RankedTensorType tensor(ArrayRef<int64_t> shape, Type element) {
    return RankedTensorType::get(shape, element);
  }
  RankedTensorType activations(int64_t features) {
    return tensor({ShapedType::kDynamic, features}, model.getF32Type());
  }

  /// `tfm.param` of a checkpoint tensor, checked against `shape`.
  Value param(const std::string &name, ArrayRef<int64_t> shape,
              bool *rotaryPermuted = nullptr);
  /// Defines `value` under `name` and reads it in @model.
  Value define(const std::string &name, Value value,
               const std::string &moduleName);
  Value constant(const std::string &name, ArrayRef<float> values);

  void projection(Layer &layer, StringRef role, const Projection &from,
                  int64_t index, int64_t heads = 0);
  void normWeights(Layer &layer, StringRef role, const std::string &name,
                   int64_t index);
  void vectorWeight(Layer &layer, StringRef role, const std::string &name,
                    int64_t size, int64_t index);
  Layer layerWeights(int64_t index);
  func::FuncOp blockFor(const Layer &layer, tfm::CacheType cache);
  Value norm(OpBuilder &b, Value x, Value weight, Value bias);

  const ModelSpec &spec;
  const TensorSource &source;
  Type kvElement;
  OwningOpRef<ModuleOp> module;
  OpBuilder weights, model;
  Location loc;
  std::map<std::string, std::vector<float>> constants;
  std::vector<std::pair<SmallVector<Type>, func::FuncOp>> blocks;
};

Value Builder::param(const std::string &name, ArrayRef<int64_t> shape,
                     bool *rotaryPermuted) {
  std::optional<StoredTensor> stored = source.find(name);
  if (!stored)
    throw Error("tensor '" + name + "' is missing", source.where());
  if (!stored->shape.empty() && ArrayRef(stored->shape) != shape)
    throw Error("tensor '" + name + "' is " + shapeText(stored->shape) +
                    " where the configuration asks for " + shapeText(shape),
                source.where());
  if (rotaryPermuted)
    *rotaryPermuted = stored->rotaryPermuted;
  auto attr = tfm::ParamAttr::get(weights.getContext(), source.scope(), name);
  return tfm::ParamOp::create(weights, loc, tensor(shape, stored->elementType),
                              attr);
}

Value Builder::define(const std::string &name, Value value,
                      const std::string &moduleName) {
  tfm::DefineOp::create(weights, loc, weights.getStringAttr(name), value,
                        moduleName.empty() ? StringAttr()
                                           : weights.getStringAttr(moduleName));
  return tfm::WeightOp::create(model, loc, value.getType(), name);
}

Value Builder::constant(const std::string &name, ArrayRef<float> values) {
  constants[name] = values.vec();
  auto attr = tfm::ParamAttr::get(weights.getContext(), "constant", name);
  Value value = tfm::ParamOp::create(
      weights, loc, tensor({int64_t(values.size())}, weights.getF32Type()),
      attr);
  return define(name, value, "");
}

void Builder::vectorWeight(Layer &layer, StringRef role,
                           const std::string &name, int64_t size,
                           int64_t index) {
  Value value = param(expand(name, index), {size});
  std::string key = "layers." + std::to_string(index) + "." + role.str();
  layer.weights.push_back({role, define(key, value, "")});
}

void Builder::normWeights(Layer &layer, StringRef role, const std::string &name,
                          int64_t index) {
  vectorWeight(layer, role, name + ".weight", spec.hidden, index);
  if (spec.norm.bias)
    vectorWeight(layer, weights.getStringAttr(role + "_bias").getValue(),
                 name + ".bias", spec.hidden, index);
}

/// Adds the weight of a projection under `role` and its bias, if it has one,
/// under `role`_bias. `heads`: of q and k, whose rows may be in GGUF's order.
void Builder::projection(Layer &layer, StringRef role, const Projection &from,
                         int64_t index, int64_t heads) {
  std::string name = expand(from.module, index);
  std::string key = "layers." + std::to_string(index) + "." + role.str();
  auto take = [&](const char *suffix, SmallVector<int64_t> shape) {
    bool permuted = false;
    if (from.isFused())
      shape[0] = from.storedRows;
    Value value = param(name + suffix, shape, &permuted);
    Type element = cast<RankedTensorType>(value.getType()).getElementType();
    if (from.isFused()) {
      shape[0] = from.outputs;
      value = tfm::SliceRowsOp::create(weights, loc, tensor(shape, element),
                                       value, from.sliceOffset, from.sliceSize,
                                       from.sliceStride);
    }
    if (permuted && heads)
      value = tfm::UnpermuteRotaryOp::create(weights, loc, value.getType(),
                                             value, heads);
    return value;
  };
  layer.weights.push_back(
      {role, define(key, take(".weight", {from.outputs, from.inputs}), name)});
  if (from.bias)
    layer.weights.push_back(
        {weights.getStringAttr(role + "_bias").getValue(),
         define(key + "_bias", take(".bias", {from.outputs}), "")});
}

Builder::Layer Builder::layerWeights(int64_t index) {
  Layer layer;
  normWeights(layer, "attention_norm", spec.attentionNorm, index);
  projection(layer, "q", spec.query, index, spec.heads);
  projection(layer, "k", spec.key, index, spec.kvHeads);
  projection(layer, "v", spec.value, index);
  if (!spec.qNorm.empty()) {
    vectorWeight(layer, "q_norm", spec.qNorm + ".weight", spec.headDim, index);
    vectorWeight(layer, "k_norm", spec.kNorm + ".weight", spec.headDim, index);
  }
  projection(layer, "o", spec.output, index);
  if (!spec.mlpNorm.empty())
    normWeights(layer, "mlp_norm", spec.mlpNorm, index);
  if (!spec.gate.module.empty())
    projection(layer, "gate", spec.gate, index);
  projection(layer, "up", spec.up, index);
  projection(layer, "down", spec.down, index);
  for (auto &[role, value] : layer.weights)
    layer.types.push_back(value.getType());
  return layer;
}

Value Builder::norm(OpBuilder &b, Value x, Value weight, Value bias) {
  FloatAttr eps = b.getF32FloatAttr(spec.norm.eps);
  if (spec.norm.kind == NormSpec::Layer)
    return tfm::LayerNormOp::create(b, loc, x.getType(), x, weight, bias, eps);
  return tfm::RMSNormOp::create(b, loc, x.getType(), x, weight, eps,
                                b.getF32FloatAttr(spec.norm.offset),
                                b.getI64IntegerAttr(1));
}

/// The function of a layer with these weights, built when first asked for:
/// equal layers share one.
func::FuncOp Builder::blockFor(const Layer &layer, tfm::CacheType cache) {
  SmallVector<Type> key = layer.types;
  key.push_back(cache);
  for (auto &[types, function] : blocks)
    if (types == key)
      return function;

  OpBuilder b = OpBuilder::atBlockEnd(module->getBody());
  RankedTensorType rows = activations(spec.hidden);
  SmallVector<Type> arguments = {tfm::StepType::get(b.getContext()), cache,
                                 rows};
  if (spec.rope.rotary)
    arguments.push_back(tensor({spec.rope.rotary / 2}, b.getF32Type()));
  llvm::append_range(arguments, layer.types);
  auto function =
      func::FuncOp::create(b, loc, "block_" + std::to_string(blocks.size()),
                           b.getFunctionType(arguments, {rows}));
  function.setPrivate();
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);

  Value step = body->getArgument(0), kv = body->getArgument(1);
  Value x = body->getArgument(2);
  size_t next = 3;
  Value frequencies = spec.rope.rotary ? body->getArgument(next++) : Value();
  llvm::StringMap<Value> role;
  for (size_t i = 0; i < layer.weights.size(); ++i)
    role[layer.weights[i].first] = body->getArgument(next + i);
  auto weight = [&](const Twine &name) { return role.lookup(name.str()); };
  auto linear = [&](Value input, StringRef name, int64_t outputs) -> Value {
    return tfm::LinearOp::create(b, loc, activations(outputs), input,
                                 weight(name), weight(name + "_bias"));
  };
  auto headNorm = [&](Value input, StringRef name, int64_t heads) -> Value {
    if (!weight(name))
      return input;
    return tfm::RMSNormOp::create(b, loc, input.getType(), input, weight(name),
                                  b.getF32FloatAttr(spec.norm.eps),
                                  b.getF32FloatAttr(spec.norm.offset),
                                  b.getI64IntegerAttr(heads));
  };
  auto rope = [&](Value input, int64_t heads) -> Value {
    if (!spec.rope.rotary)
      return input;
    return tfm::RopeOp::create(
        b, loc, input.getType(), step, input, frequencies,
        b.getI64IntegerAttr(heads), b.getI64IntegerAttr(spec.rope.rotary),
        spec.rope.interleaved ? b.getUnitAttr() : UnitAttr(),
        b.getF32FloatAttr(spec.rope.attentionFactor));
  };

  Value attentionInput =
      norm(b, x, weight("attention_norm"), weight("attention_norm_bias"));
  int64_t kvWidth = spec.kvHeads * spec.headDim;
  Value q = linear(attentionInput, "q", spec.heads * spec.headDim);
  Value k = linear(attentionInput, "k", kvWidth);
  Value v = linear(attentionInput, "v", kvWidth);
  q = rope(headNorm(q, "q_norm", spec.heads), spec.heads);
  k = rope(headNorm(k, "k_norm", spec.kvHeads), spec.kvHeads);
  Value attended = tfm::AttentionOp::create(
      b, loc, q.getType(), step, kv, q, k, v, /*slopes=*/Value(),
      b.getI64IntegerAttr(spec.heads), b.getF32FloatAttr(spec.attentionScale),
      b.getF32FloatAttr(0));
  Value afterAttention =
      tfm::AddOp::create(b, loc, x, linear(attended, "o", spec.hidden));

  Value mlpInput = attentionInput;
  if (!spec.mlpNorm.empty())
    mlpInput = norm(b, spec.parallel ? x : afterAttention, weight("mlp_norm"),
                    weight("mlp_norm_bias"));
  Value up = linear(mlpInput, "up", spec.intermediate);
  auto kind = tfm::ActivationAttr::get(b.getContext(), spec.activation);
  Value inner;
  if (weight("gate")) {
    Value gate = linear(mlpInput, "gate", spec.intermediate);
    gate = tfm::ActivationOp::create(b, loc, gate.getType(), kind, gate);
    inner = tfm::MulOp::create(b, loc, gate, up);
  } else {
    inner = tfm::ActivationOp::create(b, loc, up.getType(), kind, up);
  }
  Value result = tfm::AddOp::create(b, loc, afterAttention,
                                    linear(inner, "down", spec.hidden));
  func::ReturnOp::create(b, loc, result);
  blocks.push_back({key, function});
  return function;
}

ImportedModel Builder::build() {
  OpBuilder top = OpBuilder::atBlockEnd(module->getBody());
  (*module)->setAttr(
      "tfm.model",
      tfm::ModelAttr::get(top.getContext(), spec.architecture, spec.vocabulary,
                          spec.hidden, spec.layers, spec.heads, spec.kvHeads,
                          spec.headDim, spec.intermediate, spec.context));
  auto weightsFunction =
      func::FuncOp::create(top, loc, "weights", top.getFunctionType({}, {}));
  weights.setInsertionPointToStart(weightsFunction.addEntryBlock());

  // @model is built beside the module and moved behind the blocks at the end,
  // so that functions stand before their callers.
  auto modelFunction = func::FuncOp::create(
      top, loc, "model",
      top.getFunctionType({tfm::StepType::get(top.getContext())},
                          {activations(spec.vocabulary)}));
  Block *body = modelFunction.addEntryBlock();
  model.setInsertionPointToStart(body);
  Value step = body->getArgument(0);

  Value table =
      define("embedding",
             param(spec.embedding + ".weight", {spec.vocabulary, spec.hidden}),
             spec.embedding);
  Value frequencies;
  if (spec.rope.rotary)
    frequencies = constant("rope.frequencies", spec.rope.frequencies);
  Value x = tfm::EmbeddingOp::create(model, loc, activations(spec.hidden), step,
                                     table, model.getF32FloatAttr(1));
  for (int64_t i = 0; i < spec.layers; ++i) {
    Layer layer = layerWeights(i);
    auto cache = tfm::CacheType::get(top.getContext(), spec.kvHeads,
                                     spec.headDim, kvElement, spec.windows[i]);
    func::FuncOp block = blockFor(layer, cache);
    SmallVector<Value> operands = {
        step, tfm::LayerCacheOp::create(model, loc, cache, i), x};
    if (frequencies)
      operands.push_back(frequencies);
    for (auto &[role, value] : layer.weights)
      operands.push_back(value);
    x = func::CallOp::create(model, loc, block, operands).getResult(0);
  }

  Value finalWeight = define(
      "final_norm", param(spec.finalNorm + ".weight", {spec.hidden}), "");
  Value finalBias;
  if (spec.norm.bias)
    finalBias = define("final_norm_bias",
                       param(spec.finalNorm + ".bias", {spec.hidden}), "");
  Value normed = norm(model, x, finalWeight, finalBias);
  Value head = table;
  // A config that unties but a checkpoint without a head means tied, as
  // transformers' loading does it.
  if (!spec.tied && source.find(spec.head.module + ".weight"))
    head = define(
        "lm_head",
        param(spec.head.module + ".weight", {spec.vocabulary, spec.hidden}),
        spec.head.module);
  Value logits = tfm::LogitsOp::create(model, loc, activations(spec.vocabulary),
                                       step, normed, head, Value());
  func::ReturnOp::create(model, loc, logits);
  func::ReturnOp::create(weights, loc);
  modelFunction->moveBefore(module->getBody(), module->getBody()->end());
  return {std::move(module), std::move(constants)};
}

} // namespace

ImportedModel buildModel(MLIRContext &context, const ModelSpec &spec,
                         const TensorSource &source, Type kvElement) {
  context.loadDialect<func::FuncDialect, tfm::TFMDialect>();
  return Builder(context, spec, source, kvElement).build();
}

} // namespace qcc
