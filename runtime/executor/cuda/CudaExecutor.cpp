//===- CudaExecutor.cpp - Runs a model on an NVIDIA GPU -------------------===//

#include "runtime/executor/cuda/CudaExecutor.h"

#include "runtime/abi/cuda_abi.h"
#include "runtime/executor/cuda/Architecture.h"
#include "runtime/executor/cuda/Cuts.h"
#include "runtime/executor/cuda/Upload.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

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
    : device(ordinal, artifact.kernels("cpu")
                          ? "use --device cpu"
                          : "compile the model with --target cpu"),
      driver(device.driver()), words(artifact.model().vocabulary()),
      kvBytes(artifact.manifest().kv_bytes_per_token()) {
  int gpu = device.architecture();
  const fb::Kernels *kernels = bestKernels(artifact, gpu);
  if (!kernels)
    throw Error(device.name() + " is " + architectureName(gpu) +
                    ", the artifact has code for " + targetsOf(artifact),
                artifact.path(),
                "compile it with --target " + architectureName(gpu));
  targetName = kernels->target()->str();
  if (kernels->abi_version() != QRT_CUDA_ABI_VERSION)
    throw Error("the kernels are for version " +
                    std::to_string(kernels->abi_version()) +
                    " of the CUDA ABI, this is version " +
                    std::to_string(QRT_CUDA_ABI_VERSION),
                artifact.path(), "compile the model again");
  try {
    {
      TimedPart timed(times.kernels);
      loadKernels(artifact, *kernels);
    }
    {
      TimedPart timed(times.memory);
      loadSampler(*kernels);
      layOutMemory(artifact);
    }
    uploadWeights(artifact);
    TimedPart timed(times.graphs);
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
  entries.clear();
}

static bool isPersistent(const fb::Entry &entry) {
  return entry.launches()->size() == 1 &&
         entry.launches()->Get(0)->cooperative();
}

/// Whether steps of one token may be one kernel.
static bool allowsPersistent(const Device &device) {
  return !isSwitchedOff("QRT_CUDA_PERSISTENT") &&
         device.multiprocessors() <= QRT_CUDA_MOST_BLOCKS;
}

void CudaExecutor::loadKernels(const Artifact &artifact,
                               const fb::Kernels &kernels) {
  images = Images(device, kernels, artifact.bytes(*kernels.code()));
  for (const fb::Entry *described : *kernels.entries()) {
    Entry entry;
    entry.maxTokens = described->max_tokens();
    entry.isPersistent = isPersistent(*described);
    if (entry.isPersistent && !allowsPersistent(device))
      continue;
    bool fits = true;
    for (const fb::Launch *launch : *described->launches()) {
      auto made = cuda::makeLaunch(device, *launch, images);
      fits &= made.has_value();
      if (made)
        entry.launches.push_back({*made});
    }
    if (fits)
      entries.push_back(std::move(entry));
  }
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
    libraryBytes = std::max(libraryBytes, entry->library_bytes());
  }
  for (Entry &entry : entries)
    for (Launch &launch : entry.launches) {
      const fb::Launch &d = *launch.description;
      if (d.table())
        launch.tableAt = place(d.table()->size() * sizeof(uint64_t));
      if (d.streams())
        launch.cutsAt = place(d.streams()->size() * sizeof(int32_t) *
                              uint64_t(device.multiprocessors() + 1));
      if (d.library_from())
        leastLibraryTokens = std::min(leastLibraryTokens, d.library_from());
      counterBytes = std::max(counterBytes, uint64_t(d.counters()) * 4);
      partialBytes = std::max(partialBytes,
                              d.partial_bytes() * launch.partialBlocks(device));
    }
  if (const char *from = std::getenv("QRT_CUBLASLT_FROM")) {
    const std::string_view text = from;
    const auto end = text.data() + text.size();
    if (auto [rest, error] = std::from_chars(text.data(), end, libraryFrom);
        error != std::errc() || rest != end)
      throw UsageError("QRT_CUBLASLT_FROM=" + std::string(text) +
                       " is not a number of tokens");
  }
  if (libraryFrom)
    leastLibraryTokens = libraryFrom;
  arenaAt = place(arena);
  // From step to step, its rows say how often they have been written
  // (codegen/cuda/PersistentTags.h): nothing else may write there.
  persistentArenaAt = place(persistentArena);
  countersAt = place(counterBytes);
  syncAt = place(sizeof(uint64_t));
  partialsAt = place(partialBytes);
  stepAt = place(stepBytes(maxTokens()));
  statisticsAt = place(2 * sizeof(uint64_t));
  char hint[160];
  std::snprintf(hint, sizeof(hint),
                "weights take %.2f GiB and working memory %.2f GiB; a smaller "
                "format or --device cpu would fit",
                double(weightBytes) / (1 << 30),
                double(total - weightBytes) / (1 << 30));
  memory = Buffer(device, total, "weights and working memory", hint);
  stepImage = PinnedBuffer(device, stepBytes(maxTokens()));
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
  const OperandPlaces places = placesOf(launch);
  for (const fb::Operand *operand : *launch.description->table())
    table.push_back(resolve(*operand, places));
  driver.check(
      driver.copyToDevice(memory.address() + launch.tableAt, table.data(),
                          table.size() * sizeof(uint64_t), device.stream()),
      "cannot send tables");
  driver.check(driver.synchronize(device.stream()), "cannot send tables");
}

