//===- CudaKernels.cpp - GPTQ's kernels on one GPU ------------------------===//

#include "compiler/quantize/cuda/CudaKernels.h"

#include "codegen/cuda/kernels/KernelSources.h"
#include "compiler/quantize/cuda/kernels/Arguments.h"
#include "compiler/quantize/cuda/kernels/KernelSources.h"
#include "runtime/support/Error.h"

using qrt::Error;

namespace qcc::cuda {

/// Their names, in the order of GptqKernel.
static constexpr const char *kNames[kGptqKernels] = {
    "quantize",    "refine",  "solve",      "groups",     "permute",
    "store",       "steps",   "errors",     "fit",        "wide_fit",
    "sums",        "squares", "gather_f32", "gather_f64", "reverse",
    "reverse_f64", "round",   "scale",      "diagonal",   "off_diagonal"};

/// True for the kernels that keep a corner of a matrix in shared memory.
static bool isTile(GptqKernel kernel) { return kernel <= GptqKernel::Solve; }

static std::vector<char> compileKernels(const qrt::cuda::Device &device) {
  std::shared_ptr<const Nvrtc> nvrtc = Nvrtc::load();
  std::string target = "sm_" + std::to_string(device.architecture());
  if (!nvrtc->supports(target))
    throw Error("nvrtc " + nvrtc->version() + " has no target " + target +
                    " for " + device.name(),
                "", "use --calibration-device cpu");
  std::vector<HeaderText> headers = kernelSources();
  for (const HeaderText &header : gptqKernelSources())
    headers.push_back(header);
  return nvrtc->compile(
      "gptq", "#include \"compiler/quantize/cuda/kernels/gptq.cuh\"\n", headers,
      target);
}

CudaKernels::CudaKernels(const qrt::cuda::Device &device) : device(device) {
  std::vector<char> code = compileKernels(device);
  const qrt::cuda::Driver &driver = device.driver();
  device.use();
  driver.check(driver.loadLibrary(&library, code.data(), nullptr, nullptr, 0,
                                  nullptr, nullptr, 0),
               "cannot load GPTQ's kernels");
  for (int i = 0; i < kGptqKernels; ++i) {
    std::string name = std::string("gptq_") + kNames[i];
    qrt::cuda::Kernel kernel = nullptr;
    driver.check(driver.libraryKernel(&kernel, library, name.c_str()),
                 "no kernel " + name);
    driver.check(driver.kernelFunction(&functions[size_t(i)], kernel),
                 "no kernel " + name);
    if (isTile(GptqKernel(i)))
      driver.check(driver.setFunctionAttribute(functions[size_t(i)],
                                               qrt::cuda::kDynamicSharedBytes,
                                               kTileSharedBytes),
                   "no shared memory for " + name);
  }
}

CudaKernels::~CudaKernels() {
  device.tryUse();
  if (library)
    device.driver().unloadLibrary(library);
}

void CudaKernels::start(GptqKernel kernel, int64_t blocks,
                        void *arguments) const {
  if (blocks == 0)
    return;
  bool tile = isTile(kernel);
  qrt::cuda::LaunchConfig config{unsigned(blocks),
                                 1,
                                 1,
                                 unsigned(tile ? kTileThreads : kThreads),
                                 1,
                                 1,
                                 unsigned(tile ? kTileSharedBytes : 0),
                                 device.stream(),
                                 nullptr,
                                 0};
  void *parameters[] = {arguments};
  device.driver().check(
      device.driver().launch(&config, functions[size_t(kernel)], parameters,
                             nullptr),
      std::string("cannot start kernel gptq_") + kNames[size_t(kernel)]);
}

} // namespace qcc::cuda
