//===- PlanBuffers.cpp - Gives every buffer its place ---------------------===//

#include "passes/lower/Passes.h"
#include "passes/lower/PhaseEffects.h"

#include "codegen/cpu/kernels/Layout.h"
#include "codegen/cuda/kernels/Layout.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

#include <algorithm>

namespace qcc {

#define GEN_PASS_DEF_PLANBUFFERSPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// Bytes of a staged buffer for `tokens` rows.
int64_t stagedBytes(krn::StagedType type, int64_t tokens, bool isCuda) {
  if (isCuda) {
    // Kernels for one GPU or another stage in one form or the other.
    cuda::GemmLayout layout = cuda::gemmLayout(
        int(type.getBits()), type.getColumns(), type.getGroup());
    return std::max(cuda::stagedBytes(layout, tokens,
                                      type.getActivations() == "split8"
                                          ? type.getColumns()
                                          : 0),
                    layout.wideBytes(tokens));
  }
  int64_t group = type.getGroup() ? type.getGroup() : type.getColumns();
  int64_t padded = krn::stagedColumns(
      type.getColumns(), group, krn::paddedGroup(group, int(type.getBits())));
  int64_t groups = (type.getColumns() + group - 1) / group;
  if (type.getActivations() == "split8")
    return krn::stagedBytesSplit(tokens, padded, type.getColumns());
  return type.getActivations() == "i16"
             ? krn::stagedBytesI16(tokens, padded, groups)
             : krn::stagedBytesF32(tokens, padded);
}

/// A buffer and the intervals (between barriers) in which it is in use.
struct Live {
  Operation *buffer;
  int64_t bytes;
  int64_t first, last;
  int64_t offset = -1;
};

/// Gives `buffers` offsets so that those alive together do not overlap: the
/// largest first, each at the lowest offset that is free. Returns the bytes.
int64_t placeFirstFit(MutableArrayRef<Live> buffers) {
  SmallVector<Live *> order;
  for (Live &live : buffers)
    order.push_back(&live);
  llvm::stable_sort(
      order, [](const Live *a, const Live *b) { return a->bytes > b->bytes; });
  int64_t total = 0;
  SmallVector<Live *> placed;
  for (Live *live : order) {
    SmallVector<Live *> rivals;
    for (Live *other : placed)
      if (live->first <= other->last && other->first <= live->last)
        rivals.push_back(other);
    llvm::sort(rivals, [](const Live *a, const Live *b) {
      return a->offset < b->offset;
    });
    int64_t offset = 0;
    for (Live *rival : rivals) {
      if (offset + live->bytes <= rival->offset)
        break;
      offset = std::max(offset, rival->offset + rival->bytes);
    }
    live->offset = offset;
    total = std::max(total, offset + live->bytes);
    placed.push_back(live);
  }
  return total;
}

struct PlanBuffers : qcc::impl::PlanBuffersPassBase<PlanBuffers> {
  using Base::Base;

  void runOnOperation() override {
    isCuda = getOperation().getTarget().getName() == "cuda";
    for (auto entry : getOperation().getOps<krn::EntryOp>())
      plan(entry);
  }

  void plan(krn::EntryOp entry) {
    int64_t tokens = entry.getMaxTokens();
    llvm::MapVector<Value, Live> lives;
    int64_t interval = 0;
    collect(entry.getBody().front(), tokens, interval, lives);

    SmallVector<Live> shared, own;
    for (auto &[value, live] : lives)
      (isPrivate(value) ? own : shared).push_back(live);
    int64_t arena = placeFirstFit(shared);
    int64_t privateBytes = placeFirstFit(own);
    OpBuilder b(&getContext());
    for (auto &live : llvm::concat<Live>(shared, own)) {
      if (auto buffer = dyn_cast<krn::BufferOp>(live.buffer))
        buffer.setOffset(live.offset);
      else
        cast<krn::StagedBufferOp>(live.buffer).setOffset(live.offset);
    }
    entry.setArena(arena);
    int64_t kernelBytes = isCuda ? 0
                                 : std::max(krn::gemmScratchBytes(),
                                            krn::attentionScratchBytes());
    entry.setScratch(privateBytes + kernelBytes);
    arenaBytes += arena;
  }

  bool isCuda = false;

  /// Walks `block` and records in which intervals each buffer is used.
  void collect(Block &block, int64_t tokens, int64_t &interval,
               llvm::MapVector<Value, Live> &lives) {
    for (Operation &op : block) {
      if (isa<krn::BarrierOp>(op)) {
        ++interval;
      } else if (auto buffer = dyn_cast<krn::BufferOp>(op)) {
        int64_t bytes = krn::roundUp(tokens * buffer.getType().getColumns() * 4,
                                     krn::kLineBytes);
        lives[buffer] = {&op, bytes, interval, interval};
      } else if (auto staged = dyn_cast<krn::StagedBufferOp>(op)) {
        lives[staged] = {&op, stagedBytes(staged.getType(), tokens, isCuda),
                         interval, interval};
      } else if (auto repeat = dyn_cast<krn::RepeatOp>(op)) {
        int64_t start = interval;
        collect(repeat.getBody().front(), tokens, interval, lives);
        // What comes from outside lives as long as the loop runs.
        for (auto &[value, live] : lives)
          if (!repeat->isProperAncestor(live.buffer) && live.last >= start &&
              usedIn(value, repeat))
            live.last = std::max(live.last, interval);
      } else if (std::optional<PhaseEffects> effects = phaseEffects(&op)) {
        for (Value value : llvm::concat<Value>(effects->reads, effects->writes))
          if (auto it = lives.find(value); it != lives.end())
            it->second.last = std::max(it->second.last, interval);
      }
    }
  }

  /// True if `buffer`, or a view of it, is used inside `repeat`.
  static bool usedIn(Value buffer, krn::RepeatOp repeat) {
    return llvm::any_of(buffer.getUsers(), [&](Operation *user) {
      if (repeat->isProperAncestor(user))
        return true;
      auto view = dyn_cast<krn::ViewOp>(user);
      return view && usedIn(view.getResult(), repeat);
    });
  }
};

} // namespace