void CudaExecutor::uploadWeights(const Artifact &artifact) {
  artifact.prefetch();
  std::vector<UploadPiece> pieces;
  for (uint32_t i = 0; i < tensorAt.size(); ++i)
    pieces.push_back({artifact.tensor(i), memory.address() + tensorAt[i]});
  upload(device, pieces, times);
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

void CudaExecutor::takeLibrary(uint32_t tokens) {
  const uint64_t bytes = std::exchange(libraryBytes, 0);
  if (device.freeBytes() < bytes) {
    libraryText = "there is no memory for what cuBLASLt needs";
    return;
  }
  library = CublasLt::open(device, libraryText);
  if (!library)
    return;
  libraryText = "cuBLASLt " + library->version();
  libraryArena = Buffer(device, bytes, "cuBLASLt");
  panels = std::make_unique<PanelStream>(device);
  resolveOperands();
  try {
    for (const Entry &entry : entries)
      for (const Launch &launch : entry.launches)
        if (const fb::Product *product = launch.description->product())
          library->prepare(*product, {launch.args, 5}, tokens);
  } catch (const Error &error) {
    libraryText = error.what();
    panels.reset();
    libraryArena = Buffer();
    library.reset();
  }
}

OperandPlaces CudaExecutor::placesOf(const Launch &launch) const {
  DevicePointer base = memory.address();
  return {.arena = launch.arena,
          .counters = base + countersAt,
          .partials = base + partialsAt,
          .logits = logitRows.address(),
          .table = base + launch.tableAt,
          .cuts = base + launch.cutsAt,
          .sync = base + syncAt,
          .library = libraryArena.address(),
          .tensors = tensorAt,
          .tensorBase = base};
}

void CudaExecutor::resolveOperands() {
  for (Entry &entry : entries) {
    for (Launch &launch : entry.launches) {
      launch.arena = entry.isPersistent ? memory.address() + persistentArenaAt
                     : entry.maxTokens <= kMostGraphTokens
                         ? memory.address() + arenaAt
                         : promptArena.address();
      cuda::resolveOperands(launch, placesOf(launch));
      if (launch.description->table())
        sendTable(launch);
    }
    destroyGraphs(entry);
    if (entry.maxTokens <= kMostGraphTokens && !entry.isPersistent)
      captureAll(entry);
  }
}

} // namespace qrt
