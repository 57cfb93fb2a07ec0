//===- SamplingUnit.cpp - The kernel that chooses tokens ------------------===//

#include "codegen/cuda/ConfigText.h"
#include "codegen/cuda/KernelUnits.h"

#include <algorithm>

using namespace qcc;
using namespace qcc::cuda;

/// Tokens that a thread looks at, unless that takes more than so many blocks:
/// they must all run at once.
static constexpr int64_t kThreads = 512, kTokens = 8, kMostBlocks = 64;

static int64_t blocksFor(int64_t vocabulary) {
  constexpr int64_t tokens = kTokens * kThreads;
  return std::clamp<int64_t>((vocabulary + tokens - 1) / tokens, 1,
                             kMostBlocks);
}

KernelUnit cuda::samplingUnit(const std::string &function, int64_t vocabulary) {
  const bool isSmall = blocksFor(vocabulary) * kThreads * kTokens >= vocabulary;
  ConfigText constants;
  constants.integer("vocabulary", vocabulary);
  constants.integer("blocks", blocksFor(vocabulary));
  constants.integer("threads", kThreads);
  return {function,
          "#include \"codegen/cuda/kernels/sampling.cuh\"\n\nnamespace "
          "{\nstruct Config {\n" +
              constants.text() +
              "};\n} // namespace\n\nextern \"C\" __global__ void "
              "__launch_bounds__(" +
              std::to_string(kThreads) + (isSmall ? ", 2" : ", 1") + ")\n" +
              function +
              "(const __grid_constant__ qcc::cuda::Samplings sampling) {\n"
              "  using Kernel = qcc::cuda::Sample<Config>;\n"
              "  __shared__ Kernel::Shared shared;\n"
              "  Kernel::run(sampling, reinterpret_cast<char *>(&shared));\n"
              "}\n"};
}

qrt::fb::LaunchT cuda::samplingLaunch(uint32_t image, int64_t vocabulary) {
  qrt::fb::LaunchT launch;
  launch.image = image;
  launch.threads = uint32_t(kThreads);
  launch.multiple = uint32_t(blocksFor(vocabulary));
  return launch;
}
