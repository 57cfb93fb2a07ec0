//===- Glu.cpp - Folds a gated product into the GEMM of its halves --------===//
//
// A thread that computes 16 columns of the gate wants the same 16 columns of
// the other half: rows of the weight alternate in blocks of 16.
//
//===----------------------------------------------------------------------===//

#include "passes/fuse/Passes.h"
#include "passes/fuse/WeightStacker.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Remarks.h"

namespace qcc {

#define GEN_PASS_DEF_GLUPASS
#include "passes/fuse/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// Rows of a tile of the packed layouts.
constexpr int64_t kInterleave = 16;

/// mul(activation(gate), up), gate and up results of GEMMs.
struct Gated {
  tfm::MulOp mul;
  tfm::ActivationOp activation;
  OpResult gate, up;

  qnt::FusedGemmOp gateGemm() {
    return cast<qnt::FusedGemmOp>(gate.getOwner());
  }
  qnt::FusedGemmOp upGemm() { return cast<qnt::FusedGemmOp>(up.getOwner()); }
};

/// The gated product that ends in `mul`, if it is one.
std::optional<Gated> matchGated(tfm::MulOp mul) {
  for (auto [first, second] : {std::pair(mul.getLhs(), mul.getRhs()),
                               std::pair(mul.getRhs(), mul.getLhs())}) {
    auto activation = first.getDefiningOp<tfm::ActivationOp>();
    if (!activation || !activation.getInput().getDefiningOp<qnt::FusedGemmOp>())
      continue;
    if (!second.getDefiningOp<qnt::FusedGemmOp>())
      continue;
    return Gated{mul, activation, cast<OpResult>(activation.getInput()),
                 cast<OpResult>(Value(second))};
  }
  return std::nullopt;
}

struct Glu : qcc::impl::GluPassBase<Glu> {
  using Base::Base;

