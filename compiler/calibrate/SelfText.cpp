//===- SelfText.cpp - Text that the model itself writes -------------------===//

#include "compiler/calibrate/SelfText.h"

#include "runtime/api/Model.h"
#include "runtime/api/Sampler.h"
#include "runtime/api/TokenSource.h"
#include "runtime/support/Cancel.h"

#include <algorithm>
#include <memory>

namespace qcc {

/// So many sequences at once that their caches stay below this.
static constexpr uint64_t kCacheBytes = uint64_t(4) << 30;

CalibrationTokens writeSelfText(const std::string &path,
                                const std::string &device, int64_t samples,
                                int64_t length, uint64_t seed, unsigned threads,
                                const std::atomic<bool> *cancelled,
                                const std::function<void(double)> &progress) {
  qrt::ModelOptions options;
  options.device = device;
  options.threads = threads;
  qrt::Model model(path, options);
  const bool isCpu = device == "cpu";
  const int64_t together = std::clamp<int64_t>(
      int64_t(kCacheBytes /
              std::max<uint64_t>(1, model.executor().kvBytesPerToken() *
                                        uint64_t(length))),
      1, isCpu ? 64 : 128);
  CalibrationTokens tokens;
  tokens.samples = samples;
  tokens.length = length;
  tokens.ids.resize(size_t(tokens.count()));
  qrt::Random starts(seed);
  for (int64_t first = 0; first < samples; first += together) {
    int64_t count = std::min(together, samples - first);
    std::vector<std::unique_ptr<qrt::Session>> sessions;
    std::vector<qrt::Sampler> samplers;
    samplers.reserve(size_t(count));
    qrt::TokenSource source(model);
    for (int64_t i = 0; i < count; ++i) {
      sessions.push_back(
          std::make_unique<qrt::Session>(model, uint32_t(length)));
      qrt::SamplerOptions how;
      how.temperature = 1;
      how.topK = 0;
      how.seed = starts.next();
      samplers.emplace_back(how, model.vocabulary());
      int32_t start = model.bosId();
      if (start < 0)
        start = int32_t(starts.uniform() * double(model.vocabulary()));
      tokens.ids[size_t((first + i) * length)] = start;
      source.add(*sessions.back(), samplers.back(), uint32_t(length - 1),
                 start);
    }
    for (int64_t at = 1; at < length; ++at) {
      qrt::throwIfCancelled(cancelled);
      std::span<const int32_t> next;
      try {
        next = source.next();
      } catch (const qrt::NoFiniteLogits &) {
        break; // the rest stays 0; calibration will report it
      }
      for (int64_t i = 0; i < count; ++i)
        tokens.ids[size_t((first + i) * length + at)] = next[size_t(i)];
      if (progress)
        progress((double(first) + double(count) * double(at) / double(length)) /
                 double(samples));
    }
  }
  return tokens;
}

} // namespace qcc
