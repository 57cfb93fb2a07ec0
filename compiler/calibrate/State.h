//===- State.h - What calibration has done so far ---------------*- C++ -*-===//
//
// A folder beside the artifact. A file for each finished layer holds its
// quantized weights, and one the activations that the next layer takes; each
// appears complete or not at all, so that whatever ends a calibration, the
// next one goes on after the last finished layer. The folder is removed once
// the artifact is written.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_CALIBRATE_STATE_H
#define QCC_COMPILER_CALIBRATE_STATE_H

#include "compiler/calibrate/ActivationStore.h"
#include "compiler/calibrate/Segment.h"
#include "compiler/weights/Sources.h"

#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// Makes the folder of a state. Throws qrt::Error.
void makeStateFolder(const std::string &folder);
/// Tokens that were expensive to make, kept in the folder of a state under a
/// fingerprint of what they were made from; nothing if there are none.
std::optional<CalibrationTokens> loadTokens(const std::string &folder,
                                            uint64_t fingerprint);
void saveTokens(const std::string &folder, uint64_t fingerprint,
                const CalibrationTokens &tokens);

class CalibrationState {
public:
  /// `fingerprint` is of everything that the results depend on: the state of
  /// another calibration is cleared away, with a line on stderr unless `quiet`.
  CalibrationState(std::string folder, uint64_t fingerprint, bool quiet);
  ~CalibrationState();

  const std::string &path() const { return folder; }
  /// How many layers are finished.
  int64_t finished() const { return layers; }
  /// The activations behind the last finished layer. Throws qrt::Error.
  void loadActivations(const Activations &out) const;

  /// Adds a weight of the layer that is being calibrated.
  void add(const std::string &name, CalibratedWeight weight);
  /// Ends the layer: writes its weights and then `activations`, what it
  /// returns. Null (nothing will read them): it is written beside what follows,
  /// and finished with the next call of this or of wait(). Both throw
  /// qrt::Error, for instance for a full disk; the state is then that of the
  /// layer before.
  void finishLayer(const Activations *activations);
  void wait();

  /// A weight of any layer so far. Throws qrt::Error.
  std::shared_ptr<const CalibratedWeight> weight(const std::string &name) const;
  /// The names of all weights and what the log says of them: without codes,
  /// scales and zero points.
  std::map<std::string, CalibratedWeight> reports() const;

  void remove();

private:
  std::string layerPath(int64_t layer) const;
  bool readLayer(int64_t layer);
  void writeLayer(const Activations *activations);

  std::string folder;
  uint64_t fingerprint;
  int64_t layers = 0;
  struct Place {
    int64_t layer;
    uint64_t offset, size;
  };
  mutable std::mutex mutex; ///< for `places`
  std::map<std::string, Place> places;
  /// Of the layer in work, and of the one that is being written.
  std::map<std::string, std::shared_ptr<const CalibratedWeight>> open, written;
  std::future<void> writing;
};

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_STATE_H
