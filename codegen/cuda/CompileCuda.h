//===- CompileCuda.h - From KRN to cubins and launches ----------*- C++ -*-===//

#ifndef QCC_CODEGEN_CUDA_COMPILECUDA_H
#define QCC_CODEGEN_CUDA_COMPILECUDA_H

#include "codegen/cuda/KernelUnits.h"

#include <memory>
#include <string>
#include <vector>

namespace qcc {

struct CompileCudaOptions {
  /// Threads that compile; 0 for as many as there are CPUs. The result does
  /// not depend on it.
  unsigned threads = 0;
  /// A folder (it is made) for every unit (<kernel>.cu), the files that they
  /// include and every image (<kernel>.<architecture>.cubin or .ptx), or empty.
  std::string saveTemps;
};

/// The architectures that --target takes: "sm_80" ... are cubins, "compute_80"
/// PTX that the driver compiles for any newer GPU.
const std::vector<std::string> &cudaArchitectures();

/// One architecture's code: images with their functions, and the entries'
/// launches, which name them.
struct CudaCode {
  std::vector<char> bytes;
  std::unique_ptr<qrt::fb::KernelsT> kernels;
};

/// Compiles a planned krn.program of target "cuda" with NVRTC. Of `kernels`
/// the caller fills in what all targets share (Manifest.h), the code's place
/// and its checksum. Throws qrt::Error.
CudaCode compileCuda(krn::ProgramOp program, const std::string &architecture,
                     const CompileCudaOptions &options = {});

/// The generated units as text, each under a line with its name.
std::string emitCuda(krn::ProgramOp program, const std::string &architecture);

/// The machine code of every kernel as text, by cuobjdump or nvdisasm, which
/// must be on the PATH. Throws qrt::Error.
std::string emitSass(krn::ProgramOp program, const std::string &architecture,
                     const CompileCudaOptions &options = {});

} // namespace qcc

#endif // QCC_CODEGEN_CUDA_COMPILECUDA_H
