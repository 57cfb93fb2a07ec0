//===- Launches.h - Loaded kernels and their launches -----------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_LAUNCHES_H
#define QRT_EXECUTOR_CUDA_LAUNCHES_H

#include "runtime/abi/cuda_abi.h"
#include "runtime/artifact/Artifact.h"
#include "runtime/executor/cuda/Device.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qrt::cuda {

/// The images of one target's code, loaded; each has one kernel. Move-only;
/// `device` outlives it.
class Images {
public:
  Images() = default;
  /// Throws qrt::Error naming the kernel whose image the driver does not take.
  Images(const Device &device, const fb::Kernels &kernels,
         std::span<const uint8_t> code);
  ~Images();
  Images(Images &&other) noexcept { *this = std::move(other); }
  Images &operator=(Images &&other) noexcept {
    std::swap(owner, other.owner);
    std::swap(libraries, other.libraries);
    std::swap(functions, other.functions);
    std::swap(names, other.names);
    return *this;
  }

  Function function(uint32_t image) const { return functions[image]; }
  const std::string &name(uint32_t image) const { return names[image]; }

private:
  explicit Images(const Device &device) : owner(&device) {}

  const Device *owner = nullptr;
  std::vector<Library> libraries;
  std::vector<Function> functions;
  std::vector<std::string> names;
};

class CublasLt;

/// A kernel of an entry that this GPU can run, or a product of a library.
struct Launch {
  const fb::Launch *description;
  Function function; ///< null for a product
  uint32_t perSm;    ///< blocks a multiprocessor, where the launch says so
  uint64_t args[QRT_CUDA_ARGS] = {};

  /// Blocks that share out partial results.
  uint64_t partialBlocks(const Device &device) const {
    return description->per_sm()
               ? uint64_t(perSm) * uint64_t(device.multiprocessors())
               : 1;
  }
};

/// Gives the kernel its shared memory. Nothing for a cooperative kernel that
/// does not run on this GPU; throws qrt::Error, with the numbers, for any other
/// that does not fit.
std::optional<Launch> makeLaunch(const Device &device,
                                 const fb::Launch &description,
                                 const Images &images);

/// Device addresses that operands are relative to; 0 for what is not there.
struct OperandPlaces {
  uint64_t arena = 0, counters = 0, partials = 0, logits = 0, table = 0,
           cuts = 0, sync = 0, library = 0;
  /// Of the tensor `i`: tensorBase + tensors[i].
  std::span<const uint64_t> tensors;
  uint64_t tensorBase = 0;
};

/// Fills in the launch's operands.
void resolveOperands(Launch &launch, const OperandPlaces &places);
/// The address, or the number, that an operand is.
uint64_t resolve(const fb::Operand &operand, const OperandPlaces &places);

/// Whether a launch has a part in a step of so many tokens: of what can be done
/// in two ways, by a library or by our kernels, one is taken. `from` stands for
/// all launches' own numbers of tokens, unless it is 0.
inline bool isTaken(const fb::Launch &description, uint32_t tokens,
                    bool hasLibrary, uint32_t from = 0) {
  if (description.library_from() == 0)
    return true;
  if (!hasLibrary || tokens < (from ? from : description.library_from()))
    return !description.for_library();
  return description.for_library() &&
         (description.library_below() == 0 ||
          tokens < (from ? from : description.library_below()));
}

/// Puts a launch on the device's stream for a step of so many tokens and
/// logits; without rows there is nothing to do. `step` is the kernel's first
/// parameter: an address, or the step itself for a cooperative kernel. With
/// `overlaps` it begins while the launch in front ends, and waits by itself.
/// `stream` stands for the device's, unless it is null.
void enqueue(const Device &device, const Launch &launch, uint32_t tokens,
             uint32_t logitRows, const void *step, bool overlaps,
             Stream stream = nullptr);

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_LAUNCHES_H
