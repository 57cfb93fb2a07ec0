//===- QuantizeGptq.cpp - Quantizes weights by what they multiply ---------===//
//
// In activation order without static groups, columns are stored as they are
// quantized. Linears that read the same inputs share that order: it is a weight
// of its own, named after the first of them.
//
//===----------------------------------------------------------------------===//

#include "passes/quantize/Passes.h"
#include "passes/quantize/Utils.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

namespace qcc {

#define GEN_PASS_DEF_QUANTIZEGPTQPASS
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// True for a definition that this pass quantizes.
bool isSelected(tfm::DefineOp define) {
  auto scheme =
      define ? define->getAttrOfType<qnt::SchemeAttr>(qnt::kSchemeAttrName)
             : qnt::SchemeAttr();
  return scheme && scheme.getMethod() == "gptq";
}

/// The definition behind a weight of a function: `call` is null in @model.
tfm::DefineOp definitionOf(const Program &program, Value weight,
                           func::CallOp call) {
  if (auto argument = dyn_cast<BlockArgument>(weight); argument && call)
    weight = call.getOperand(argument.getArgNumber());
  auto op = weight.getDefiningOp<tfm::WeightOp>();
  return op ? program.defines.lookup(op.getNameAttr()) : tfm::DefineOp();
}

/// Linears of one function by the activations that they read.
template <typename Linear>
llvm::MapVector<Value, SmallVector<Linear>> byInput(func::FuncOp function) {
  llvm::MapVector<Value, SmallVector<Linear>> groups;
  for (auto linear : function.getOps<Linear>())
    groups[linear.getInput()].push_back(linear);
  return groups;
}

struct QuantizeGptq : qcc::impl::QuantizeGptqPassBase<QuantizeGptq> {
  using Base::Base;

  void runOnOperation() override;

private:
  bool isPermuted() const { return order == "activation" && !staticGroups; }
  LogicalResult checkOptions();
  /// Says for each weight that is to be quantized after which one the order of
  /// its columns is named.
  LogicalResult nameOrders(const Program &program);
  /// The order of a weight's columns, in @weights.
  Value orderFor(OpBuilder b, tfm::DefineOp define);
  /// Hands the orders to the linears that read quantized weights.
  LogicalResult passOrders();

