//===- PairGemms.cpp - Brings GEMMs of one input together -----------------===//

#include "passes/lower/Passes.h"
#include "passes/lower/PhaseEffects.h"

#include "codegen/cuda/kernels/Layout.h"

namespace qcc {

#define GEN_PASS_DEF_PAIRGEMMSPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

struct PairGemms : qcc::impl::PairGemmsPassBase<PairGemms> {
  using Base::Base;

  void runOnOperation() override {
    if (getOperation().getTarget().getName() != "cuda")
      return;
    for (auto entry : getOperation().getOps<krn::EntryOp>())
      if (!entry.getPersistent() &&
          int64_t(entry.getMaxTokens()) <= cuda::kMostBatchTokens)
        entry.walk([&](Block *block) { pairIn(*block); });
  }

  void pairIn(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block))
      if (auto first = dyn_cast<krn::GemmOp>(op))
        if (krn::GemmOp second = partnerOf(first)) {
          moveWithRoom(second, first);
          ++moved;
        }
  }

  /// The next GEMM of the same input, if phases are in between and none of
  /// them minds that it goes before them.
  static krn::GemmOp partnerOf(krn::GemmOp first) {
    PhaseEffects between;
    bool isNext = true;
    for (Operation *op = first->getNextNode(); op; op = op->getNextNode()) {
      if (isa<krn::RepeatOp, krn::BarrierOp>(op))
        return {};
      std::optional<PhaseEffects> effects = phaseEffects(op);
      if (!effects)
        continue;
      if (auto second = dyn_cast<krn::GemmOp>(op);
          second && krn::arePairable(first, second))
        return isNext || effects->conflictsWith(between) ? nullptr : second;
      between.add(*effects);
      isNext = false;
    }
    return {};
  }

  /// Moves `second` behind `first`, and the buffers that it takes before it.
  static void moveWithRoom(krn::GemmOp second, krn::GemmOp first) {
    for (Value operand : second->getOperands())
      moveRoom(operand.getDefiningOp(), first);
    second->moveAfter(first);
  }
  static void moveRoom(Operation *room, krn::GemmOp before) {
    if (!room || room->getBlock() != before->getBlock() ||
        room->isBeforeInBlock(before))
      return;
    for (Value operand : room->getOperands())
      moveRoom(operand.getDefiningOp(), before);
    room->moveBefore(before);
  }
};

} // namespace
