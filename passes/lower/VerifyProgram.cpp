//===- VerifyProgram.cpp - Checks that a program is ready -----------------===//

#include "passes/lower/Passes.h"

#include "codegen/cpu/kernels/Layout.h"

namespace qcc {

#define GEN_PASS_DEF_VERIFYPROGRAMPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

struct VerifyProgram : qcc::impl::VerifyProgramPassBase<VerifyProgram> {
  using Base::Base;

  void runOnOperation() override {
    for (auto entry : getOperation().getOps<krn::EntryOp>()) {
      WalkResult result = entry.walk([&](Operation *op) {
        if (auto buffer = dyn_cast<krn::BufferOp>(op)) {
          int64_t bytes =
              entry.getMaxTokens() * buffer.getType().getColumns() * 4;
          return check(op, buffer.getOffset(), bytes, entry.getArena());
        }
        if (auto staged = dyn_cast<krn::StagedBufferOp>(op))
          return check(op, staged.getOffset(), 0,
                       staged.getPrivate_() ? entry.getScratch()
                                            : entry.getArena());
        return WalkResult::advance();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
    markAllAnalysesPreserved();
  }

  static WalkResult check(Operation *op, int64_t offset, int64_t bytes,
                          int64_t room) {
    if (offset < 0) {
      op->emitOpError("is not planned: run krn-plan-buffers first");
      return WalkResult::interrupt();
    }
    if (offset % krn::kLineBytes != 0) {
      op->emitOpError("lies at byte ")
          << offset << ", which is no multiple of " << krn::kLineBytes;
      return WalkResult::interrupt();
    }
    if (offset + bytes > room) {
      op->emitOpError("ends at byte ")
          << offset + bytes << " of an area of " << room << " bytes";
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  }
};

} // namespace
