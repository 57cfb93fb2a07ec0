//===- MappedFile.cpp - A file mapped for reading -------------------------===//

#include "runtime/support/MappedFile.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qrt {

MappedFile::MappedFile(const std::string &path) : name(path) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    throw Error(std::string("cannot open the file: ") + std::strerror(errno),
                path);
  struct stat info;
  bool isFile = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (isFile && info.st_size > 0) {
    size = size_t(info.st_size);
    void *mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
      int error = errno;
      ::close(fd);
      throw Error(std::string("cannot map the file: ") + std::strerror(error),
                  path);
    }
    data = static_cast<const uint8_t *>(mapping);
  }
  ::close(fd);
  if (!isFile)
    throw Error("not a regular file", path);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : name(std::move(other.name)), data(std::exchange(other.data, nullptr)),
      size(std::exchange(other.size, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(data, other.data);
  std::swap(size, other.size);
  return *this;
}

MappedFile::~MappedFile() {
  if (data)
    ::munmap(const_cast<uint8_t *>(data), size);
}

/// Gives `advice` on the pages of [offset, offset + length), as far as the file
/// goes. Pages at the ends belong to the range if `outward`.
static void advise(std::span<const uint8_t> file, uint64_t offset,
                   uint64_t length, bool outward, int advice) {
  if (offset >= file.size())
    return;
  static const auto page = uint64_t(::sysconf(_SC_PAGESIZE));
  uint64_t end = offset + std::min<uint64_t>(length, file.size() - offset);
  uint64_t first =
      outward ? offset / page * page : (offset + page - 1) / page * page;
  // The file's last page is whole, whatever its length.
  uint64_t last = outward || end == file.size() ? end : end / page * page;
  if (first < last)
    ::madvise(const_cast<uint8_t *>(file.data()) + first, last - first, advice);
}

void MappedFile::release(uint64_t offset, uint64_t length) const {
  // Whole pages only: neighbours may still be in use.
  advise(bytes(), offset, length, /*outward=*/false, MADV_DONTNEED);
}

void MappedFile::willNeed(uint64_t offset, uint64_t length) const {
  advise(bytes(), offset, length, /*outward=*/true, MADV_WILLNEED);
}

void MappedFile::sequential() const {
  advise(bytes(), 0, size, /*outward=*/true, MADV_SEQUENTIAL);
}

} // namespace qrt
