//===- AtomicFile.h - A file that appears when complete ---------*- C++ -*-===//

#ifndef QRT_SUPPORT_ATOMICFILE_H
#define QRT_SUPPORT_ATOMICFILE_H

#include <cstdint>
#include <span>
#include <string>

namespace qrt {

/// Writes a temporary file in the folder of `path` and renames it on commit().
/// Without commit() the destructor removes it, so that nothing half-written
/// ever stands under the final name. What a killed process left of the same
/// file is removed. A device or pipe that is there already is written in place,
/// since a rename would replace it.
class AtomicFile {
public:
  explicit AtomicFile(const std::string &path);
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  /// Throws qrt::Error with the system's reason, for instance a full disk.
  void writeAt(uint64_t offset, std::span<const uint8_t> bytes);
  /// Flushes to the disk and gives the file its name.
  void commit();

private:
  std::string path;      ///< as given
  std::string target;    ///< the same with links resolved
  std::string temporary; ///< empty: `target` is written in place
  uint64_t end = 0;      ///< of what was written
  int fd = -1;
};

} // namespace qrt

#endif // QRT_SUPPORT_ATOMICFILE_H
