//===- MappedFile.h - A file mapped for reading -----------------*- C++ -*-===//

#ifndef QRT_SUPPORT_MAPPEDFILE_H
#define QRT_SUPPORT_MAPPEDFILE_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qrt {

/// A regular file mapped read-only for its own lifetime. Move-only; a
/// moved-from object may only be destroyed or assigned to. A file that is cut
/// short while it is mapped ends the process with SIGBUS where the missing part
/// is read: files of models are replaced, not rewritten.
class MappedFile {
public:
  /// Maps all of `path`. Throws qrt::Error with the path and the system's
  /// reason if that is not possible or `path` is not a regular file; an empty
  /// file has no data.
  explicit MappedFile(const std::string &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data, size}; }
  const std::string &path() const { return name; }

  // Advice: none of it changes what bytes() says, and a range may be any.

  /// Bytes [offset, offset + length) will not be needed again soon: the pages
  /// that lie wholly inside leave this process's resident set.
  void release(uint64_t offset, uint64_t length) const;
  /// Asks for bytes [offset, offset + length) to be read ahead.
  void willNeed(uint64_t offset, uint64_t length) const;
  /// Asks for read-ahead of the whole file.
  void willNeed() const { willNeed(0, size); }
  /// The file will be read once, from its start to its end.
  void sequential() const;

private:
  std::string name;
  const uint8_t *data = nullptr;
  size_t size = 0;
};

} // namespace qrt

#endif // QRT_SUPPORT_MAPPEDFILE_H
