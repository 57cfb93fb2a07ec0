//===- InsertBarriers.cpp - Separates phases that hand over data ----------===//

#include "passes/lower/Passes.h"
#include "passes/lower/PhaseEffects.h"

#include "mlir/IR/Builders.h"

namespace qcc {

#define GEN_PASS_DEF_INSERTBARRIERSPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// What phases have touched since the last barrier; none if there are none.
using Pending = std::optional<PhaseEffects>;

struct InsertBarriers : qcc::impl::InsertBarriersPassBase<InsertBarriers> {
  using Base::Base;

  void runOnOperation() override {
    for (auto entry : getOperation().getOps<krn::EntryOp>()) {
      Pending pending;
      visit(entry.getBody().front(), pending);
    }
  }

  void visit(Block &block, Pending &pending) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (isa<krn::BarrierOp>(op)) {
        pending.reset();
      } else if (auto repeat = dyn_cast<krn::RepeatOp>(op)) {
        // A layer starts and ends at a barrier, so that its body is the same
        // in every iteration.
        if (pending)
          insertBefore(&op);
        pending.reset();
        Block &body = repeat.getBody().front();
        visit(body, pending);
        if (pending) {
          OpBuilder b = OpBuilder::atBlockEnd(&body);
          krn::BarrierOp::create(b, op.getLoc());
          ++inserted;
        }
        pending.reset();
      } else if (std::optional<PhaseEffects> effects = phaseEffects(&op)) {
        if (pending && effects->conflictsWith(*pending)) {
          insertBefore(&op);
          pending.reset();
        }
        if (!pending)
          pending.emplace();
        pending->add(*effects);
      }
    }
  }

  void insertBefore(Operation *op) {
    OpBuilder b(op);
    krn::BarrierOp::create(b, op->getLoc());
    ++inserted;
  }
};

} // namespace
