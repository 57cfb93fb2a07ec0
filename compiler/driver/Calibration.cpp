//===- Calibration.cpp - The calibration of one compilation ---------------===//

#include "compiler/driver/Calibration.h"

#include "codegen/cuda/DetectTargets.h"
#include "compiler/calibrate/Data.h"
#include "compiler/calibrate/SelfText.h"
#include "compiler/driver/Progress.h"
#include "compiler/driver/Version.h"
#include "compiler/quantize/cuda/CudaAlgebra.h"
#include "runtime/executor/cuda/Device.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Cpu.h"
#include "runtime/support/Error.h"

#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

using namespace mlir;
using qrt::Error;

namespace qcc {

static uint64_t hashOf(const std::string &text) {
  return qrt::checksum(
      {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
}

/// Sequences that the model writes without quantization. They are kept with
/// the state: a calibration that goes on needs the same.
static CalibrationTokens selfTokens(const CompileOptions &options,
                                    LoadedModel &loaded,
                                    const DataOptions &data,
                                    const std::string &folder,
                                    std::optional<int> gpu, unsigned threads) {
  uint64_t key = hashOf(
      (gpu ? "self on a gpu " : "self ") + std::to_string(data.samples) + " " +
      std::to_string(data.length) + " " + std::to_string(data.seed) + " " +
      std::to_string(loaded.contentHash()) + " " + options.dtype);
  makeStateFolder(folder);
  if (std::optional<CalibrationTokens> known = loadTokens(folder, key))
    return std::move(*known);
  CompileOptions original;
  original.model = options.model;
  original.output = folder + "/float.qbin";
  original.dtype = options.dtype;
  if (gpu) {
    original.targets = {cudaTargetOf(*gpu)};
  } else {
    original.targets = {"cpu"};
    original.cpuVariants = {"native"};
  }
  original.randomSeed = options.randomSeed;
  original.threads = options.threads;
  original.cancelled = options.cancelled;
  original.noChatTemplate = true; // nothing chats with it
  original.quiet = true;
  compile(original);
  CalibrationTokens tokens;
  {
    Progress progress("calibration text", options.quiet);
    tokens = writeSelfText(original.output,
                           gpu ? "cuda:" + std::to_string(*gpu) : "cpu",
                           data.samples, data.length, data.seed, threads,
                           options.cancelled, [&](double done) {
                             constexpr int64_t kSteps = 1000000;
                             progress.update(int64_t(done * kSteps), kSteps);
                           });
  }
  std::error_code error;
  std::filesystem::remove(original.output, error);
  saveTokens(folder, key, tokens);
  return tokens;
}

/// The GPU to calibrate on; none is the CPU. What names no device wants a GPU
/// that can.
static std::optional<int> gpuFor(const CompileOptions &options) {
  const std::string &device = options.calibration.device;
  if (!device.empty())
    return qrt::cuda::gpuNumber(device);
  DetectedTargets detected = detectCudaTargets();
  if (detected.architectures.empty())
    return std::nullopt;
  std::string why = cuda::CudaAlgebra::missing();
  if (!options.quiet)
    std::fprintf(stderr, "qcc: note: calibrating on %s\n",
                 why.empty() ? detected.reason.c_str()
                             : ("the CPU: " + why).c_str());
  return why.empty() ? std::optional<int>(0) : std::nullopt;
}

static void printTimes(const CalibrationTimes &times, double all) {
  std::fprintf(stderr,
               "calibration: %.1f s: activations %.1f, weights %.1f, Hessians "
               "%.1f, factors %.1f, quantization %.1f, state %.1f\n",
               all, times.activations, times.weights, times.hessians,
               times.factors, times.quantization, times.state);
}

static CalibrationTokens tokensFor(const CompileOptions &options,
                                   LoadedModel &loaded,
                                   const std::string &folder,
                                   std::optional<int> gpu, unsigned threads) {
  const CalibrationRequest &request = options.calibration;
  DataOptions data;
  data.source = request.data;
  data.samples = request.samples.value_or(128);
  int64_t limit = loaded.spec.context > 0 ? loaded.spec.context : 2048;
  data.length = request.length.value_or(std::min<int64_t>(2048, limit));
  data.seed = request.seed;
  data.quiet = options.quiet;
  if (data.length > limit)
    throw qrt::UsageError("--sequence-length " + std::to_string(data.length) +
                          " is more than the model's context of " +
                          std::to_string(limit));
  if (data.source == "self")
    return selfTokens(options, loaded, data, folder, gpu, threads);
  auto tokenizer = [&]() -> qrt::Tokenizer {
    if (!loaded.tokenizer)
      throw Error("calibration on text needs the model's tokenizer, and it has "
                  "none",
                  "", "use --calibration self");
    return qrt::Tokenizer(*loaded.tokenizer);
  };
  auto places = [] {
    std::string all;
    for (const std::string &folder : qrt::datasetFolders())
      all += (all.empty() ? "" : " and ") + folder;
    return all;
  };
  if (data.source.empty()) {
    if (loaded.tokenizer)
      if (auto records = qrt::findDataset("wikitext2", "train")) {
        data.source = "wikitext2";
        return sampleDataset(*records, data, tokenizer());
      }
    if (!options.quiet)
      std::fprintf(stderr,
                   "qcc: note: no wikitext2 in %s: calibrating on text that "
                   "the model writes (--calibration self)\n",
                   places().c_str());
    return selfTokens(options, loaded, data, folder, gpu, threads);
  }
  if (!qrt::isDatasetName(data.source))
    return loadCalibrationFile(data, tokenizer());
  auto records = qrt::findDataset(data.source, "train");
  if (!records)
    throw Error("the data set '" + data.source + "' is not in " + places(), "",
                "give a file of text, or --calibration self");
  return sampleDataset(*records, data, tokenizer());
}

Calibration::Calibration(const CompileOptions &options, LoadedModel &loaded,
                         ModuleOp quantized, unsigned threads) {
  // The source is hashed once.
  uint64_t source = loaded.contentHash();
  loaded.contentHash = [source] { return source; };
  std::string folder = options.output + ".calibration";
  gpu = gpuFor(options);
  CalibrationTokens tokens = tokensFor(options, loaded, folder, gpu, threads);
  uint64_t data =
      qrt::checksum({reinterpret_cast<const uint8_t *>(tokens.ids.data()),
                     tokens.ids.size() * sizeof(int32_t)});
  char text[96];
  std::snprintf(text, sizeof(text), "calibration=%lldx%lld:%016llx",
                static_cast<long long>(tokens.samples),
                static_cast<long long>(tokens.length),
                static_cast<unsigned long long>(data));
  description = text;

  // Everything that the results depend on.
  std::string inputs = description + kVersion + std::to_string(source) +
                       std::to_string(qrt::cpuLevel());
  if (gpu)
    inputs += " " + cudaTargetOf(*gpu);
  llvm::raw_string_ostream(inputs) << quantized;
  state =
      std::make_unique<CalibrationState>(folder, hashOf(inputs), options.quiet);
  reader = std::make_unique<CalibratedParameters>(*loaded.parameters, *state);
  run(options, loaded, quantized, threads, tokens);
}

void Calibration::run(const CompileOptions &options, LoadedModel &loaded,
                      ModuleOp quantized, unsigned threads,
                      const CalibrationTokens &tokens) {
  int64_t layers = calibrationLayers(quantized);
  if (state->finished() > 0 && !options.quiet)
    std::fprintf(stderr, "calibration: going on after layer %lld of %lld\n",
                 static_cast<long long>(state->finished()),
                 static_cast<long long>(layers));
  Progress progress("calibration", options.quiet);
  CalibrateOptions how;
  how.threads = threads;
  how.cancelled = options.cancelled;
  how.gpu = gpu;
  if (options.calibration.memory)
    how.activationMemory = uint64_t(*options.calibration.memory) << 20;
  how.progress = [&](double done, const std::string &name, double error) {
    constexpr int64_t kSteps = 1000000;
    char text[32];
    std::snprintf(text, sizeof(text), " error %.3g", error);
    progress.update(int64_t(done * kSteps), kSteps, name + text);
  };
  try {
    auto start = std::chrono::steady_clock::now();
    CalibrationTimes times =
        calibrate(quantized, *loaded.parameters, tokens, *state, how);
    if (!options.quiet)
      printTimes(times, std::chrono::duration<double>(
                            std::chrono::steady_clock::now() - start)
                            .count());
  } catch (const Error &error) {
    if (error.kind() != qrt::ErrorKind::Cancelled)
      throw;
    state->wait();
    throw Error("interrupted after layer " + std::to_string(state->finished()) +
                    " of " + std::to_string(layers),
                "", "the same command goes on from there",
                qrt::ErrorKind::Cancelled);
  }
}

} // namespace qcc
