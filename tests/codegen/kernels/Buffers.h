//===- Buffers.h - Memory that notices who leaves it ------------*- C++ -*-===//

#ifndef QCC_TESTS_CODEGEN_KERNELS_BUFFERS_H
#define QCC_TESTS_CODEGEN_KERNELS_BUFFERS_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace qcc::test {

/// `bytes` bytes at a multiple of 64, which end (rounded up to 64) where a page
/// begins that may not be touched: sanitizers do not see into the kernels.
class GuardedBuffer {
public:
  explicit GuardedBuffer(size_t bytes) : bytes(bytes) {
    size_t used = (bytes + 63) / 64 * 64;
    size_t pages = (used + kPage - 1) / kPage * kPage;
    mapped = pages + kPage;
    void *at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
      throw std::bad_alloc();
    base = static_cast<char *>(at);
    ::mprotect(base + pages, kPage, PROT_NONE);
    begin = base + pages - used;
    // What nobody wrote is NaN as f32, f16 and bf16.
    std::memset(begin, 0xff, used);
  }
  ~GuardedBuffer() {
    if (base)
      ::munmap(base, mapped);
  }
  GuardedBuffer(const GuardedBuffer &) = delete;
  GuardedBuffer &operator=(const GuardedBuffer &) = delete;
  GuardedBuffer(GuardedBuffer &&other) noexcept
      : bytes(other.bytes), mapped(other.mapped),
        base(std::exchange(other.base, nullptr)), begin(other.begin) {}
  GuardedBuffer &operator=(GuardedBuffer &&) = delete;

  template <typename T = char> T *data() {
    return reinterpret_cast<T *>(begin);
  }
  template <typename T = char> const T *data() const {
    return reinterpret_cast<const T *>(begin);
  }
  size_t size() const { return bytes; }

private:
  static constexpr size_t kPage = 4096;
  size_t bytes, mapped = 0;
  char *base = nullptr, *begin = nullptr;
};

} // namespace qcc::test

#endif // QCC_TESTS_CODEGEN_KERNELS_BUFFERS_H
