//===- Schedule.cpp - Orders phases for few barriers ----------------------===//

#include "passes/lower/Passes.h"
#include "passes/lower/PhaseEffects.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace qcc {

#define GEN_PASS_DEF_SCHEDULEPHASESPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// What is scheduled as one: a phase, a GEMM with the stage of its input, or
/// rope_append with its attention.
struct Node {
  Operation *op;
  krn::StageOp stage;           ///< a GEMM's, whose input is private
  krn::RopeAppendOp ropeAppend; ///< an attention's
  PhaseEffects effects;
  SmallVector<size_t> after; ///< nodes that must come before
  int64_t level = 0;         ///< the longest chain of those
};

struct SchedulePhases : qcc::impl::SchedulePhasesPassBase<SchedulePhases> {
  using Base::Base;

  void runOnOperation() override {
    for (auto entry : getOperation().getOps<krn::EntryOp>())
      if (entry.getPersistent())
        schedule(entry.getBody().front());
  }

  /// Schedules every run of phases in `block`.
  void schedule(Block &block) {
    SmallVector<Operation *> run;
    Operation *runBegin = nullptr;
    auto flush = [&](Operation *end) {
      if (!run.empty())
        scheduleRun(run, runBegin, end, block);
      run.clear();
      runBegin = nullptr;
    };
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (phaseEffects(&op)) {
        if (run.empty())
          runBegin = &op;
        run.push_back(&op);
      } else if (auto repeat = dyn_cast<krn::RepeatOp>(op)) {
        flush(&op);
        schedule(repeat.getBody().front());
      } else if (isa<krn::BarrierOp>(op)) {
        flush(&op);
      } else if (!run.empty()) {
        // Buffers, views and weights are there before the run.
        op.moveBefore(runBegin);
      }
    }
    flush(nullptr);
  }

  static SmallVector<Node> nodesOf(ArrayRef<Operation *> run) {
    llvm::DenseMap<Value, krn::StageOp> stages;
    SmallVector<Node> nodes;
    krn::RopeAppendOp ropeAppend;
    for (Operation *op : run) {
      if (auto stage = dyn_cast<krn::StageOp>(op);
          stage && isPrivate(stage.getOutput())) {
        stages[stage.getOutput()] = stage;
        continue;
      }
      if (auto append = dyn_cast<krn::RopeAppendOp>(op);
          append && append.getFused()) {
        ropeAppend = append;
        continue;
      }
      Node node;
      node.op = op;
      node.effects.add(*phaseEffects(op));
      if (auto gemm = dyn_cast<krn::GemmOp>(op)) {
        node.stage = stages.lookup(gemm.getInput());
        if (node.stage)
          node.effects.add(*phaseEffects(node.stage));
      } else if (isa<krn::AttentionOp>(op) && ropeAppend) {
        node.ropeAppend = ropeAppend;
        node.effects.add(*phaseEffects(ropeAppend));
        ropeAppend = {};
      }
      for (auto [i, earlier] : llvm::enumerate(nodes))
        if (node.effects.conflictsWith(earlier.effects)) {
          node.after.push_back(i);
          node.level = std::max(node.level, earlier.level + 1);
        }
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

  /// first: t = a + r, second: x = b + t. Where b is there before a, these
  /// become t = b + r and x = a + t.
  static bool swapResiduals(ArrayRef<Node> nodes) {
    auto levelOf = [&](const Node &node) {
      int64_t level = 0;
      krn::StageOp stage = node.stage;
      for (const Node &other : nodes)
        if (stage && llvm::is_contained(other.effects.writes, stage.getInput()))
          level = std::max(level, other.level + 1);
      return level;
    };
    for (const Node &node : nodes) {
      auto second = dyn_cast<krn::GemmOp>(node.op);
      if (!second || !second.getResidual() || !node.stage)
        continue;
      Value sum = second.getResidual();
      for (const Node &other : nodes) {
        if (&other == &node)
          break;
        auto first = dyn_cast<krn::GemmOp>(other.op);
        if (!first || first.getOutput() != sum || !first.getResidual() ||
            !other.stage || first.getResidual() == sum ||
            second.getOutput() == sum || llvm::range_size(sum.getUses()) != 2 ||
            levelOf(node) >= levelOf(other))
          continue;
        Value begin = first.getResidual(), end = second.getOutput();
        second.getResidualMutable().assign(begin);
        second.getOutputMutable().assign(sum);
        first.getResidualMutable().assign(sum);
        first.getOutputMutable().assign(end);
        // The second now comes first.
        first->moveAfter(second);
        return true;
      }
    }
    return false;
  }

  void scheduleRun(SmallVector<Operation *> run, Operation *begin,
                   Operation *end, Block &block) {
    SmallVector<Node> nodes = nodesOf(run);
    while (swapResiduals(nodes)) {
      SmallVector<Operation *> reordered;
      llvm::DenseSet<Operation *> inRun(run.begin(), run.end());
      for (Operation &op : block)
        if (inRun.contains(&op))
          reordered.push_back(&op);
      run = std::move(reordered);
      nodes = nodesOf(run);
    }

    SmallVector<size_t> order;
    SmallVector<bool> done(nodes.size(), false);
    PhaseEffects pending; // of phases since the last barrier
    krn::StageOp staged;
    while (order.size() < nodes.size()) {
      std::optional<size_t> best;
      int bestScore = -1;
      for (auto [i, node] : llvm::enumerate(nodes)) {
        if (done[i] ||
            !llvm::all_of(node.after, [&](size_t j) { return done[j]; }))
          continue;
        const bool isFree = !node.effects.conflictsWith(pending);
        const bool isStaged = node.stage && node.stage == staged;
        const int score = 2 * isFree + isStaged;
        if (score > bestScore) {
          best = i;
          bestScore = score;
        }
      }
      Node &node = nodes[*best];
      if (bestScore < 2)
        pending = {};
      pending.add(node.effects);
      // An attention uses the room of what is staged.
      if (node.stage)
        staged = node.stage;
      else if (isa<krn::AttentionOp>(node.op))
        staged = {};
      done[*best] = true;
      moved += order.size() != *best;
      order.push_back(*best);
    }

    staged = {};
    llvm::DenseSet<Operation *> placed;
    auto place = [&](Operation *op) {
      if (end)
        op->moveBefore(end);
      else
        op->moveBefore(&block, block.end());
    };
    for (size_t i : order) {
      Node &node = nodes[i];
      if (node.stage && node.stage != staged) {
        Operation *stage = node.stage;
        if (!placed.insert(stage).second) {
          OpBuilder b = OpBuilder::atBlockEnd(&block);
          stage = b.clone(*stage);
        }
        place(stage);
        staged = node.stage;
      } else if (isa<krn::AttentionOp>(node.op)) {
        staged = {};
      }
      if (node.ropeAppend)
        place(node.ropeAppend);
      place(node.op);
    }
  }
};

} // namespace
