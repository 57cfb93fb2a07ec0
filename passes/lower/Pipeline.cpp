//===- Pipeline.cpp - The lower phase -------------------------------------===//

#include "passes/lower/Pipeline.h"

using namespace mlir;

namespace qcc {

void buildLowerPipeline(OpPassManager &pm,
                        ArrayRef<LowerToKRNPassOptions> targets) {
  for (size_t i = 0; i < targets.size(); ++i) {
    LowerToKRNPassOptions options = targets[i];
    options.keep = i + 1 < targets.size();
    pm.addPass(createLowerToKRNPass(options));
  }
  OpPassManager &program = pm.nest<krn::ProgramOp>();
  program.addPass(createSchedulePhasesPass());
  program.addPass(createPairGemmsPass());
  // Barriers first: they say which buffers are in use at the same time.
  program.addPass(createInsertBarriersPass());
  program.addPass(createPlanBuffersPass());
  program.addPass(createVerifyProgramPass());
}

} // namespace qcc
