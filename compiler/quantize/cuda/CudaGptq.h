//===- CudaGptq.h - GPTQ on an NVIDIA GPU -----------------------*- C++ -*-===//
//
// compiler/quantize/Gptq.h with the Hessian, its factor and the algebra on a
// GPU. The same algorithm, options and results; codes are those of the CPU but
// for ties that the rounding of f32 sums decides. All work is on the stream of
// the device, in order; what returns something to the host waits for it.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_CUDAGPTQ_H
#define QCC_COMPILER_QUANTIZE_CUDA_CUDAGPTQ_H

#include "compiler/quantize/Gptq.h"
#include "compiler/quantize/cuda/CudaAlgebra.h"
#include "compiler/quantize/cuda/CudaKernels.h"
#include "compiler/quantize/cuda/HostCopies.h"

#include <initializer_list>

namespace qcc {

/// cuBLAS and cuSOLVER (opened when this is made) and GPTQ's kernels (compiled
/// by NVRTC) on one GPU. For one thread at a time.
class CudaGptq {
public:
  /// Throws qrt::Error saying which library is missing and where it looked.
  explicit CudaGptq(const qrt::cuda::Device &device);

  const qrt::cuda::Device &device() const { return gpu; }
  const cuda::CudaAlgebra &algebra() const { return products; }
  const cuda::CudaKernels &kernels() const { return functions; }
  cuda::HostCopies &copies() { return transfers; }

  /// A part of the workspace, and what it is to be.
  struct Part {
    qrt::cuda::DevicePointer &at;
    int64_t bytes;
  };
  /// Places all parts in the workspace, which grows to hold them and keeps its
  /// size. Whatever was in it before is lost.
  void place(std::initializer_list<Part> parts, const std::string &what);
  /// Gives the workspace back to the GPU, for phases that need the memory.
  void releaseWorkspace() { workspace = {}; }

  /// Small copies; the second waits for the stream.
  void send(qrt::cuda::DevicePointer to, const void *from, int64_t bytes) const;
  void fetch(void *to, qrt::cuda::DevicePointer from, int64_t bytes) const;
  void clear(qrt::cuda::DevicePointer at, int64_t bytes) const;

  /// What f32 inputs of Hessians are rounded to. BF16: the noise of H is 1/600
  /// of what comes of the choice of the tokens, however many there are. F32:
  /// TF32 (11 bits), in more than twice the time.
  cuda::Element inputs = cuda::Element::BF16;
  /// Products of the refinement, which decide between codes that are as good as
  /// each other. F32 is five times as slow.
  cuda::Arithmetic refinement = cuda::Arithmetic::TF32;
  /// Columns that large products take at once. Tests make it small.
  int64_t panelColumns = 512;
  /// Elements of a weight that are on the GPU at once, 13 bytes each.
  int64_t mostElements = int64_t(128) << 20;

private:
  const qrt::cuda::Device &gpu;
  cuda::CudaAlgebra products;
  cuda::CudaKernels functions;
  cuda::HostCopies transfers;
  qrt::cuda::Buffer workspace;
};

/// H = 2/n sum x x^T in device memory, f32 [size][size], of which the lower
/// triangle counts.
class CudaHessian {
public:
  /// Zeros.
  CudaHessian(CudaGptq &gptq, int64_t size);
  /// From a full matrix [size][size].
  CudaHessian(CudaGptq &gptq, int64_t size, const float *matrix);

  int64_t size() const { return n; }
  qrt::cuda::DevicePointer address() const { return matrix.address(); }
  /// Adds x^T x for x [rows][size] in device memory, on tensor cores with sums
  /// in f32. f16 and bf16 are multiplied exactly, f32 as CudaGptq::inputs has
  /// it.
  void add(qrt::cuda::DevicePointer x, int64_t rows,
           cuda::Element element = cuda::Element::F32);
  /// Multiplies everything by `factor`.
  void scale(double factor);
  /// The lower triangle; what is above it means nothing.
  std::vector<float> toHost() const;

private:
  void addProduct(qrt::cuda::DevicePointer x, int64_t rows,
                  cuda::Element element);

  CudaGptq &gptq;
  int64_t n;
  qrt::cuda::Buffer matrix;
};

/// GptqFactor with its matrices on the GPU.
struct CudaGptqFactor {
  /// All but r and corners, which are empty.
  GptqFactor host;
  bool usable = false;
  /// R, f32 [n][n], zeros below the diagonal.
  qrt::cuda::Buffer r;
  /// Columns that are refined together: whole groups if these are no larger
  /// than CudaGptq::panelColumns.
  struct Span {
    int64_t first, size;
    int64_t firstGroup, lastGroup; ///< of host.groups
    int64_t corner;                ///< index of its [size][size] in `corners`
  };
  std::vector<Span> spans;
  /// With refineSweeps, the damped Hessian's block of every span, f32.
  qrt::cuda::Buffer corners;
  /// i32 [2][n]: the column of the weight that is the i-th, and the same with
  /// -1 for dead ones.
  qrt::cuda::Buffer columns;
};

/// As factorHessian of Gptq.h. Factors in f32, and in f64 where f32 leaves a
/// pivot inaccurate or finds none, before the Hessian is damped more.
CudaGptqFactor factorHessian(CudaGptq &gptq, const CudaHessian &hessian,
                             int64_t groupSize, const GptqOptions &options);

/// As quantizeGptq of Gptq.h; w is in host memory. Options that do not concern
/// the algebra (threads, cancelled) are heeded, too.
GptqResult quantizeGptq(CudaGptq &gptq, const float *w, int64_t rows,
                        int64_t columns, const qrt::Format &format,
                        const CudaGptqFactor &factor,
                        const GptqOptions &options);

} // namespace qcc

#endif // QCC_COMPILER_QUANTIZE_CUDA_CUDAGPTQ_H
