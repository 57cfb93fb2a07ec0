//===- SelfText.h - Text that the model itself writes -----------*- C++ -*-===//

#ifndef QCC_COMPILER_CALIBRATE_SELFTEXT_H
#define QCC_COMPILER_CALIBRATE_SELFTEXT_H

#include "compiler/calibrate/Segment.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace qcc {

/// Sequences that the model of the artifact `path` writes on `device` ("cpu",
/// "cuda:1"), many at once: each
/// begins with the token that begins texts (a random one, if there is none),
/// and every next one is drawn from what the model expects, at temperature 1.
/// The same seed gives the same tokens. `progress` is told how much of all is
/// done. Throws qrt::Error.
CalibrationTokens writeSelfText(const std::string &path,
                                const std::string &device, int64_t samples,
                                int64_t length, uint64_t seed, unsigned threads,
                                const std::atomic<bool> *cancelled,
                                const std::function<void(double)> &progress);

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_SELFTEXT_H
