//===- Memory.h - Large zeroed blocks of memory -----------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_MEMORY_H
#define QRT_EXECUTOR_MEMORY_H

#include <cstddef>
#include <cstdint>

namespace qrt {

/// Anonymous memory straight from the operating system: zeroed, page-aligned,
/// and pages that nobody touches cost nothing. Blocks of 2 MiB and more begin
/// at a multiple of 2 MiB and ask for huge pages where `dense` says that most
/// of the block will be used. Move-only.
class Memory {
public:
  Memory() = default;
  /// Throws qrt::Error with the size and `what` it was for if the machine does
  /// not have it.
  Memory(uint64_t bytes, const char *what, bool dense);
  ~Memory();
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;

  char *data() const { return start; }
  size_t size() const { return length; }

private:
  void *mapping = nullptr;
  size_t mapped = 0;
  char *start = nullptr;
  size_t length = 0;
};

/// Bytes of memory that the machine has.
uint64_t physicalMemory();

} // namespace qrt

#endif // QRT_EXECUTOR_MEMORY_H
