//===- Memory.cpp - Large zeroed blocks of memory -------------------------===//

#include "runtime/executor/Memory.h"

#include "runtime/support/Error.h"

#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace qrt {

static constexpr uint64_t kHugePage = uint64_t(2) << 20;

uint64_t physicalMemory() {
  long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || size <= 0)
    return UINT64_MAX / 2;
  return uint64_t(pages) * uint64_t(size);
}

Memory::Memory(uint64_t bytes, const char *what, bool dense) : length(bytes) {
  if (bytes == 0)
    return;
  bool isLarge = bytes >= kHugePage;
  // A block beyond what there is at all can never be used, even if the system
  // would promise it.
  if (bytes <= physicalMemory()) {
    mapped = bytes + (isLarge ? kHugePage : 0);
    mapping = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (!mapping || mapping == MAP_FAILED)
    throw Error("not enough memory: " + std::string(what) + " needs " +
                std::to_string((bytes >> 20) + 1) + " MiB");
  start = static_cast<char *>(mapping);
  if (!isLarge)
    return;
  auto address = reinterpret_cast<uintptr_t>(start);
  start += (kHugePage - address % kHugePage) % kHugePage;
  if (dense)
    ::madvise(start, length, MADV_HUGEPAGE);
}

Memory::~Memory() {
  if (mapping)
    ::munmap(mapping, mapped);
}

Memory::Memory(Memory &&other) noexcept
    : mapping(std::exchange(other.mapping, nullptr)),
      mapped(std::exchange(other.mapped, 0)),
      start(std::exchange(other.start, nullptr)),
      length(std::exchange(other.length, 0)) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(mapping, other.mapping);
  std::swap(mapped, other.mapped);
  std::swap(start, other.start);
  std::swap(length, other.length);
  return *this;
}

} // namespace qrt
