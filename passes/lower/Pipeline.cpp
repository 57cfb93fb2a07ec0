//===- Pipeline.cpp - The lower phase -------------------------------------===//

#include "passes/lower/Pipeline.h"

using namespace mlir;

namespace qcc {

void buildLowerPipeline(OpPassManager &pm,
                        const LowerToKRNPassOptions &options) {
  pm.addPass(createLowerToKRNPass(options));
  OpPassManager &program = pm.nest<krn::ProgramOp>();
  // Barriers first: they say which buffers are in use at the same time.
  program.addPass(createInsertBarriersPass());
  program.addPass(createPlanBuffersPass());
  program.addPass(createVerifyProgramPass());
}

} // namespace qcc
