//===- CudaAlgebra.cpp - cuBLAS and cuSOLVER, loaded when needed ----------===//
//
// Types and values are those of the libraries' documentation, CUDA 12 and 13.
// Both are column-major: they are given the transposed of every matrix.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/cuda/CudaAlgebra.h"

#include "codegen/cuda/ToolkitLibrary.h"
#include "runtime/support/Error.h"

#include <cstdlib>
#include <dlfcn.h>
#include <vector>

using qrt::Error;

namespace qcc::cuda {

namespace {

using Status = int;
using Handle = void *;

enum Operation { AsItIs = 0, Transposed = 1 };
enum Fill { Upper = 1 };
enum DataType { R32F = 0, R64F = 1, R16F = 2, R16BF = 14 };
enum ComputeType { Compute32F = 68, ComputeFastTF32 = 77 };
constexpr int kDefaultAlgorithm = -1;

DataType dataType(Element element) {
  switch (element) {
  case Element::F64:
    return R64F;
  case Element::F16:
    return R16F;
  case Element::BF16:
    return R16BF;
  default:
    return R32F;
  }
}

/// A library, its package on PyPI, and the version in its file's name that
/// comes with CUDA 13 and with CUDA 12.
struct LibraryName {
  const char *name, *package;
  int versions[2];
};

/// Those that the next need come first.
constexpr LibraryName kLibraries[] = {{"nvJitLink", "nvjitlink", {13, 12}},
                                      {"cublasLt", "cublas", {13, 12}},
                                      {"cublas", "cublas", {13, 12}},
                                      {"cusparse", "cusparse", {12, 12}},
                                      {"cusolver", "cusolver", {12, 11}}};

struct OpenLibraries {
  void *blas = nullptr, *solver = nullptr;
};

OpenLibraries openLibraries(int release) {
  OpenLibraries opened;
  const char *folder = std::getenv("QCC_CUDA_LIBRARIES");
  for (const LibraryName &library : kLibraries) {
    std::string file = std::string("lib") + library.name + ".so." +
                       std::to_string(library.versions[release]);
    // Global, for those that come after it to find.
    const int flags = RTLD_NOW | RTLD_GLOBAL;
    void *handle =
        folder ? ::dlopen((std::string(folder) + "/" + file).c_str(), flags)
               : openToolkitLibrary({file}, library.package, flags);
    std::string name = library.name;
    if (name == "cublas")
      opened.blas = handle;
    if (name == "cusolver")
      opened.solver = handle;
  }
  return opened;
}

} // namespace

int64_t bytesOf(Element element) {
  return element == Element::F64 ? 8 : element == Element::F32 ? 4 : 2;
}

struct CudaAlgebra::Functions {
  explicit Functions(const qrt::cuda::Driver &driver) {
    // CUDA 13 needs a driver of its own age.
    const bool is12 = driver.version < 13000;
    for (int release = is12; release < 2; ++release) {
      OpenLibraries opened = openLibraries(release);
      blas = opened.blas;
      solver = opened.solver;
      if (blas && solver)
        break;
    }
    if (!blas || !solver) {
      const char *folder = std::getenv("QCC_CUDA_LIBRARIES");
      throw Error(
          std::string("GPTQ on a GPU needs ") +
              (blas ? "cuSOLVER, which is" : "cuBLAS and cuSOLVER, which are") +
              " neither installed with the CUDA toolkit (" +
              (is12 ? "12" : "12 or 13") +
              ") nor as the Python packages nvidia-cublas and nvidia-cusolver",
          folder ? folder : "",
          "set QCC_CUDA_LIBRARIES to the folder of libcublas.so and "
          "libcusolver.so, or use --calibration-device cpu");
    }
    resolve(blas, createBlas, "cublasCreate_v2");
    resolve(blas, destroyBlas, "cublasDestroy_v2");
    resolve(blas, setBlasStream, "cublasSetStream_v2");
    resolve(blas, multiply, "cublasGemmEx");
    resolve(blas, blasStatusText, "cublasGetStatusString");
    resolve(solver, createSolver, "cusolverDnCreate");
    resolve(solver, destroySolver, "cusolverDnDestroy");
    resolve(solver, setSolverStream, "cusolverDnSetStream");
    resolve(solver, createParameters, "cusolverDnCreateParams");
    resolve(solver, destroyParameters, "cusolverDnDestroyParams");
    resolve(solver, choleskySize, "cusolverDnXpotrf_bufferSize");
    resolve(solver, cholesky, "cusolverDnXpotrf");
  }

  template <class Function>
  static void resolve(void *handle, Function &function, const char *name) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    if (!function)
      throw Error(std::string("the CUDA library has no function ") + name);
  }

  void checkBlas(Status status, const std::string &what) const {
    if (status)
      throw Error("cuda: " + what + ": " + blasStatusText(status));
  }
  static void checkSolver(Status status, const std::string &what) {
    if (status)
      throw Error("cuda: " + what + ": cusolver status " +
                  std::to_string(status));
  }

