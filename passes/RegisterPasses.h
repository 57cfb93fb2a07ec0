//===- RegisterPasses.h - All passes and pipelines --------------*- C++ -*-===//

#ifndef QCC_PASSES_REGISTERPASSES_H
#define QCC_PASSES_REGISTERPASSES_H

namespace qcc {

/// Makes every pass and every phase's pipeline known by name. Call once a
/// process.
void registerAllPasses();

} // namespace qcc

#endif // QCC_PASSES_REGISTERPASSES_H
