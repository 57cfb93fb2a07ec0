//===- RegisterPasses.cpp - All passes and pipelines ----------------------===//

#include "passes/RegisterPasses.h"

namespace qcc {

void registerAllPasses() {}

} // namespace qcc
