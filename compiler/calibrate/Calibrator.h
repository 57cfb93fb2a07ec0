//===- Calibrator.h - Finds what qnt.gptq needs to know ---------*- C++ -*-===//
//
// Runs a quantized program layer by layer on the calibration data, with the
// compiler's own kernels: up to the inputs of a linear, whose Hessian it sums
// and whose weight it then quantizes, and on from there with the quantized
// weight, so that later linears see what they will see. Every product runs
// once, for all tokens; one layer's weights are in memory, and of its
// activations as much as is allowed.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_CALIBRATE_CALIBRATOR_H
#define QCC_COMPILER_CALIBRATE_CALIBRATOR_H

#include "compiler/calibrate/Backend.h"
#include "compiler/calibrate/State.h"
#include "compiler/weights/Sources.h"

#include "mlir/IR/BuiltinOps.h"

#include <atomic>
#include <functional>
#include <optional>
#include <string>

namespace qcc {

/// The parameters of a model together with what was calibrated.
class CalibratedParameters : public ParameterReader {
public:
  CalibratedParameters(const ParameterReader &parameters,
                       const CalibrationState &state)
      : parameters(parameters), state(state) {}
  void read(tfm::ParamAttr param, mlir::RankedTensorType type, int64_t first,
            int64_t count, float *out) const override {
    parameters.read(param, type, first, count, out);
  }
  void release(tfm::ParamAttr param) const override {
    parameters.release(param);
  }
  std::shared_ptr<const CalibratedWeight>
  calibrated(const std::string &name) const override {
    return state.weight(name);
  }

private:
  const ParameterReader &parameters;
  const CalibrationState &state;
};

struct CalibrateOptions {
  unsigned threads = 1;
  /// The number of the GPU that it runs on; the CPU without one.
  std::optional<int> gpu;
  /// Bytes of activations that stay in memory, by default half of the
  /// machine's or what the GPU's is for; more goes into files in the state's
  /// folder, or is computed again (Backend.h). Changes nothing in the results.
  std::optional<uint64_t> activationMemory;
  const std::atomic<bool> *cancelled = nullptr;
  /// Called after each weight, with the share of all that is done.
  std::function<void(double done, const std::string &name, double error)>
      progress;
};

/// True if `module` has a weight that needs calibration.
bool needsCalibration(mlir::ModuleOp module);

/// Calibrates every qnt.gptq of `module`, a program after the quantize phase
/// and before the fuse phase, going on where `state` stands. Throws qrt::Error
/// (of kind Cancelled when interrupted: the state then holds what is done).
/// Returns where the time went.
CalibrationTimes calibrate(mlir::ModuleOp module,
                           const ParameterReader &parameters,
                           const CalibrationTokens &tokens,
                           CalibrationState &state,
                           const CalibrateOptions &options);

/// How many layers calibrate() finishes, one after the other, in `state`.
int64_t calibrationLayers(mlir::ModuleOp module);

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_CALIBRATOR_H
