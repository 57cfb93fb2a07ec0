//===- StackLinears.cpp - One GEMM of several that read the same rows -----===//

#include "passes/fuse/Passes.h"
#include "passes/fuse/WeightStacker.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Remarks.h"

namespace qcc {

#define GEN_PASS_DEF_STACKLINEARSPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

using Gemms = SmallVector<qnt::FusedGemmOp>;

/// What GEMMs of one stack have in common.
struct Key {
  Value input, order;
  qnt::FormatAttr format;
  bool hasBias;
  /// The halves of a gated product go into a stack of their own, so that
  /// falcon's up projection, which reads what q, k and v read, does not end up
  /// between them.
  bool isElementwise;
  FloatAttr outlierThreshold;

  bool operator==(const Key &) const = default;
};

bool hasScale(qnt::FusedGemmOp gemm) {
  return gemm.getMultiplier().convertToFloat() != 1 ||
         gemm.getSoftCap().convertToFloat() != 0;
}

/// True for a GEMM that has nothing fused yet but a bias.
bool isPlain(qnt::FusedGemmOp gemm) {
  return gemm.getNumResults() == 1 && !gemm.getStep() &&
         gemm.getNorm().empty() && !gemm.getActivation() && !gemm.getGlu() &&
         !gemm.getResidual() && !hasScale(gemm);
}

Key keyOf(qnt::FusedGemmOp gemm) {
  bool isElementwise = llvm::any_of(
      gemm->getUsers(), llvm::IsaPred<tfm::ActivationOp, tfm::MulOp>);
  return {gemm.getInput(),
          gemm.getOrder(),
          gemm.getWeight().getType().getFormat(),
          bool(gemm.getBias()),
          isElementwise,
          gemm.getOutlierThresholdAttr()};
}

/// Stacks of a function.
SmallVector<std::pair<Key, Gemms>> findStacks(func::FuncOp function) {
  SmallVector<std::pair<Key, Gemms>> stacks;
  for (auto gemm : function.getOps<qnt::FusedGemmOp>()) {
    if (!isPlain(gemm))
      continue;
    Key key = keyOf(gemm);
    auto *it =
        llvm::find_if(stacks, [&](auto &stack) { return stack.first == key; });
    if (it == stacks.end())
      it = &stacks.emplace_back(key, Gemms());
    it->second.push_back(gemm);
  }
  llvm::erase_if(stacks, [](auto &stack) { return stack.second.size() < 2; });
  // Gates come before what they gate, whatever the program's order.
  for (auto &[key, gemms] : stacks)
    std::stable_partition(gemms.begin(), gemms.end(), [](auto gemm) {
      return llvm::any_of(gemm->getUsers(), llvm::IsaPred<tfm::ActivationOp>);
    });
  return stacks;
}

/// The floats that a definition stores, if `qnt.convert` made it.
Value convertedFloats(tfm::DefineOp define) {
  auto convert = define.getValue().getDefiningOp<qnt::ConvertOp>();
  return convert ? convert.getInput() : Value();
}

/// Why the biases of one layer cannot be concatenated; empty if they can.
StringRef biasProblem(const WeightStacker::Definitions &biases) {
  Type element;
  for (tfm::DefineOp bias : biases) {
    Value floats = convertedFloats(bias);
    if (!floats)
      return "a bias is not made of floats";
    Type type = cast<RankedTensorType>(floats.getType()).getElementType();
    if (element && element != type)
      return "biases are stored in different types";
    element = type;
  }
  return "";
}

Value concatBiases(OpBuilder &b, const WeightStacker::Definitions &biases,
                   qnt::PackedType type) {
  SmallVector<Value> floats;
  for (tfm::DefineOp bias : biases)
    floats.push_back(convertedFloats(bias));
  Type element =
      cast<RankedTensorType>(floats.front().getType()).getElementType();
  Location loc = floats.front().getLoc();
  Value joined = tfm::ConcatRowsOp::create(
      b, loc, RankedTensorType::get({type.getColumns()}, element), floats);
  return qnt::ConvertOp::create(b, loc, type, joined);
}

Value stackRows(OpBuilder &b, const WeightStacker::Definitions &parts,
                qnt::PackedType type) {
  SmallVector<Value> inputs;
  for (tfm::DefineOp part : parts)
    inputs.push_back(part.getValue());
  return qnt::StackRowsOp::create(b, inputs.front().getLoc(), type, inputs);
}

struct StackLinears : qcc::impl::StackLinearsPassBase<StackLinears> {
  using Base::Base;

