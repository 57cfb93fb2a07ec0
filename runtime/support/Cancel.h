//===- Cancel.h - Ends work that is not wanted any more ---------*- C++ -*-===//

#ifndef QRT_SUPPORT_CANCEL_H
#define QRT_SUPPORT_CANCEL_H

#include "runtime/support/Error.h"

#include <atomic>

namespace qrt {

/// Throws qrt::Error of kind Cancelled once the flag (which may be null) is
/// set.
inline void throwIfCancelled(const std::atomic<bool> *cancelled) {
  if (cancelled && *cancelled)
    throw Error("interrupted", "", "", ErrorKind::Cancelled);
}

} // namespace qrt

#endif // QRT_SUPPORT_CANCEL_H
