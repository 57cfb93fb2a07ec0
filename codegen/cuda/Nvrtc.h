//===- Nvrtc.h - NVIDIA's run-time compiler, loaded when needed -*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_NVRTC_H
#define QCC_CODEGEN_CUDA_NVRTC_H

#include "runtime/support/Error.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace qcc::cuda {

/// A file that units include by name.
struct HeaderText {
  const char *name;
  const char *text;
};

/// A unit that NVRTC does not compile, with the log's first error.
class CompileFailure : public qrt::Error {
public:
  CompileFailure(const std::string &what, std::string log)
      : Error(what), log(std::move(log)) {}

  const std::string log;
};

/// The library libnvrtc.so, from QCC_NVRTC (a file), the dynamic linker's
/// path, the CUDA toolkit (CUDA_HOME, CUDA_PATH, /usr/local/cuda), or the
/// Python package nvidia-cuda-nvrtc of the python3 on the PATH. Its functions
/// may be called by several threads.
class Nvrtc {
public:
  /// Throws qrt::Error saying where it looked.
  static std::shared_ptr<const Nvrtc> load();
  /// Null instead of an exception.
  static std::shared_ptr<const Nvrtc> tryLoad();

  virtual ~Nvrtc() = default;
  /// "13.0".
  virtual std::string version() const = 0;
  /// True if it compiles for `architecture` ("sm_90", "compute_80").
  virtual bool supports(const std::string &architecture) const = 0;
  /// Compiles `source` for "sm_XY" (a cubin) or "compute_XY" (PTX, with its
  /// final zero). Throws CompileFailure, or qrt::Error where NVRTC fails
  /// otherwise.
  virtual std::vector<char> compile(const std::string &name,
                                    const std::string &source,
                                    const std::vector<HeaderText> &headers,
                                    const std::string &architecture) const = 0;
};

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_NVRTC_H
