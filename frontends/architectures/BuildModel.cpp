//===- BuildModel.cpp - From a specification to a TFM program -------------===//

#include "frontends/architectures/BuildModel.h"

#include "dialects/TFM/TFM.h"
#include "frontends/architectures/BuildBlock.h"
#include "runtime/support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using qrt::Error;

namespace qcc {
namespace {

std::string expand(std::string name, const char *placeholder, int64_t number) {
  size_t at = name.find(placeholder);
  if (at != std::string::npos)
    name.replace(at, std::string_view(placeholder).size(),
                 std::to_string(number));
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
  RankedTensorType tensor(ArrayRef<int64_t> shape, Type element) {
    return RankedTensorType::get(shape, element);
  }
  RankedTensorType activations(int64_t features) {
    return tensor({ShapedType::kDynamic, features}, model.getF32Type());
  }

  /// The source's tensor of that name, with or without the prefix that some
  /// checkpoints leave out; `name` becomes the one that it has there.
  std::optional<StoredTensor> find(std::string &name) const;
  /// `tfm.param` of a checkpoint tensor, checked against `stored`; the value
  /// is of `shape`, which has as many elements (default: `stored`).
  Value param(std::string name, ArrayRef<int64_t> stored,
              ArrayRef<int64_t> shape = {}, bool *rotaryPermuted = nullptr);
  /// Defines `value` under `name` and reads it in @model.
  Value define(const std::string &name, Value value,
               const std::string &moduleName = "");
  Value constant(const std::string &name, ArrayRef<float> values);
  /// The weight of norms without parameters.
  Value unitWeight() {
    if (!ones)
      ones = constant("norm.ones", SmallVector<float>(spec.hidden, 1));
    return ones;
  }
  /// The weight or bias of a projection. `heads`: of q and k, whose rows may be
  /// in GGUF's order.
  Value projectionValue(const Projection &from, const std::string &name,
                        const char *suffix, SmallVector<int64_t> shape,
                        int64_t heads);

  void projection(LayerWeights &layer, StringRef role, const Projection &from,
                  int64_t index, int64_t heads = 0);
  /// Weight and bias of a norm of whole rows; nothing for an empty name.
  void rowNorm(LayerWeights &layer, StringRef role, const std::string &name,
               int64_t index);
  void headNorm(LayerWeights &layer, StringRef role, const std::string &name,
                int64_t heads, int64_t index);
  LayerWeights layerWeights(int64_t index);
  func::FuncOp blockFor(const LayerWeights &layer, const LayerSpec &spec,
                        tfm::CacheType cache);

  /// Norm, weights and all, of @model itself.
  Value modelNorm(Value x, const std::string &key, const std::string &name);
  Value modelLinear(Value x, const std::string &key, const Projection &from);
  Value embed(Value step, Value table);

  const ModelSpec &spec;
  const TensorSource &source;
  Type kvElement;
  OwningOpRef<ModuleOp> module;
  OpBuilder weights, model;
  Location loc;
  std::map<std::string, std::vector<float>> constants;
  std::set<std::string> tensors;
  Value ones;
  /// Blocks, by what distinguishes them.
  std::vector<std::pair<std::pair<SmallVector<Type>, LayerSpec>, func::FuncOp>>
      blocks;
};

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

std::optional<StoredTensor> Builder::find(std::string &name) const {
  std::optional<StoredTensor> stored = source.find(name);
  if (stored || spec.basePrefix.empty() ||
      !StringRef(name).starts_with(spec.basePrefix))
    return stored;
  std::string shorter = name.substr(spec.basePrefix.size());
  stored = source.find(shorter);
  if (stored)
    name = shorter;
  return stored;
}

Value Builder::param(std::string name, ArrayRef<int64_t> expected,
                     ArrayRef<int64_t> shape, bool *rotaryPermuted) {
  std::optional<StoredTensor> stored = find(name);
  if (!stored)
    throw Error("tensor '" + name + "' is missing", source.where());
  if (!stored->shape.empty() && ArrayRef(stored->shape) != expected)
    throw Error("tensor '" + name + "' is " + shapeText(stored->shape) +
                    " where the configuration asks for " + shapeText(expected),
                source.where());
  if (rotaryPermuted)
    *rotaryPermuted = stored->rotaryPermuted;
  tensors.insert(name);
  auto attr = tfm::ParamAttr::get(weights.getContext(), source.scope(), name);
  return tfm::ParamOp::create(
      weights, loc,
      tensor(shape.empty() ? expected : shape, stored->elementType), attr);
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
  return define(name, value);
}

Value Builder::projectionValue(const Projection &from, const std::string &name,
                               const char *suffix, SmallVector<int64_t> shape,
                               int64_t heads) {
  bool permuted = false;
  if (from.isFused())
    shape[0] = from.storedRows;
  bool isTransposed = from.transposed && shape.size() == 2;
  SmallVector<int64_t> stored = shape;
  if (isTransposed)
    std::swap(stored[0], stored[1]);
  Value value = param(name + suffix, stored, {}, &permuted);
  Type element = cast<RankedTensorType>(value.getType()).getElementType();
  if (isTransposed)
    value =
        tfm::TransposeOp::create(weights, loc, tensor(shape, element), value);
  if (from.isFused()) {
    shape[0] = from.outputs;
    value = tfm::SliceRowsOp::create(weights, loc, tensor(shape, element),
                                     value, from.sliceOffset, from.sliceSize,
                                     from.sliceStride);
  }
  if (permuted && heads)
    value = tfm::UnpermuteRotaryOp::create(weights, loc, value.getType(), value,
                                           heads);
  return value;
}

void Builder::projection(LayerWeights &layer, StringRef role,
                         const Projection &from, int64_t index, int64_t heads) {
  std::string name = expand(from.module, "{}", index);
  std::string key = "layers." + std::to_string(index) + "." + role.str();
  layer.add(role, define(key,
                         projectionValue(from, name, ".weight",
                                         {from.outputs, from.inputs}, heads),
                         name));
  if (from.bias)
    layer.add(role.str() + "_bias",
              define(key + "_bias", projectionValue(from, name, ".bias",
                                                    {from.outputs}, heads)));
}

void Builder::rowNorm(LayerWeights &layer, StringRef role,
                      const std::string &name, int64_t index) {
  if (name.empty())
    return;
  std::string from = expand(name, "{}", index);
  std::string key = "layers." + std::to_string(index) + "." + role.str();
  if (spec.norm.weight)
    layer.add(role, define(key, param(from + ".weight", {spec.hidden})));
  else
    layer.add(role, unitWeight());
  if (spec.norm.bias)
    layer.add(role.str() + "_bias",
              define(key + "_bias", param(from + ".bias", {spec.hidden})));
}

void Builder::headNorm(LayerWeights &layer, StringRef role,
                       const std::string &name, int64_t heads, int64_t index) {
  int64_t dim = spec.headDim;
  std::string from = expand(name, "{}", index);
  std::string key = "layers." + std::to_string(index) + "." + role.str();
  auto take = [&](const char *suffix) -> Value {
    switch (spec.qkNorm.span) {
    case QkNormSpec::EachHead:
      return param(from + suffix, {heads, dim}, {heads * dim});
    case QkNormSpec::EachModule: {
      SmallVector<Value> parts;
      for (int64_t head = 0; head < heads; ++head)
        parts.push_back(param(expand(from, "{head}", head) + suffix, {dim}));
      Type element =
          cast<RankedTensorType>(parts.front().getType()).getElementType();
      return tfm::ConcatRowsOp::create(weights, loc,
                                       tensor({heads * dim}, element), parts);
    }
    case QkNormSpec::Row:
      return param(from + suffix, {heads * dim});
    default:
      return param(from + suffix, {dim});
    }
  };
  layer.add(role, define(key, take(".weight")));
  if (spec.qkNorm.norm.bias)
    layer.add(role.str() + "_bias", define(key + "_bias", take(".bias")));
}

LayerWeights Builder::layerWeights(int64_t index) {
  LayerWeights layer;
  rowNorm(layer, "attention_norm", spec.attentionNorm, index);
  projection(layer, "q", spec.query, index, spec.heads);
  projection(layer, "k", spec.key, index, spec.kvHeads);
  projection(layer, "v", spec.value, index);
  if (spec.qkNorm.span != QkNormSpec::None) {
    headNorm(layer, "q_norm", spec.qkNorm.query, spec.heads, index);
    headNorm(layer, "k_norm", spec.qkNorm.key, spec.kvHeads, index);
  }
  projection(layer, "o", spec.output, index);
  rowNorm(layer, "attention_out_norm", spec.attentionOutNorm, index);
  rowNorm(layer, "attention_sum_norm", spec.attentionSumNorm, index);
  rowNorm(layer, "mlp_norm", spec.mlpNorm, index);
  if (!spec.gate.module.empty())
    projection(layer, "gate", spec.gate, index);
  projection(layer, "up", spec.up, index);
  projection(layer, "down", spec.down, index);
  rowNorm(layer, "mlp_out_norm", spec.mlpOutNorm, index);
  rowNorm(layer, "mlp_sum_norm", spec.mlpSumNorm, index);
  return layer;
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

/// The function of a layer like this, built when first asked for: equal layers
/// share one.
func::FuncOp Builder::blockFor(const LayerWeights &layer,
                               const LayerSpec &layerSpec,
                               tfm::CacheType cache) {
  SmallVector<Type> types = layer.types();
  types.push_back(cache);
  for (auto &[key, function] : blocks)
    if (key.first == types && key.second.rope == layerSpec.rope &&
        key.second.scale == layerSpec.scale)
      return function;
  func::FuncOp function =
      buildBlock(*module, "block_" + std::to_string(blocks.size()), spec,
                 layerSpec, layer, cache);
  blocks.push_back({{types, layerSpec}, function});
  return function;
}

Value Builder::modelNorm(Value x, const std::string &key,
                         const std::string &name) {
  Value weight = spec.norm.weight
                     ? define(key, param(name + ".weight", {spec.hidden}))
                     : unitWeight();
  Value bias;
  if (spec.norm.bias)
    bias = define(key + "_bias", param(name + ".bias", {spec.hidden}));
  return createNorm(model, loc, spec.norm, x, weight, bias);
}

Value Builder::modelLinear(Value x, const std::string &key,
                           const Projection &from) {
  Value weight = define(key,
                        projectionValue(from, from.module, ".weight",
                                        {from.outputs, from.inputs}, 0),
                        from.module);
  return tfm::LinearOp::create(model, loc, activations(from.outputs), x, weight,
                               Value());
}

/// What the first layer reads.
Value Builder::embed(Value step, Value table) {
  int64_t size = spec.embeddingSize ? spec.embeddingSize : spec.hidden;
  Value x =
      tfm::EmbeddingOp::create(model, loc, activations(size), step, table,
                               model.getF32FloatAttr(spec.embeddingMultiplier),
                               UnitAttr(), model.getI64IntegerAttr(0));
  if (!spec.embeddingProjection.empty())
    x = modelLinear(x, "embedding_projection",
                    {spec.embeddingProjection, spec.hidden, size});
  if (!spec.positions.empty()) {
    Value positions = define(
        "positions", param(spec.positions + ".weight",
                           {spec.context + spec.positionOffset, spec.hidden}));
    Value rows = tfm::EmbeddingOp::create(
        model, loc, activations(spec.hidden), step, positions,
        model.getF32FloatAttr(1), model.getUnitAttr(),
        model.getI64IntegerAttr(spec.positionOffset));
    x = tfm::AddOp::create(model, loc, x, rows);
  }
  if (!spec.embeddingNorm.empty())
    x = modelNorm(x, "embedding_norm", spec.embeddingNorm);
  return x;
}

ImportedModel Builder::build() {
  OpBuilder top = OpBuilder::atBlockEnd(module->getBody());
  (*module)->setAttr(
      "tfm.model", tfm::ModelAttr::get(
                       top.getContext(), spec.architecture, spec.vocabulary,
                       spec.hidden, spec.layerCount(), spec.heads, spec.kvHeads,
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

  int64_t size = spec.embeddingSize ? spec.embeddingSize : spec.hidden;
  Value table = define(
      "embedding", param(spec.embedding + ".weight", {spec.vocabulary, size}),
      spec.embedding);
  SmallVector<Value> frequencies;
  for (auto [i, rope] : llvm::enumerate(spec.ropes))
    frequencies.push_back(
        constant("rope.frequencies" + (i ? "." + std::to_string(i) : ""),
                 rope.frequencies));
  Value slopes;
  if (!spec.slopes.empty())
    slopes = constant("alibi.slopes", spec.slopes);

  Value x = embed(step, table);
  for (auto [i, layerSpec] : llvm::enumerate(spec.layers)) {
    LayerWeights layer = layerWeights(int64_t(i));
    auto cache = tfm::CacheType::get(top.getContext(), spec.kvHeads,
                                     spec.headDim, kvElement, layerSpec.window);
    if (layerSpec.rope != LayerSpec::kNoRope)
      layer.add("frequencies", frequencies[size_t(layerSpec.rope)]);
    if (slopes)
      layer.add("slopes", slopes);
    func::FuncOp block = blockFor(layer, layerSpec, cache);
    SmallVector<Value> operands = {
        step, tfm::LayerCacheOp::create(model, loc, cache, int64_t(i)), x};
    for (auto &[role, value] : layer.values)
      operands.push_back(value);
    x = func::CallOp::create(model, loc, block, operands).getResult(0);
  }

  if (!spec.finalNorm.empty())
    x = modelNorm(x, "final_norm", spec.finalNorm);
  if (!spec.headProjection.empty())
    x = modelLinear(x, "head_projection",
                    {spec.headProjection, size, spec.hidden});
  // Later transformers call every head lm_head (GPT-NeoX's was embed_out).
  std::string headModule = spec.head.module;
  if (!source.find(headModule + ".weight") && source.find("lm_head.weight"))
    headModule = "lm_head";
  Value head = table, headBias;
  if (!spec.tied)
    head = define("lm_head",
                  param(headModule + ".weight", {spec.vocabulary, size}),
                  headModule);
  if (spec.head.bias)
    headBias =
        define("lm_head_bias", param(headModule + ".bias", {spec.vocabulary}));
  Value logits = tfm::LogitsOp::create(
      model, loc, activations(spec.vocabulary), step, x, head, headBias,
      model.getF32FloatAttr(spec.logitMultiplier),
      model.getF32FloatAttr(spec.logitSoftCap));
  func::ReturnOp::create(model, loc, logits);
  func::ReturnOp::create(weights, loc);
  modelFunction->moveBefore(module->getBody(), module->getBody()->end());
  return {std::move(module), std::move(constants), std::move(tensors)};
}

} // namespace

ImportedModel buildModel(MLIRContext &context, const ModelSpec &spec,
                         const TensorSource &source, Type kvElement) {
  context.loadDialect<func::FuncDialect, tfm::TFMDialect>();
  return Builder(context, spec, source, kvElement).build();
}

} // namespace qcc
