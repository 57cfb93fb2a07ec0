//===- CudaExecutor.cpp - Runs a model on an NVIDIA GPU -------------------===//

#include "runtime/executor/cuda/CudaExecutor.h"

#include "runtime/abi/cuda_abi.h"
#include "runtime/executor/cuda/Architecture.h"
#include "runtime/executor/cuda/Cuts.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdlib>

namespace qrt {

using namespace cuda;

namespace {

/// The best kernels for a GPU. Null if it can run none.
const fb::Kernels *bestKernels(const Artifact &artifact, int gpu) {
  const fb::Kernels *best = nullptr;
  int bestScore = 0;
  for (const fb::Kernels *kernels : *artifact.manifest().kernels()) {
    int score = suitability(kernels->target()->string_view(), gpu);
    if (score > bestScore) {
      best = kernels;
      bestScore = score;
    }
  }
  return best;
}

std::string targetsOf(const Artifact &artifact) {
  std::string text;
  for (const fb::Kernels *kernels : *artifact.manifest().kernels())
    text += (text.empty() ? "" : ", ") + kernels->target()->str();
  return text;
}

std::string architectureName(int number) {
  return "sm_" + std::to_string(number);
}

} // namespace

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

bool CudaExecutor::hasCode(const Artifact &artifact) {
  return std::ranges::any_of(
      *artifact.manifest().kernels(), [](const fb::Kernels *kernels) {
        return architectureOf(kernels->target()->string_view()) != 0;
      });
}

std::string CudaExecutor::unfit(const Artifact &artifact) {
  if (!hasCode(artifact))
    return "the artifact has code for " + targetsOf(artifact) + " only";
  std::string why;
  const Driver *driver = Driver::get(why);
  if (!driver)
    return why;
  int gpu = driver->capability(0);
  if (!gpu)
    return "GPU 0 does not answer";
  if (!bestKernels(artifact, gpu))
    return "GPU 0 is " + architectureName(gpu) +
           ", the artifact has code for " + targetsOf(artifact);
  return "";
}

CudaExecutor::CudaExecutor(const Artifact &artifact, int ordinal)
    : device(ordinal), driver(device.driver()), path(artifact.path()),
      words(artifact.model().vocabulary()),
      kvBytes(artifact.manifest().kv_bytes_per_token()) {
  int gpu = device.architecture();
  const fb::Kernels *kernels = bestKernels(artifact, gpu);
  if (!kernels)
    throw Error(device.name() + " is " + architectureName(gpu) +
                    ", the artifact has code for " + targetsOf(artifact),
                path, "compile it with --target " + architectureName(gpu));
  targetName = kernels->target()->str();
  if (kernels->abi_version() != QRT_CUDA_ABI_VERSION)
    throw Error("the kernels are for version " +
                    std::to_string(kernels->abi_version()) +
                    " of the CUDA ABI, this is version " +
                    std::to_string(QRT_CUDA_ABI_VERSION),
                path, "compile the model again");
  try {
    loadKernels(artifact, *kernels);
    layOutMemory(artifact);
    uploadWeights(artifact);
    reserveLogits(1);
    resolveOperands();
  } catch (...) {
    release();
    throw;
  }
}

CudaExecutor::~CudaExecutor() {
  device.tryUse();
  driver.synchronize(device.stream());
  release();
}

void CudaExecutor::release() {
  for (Entry &entry : entries)
    destroyGraphs(entry);
  for (Library library : libraries)
    driver.unloadLibrary(library);
  entries.clear();
  libraries.clear();
}

void CudaExecutor::loadKernels(const Artifact &artifact,
                               const fb::Kernels &kernels) {
  std::span<const uint8_t> code = artifact.bytes(*kernels.code());
  std::vector<std::vector<Function>> functions;
  for (const fb::Image *image : *kernels.images()) {
    Library library = nullptr;
    const std::string first = image->functions()->Get(0)->name()->str();
    driver.check(driver.loadLibrary(&library, code.data() + image->offset(),
                                    nullptr, nullptr, 0, nullptr, nullptr, 0),
                 "the driver does not take the code of " + first + " for " +
                     targetName);
    libraries.push_back(library);
    for (const fb::Function *function : *image->functions()) {
      Kernel kernel = nullptr;
      const char *name = function->name()->c_str();
      driver.check(driver.libraryKernel(&kernel, library, name),
                   "no kernel " + function->name()->str());
      driver.check(driver.kernelFunction(
                       &functions.emplace_back().emplace_back(), kernel),
                   "no kernel " + function->name()->str());
    }
  }
  for (const fb::Entry *described : *kernels.entries()) {
    Entry entry;
    entry.maxTokens = described->max_tokens();
    bool fits = true;
    for (const fb::Launch *launch : *described->launches())
      fits &= addLaunch(entry, *launch, functions[launch->image()][0],
                        kernels.images()
                            ->Get(launch->image())
                            ->functions()
                            ->Get(0)
                            ->name()
                            ->str());
    if (fits)
      entries.push_back(std::move(entry));
  }
}

static bool isPersistent(const fb::Entry &entry) {
  return entry.launches()->size() == 1 &&
         entry.launches()->Get(0)->cooperative();
}

bool CudaExecutor::addLaunch(Entry &entry, const fb::Launch &description,
                             Function function, const std::string &name) {
  bool isPersistent = description.cooperative();
  entry.isPersistent |= isPersistent;
  int shared = device.attribute(SharedBytesPerBlock);
  int bytes = int(description.shared_bytes());
  if (isPersistent) {
    const char *wanted = std::getenv("QRT_CUDA_PERSISTENT");
    if ((wanted && std::string_view(wanted) == "0") || bytes > shared ||
        device.multiprocessors() > QRT_CUDA_MOST_BLOCKS ||
        !device.attribute(CooperativeLaunch))
      return false;
  }
  if (bytes > shared)
    throw Error("kernel " + name + " needs " + std::to_string(bytes) +
                    " bytes of shared memory, " + device.name() + " has " +
                    std::to_string(shared),
                path);
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
    return false;
  if (most < 1)
    throw Error("kernel " + name + " does not fit on " + device.name(), path);
  Launch &launch = entry.launches.emplace_back();
  launch.description = &description;
  launch.function = function;
  launch.perSm = std::min(uint32_t(most), description.per_sm());
  return true;
}

void CudaExecutor::layOutMemory(const Artifact &artifact) {
  uint64_t total = 0, weightBytes = 0;
  auto place = [&](uint64_t bytes) {
    uint64_t at = total;
    total += aligned(bytes);
    return at;
  };
  uint32_t count = artifact.manifest().tensors()->size();
  for (uint32_t i = 0; i < count; ++i)
    tensorAt.push_back(place(artifact.tensor(i).size()));
  weightBytes = total;
  const fb::Kernels &kernels = *artifact.kernels(targetName);
  uint64_t arena = 0, persistentArena = 0;
  for (const fb::Entry *entry : *kernels.entries()) {
    uint64_t &room = isPersistent(*entry) ? persistentArena
                     : entry->max_tokens() <= kMostGraphTokens
                         ? arena
                         : promptArenaBytes;
    room = std::max(room, entry->arena_bytes());
  }
  for (Entry &entry : entries)
    for (Launch &launch : entry.launches) {
      const fb::Launch &d = *launch.description;
      if (d.table())
        launch.tableAt = place(d.table()->size() * sizeof(uint64_t));
      if (d.streams())
        launch.cutsAt = place(d.streams()->size() * sizeof(int32_t) *
                              uint64_t(device.multiprocessors() + 1));
      uint64_t blocks =
          d.per_sm() ? uint64_t(launch.perSm) * device.multiprocessors() : 1;
      counterBytes = std::max(counterBytes, uint64_t(d.counters()) * 4);
      partialBytes = std::max(partialBytes, d.partial_bytes() * blocks);
    }
  arenaAt = place(arena);
  // From step to step, its rows say how often they have been written
  // (codegen/cuda/PersistentTags.h): nothing else may write there.
  persistentArenaAt = place(persistentArena);
  countersAt = place(counterBytes);
  syncAt = place(sizeof(uint64_t));
  partialsAt = place(partialBytes);
  uint64_t tokens = maxTokens();
  uint64_t stepBytes =
      sizeof(qrt_cuda_step) + kAlignment +
      tokens * (4 * sizeof(int32_t) + sizeof(qrt_cuda_sequence));
  stepAt = place(stepBytes);
  statisticsAt = place(2 * sizeof(uint64_t));
  char hint[160];
  std::snprintf(hint, sizeof(hint),
                "weights take %.2f GiB and working memory %.2f GiB; a smaller "
                "format or --device cpu would fit",
                double(weightBytes) / (1 << 30),
                double(total - weightBytes) / (1 << 30));
  memory = Buffer(device, total, "weights and working memory", hint);
  stepImage = PinnedBuffer(device, stepBytes);
  driver.check(driver.fill(memory.address() + countersAt, 0,
                           aligned(counterBytes), device.stream()),
               "cannot clear memory");
  driver.check(driver.fill(memory.address() + syncAt, 0, sizeof(uint64_t),
                           device.stream()),
               "cannot clear memory");
  driver.check(driver.fill(memory.address() + statisticsAt, 0,
                           2 * sizeof(uint64_t), device.stream()),
               "cannot clear memory");
  // Staged rows that no token fills are multiplied, and not used.
  driver.check(driver.fill(memory.address() + arenaAt, 0, aligned(arena),
                           device.stream()),
               "cannot clear memory");
  driver.check(driver.fill(memory.address() + persistentArenaAt, 0,
                           aligned(persistentArena), device.stream()),
               "cannot clear memory");
  for (const Entry &entry : entries)
    for (const Launch &launch : entry.launches)
      if (launch.description->streams())
        sendCuts(launch);
}

void CudaExecutor::sendCuts(const Launch &launch) {
  std::vector<int32_t> cuts;
  for (const fb::Stream *stream : *launch.description->streams()) {
    std::vector<int32_t> of =
        cutStream({stream->tiles(), stream->units(), stream->item_tiles(),
                   stream->align(), stream->can_split(), stream->busy_blocks(),
                   stream->busy_units()},
                  uint32_t(device.multiprocessors()));
    cuts.insert(cuts.end(), of.begin(), of.end());
  }
  driver.check(driver.copyToDevice(memory.address() + launch.cutsAt,
                                   cuts.data(), cuts.size() * sizeof(int32_t),
                                   device.stream()),
               "cannot send tables");
  driver.check(driver.synchronize(device.stream()), "cannot send tables");
}

void CudaExecutor::sendTable(const Launch &launch) {
  std::vector<uint64_t> table;
  for (const fb::Operand *operand : *launch.description->table())
    table.push_back(resolve(*operand, launch));
  driver.check(
      driver.copyToDevice(memory.address() + launch.tableAt, table.data(),
                          table.size() * sizeof(uint64_t), device.stream()),
      "cannot send tables");
  driver.check(driver.synchronize(device.stream()), "cannot send tables");
}

void CudaExecutor::uploadWeights(const Artifact &artifact) {
  constexpr uint64_t chunk = uint64_t(32) << 20;
  PinnedBuffer buffers[2] = {PinnedBuffer(device, chunk),
                             PinnedBuffer(device, chunk)};
  struct Events {
    const Driver &driver;
    Event event[2] = {};
    ~Events() {
      for (Event e : event)
        if (e)
          driver.destroyEvent(e);
    }
  } events{driver};
  for (Event &event : events.event)
    driver.check(driver.createEvent(&event, kNoTiming), "no event");
  artifact.prefetch();
  uint64_t turn = 0;
  for (uint32_t i = 0; i < tensorAt.size(); ++i) {
    std::span<const uint8_t> from = artifact.tensor(i);
    for (uint64_t done = 0; done < from.size(); ++turn) {
      uint64_t count = std::min<uint64_t>(chunk, from.size() - done);
      Event event = events.event[turn % 2];
      // Its last copy has to be over before a buffer is filled again.
      if (turn >= 2)
        driver.check(driver.waitEvent(event), "cannot copy weights");
      char *buffer = buffers[turn % 2].data();
      std::memcpy(buffer, from.data() + done, count);
      driver.check(driver.copyToDevice(memory.address() + tensorAt[i] + done,
                                       buffer, count, device.stream()),
                   "cannot copy weights");
      driver.check(driver.recordEvent(event, device.stream()),
                   "cannot copy weights");
      done += count;
    }
  }
  driver.check(driver.synchronize(device.stream()), "cannot copy weights");
}

void CudaExecutor::reserveLogits(uint32_t rows) {
  uint64_t bytes = uint64_t(rows) * words * 4;
  if (bytes <= logitRows.size())
    return;
  driver.check(driver.synchronize(device.stream()), "a step failed");
  logitRows = Buffer(); // the old room first
  logitRows = Buffer(device, bytes, "the logits");
  resolveOperands();
}

void CudaExecutor::reservePromptArena() {
  if (promptArena.size())
    return;
  promptArena = Buffer(device, promptArenaBytes, "prompts",
                       "prompts of up to " + std::to_string(kMostGraphTokens) +
                           " tokens would fit");
  // Staged rows that no token fills are multiplied, and not used.
  driver.check(
      driver.fill(promptArena.address(), 0, promptArenaBytes, device.stream()),
      "cannot clear memory");
  resolveOperands();
}

uint64_t CudaExecutor::resolve(const fb::Operand &operand,
                               const Launch &launch) const {
  DevicePointer base = memory.address();
  uint64_t from = 0;
  switch (operand.kind()) {
  case fb::OperandKind::None:
    return 0;
  case fb::OperandKind::Immediate:
    break;
  case fb::OperandKind::Arena:
    from = launch.arena;
    break;
  case fb::OperandKind::Tensor:
    from = base + tensorAt[operand.tensor()];
    break;
  case fb::OperandKind::Counters:
    from = base + countersAt;
    break;
  case fb::OperandKind::Partials:
    from = base + partialsAt;
    break;
  case fb::OperandKind::Logits:
    from = logitRows.address();
    break;
  case fb::OperandKind::Table:
    from = base + launch.tableAt;
    break;
  case fb::OperandKind::Cuts:
    from = base + launch.cutsAt;
    break;
  case fb::OperandKind::Sync:
    from = base + syncAt;
    break;
  }
  return from + operand.offset();
}

void CudaExecutor::resolveOperands() {
  for (Entry &entry : entries) {
    for (Launch &launch : entry.launches) {
      std::fill(std::begin(launch.args), std::end(launch.args), 0);
      const auto *operands = launch.description->operands();
      launch.arena = entry.isPersistent ? memory.address() + persistentArenaAt
                     : entry.maxTokens <= kMostGraphTokens
                         ? memory.address() + arenaAt
                         : promptArena.address();
      for (uint32_t i = 0; operands && i < operands->size(); ++i)
        launch.args[i] = resolve(*operands->Get(i), launch);
      if (launch.description->table())
        sendTable(launch);
    }
    destroyGraphs(entry);
    if (entry.maxTokens <= kMostGraphTokens && !entry.isPersistent)
      captureAll(entry);
  }
}

} // namespace qrt
