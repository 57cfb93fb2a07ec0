//===- Fuzz.h - What the fuzz targets share ---------------------*- C++ -*-===//

#ifndef QCC_TESTS_FUZZ_FUZZ_H
#define QCC_TESTS_FUZZ_FUZZ_H

#include "runtime/support/Error.h"

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace qcc::fuzz {

/// Runs `read`, which may throw qrt::Error with one line of text: anything else
/// that it throws ends the process.
template <typename Read>
int run(Read read) {
  try {
    read();
  } catch (const qrt::Error &error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos)
      std::abort();
  }
  return 0;
}

inline std::string_view asText(const uint8_t *data, size_t size) {
  return {reinterpret_cast<const char *>(data), size};
}

/// A file in memory, for readers that take a path.
class MemoryFile {
public:
  MemoryFile(const uint8_t *data, size_t size)
      : descriptor(memfd_create("fuzz", 0)) {
    for (size_t done = 0; done < size;) {
      ssize_t count = write(descriptor, data + done, size - done);
      if (count <= 0)
        std::abort();
      done += static_cast<size_t>(count);
    }
  }
  ~MemoryFile() { close(descriptor); }
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;

  std::string path() const {
    return "/proc/self/fd/" + std::to_string(descriptor);
  }

private:
  int descriptor;
};

/// Text that has something for every component of a tokenizer.
inline constexpr std::string_view kText =
    "Hi <s>\xff you're 12345 na\u00efve \u4f60\u597d  \n\n<|end|>\u2581 A1'LL";

} // namespace qcc::fuzz

#endif // QCC_TESTS_FUZZ_FUZZ_H
