//===- Calibration.h - The calibration of one compilation -------*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_CALIBRATION_H
#define QCC_COMPILER_DRIVER_CALIBRATION_H

#include "compiler/calibrate/Calibrator.h"
#include "compiler/driver/Compile.h"
#include "compiler/driver/LoadModel.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// Calibrates a program when it is made, with progress on stderr. Its state
/// stands in `<output>.calibration`, so that the same command goes on where an
/// earlier one ended.
class Calibration {
public:
  /// `quantized` is the program after the quantize phase. Throws qrt::Error;
  /// of kind Cancelled when interrupted, with a text that says how to go on.
  Calibration(const CompileOptions &options, LoadedModel &loaded,
              mlir::ModuleOp quantized, unsigned threads);

  /// The model's parameters with what was calibrated.
  const ParameterReader &parameters() const { return *reader; }
  /// For the provenance: how much data and a hash of it, and what it ran on.
  std::vector<std::string> describe() const {
    return {description,
            std::string("calibration-device=") + (gpu ? "cuda" : "cpu")};
  }
  /// The artifact is there: the state has done its duty.
  void removeState() { state->remove(); }

private:
  void run(const CompileOptions &options, LoadedModel &loaded,
           mlir::ModuleOp quantized, unsigned threads,
           const CalibrationTokens &tokens);

  std::unique_ptr<CalibrationState> state;
  std::unique_ptr<CalibratedParameters> reader;
  std::string description;
  std::optional<int> gpu; ///< what it runs on; none is the CPU
};

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_CALIBRATION_H
