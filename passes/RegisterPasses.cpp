//===- RegisterPasses.cpp - All passes and pipelines ----------------------===//

#include "passes/RegisterPasses.h"

#include "passes/fuse/Pipeline.h"
#include "passes/import/Pipeline.h"
#include "passes/layout/Pipeline.h"
#include "passes/lower/Pipeline.h"
#include "passes/quantize/Pipeline.h"

namespace qcc {

void registerAllPasses() {
  registerQccImportPasses();
  registerImportPipeline();
  registerQccQuantizePasses();
  registerQuantizePipeline();
  registerQccFusePasses();
  registerFusePipeline();
  registerQccLayoutPasses();
  registerQccLowerPasses();
}

} // namespace qcc
