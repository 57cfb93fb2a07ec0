//===- gpu_prompts.cpp - Our products of prompts against cuBLASLt's *- C++ -*-//
//
// Times, for every staged input of an artifact's entry of many tokens, both
// ways of multiplying it: our kernels, and a library with all that it needs
// around its products. Where the second is faster is what
// codegen/cuda/LibraryChoice.cpp says; only products that have two ways in the
// artifact are timed.
//
// Usage: gpu_prompts FILE.qbin [TOKENS,...]
//
// Prints one JSON object: for every distinct input and number of tokens the
// microseconds of both ways, and those of each of the library's launches.
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Artifact.h"
#include "runtime/executor/cuda/CublasLt.h"
#include "runtime/executor/cuda/Launches.h"
#include "runtime/executor/cuda/Upload.h"
#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <set>
#include <sstream>
#include <vector>

using namespace qrt::cuda;
using nlohmann::ordered_json;
namespace fb = qrt::fb;

namespace {

constexpr int kTimings = 5;
/// Milliseconds that a timing lasts at least.
constexpr float kLeastTime = 4;

class Prompts {
public:
  explicit Prompts(const std::string &path);
  ordered_json run(const std::vector<uint32_t> &counts);

private:
  /// The launches of one staged input: both ways.
  struct Group {
    std::vector<Launch *> launches;
    /// Those of one way.
    std::vector<Launch *> way(bool isLibrary) const;
  };
  void readGroups();
  std::string describe(const Group &group) const;
  void enqueueAll(const std::vector<Launch *> &launches, uint32_t tokens);
  /// Microseconds, the median of some timings.
  double time(const std::vector<Launch *> &launches, uint32_t tokens);

