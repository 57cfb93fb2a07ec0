//===- PhaseEffects.cpp - What a phase reads and writes -------------------===//

#include "passes/lower/PhaseEffects.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace qcc {

bool isPrivate(Value buffer) {
  auto staged = buffer.getDefiningOp<krn::StagedBufferOp>();
  return staged && staged.getPrivate_();
}

void PhaseEffects::add(const PhaseEffects &more) {
  for (Value value : more.reads)
    if (!isPrivate(value))
      reads.push_back(value);
  for (Value value : more.writes)
    if (!isPrivate(value))
      writes.push_back(value);
  readsCache |= more.readsCache;
  writesCache |= more.writesCache;
}

bool PhaseEffects::conflictsWith(const PhaseEffects &earlier) const {
  auto meet = [](ArrayRef<Value> a, ArrayRef<Value> b) {
    return llvm::any_of(a, [&](Value v) { return llvm::is_contained(b, v); });
  };
  return meet(reads, earlier.writes) || meet(writes, earlier.writes) ||
         meet(writes, earlier.reads) || (readsCache && earlier.writesCache) ||
         (writesCache && (earlier.readsCache || earlier.writesCache));
}

std::optional<PhaseEffects> phaseEffects(Operation *op) {
  PhaseEffects effects;
  auto reads = [&](ValueRange values) {
    for (Value value : values)
      if (value)
        effects.reads.push_back(krn::rootOf(value));
  };
  auto writes = [&](Value value) {
    effects.writes.push_back(krn::rootOf(value));
  };
  bool isPhase =
      llvm::TypeSwitch<Operation *, bool>(op)
          .Case([&](krn::EmbedOp phase) {
            writes(phase.getOutput());
            return true;
          })
          .Case([&](krn::RopeTableOp phase) {
            writes(phase.getOutput());
            return true;
          })
          .Case<krn::StageOp, krn::FindOutliersOp>([&](auto phase) {
            reads(phase.getInput());
            writes(phase.getOutput());
            return true;
          })
          .Case([&](krn::GemmOp phase) {
            reads({phase.getInput(), phase.getResidual()});
            writes(phase.getOutput());
            return true;
          })
          .Case([&](krn::RopeAppendOp phase) {
            reads({phase.getKey(), phase.getValue(), phase.getTable()});
            if (phase.getFused()) {
              reads(phase.getQuery());
            } else {
              writes(phase.getQuery());
              effects.writesCache = true;
            }
            return true;
          })
          .Case([&](krn::AttentionOp phase) {
            reads(phase.getQuery());
            writes(phase.getOutput());
            effects.readsCache = true;
            if (auto before =
                    dyn_cast_or_null<krn::RopeAppendOp>(phase->getPrevNode()))
              effects.writesCache = before.getFused();
            return true;
          })
          .Case([&](krn::NormOp phase) {
            reads(phase.getInput());
            writes(phase.getOutput());
            return true;
          })
          .Case([&](krn::RopeOp phase) {
            reads({phase.getInput(), phase.getTable()});
            writes(phase.getOutput());
            return true;
          })
          .Case([&](krn::ActivationOp phase) {
            reads(phase.getInput());
            writes(phase.getOutput());
            return true;
          })
          .Case([&](krn::MapOp phase) {
            reads(phase.getInput());
            writes(phase.getOutput());
            return true;
          })
          .Case<krn::MulOp, krn::AddOp>([&](auto phase) {
            reads({phase.getLhs(), phase.getRhs()});
            writes(phase.getOutput());
            return true;
          })
          .Default([](Operation *) { return false; });
  if (!isPhase)
    return std::nullopt;
  return effects;
}

} // namespace qcc
