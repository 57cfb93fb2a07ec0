//===- Backend.cpp - The machine that a calibration runs on ---------------===//

#include "compiler/calibrate/Backend.h"

#include "runtime/support/Error.h"

namespace qcc {

void CalibrationBackend::checkCancelled() const {
  if (cancelled && *cancelled)
    throw qrt::Error("interrupted", "", "", qrt::ErrorKind::Cancelled);
}

} // namespace qcc