  void runOnOperation() override;

private:
  /// Why `gemms` cannot be stacked; empty if they can.
  StringRef problem(const WeightStacker &stacker, func::FuncOp function,
                    const Key &key, const Gemms &gemms);
  void stack(WeightStacker &stacker, func::FuncOp function, const Key &key,
             Gemms &gemms);
};

StringRef StackLinears::problem(const WeightStacker &stacker,
                                func::FuncOp function, const Key &key,
                                const Gemms &gemms) {
  SmallVector<Value> weights, biases;
  for (qnt::FusedGemmOp gemm : gemms) {
    weights.push_back(gemm.getWeight());
    if (key.hasBias)
      biases.push_back(gemm.getBias());
  }
  if (failed(stacker.definitions(function, weights)))
    return "a weight comes from no tfm.define";
  const qrt::Format &format = key.format.getValue();
  for (qnt::FusedGemmOp gemm : ArrayRef(gemms).drop_back()) {
    qnt::PackedType type = gemm.getWeight().getType();
    if (format.flattened && type.getRows() * type.getColumns() % format.group)
      return "a flattened block would cross from one weight into the next";
    if (format.nested && type.getRows() % 16)
      return "nested scales need a multiple of 16 rows from each weight";
  }
  if (!key.hasBias)
    return "";
  auto all = stacker.definitions(function, biases);
  if (failed(all))
    return "a bias comes from no tfm.define";
  for (const auto &layer : *all)
    if (StringRef why = biasProblem(layer); !why.empty())
      return why;
  return "";
}

void StackLinears::stack(WeightStacker &stacker, func::FuncOp function,
                         const Key &key, Gemms &gemms) {
  SmallVector<Value> weights, biases;
  SmallVector<int64_t> splits;
  SmallVector<Type> results;
  SmallVector<Location> locations;
  int64_t rows = 0;
  for (qnt::FusedGemmOp gemm : gemms) {
    weights.push_back(gemm.getWeight());
    biases.push_back(gemm.getBias());
    splits.push_back(gemm.getSplits().front());
    results.push_back(gemm.getResult(0).getType());
    locations.push_back(gemm.getLoc());
    rows += splits.back();
  }
  qnt::FusedGemmOp first = *llvm::min_element(
      gemms, [](auto a, auto b) { return a->isBeforeInBlock(b); });
  auto type = qnt::PackedType::get(&getContext(), rows,
                                   first.getWeight().getType().getColumns(),
                                   key.format, StringAttr());
  Value weight = stacker.stack(function, weights, type,
                               [&](OpBuilder &b, const auto &parts) {
                                 return stackRows(b, parts, type);
                               });
  Value bias;
  if (key.hasBias) {
    auto vector = qnt::PackedType::get(
        &getContext(), 1, rows,
        qnt::FormatAttr::get(&getContext(), qrt::Format()), StringAttr());
    bias = stacker.stack(function, biases, vector,
                         [&](OpBuilder &b, const auto &parts) {
                           return concatBiases(b, parts, vector);
                         });
  }
  OpBuilder b(first);
  auto stacked = qnt::FusedGemmOp::create(
      // What the key names, an earlier stack may have replaced.
      b, b.getFusedLoc(locations), results, first.getInput(), weight,
      /*step=*/Value(), bias, first.getOrder(), splits);
  if (key.outlierThreshold)
    stacked.setOutlierThresholdAttr(key.outlierThreshold);
  for (auto [gemm, result] : llvm::zip(gemms, stacked.getResults())) {
    gemm.getResult(0).replaceAllUsesWith(result);
    gemm.erase();
  }
  ++stacks;
}

void StackLinears::runOnOperation() {
  FailureOr<WeightStacker> stacker = WeightStacker::of(getOperation());
  if (failed(stacker))
    return signalPassFailure();
  for (auto function : getOperation().getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    for (auto &[key, gemms] : findStacks(function)) {
      StringRef why = problem(*stacker, function, key, gemms);
      if (why.empty()) {
        stack(*stacker, function, key, gemms);
        continue;
      }
      remark::missed(gemms.front().getLoc(),
                     remark::RemarkOpts::name("not-stacked")
                         .category("fuse-stack-linears"))
          << why;
    }
  }
  if (failed(stacker->eraseUnused()))
    signalPassFailure();
}

} // namespace