  void runOnOperation() override;

private:
  /// Why the product cannot be folded; empty if it can.
  StringRef problem(const WeightStacker &stacker, func::FuncOp function,
                    Gated &gated);
  StringRef stackedProblem(const WeightStacker &stacker, func::FuncOp function,
                           Gated &gated);
  /// The weight with both halves interleaved.
  Value interleave(WeightStacker &stacker, func::FuncOp function, Gated &gated);
};

/// One GEMM makes both halves: its stack is turned into an interleaved one.
StringRef Glu::stackedProblem(const WeightStacker &stacker,
                              func::FuncOp function, Gated &gated) {
  qnt::FusedGemmOp gemm = gated.gateGemm();
  if (gemm.getNumResults() != 2)
    return "the gemm has other results than gate and up";
  auto all = stacker.definitions(function, gemm.getWeight());
  if (failed(all) || !stacker.isOnlyReader(gemm, function, gemm.getWeight()))
    return "something else reads the stacked weight";
  for (WeightStacker::Definitions &parts : *all) {
    auto stack = parts.front().getValue().getDefiningOp<qnt::StackRowsOp>();
    if (!stack || !stack->hasOneUse() || stack.getInputs().size() != 2 ||
        stack.getInterleave())
      return "the weight is no stack of two";
  }
  return "";
}

StringRef Glu::problem(const WeightStacker &stacker, func::FuncOp function,
                       Gated &gated) {
  qnt::FusedGemmOp gate = gated.gateGemm(), up = gated.upGemm();
  if (!gated.gate.hasOneUse() || !gated.up.hasOneUse() ||
      !gated.activation->hasOneUse())
    return "a half is used elsewhere";
  int64_t width = tfm::features(gated.mul.getType());
  if (width % kInterleave)
    return "the halves are no multiple of 16 wide";
  for (qnt::FusedGemmOp gemm : {gate, up}) {
    if (gemm.getBias())
      return "a half has a bias";
    if (gemm.getActivation() || gemm.getResidual() || gemm.getStep() ||
        gemm.getMultiplier().convertToFloat() != 1 ||
        gemm.getSoftCap().convertToFloat() != 0)
      return "a half has an epilogue already";
  }
  qnt::PackedType type = gate.getWeight().getType();
  const qrt::Format &format = type.getFormat().getValue();
  if (format.flattened && kInterleave * type.getColumns() % format.group)
    return "a flattened block would cross from one half into the other";
  if (gate == up)
    return stackedProblem(stacker, function, gated);
  if (gate.getNumResults() != 1 || up.getNumResults() != 1)
    return "a half is part of another stack";
  if (gate.getInput() != up.getInput() || gate.getOrder() != up.getOrder() ||
      gate.getNorm() != up.getNorm() ||
      gate.getNormWeight() != up.getNormWeight() ||
      gate.getNormBias() != up.getNormBias() || gate.getEps() != up.getEps() ||
      gate.getNormOffset() != up.getNormOffset())
    return "the halves read different rows";
  if (up.getWeight().getType() != type)
    return "the halves have different formats";
  if (gate.getOutlierThresholdAttr() != up.getOutlierThresholdAttr())
    return "the halves split off different outliers";
  if (failed(stacker.definitions(function, {gate.getWeight(), up.getWeight()})))
    return "a weight comes from no tfm.define";
  return "";
}

Value Glu::interleave(WeightStacker &stacker, func::FuncOp function,
                      Gated &gated) {
  qnt::FusedGemmOp gate = gated.gateGemm(), up = gated.upGemm();
  if (gate == up) {
    auto all = stacker.definitions(function, gate.getWeight());
    llvm::SmallPtrSet<Operation *, 8> seen;
    for (WeightStacker::Definitions &parts : *all) {
      auto stack = parts.front().getValue().getDefiningOp<qnt::StackRowsOp>();
      if (!seen.insert(stack).second)
        continue;
      stack.setInterleave(kInterleave);
      if (gated.gate.getResultNumber() == 1) {
        Value first = stack.getInputs()[0], second = stack.getInputs()[1];
        stack.getInputsMutable().assign({second, first});
        if (ArrayAttr names = parts.front().getModulesAttr();
            names && names.size() == 2)
          parts.front().setModulesAttr(
              ArrayAttr::get(&getContext(), {names[1], names[0]}));
      }
    }
    return gate.getWeight();
  }
  qnt::PackedType half = gate.getWeight().getType();
  auto type =
      qnt::PackedType::get(&getContext(), 2 * half.getRows(), half.getColumns(),
                           half.getFormat(), half.getLayout());
  return stacker.stack(
      function, {gate.getWeight(), up.getWeight()}, type,
      [&](OpBuilder &b, const WeightStacker::Definitions &parts) -> Value {
        tfm::DefineOp first = parts[0], second = parts[1];
        return qnt::StackRowsOp::create(
            b, first.getLoc(), type,
            ValueRange{first.getValue(), second.getValue()}, kInterleave);
      });
}

void Glu::runOnOperation() {
  FailureOr<WeightStacker> stacker = WeightStacker::of(getOperation());
  if (failed(stacker))
    return signalPassFailure();
  for (auto function : getOperation().getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    SmallVector<Gated> found;
    for (auto mul : function.getOps<tfm::MulOp>())
      if (std::optional<Gated> gated = matchGated(mul))
        found.push_back(*gated);
    for (Gated &gated : found) {
      StringRef why = problem(*stacker, function, gated);
      if (!why.empty()) {
        remark::missed(
            gated.mul.getLoc(),
            remark::RemarkOpts::name("not-gated").category("fuse-glu"))
            << why;
        continue;
      }
      Value weight = interleave(*stacker, function, gated);
      qnt::FusedGemmOp gate = gated.gateGemm(), up = gated.upGemm();
      OpBuilder b(gated.mul);
      auto gemm = qnt::FusedGemmOp::create(
          b, b.getFusedLoc({gate.getLoc(), gated.mul.getLoc()}),
          TypeRange(gated.mul.getType()), gate.getInput(), weight,
          /*step=*/Value(), gate.getNormWeight(), gate.getNormBias(),
          /*bias=*/Value(), /*residual=*/Value(), gate.getOrder(),
          gate.getNormAttr(), gate.getEpsAttr(), gate.getNormOffsetAttr(),
          gated.activation.getKindAttr(), b.getUnitAttr(),
          b.getDenseI64ArrayAttr({tfm::features(gated.mul.getType())}),
          gate.getMultiplierAttr(), gate.getSoftCapAttr(),
          gate.getOutlierThresholdAttr());
      gated.mul.getResult().replaceAllUsesWith(gemm.getResult(0));
      gated.mul.erase();
      gated.activation.erase();
      gate.erase();
      if (up != gate)
        up.erase();
      ++folded;
    }
  }
  if (failed(stacker->eraseUnused()))
    signalPassFailure();
}

} // namespace
