//===- LoadedKernels.h - Loads and runs what compileCpu() makes -*- C++ -*-===//

#ifndef QCC_TESTS_CODEGEN_CPU_LOADEDKERNELS_H
#define QCC_TESTS_CODEGEN_CPU_LOADEDKERNELS_H

#include "runtime/abi/kernel_abi.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc::test {

/// Bytes that begin at a multiple of 64.
class AlignedBytes {
public:
  explicit AlignedBytes(size_t size, uint8_t fill = 0);
  uint8_t *data() { return start; }
  const uint8_t *data() const { return start; }
  size_t size() const { return length; }

private:
  std::vector<uint8_t> storage;
  uint8_t *start;
  size_t length;
};

/// A shared object, loaded from memory. Throws std::runtime_error if the
/// dynamic loader refuses it.
class LoadedKernels {
public:
  explicit LoadedKernels(const std::vector<char> &object);
  ~LoadedKernels();
  LoadedKernels(const LoadedKernels &) = delete;
  LoadedKernels &operator=(const LoadedKernels &) = delete;

  const qrt_kernel_table_t &table() const { return *kernels; }
  /// An entry by CPU level and name; throws std::runtime_error without one.
  const qrt_entry &entry(uint32_t level, const std::string &name) const;

private:
  void *handle = nullptr;
  const qrt_kernel_table_t *kernels = nullptr;
};

/// The tokens of one sequence in a step.
struct StepSequence {
  std::vector<int32_t> tokens;
  uint32_t past = 0;
  uint32_t capacity = 0;
  void *kv = nullptr;
};

/// Runs `entry` once on a team of `threads` threads and returns the logits
/// [logitRows.size()][vocabulary]. The arena is filled with NaNs before, and
/// what lies behind it must stay as it is: throws std::runtime_error if not.
std::vector<float> runStep(const qrt_kernel_table_t &table,
                           const qrt_entry &entry, uint32_t threads,
                           const std::vector<StepSequence> &sequences,
                           const std::vector<int32_t> &logitRows,
                           const std::vector<const void *> &weights);

} // namespace qcc::test

#endif // QCC_TESTS_CODEGEN_CPU_LOADEDKERNELS_H
