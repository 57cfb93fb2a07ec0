//===- Launches.cpp - Loaded kernels and their launches -------------------===//

#include "runtime/executor/cuda/Launches.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::cuda {

// Delegating, so that the destructor runs when loading fails half-way.
Images::Images(const Device &device, const fb::Kernels &kernels,
               std::span<const uint8_t> code)
    : Images(device) {
  const Driver &driver = device.driver();
  for (const fb::Image *image : *kernels.images()) {
    const std::string &name =
        names.emplace_back(image->functions()->Get(0)->name()->str());
    driver.check(driver.loadLibrary(&libraries.emplace_back(),
                                    code.data() + image->offset(), nullptr,
                                    nullptr, 0, nullptr, nullptr, 0),
                 "the driver does not take the code of " + name + " for " +
                     kernels.target()->str());
    Kernel kernel = nullptr;
    driver.check(driver.libraryKernel(&kernel, libraries.back(), name.c_str()),
                 "no kernel " + name);
    driver.check(driver.kernelFunction(&functions.emplace_back(), kernel),
                 "no kernel " + name);
  }
}

Images::~Images() {
  if (!owner)
    return;
  owner->tryUse();
  for (Library library : libraries)
    if (library)
      owner->driver().unloadLibrary(library);
}

std::optional<Launch> makeLaunch(const Device &device,
                                 const fb::Launch &description,
                                 const Images &images) {
  if (description.product())
    return Launch{&description, nullptr, 0};
  const Driver &driver = device.driver();
  const std::string &name = images.name(description.image());
  Function function = images.function(description.image());
  bool isPersistent = description.cooperative();
  int shared = device.attribute(SharedBytesPerBlock);
  int bytes = int(description.shared_bytes());
  if (isPersistent && (bytes > shared || !device.attribute(CooperativeLaunch)))
    return std::nullopt;
  if (bytes > shared)
    throw Error("kernel " + name + " needs " + std::to_string(bytes) +
                " bytes of shared memory, " + device.name() + " has " +
                std::to_string(shared));
  if (bytes)
    driver.check(
        driver.setFunctionAttribute(function, kDynamicSharedBytes, bytes),
        "no shared memory for kernel " + name);
  // Kernels that want different splits of L1 and shared memory cannot
  // overlap, and every change costs microseconds.
  driver.check(driver.setFunctionAttribute(function, kSharedCarveout, 100),
               "no shared memory for kernel " + name);
  int most = 0;
  driver.check(driver.blocksPerMultiprocessor(
                   &most, function, int(description.threads()), size_t(bytes)),
               "kernel " + name + " does not fit");
  if (most < 1 && isPersistent)
    return std::nullopt;
  if (most < 1)
    throw Error("kernel " + name + " does not fit on " + device.name());
  return Launch{&description, function,
                std::min(uint32_t(most), description.per_sm())};
}

uint64_t resolve(const fb::Operand &operand, const OperandPlaces &places) {
  uint64_t from = 0;
  switch (operand.kind()) {
  case fb::OperandKind::None:
    return 0;
  case fb::OperandKind::Immediate:
    break;
  case fb::OperandKind::Arena:
    from = places.arena;
    break;
  case fb::OperandKind::Tensor:
    from = places.tensorBase + places.tensors[operand.tensor()];
    break;
  case fb::OperandKind::Counters:
    from = places.counters;
    break;
  case fb::OperandKind::Partials:
    from = places.partials;
    break;
  case fb::OperandKind::Logits:
    from = places.logits;
    break;
  case fb::OperandKind::Table:
    from = places.table;
    break;
  case fb::OperandKind::Cuts:
    from = places.cuts;
    break;
  case fb::OperandKind::Sync:
    from = places.sync;
    break;
  case fb::OperandKind::Library:
    from = places.library;
    break;
  }
  return from + operand.offset();
}

void resolveOperands(Launch &launch, const OperandPlaces &places) {
  const auto *operands = launch.description->operands();
  std::fill(std::begin(launch.args), std::end(launch.args), 0);
  for (uint32_t i = 0; operands && i < operands->size(); ++i)
    launch.args[i] = resolve(*operands->Get(i), places);
}

void enqueue(const Device &device, const Launch &launch, uint32_t tokens,
             uint32_t logitRows, const void *step, bool overlaps,
             Stream stream) {
  const fb::Launch &d = *launch.description;
  uint64_t rows = d.gather() ? logitRows : tokens;
  if (rows == 0)
    return;
  uint64_t blocks = (rows + d.row_block() - 1) / d.row_block();
  blocks = (blocks * d.multiple() + d.per_block() - 1) / d.per_block();
  if (d.per_sm())
    blocks = uint64_t(launch.perSm) * uint64_t(device.multiprocessors());
  blocks = std::max<uint64_t>(blocks / d.cluster(), 1) * d.cluster();
  LaunchConfig config = {};
  config.gridX = unsigned(blocks);
  config.gridY = d.grid_y();
  config.gridZ = 1;
  config.blockX = d.threads();
  config.blockY = config.blockZ = 1;
  config.sharedBytes = d.shared_bytes();
  config.stream = stream ? stream : device.stream();
  LaunchAttribute attribute = {};
  attribute.id = d.cooperative() ? kCooperative : kProgrammaticLaunch;
  attribute.value = 1;
  config.attributes = &attribute;
  config.attributeCount = d.cooperative() || overlaps ? 1 : 0;
  const void *parameters[] = {step, launch.args};
  // The driver only reads them.
  device.driver().check(device.driver().launch(&config, launch.function,
                                               const_cast<void **>(parameters),
                                               nullptr),
                        "a kernel does not start");
}

} // namespace qrt::cuda
