//===- DynamicLibrary.h - Libraries that are opened when needed -*- C++ -*-===//

#ifndef QRT_SUPPORT_DYNAMICLIBRARY_H
#define QRT_SUPPORT_DYNAMICLIBRARY_H

#include <string>
#include <type_traits>
#include <vector>

namespace qrt {

/// Opens the first of `names` ("libcublasLt.so.13") that is found: on the
/// dynamic linker's path, or in the CUDA toolkit (CUDA_HOME, CUDA_PATH,
/// /usr/local/cuda). `flags` are dlopen's. Null if there is none. Who opens
/// such a library keeps it: it holds memory that only it can reach.
void *openToolkitLibrary(const std::vector<std::string> &names, int flags);

/// Fills in pointers to functions of a library that dlopen has opened.
class Symbols {
public:
  explicit Symbols(void *library) : library(library) {}

  /// Leaves null what the library does not have.
  template <typename Function>
  void resolve(Function &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<Function>>(find(name));
  }
  /// The first function that was not found, or null.
  const char *missing() const { return firstMissing; }

private:
  void *find(const char *name);

  void *const library;
  const char *firstMissing = nullptr;
};

} // namespace qrt

#endif // QRT_SUPPORT_DYNAMICLIBRARY_H
