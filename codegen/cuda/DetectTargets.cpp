//===- DetectTargets.cpp - What this machine's GPUs run -------------------===//

#include "codegen/cuda/DetectTargets.h"

#include "codegen/cuda/CompileCuda.h"
#include "codegen/cuda/Nvrtc.h"
#include "runtime/executor/cuda/Architecture.h"
#include "runtime/executor/cuda/Driver.h"
#include "runtime/support/Error.h"

#include <algorithm>

using namespace qcc;

/// The target of a GPU, or an empty text if NVRTC compiles none that it runs.
static std::string targetFor(int gpu, const cuda::Nvrtc &nvrtc) {
  std::string best;
  int bestScore = 0;
  for (const std::string &target : cudaArchitectures()) {
    int score = qrt::cuda::suitability(target, gpu);
    if (score > bestScore && nvrtc.supports(target)) {
      best = target;
      bestScore = score;
    }
  }
  return best;
}

DetectedTargets qcc::detectCudaTargets() {
  DetectedTargets detected;
  const qrt::cuda::Driver *driver = qrt::cuda::Driver::get(detected.reason);
  if (!driver)
    return detected;
  std::shared_ptr<const cuda::Nvrtc> nvrtc = cuda::Nvrtc::tryLoad();
  std::vector<std::string> wanted, names;
  for (int i = 0; i < driver->deviceCount_; ++i) {
    std::string name = driver->nameOf(i);
    if (name.empty())
      name = "GPU " + std::to_string(i);
    if (!nvrtc) {
      detected.reason =
          name + " is there, but no NVRTC to compile for it (CUDA toolkit, or "
                 "the Python package nvidia-cuda-nvrtc)";
      return detected;
    }
    int gpu = driver->capability(i);
    std::string target = targetFor(gpu, *nvrtc);
    if (target.empty()) {
      if (wanted.empty())
        detected.reason = "nvrtc " + nvrtc->version() + " has no target for " +
                          name + ", whose compute capability is " +
                          std::to_string(gpu / 10) + "." +
                          std::to_string(gpu % 10);
      continue;
    }
    if (std::ranges::find(wanted, target) == wanted.end())
      wanted.push_back(target);
    if (std::ranges::find(names, name) == names.end())
      names.push_back(name);
  }
  if (wanted.empty())
    return detected;
  for (const std::string &target : cudaArchitectures())
    if (std::ranges::find(wanted, target) != wanted.end())
      detected.architectures.push_back(target);
  detected.reason = names.front();
  for (size_t i = 1; i < names.size(); ++i)
    detected.reason += ", " + names[i];
  return detected;
}

std::string qcc::cudaTargetOf(int ordinal) {
  std::string why;
  const qrt::cuda::Driver *driver = qrt::cuda::Driver::get(why);
  if (!driver)
    throw qrt::Error(why);
  int gpu = driver->capability(ordinal);
  if (!gpu)
    throw qrt::Error("GPU " + std::to_string(ordinal) + " does not answer; " +
                     std::to_string(driver->deviceCount_) + " are there");
  std::shared_ptr<const cuda::Nvrtc> nvrtc = cuda::Nvrtc::load();
  std::string target = targetFor(gpu, *nvrtc);
  if (target.empty())
    throw qrt::Error("nvrtc " + nvrtc->version() + " has no target for " +
                     driver->nameOf(ordinal) +
                     ", whose compute capability is " +
                     std::to_string(gpu / 10) + "." + std::to_string(gpu % 10));
  return target;
}