  Device device{0};
  const Driver &api = device.driver();
  qrt::Artifact artifact;
  const fb::Kernels *kernels = nullptr;
  const fb::Entry *entry = nullptr;
  Images images;
  std::unique_ptr<CublasLt> library;
  Buffer weights, arena, libraryArena, step;
  std::vector<uint64_t> tensorAt;
  std::vector<Launch> launches;
  std::vector<Group> groups;
  Event begin = nullptr, end = nullptr;
  double openingSeconds = 0;
};

Prompts::Prompts(const std::string &path) : artifact(path) {
  device.use();
  for (const fb::Kernels *each : *artifact.manifest().kernels())
    if (each->target()->str() == "sm_" + std::to_string(device.architecture()))
      kernels = each;
  if (!kernels)
    throw qrt::Error("there is no code for this GPU", path);
  entry = kernels->entries()->Get(kernels->entries()->size() - 1);
  std::string why;
  const auto start = std::chrono::steady_clock::now();
  library = CublasLt::open(device, why);
  openingSeconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  if (!library)
    throw qrt::Error(why);
  images = Images(device, *kernels, artifact.bytes(*kernels->code()));
  uint64_t total = 0;
  std::vector<UploadPiece> pieces;
  for (uint32_t i = 0; i < artifact.manifest().tensors()->size(); ++i) {
    tensorAt.push_back(total);
    pieces.push_back({artifact.tensor(i), total});
    total += (artifact.tensor(i).size() + 255) / 256 * 256;
  }
  weights = Buffer(device, total, "weights");
  for (UploadPiece &piece : pieces)
    piece.to += weights.address();
  qrt::LoadTimes times;
  upload(device, pieces, times);
  // Zeros would take less power than a step does.
  arena = Buffer(device, entry->arena_bytes(), "working memory");
  std::vector<float> random(1 << 20);
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  for (float &value : random)
    value = normal(generator);
  for (uint64_t at = 0; at < arena.size(); at += random.size() * 4)
    api.check(api.copyToDevice(
                  arena.address() + at, random.data(),
                  std::min<uint64_t>(random.size() * 4, arena.size() - at),
                  device.stream()),
              "cannot fill memory");
  libraryArena = Buffer(device, std::max<uint64_t>(entry->library_bytes(), 256),
                        "cuBLASLt");
  step = Buffer(device, sizeof(qrt_cuda_step), "a step");
  const OperandPlaces places = {.arena = arena.address(),
                                .library = libraryArena.address(),
                                .tensors = tensorAt,
                                .tensorBase = weights.address()};
  for (const fb::Launch *each : *entry->launches())
    launches.push_back(*makeLaunch(device, *each, images));
  for (Launch &launch : launches)
    resolveOperands(launch, places);
  api.check(api.createEvent(&begin, 0), "no event");
  api.check(api.createEvent(&end, 0), "no event");
  readGroups();
}

void Prompts::readGroups() {
  bool isInGroup = false;
  for (Launch &launch : launches) {
    const fb::Launch &d = *launch.description;
    if (!d.library_from()) {
      isInGroup = isInGroup && !d.product() &&
                  images.name(d.image()).starts_with("unnest");
      continue;
    }
    const bool isStage =
        !d.product() && images.name(d.image()).starts_with("stage");
    if (!isInGroup || (isStage && !d.for_library()))
      groups.emplace_back();
    isInGroup = true;
    groups.back().launches.push_back(&launch);
  }
}

std::vector<Launch *> Prompts::Group::way(bool isLibrary) const {
  std::vector<Launch *> found;
  for (Launch *launch : launches)
    if (isTaken(*launch->description, 1, isLibrary, 1))
      found.push_back(launch);
  return found;
}

std::string Prompts::describe(const Group &group) const {
  std::string text;
  for (const Launch *launch : group.way(false))
    text +=
        (text.empty() ? "" : " ") + images.name(launch->description->image());
  for (const Launch *launch : group.way(true))
    if (const fb::Product *product = launch->description->product())
      text += " " + std::to_string(product->rows()) + "x" +
              std::to_string(product->columns());
  return text;
}

void Prompts::enqueueAll(const std::vector<Launch *> &all, uint32_t tokens) {
  const uint64_t at = step.address();
  for (const Launch *launch : all)
    if (const fb::Product *product = launch->description->product())
      library->multiply(*product, {launch->args, 5}, tokens);
    else
      enqueue(device, *launch, tokens, 0, &at, true);
}

double Prompts::time(const std::vector<Launch *> &all, uint32_t tokens) {
  auto measure = [&](int repetitions) {
    float milliseconds = 0;
    api.check(api.recordEvent(begin, device.stream()), "no event");
    for (int i = 0; i < repetitions; ++i)
      enqueueAll(all, tokens);
    api.check(api.recordEvent(end, device.stream()), "no event");
    api.check(api.waitEvent(end), "a launch failed");
    api.check(api.elapsedMilliseconds(&milliseconds, begin, end), "no time");
    return milliseconds / float(repetitions);
  };
  const float once = std::min(measure(2), measure(2));
  const int repetitions = 1 + int(kLeastTime / once);
  std::vector<double> times;
  for (int i = 0; i < kTimings; ++i)
    times.push_back(measure(repetitions));
  std::ranges::sort(times);
  return times[times.size() / 2] * 1000;
}

ordered_json Prompts::run(const std::vector<uint32_t> &counts) {
  ordered_json report = {{"device", device.name()},
                         {"library", library->version()},
                         {"opening_seconds", openingSeconds},
                         {"inputs", ordered_json::array()}};
  std::set<std::string> seen;
  for (const Group &group : groups) {
    const std::string name = describe(group);
    if (!seen.insert(name).second)
      continue;
    const std::vector<Launch *> own = group.way(false),
                                byLibrary = group.way(true);
    for (uint32_t tokens : counts) {
      tokens = std::min(tokens, entry->max_tokens());
      qrt_cuda_step head = {};
      head.tokens = tokens;
      api.check(api.copyToDevice(step.address(), &head, sizeof(head),
                                 device.stream()),
                "cannot send a step");
      api.check(api.synchronize(device.stream()), "a launch failed");
      ordered_json row = {{"input", name}, {"tokens", tokens}};
      row["own_us"] = time(own, tokens);
      // The first time also loads the library's kernels.
      const auto start = std::chrono::steady_clock::now();
      enqueueAll(byLibrary, tokens);
      api.check(api.synchronize(device.stream()), "a launch failed");
      row["library_first_us"] = std::chrono::duration<double, std::micro>(
                                    std::chrono::steady_clock::now() - start)
                                    .count();
      row["library_us"] = time(byLibrary, tokens);
      ordered_json parts = ordered_json::array();
      for (Launch *launch : byLibrary) {
        const fb::Launch &d = *launch->description;
        parts.push_back({d.product() ? "product" : images.name(d.image()),
                         time({launch}, tokens)});
      }
      row["parts"] = parts;
      report["inputs"].push_back(std::move(row));
    }
  }
  return report;
}

} // namespace

int main(int argc, char **argv) {
  try {
    if (argc < 2) {
      std::fputs("usage: gpu_prompts FILE.qbin [TOKENS,...]\n", stderr);
      return 2;
    }
    std::vector<uint32_t> counts;
    std::stringstream list(argc > 2 ? argv[2] : "128,256,512,1024,2048");
    for (std::string part; std::getline(list, part, ',');)
      counts.push_back(uint32_t(std::max(1, std::atoi(part.c_str()))));
    Prompts prompts(argv[1]);
    std::printf("%s\n", prompts.run(counts).dump(1).c_str());
    return 0;
  } catch (const qrt::Error &error) {
    std::fprintf(stderr, "gpu_prompts: error: %s\n", error.what());
    return 1;
  }
}
