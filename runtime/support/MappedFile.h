//===- MappedFile.h - A file mapped for reading -----------------*- C++ -*-===//

#ifndef QRT_SUPPORT_MAPPEDFILE_H
#define QRT_SUPPORT_MAPPEDFILE_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace qrt {

/// A regular file mapped read-only for its own lifetime. Move-only.
class MappedFile {
public:
  /// Maps all of `path`. Throws qrt::Error if that is not possible or `path`
  /// is not a regular file; an empty file has no data.
  explicit MappedFile(const std::string &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data, size}; }
  const std::string &path() const { return name; }

  /// Says that bytes [offset, offset + length) will not be needed again soon:
  /// they leave this process's resident set.
  void release(uint64_t offset, uint64_t length) const;
  /// Asks for read-ahead of the whole file.
  void willNeed() const;

private:
  std::string name;
  const uint8_t *data = nullptr;
  size_t size = 0;
};

} // namespace qrt

#endif // QRT_SUPPORT_MAPPEDFILE_H
