//===- Compile.h - The whole way from a model to an artifact ----*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_COMPILE_H
#define QCC_COMPILER_DRIVER_COMPILE_H

#include "compiler/driver/Scheme.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// What the calibration of gptq runs on.
struct CalibrationRequest {
  std::string data;   ///< empty: the default
  std::string device; ///< cpu, cuda[:N]; empty: a GPU if there is one
  std::optional<int64_t> samples, length;
  /// MiB of activations in memory (CalibrateOptions::activationMemory).
  std::optional<int64_t> memory;
  uint64_t seed = 0;
};

/// What `qcc compile` is told; interface.md names the options.
struct CompileOptions {
  std::string model;
  /// The artifact, or what `emit` and `printPipeline` print; these print to
  /// stdout where it is empty.
  std::string output;
  std::string scheme = "none";
  SchemeOptions schemeOptions;
  /// bnb.int8's, 6.0 unless given; throws qrt::UsageError where no module has
  /// that scheme.
  std::optional<double> outlierThreshold;
  std::vector<std::string> modules; ///< "REGEX=SCHEME"
  std::string lmHead;               ///< a scheme, or empty: not quantized
  std::string dtype;                ///< f32, f16, bf16; empty: the checkpoint's
  std::string activations;          ///< empty: the target's default
  std::string kvDtype;              ///< empty: f32, or f16 with a CUDA target
  std::vector<std::string> targets; ///< empty: what the machine has, and cpu
  /// CPU variants to compile, by the names of qrt::cpuLevelName, or
  /// "native" for this machine's; empty: all.
  std::vector<std::string> cpuVariants;
  std::optional<uint64_t> randomSeed;
  unsigned threads = 0; ///< 0: all
  std::string emit; ///< "tfm", "qnt", "krn", "llvm", "cuda", "sass", or empty
  std::string pipeline; ///< instead of the passes that the options give
  std::string saveTemps;
  std::string quantLog;
  CalibrationRequest calibration;
  bool printPipeline = false;
  bool timing = false;
  bool noChatTemplate = false; ///< leave it out of the artifact
  bool quiet = false;
  const std::atomic<bool> *cancelled = nullptr;
};

/// Compiles, or prints what `emit` or `printPipeline` ask for; progress goes to
/// stderr, with a line about targets that were not given. Throws qrt::Error;
/// nothing then stands under `output`.
void compile(const CompileOptions &options);

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_COMPILE_H
