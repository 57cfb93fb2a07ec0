//===- InsertBarriers.cpp - Separates phases that hand over data ----------===//

#include "passes/lower/Passes.h"
#include "passes/lower/PhaseEffects.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace qcc {

#define GEN_PASS_DEF_INSERTBARRIERSPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// What phases have touched since the last barrier.
class Pending {
public:
  bool conflictsWith(const PhaseEffects &effects) const {
    auto touched = [&](Value value) {
      return reads.contains(value) || writes.contains(value);
    };
    return llvm::any_of(effects.reads,
                        [&](Value v) { return writes.contains(v); }) ||
           llvm::any_of(effects.writes, touched) ||
           (effects.readsCache && cacheWritten) ||
           (effects.writesCache && (cacheWritten || cacheRead));
  }
  void add(const PhaseEffects &effects) {
    for (Value value : effects.reads)
      if (!isPrivate(value))
        reads.insert(value);
    for (Value value : effects.writes)
      if (!isPrivate(value))
        writes.insert(value);
    cacheRead |= effects.readsCache;
    cacheWritten |= effects.writesCache;
    any = true;
  }
  void clear() { *this = Pending(); }
  bool empty() const { return !any; }

private:
  llvm::DenseSet<Value> reads, writes;
  bool cacheRead = false, cacheWritten = false, any = false;
};

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
        pending.clear();
      } else if (auto repeat = dyn_cast<krn::RepeatOp>(op)) {
        // A layer starts and ends at a barrier, so that its body is the same
        // in every iteration.
        if (!pending.empty())
          insertBefore(&op);
        pending.clear();
        Block &body = repeat.getBody().front();
        visit(body, pending);
        if (!pending.empty()) {
          OpBuilder b = OpBuilder::atBlockEnd(&body);
          krn::BarrierOp::create(b, op.getLoc());
          ++inserted;
        }
        pending.clear();
      } else if (std::optional<PhaseEffects> effects = phaseEffects(&op)) {
        if (pending.conflictsWith(*effects)) {
          insertBefore(&op);
          pending.clear();
        }
        pending.add(*effects);
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
