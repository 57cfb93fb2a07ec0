//===- ArtifactWriter.h - Writes a .qbin ------------------------*- C++ -*-===//

#ifndef QRT_ARTIFACT_ARTIFACTWRITER_H
#define QRT_ARTIFACT_ARTIFACTWRITER_H

#include "runtime/schema/qbin_generated.h"
#include "runtime/support/AtomicFile.h"

#include <cstdint>
#include <span>
#include <string>

namespace qrt {

/// Writes segments as they come and the manifest last. The file appears under
/// its name only when finish() returns; until then it is a temporary beside
/// it, which the destructor removes.
class ArtifactWriter {
public:
  /// Throws qrt::Error if no file can be made beside `path`.
  explicit ArtifactWriter(const std::string &path);

  /// Appends bytes at the next multiple of `alignment` (a power of two) and
  /// says where. Throws qrt::Error if the disk is full.
  fb::Range append(std::span<const uint8_t> bytes, uint64_t alignment);
  /// Writes manifest and header, flushes, and gives the file its name.
  void finish(const fb::ManifestT &manifest);

private:
  AtomicFile file;
  uint64_t position;
};

} // namespace qrt

#endif // QRT_ARTIFACT_ARTIFACTWRITER_H
