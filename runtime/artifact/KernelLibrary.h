//===- KernelLibrary.h - The compiled kernels of an artifact ----*- C++ -*-===//

#ifndef QRT_ARTIFACT_KERNELLIBRARY_H
#define QRT_ARTIFACT_KERNELLIBRARY_H

#include "runtime/abi/kernel_abi.h"
#include "runtime/artifact/Artifact.h"

#include <span>

namespace qrt {

/// The shared object of a CPU target, loaded from memory.
class KernelLibrary {
public:
  /// Loads the artifact's kernels for `cpu` and checks their table against the
  /// manifest. Throws qrt::Error if there are none, or if they were made for
  /// another version of the ABI.
  explicit KernelLibrary(const Artifact &artifact);
  /// The same of an object in memory that has no manifest.
  explicit KernelLibrary(std::span<const uint8_t> code);
  KernelLibrary(const KernelLibrary &) = delete;
  KernelLibrary &operator=(const KernelLibrary &) = delete;

  const qrt_kernel_table_t &table() const { return *kernels; }
  /// The best variant for a CPU of `level`; throws qrt::Error if there is none.
  const qrt_variant &variant(uint32_t level) const;

private:
  void load(std::span<const uint8_t> code);

  /// The loaded object and the anonymous file that names it.
  struct Object {
    ~Object();
    void *handle = nullptr;
    int fd = -1;
  };

  std::string path;
  Object object;
  const qrt_kernel_table_t *kernels = nullptr;
};

} // namespace qrt

#endif // QRT_ARTIFACT_KERNELLIBRARY_H
