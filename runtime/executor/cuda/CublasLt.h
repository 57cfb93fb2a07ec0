//===- CublasLt.h - Products by NVIDIA's library --------------*- C++ -*-===//
//
// The few functions of cuBLASLt that prompts call, found with dlopen: nothing
// is linked with it, and where it is not there, qrt's own kernels do its work.
// Types and values are those of the library's documentation, versions 12 and
// 13.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_EXECUTOR_CUDA_CUBLASLT_H
#define QRT_EXECUTOR_CUDA_CUBLASLT_H

#include "runtime/executor/cuda/Device.h"

#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace qrt::fb {
struct Product;
} // namespace qrt::fb

namespace qrt::cuda {

/// The library on one GPU: its handle, and the algorithms that it chose.
/// Not copied; `device` outlives it. For one thread at a time.
class CublasLt {
public:
  /// The library, or null, and `why`, if there is none, it is of another
  /// version, or QRT_CUBLASLT is 0. QRT_CUBLASLT may be the path of a file. To
  /// open it takes some 0.15 GB of the GPU's memory.
  static std::unique_ptr<CublasLt> open(const Device &device, std::string &why);
  ~CublasLt();
  CublasLt(const CublasLt &) = delete;
  CublasLt &operator=(const CublasLt &) = delete;

  /// "13.1.0".
  std::string version() const;

  /// Chooses how a product of a step of so many tokens is computed, as the
  /// first multiply() of it would. Throws qrt::Error where the library has no
  /// way.
  void prepare(const fb::Product &product, std::span<const uint64_t> operands,
               uint32_t tokens);
  /// Puts a product of a step of so many tokens on the device's stream;
  /// `operands` are the five addresses of its launch. Throws qrt::Error with
  /// the library's status where it fails.
  void multiply(const fb::Product &product, std::span<const uint64_t> operands,
                uint32_t tokens);

private:
  using Status = int;
  struct Plan;
  /// What a plan depends on: the product's shape and strides, whether there is
  /// an addend, the tokens, and how addresses are aligned. Layers share plans.
  using Key = std::array<uint64_t, 9>;

  explicit CublasLt(const Device &device);
  std::string load();
  static void check(Status status, const char *what);
  Plan &planFor(const fb::Product &product, std::span<const uint64_t> operands,
                uint32_t tokens);
  std::unique_ptr<Plan> makePlan(const fb::Product &product,
                                 std::span<const uint64_t> operands,
                                 uint32_t tokens) const;

  const Device &device;
  void *handle = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans;

  Status (*create)(void **) = nullptr;
  Status (*destroy)(void *) = nullptr;
  size_t (*versionNumber)() = nullptr;
  Status (*createDescription)(void **, int, int) = nullptr;
  Status (*destroyDescription)(void *) = nullptr;
  Status (*setDescription)(void *, int, const void *, size_t) = nullptr;
  Status (*createLayout)(void **, int, uint64_t, uint64_t, int64_t) = nullptr;
  Status (*destroyLayout)(void *) = nullptr;
  Status (*createPreference)(void **) = nullptr;
  Status (*destroyPreference)(void *) = nullptr;
  Status (*setPreference)(void *, int, const void *, size_t) = nullptr;
  Status (*choose)(void *, void *, void *, void *, void *, void *, void *, int,
                   void *, int *) = nullptr;
  Status (*matmul)(void *, void *, const void *, const void *, void *,
                   const void *, void *, const void *, const void *, void *,
                   void *, void *, const void *, void *, size_t,
                   Stream) = nullptr;
};

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_CUBLASLT_H