  /// By the name of a weight: that of the first linear of the same inputs.
  llvm::StringMap<std::string> leaders;
  llvm::StringMap<Value> orders;
};

LogicalResult QuantizeGptq::checkOptions() {
  if (order != "natural" && order != "activation" && order != "group-aware")
    return getOperation().emitError("order '")
           << order << "' is none of natural, activation and group-aware";
  if (!(damp >= 0 && damp <= 1))
    return getOperation().emitError("a damping of ")
           << double(damp) << " is not between 0 and 1";
  if (refine < 0)
    return getOperation().emitError("sweeps to refine: ")
           << int64_t(refine) << " is negative";
  return success();
}

LogicalResult QuantizeGptq::nameOrders(const Program &program) {
  func::FuncOp model = program.model;
  for (auto logits : model.getOps<tfm::LogitsOp>())
    if (isSelected(definitionOf(program, logits.getWeight(), {})))
      return logits.emitOpError("activation order of the head needs static "
                                "groups");
  auto visit = [&](func::FuncOp function, func::CallOp call) {
    for (auto &[input, linears] : byInput<tfm::LinearOp>(function)) {
      StringRef leader;
      for (tfm::LinearOp linear : linears) {
        tfm::DefineOp define = definitionOf(program, linear.getWeight(), call);
        if (!isSelected(define))
          continue;
        if (leader.empty())
          leader = define.getName();
        leaders.try_emplace(define.getName(), leader.str());
      }
    }
  };
  visit(model, {});
  SymbolTable symbols(getOperation());
  for (auto call : model.getOps<func::CallOp>())
    if (auto block = symbols.lookup<func::FuncOp>(call.getCallee());
        block && !block.isExternal())
      visit(block, call);
  return success();
}

Value QuantizeGptq::orderFor(OpBuilder b, tfm::DefineOp define) {
  auto leader = leaders.find(define.getName());
  std::string name =
      leader == leaders.end() ? define.getName().str() : leader->second;
  Value &value = orders[name];
  if (!value) {
    // The leader is defined first, so this stands before all uses.
    int64_t columns =
        cast<RankedTensorType>(define.getValue().getType()).getDimSize(1);
    value = qnt::ActivationOrderOp::create(
        b, define.getLoc(), RankedTensorType::get({columns}, b.getF32Type()),
        b.getStringAttr(name));
    tfm::DefineOp::create(b, define.getLoc(), b.getStringAttr(name + ".order"),
                          value, StringAttr());
  }
  return value;
}

LogicalResult QuantizeGptq::passOrders() {
  FailureOr<Program> program = Program::of(getOperation());
  if (failed(program))
    return failure();
  func::FuncOp model = program->model;
  llvm::MapVector<func::FuncOp, SmallVector<func::CallOp>> uses;
  SymbolTable symbols(getOperation());
  for (auto call : model.getOps<func::CallOp>())
    if (auto block = symbols.lookup<func::FuncOp>(call.getCallee()))
      uses[block].push_back(call);
  uses[model].push_back({});
  for (auto &[block, calls] : uses) {
    func::FuncOp function = block;
    for (auto &[input, gemms] : byInput<qnt::DequantGemmOp>(function)) {
      // All calls must agree on which of them are calibrated.
      SmallVector<qnt::DequantGemmOp> permuted;
      for (qnt::DequantGemmOp gemm : gemms) {
        auto calibrated = llvm::count_if(calls, [&](func::CallOp call) {
          return isSelected(definitionOf(*program, gemm.getWeight(), call));
        });
        if (calibrated == 0)
          continue;
        if (size_t(calibrated) != calls.size())
          return gemm.emitOpError(
              "is quantized by gptq in some layers and by another method to "
              "the same format in others: activation order needs static "
              "groups there");
        permuted.push_back(gemm);
      }
      if (permuted.empty())
        continue;
      int64_t columns = tfm::features(permuted.front().getInput().getType());
      auto type = RankedTensorType::get(
          {columns}, Float32Type::get(&getContext()));
      Location loc = permuted.front().getLoc();
      auto read = [&](OpBuilder b, func::CallOp call) -> Value {
        tfm::DefineOp define =
            definitionOf(*program, permuted.front().getWeight(), call);
        std::string name = leaders.lookup(define.getName()) + ".order";
        return tfm::WeightOp::create(b, loc, type, name);
      };
      Value value;
      if (function == model) {
        value = read(OpBuilder(permuted.front()), {});
      } else {
        for (func::CallOp call : calls)
          call->insertOperands(call->getNumOperands(),
                               read(OpBuilder(call), call));
        unsigned index = function.getNumArguments();
        if (failed(function.insertArgument(index, type, {}, loc)))
          return failure();
        value = function.getArgument(index);
      }
      for (qnt::DequantGemmOp gemm : permuted)
        gemm.getOrderMutable().assign(value);
    }
  }
  return success();
}

void QuantizeGptq::runOnOperation() {
  leaders.clear();
  orders.clear();
  FailureOr<Program> program = Program::of(getOperation());
  if (failed(checkOptions()) || failed(program) ||
      (isPermuted() && failed(nameOrders(*program))))
    return signalPassFailure();
  FailureOr<int64_t> count = quantizeSelected(
      getOperation(), "gptq",
      [&](OpBuilder &b, tfm::DefineOp define, qnt::SchemeAttr scheme,
          const qnt::UnpackedTypes &types) -> Operation * {
        auto unit = [&](bool flag) {
          return flag ? b.getUnitAttr() : UnitAttr();
        };
        Value columns = isPermuted() ? orderFor(b, define) : Value();
        auto gptq = qnt::GptqOp::create(
            b, define.getLoc(), types.codes, types.scales, types.zeros,
            define.getNameAttr(), define.getValue(), columns,
            scheme.getFormat(), b.getStringAttr(std::string(order)),
            b.getF64FloatAttr(damp),
            unit(scheme.getMse()), unit(staticGroups), unit(trueSequential));
        if (refine > 0)
          gptq->setAttr(qnt::kRefineAttrName, b.getI64IntegerAttr(refine));
        return gptq;
      });
  if (failed(count) || (*count && isPermuted() && failed(passOrders())))
    return signalPassFailure();
  quantized += *count;
}

} // namespace