  void *blas = nullptr, *solver = nullptr;
  Status (*createBlas)(Handle *);
  Status (*destroyBlas)(Handle);
  Status (*setBlasStream)(Handle, qrt::cuda::Stream);
  Status (*multiply)(Handle, int transA, int transB, int m, int n, int k,
                     const void *alpha, const void *a, int typeA, int lda,
                     const void *b, int typeB, int ldb, const void *beta,
                     void *c, int typeC, int ldc, int compute, int algorithm);
  const char *(*blasStatusText)(Status);
  Status (*createSolver)(Handle *);
  Status (*destroySolver)(Handle);
  Status (*setSolverStream)(Handle, qrt::cuda::Stream);
  Status (*createParameters)(Handle *);
  Status (*destroyParameters)(Handle);
  Status (*choleskySize)(Handle, Handle parameters, int fill, int64_t n,
                         int typeA, const void *a, int64_t lda, int compute,
                         size_t *deviceBytes, size_t *hostBytes);
  Status (*cholesky)(Handle, Handle parameters, int fill, int64_t n, int typeA,
                     void *a, int64_t lda, int compute, void *deviceBuffer,
                     size_t deviceBytes, void *hostBuffer, size_t hostBytes,
                     int *info);
};

const CudaAlgebra::Functions &
CudaAlgebra::functions(const qrt::cuda::Driver &driver) {
  static const Functions loaded(driver);
  return loaded;
}

CudaAlgebra::CudaAlgebra(const qrt::cuda::Device &device)
    : device(device), api(functions(device.driver())) {
  device.use();
  api.checkBlas(api.createBlas(&blas), "cublasCreate");
  try {
    api.checkBlas(api.setBlasStream(blas, device.stream()), "cublasSetStream");
    api.checkSolver(api.createSolver(&solver), "cusolverDnCreate");
    api.checkSolver(api.setSolverStream(solver, device.stream()),
                    "cusolverDnSetStream");
    api.checkSolver(api.createParameters(&parameters),
                    "cusolverDnCreateParams");
  } catch (...) {
    if (solver)
      api.destroySolver(solver);
    api.destroyBlas(blas);
    throw;
  }
}

CudaAlgebra::~CudaAlgebra() {
  device.tryUse();
  api.destroyParameters(parameters);
  api.destroySolver(solver);
  api.destroyBlas(blas);
}

std::string CudaAlgebra::missing() {
  std::string why;
  const qrt::cuda::Driver *driver = qrt::cuda::Driver::get(why);
  if (!driver)
    return why;
  try {
    functions(*driver);
    return "";
  } catch (const qrt::Error &error) {
    return error.what();
  }
}

void CudaAlgebra::multiply(const Product &p) const {
  auto address = [](uint64_t at) { return reinterpret_cast<void *>(at); };
  auto operation = [](const Operand &operand) {
    return operand.isTransposed ? Transposed : AsItIs;
  };
  const int type = dataType(p.element);
  // The transposed product: c^T = b^T a^T.
  api.checkBlas(
      api.multiply(
          blas, operation(p.b), operation(p.a), int(p.n), int(p.m), int(p.k),
          &p.alpha, address(p.b.at), type, int(p.b.ld), address(p.a.at), type,
          int(p.a.ld), &p.beta, address(p.c.at), R32F, int(p.c.ld),
          p.arithmetic == Arithmetic::TF32 ? ComputeFastTF32 : Compute32F,
          kDefaultAlgorithm),
      "a matrix product of " + std::to_string(p.m) + " x " +
          std::to_string(p.n) + " x " + std::to_string(p.k));
}

bool CudaAlgebra::cholesky(uint64_t matrix, int64_t n, Element element) const {
  // Row-major lower is column-major upper.
  auto *a = reinterpret_cast<void *>(matrix);
  const int type = dataType(element);
  size_t deviceBytes = 0, hostBytes = 0;
  api.checkSolver(api.choleskySize(solver, parameters, Upper, n, type, a, n,
                                   type, &deviceBytes, &hostBytes),
                  "cusolverDnXpotrf_bufferSize");
  // What the factor needs, and behind it the order of the minor that failed.
  uint64_t infoAt = (deviceBytes + 255) / 256 * 256;
  qrt::cuda::Buffer scratch(device, infoAt + sizeof(int),
                            "the factors of a Hessian");
  std::vector<char> hostScratch(hostBytes);
  api.checkSolver(
      api.cholesky(solver, parameters, Upper, n, type, a, n, type,
                   reinterpret_cast<void *>(scratch.address()), deviceBytes,
                   hostScratch.data(), hostBytes,
                   reinterpret_cast<int *>(scratch.address() + infoAt)),
      "cusolverDnXpotrf of order " + std::to_string(n));
  int info = 0;
  const qrt::cuda::Driver &driver = device.driver();
  driver.check(driver.copyToHost(&info, scratch.address() + infoAt,
                                 sizeof(info), device.stream()),
               "cannot copy from the GPU");
  driver.check(driver.synchronize(device.stream()), "factoring a Hessian");
  if (info < 0)
    throw Error("cuda: cusolverDnXpotrf refuses argument " +
                std::to_string(-info));
  return info == 0;
}

} // namespace qcc::cuda
