//===- Driver.cpp - NVIDIA's driver, loaded when needed -------------------===//

#include "runtime/executor/cuda/Driver.h"

#include "runtime/support/DynamicLibrary.h"
#include "runtime/support/Error.h"

#include <dlfcn.h>

namespace qrt::cuda {

std::string Driver::load() {
  void *library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return "this machine has no NVIDIA driver (libcuda.so.1)";
  Symbols symbols(library);
  symbols.resolve(init, "cuInit");
  symbols.resolve(driverVersion, "cuDriverGetVersion");
  symbols.resolve(errorName, "cuGetErrorName");
  symbols.resolve(errorString, "cuGetErrorString");
  symbols.resolve(deviceCount, "cuDeviceGetCount");
  symbols.resolve(deviceGet, "cuDeviceGet");
  symbols.resolve(deviceName, "cuDeviceGetName");
  symbols.resolve(deviceAttribute, "cuDeviceGetAttribute");
  symbols.resolve(retainContext, "cuDevicePrimaryCtxRetain");
  symbols.resolve(releaseContext, "cuDevicePrimaryCtxRelease_v2");
  symbols.resolve(setContext, "cuCtxSetCurrent");
  symbols.resolve(memoryInfo, "cuMemGetInfo_v2");
  symbols.resolve(allocate, "cuMemAlloc_v2");
  symbols.resolve(free, "cuMemFree_v2");
  symbols.resolve(allocateHost, "cuMemHostAlloc");
  symbols.resolve(freeHost, "cuMemFreeHost");
  symbols.resolve(hostAddress, "cuMemHostGetDevicePointer_v2");
  symbols.resolve(copyToDevice, "cuMemcpyHtoDAsync_v2");
  symbols.resolve(copyToHost, "cuMemcpyDtoHAsync_v2");
  symbols.resolve(copyOnDevice, "cuMemcpyDtoDAsync_v2");
  symbols.resolve(fill, "cuMemsetD8Async");
  symbols.resolve(createStream, "cuStreamCreateWithPriority");
  symbols.resolve(waitInStream, "cuStreamWaitEvent");
  symbols.resolve(destroyStream, "cuStreamDestroy_v2");
  symbols.resolve(synchronize, "cuStreamSynchronize");
  symbols.resolve(queryStream, "cuStreamQuery");
  symbols.resolve(createEvent, "cuEventCreate");
  symbols.resolve(destroyEvent, "cuEventDestroy_v2");
  symbols.resolve(recordEvent, "cuEventRecord");
  symbols.resolve(waitEvent, "cuEventSynchronize");
  symbols.resolve(elapsedMilliseconds, "cuEventElapsedTime");
  symbols.resolve(loadLibrary, "cuLibraryLoadData");
  symbols.resolve(unloadLibrary, "cuLibraryUnload");
  symbols.resolve(libraryKernel, "cuLibraryGetKernel");
  symbols.resolve(kernelFunction, "cuKernelGetFunction");
  symbols.resolve(setFunctionAttribute, "cuFuncSetAttribute");
  symbols.resolve(blocksPerMultiprocessor,
                  "cuOccupancyMaxActiveBlocksPerMultiprocessor");
  symbols.resolve(launch, "cuLaunchKernelEx");
  symbols.resolve(beginCapture, "cuStreamBeginCapture_v2");
  symbols.resolve(endCapture, "cuStreamEndCapture");
  symbols.resolve(instantiate, "cuGraphInstantiateWithFlags");
  symbols.resolve(destroyGraph, "cuGraphDestroy");
  symbols.resolve(destroyGraphExec, "cuGraphExecDestroy");
  symbols.resolve(launchGraph, "cuGraphLaunch");
  if (driverVersion)
    driverVersion(&version);
  if (symbols.missing() || version < 12000)
    return "the NVIDIA driver is for CUDA " + std::to_string(version / 1000) +
           "." + std::to_string(version % 1000 / 10) +
           ", older than the 12.0 that is needed";
  if (Result result = init(0)) {
    const char *name = "unknown error";
    errorName(result, &name);
    return std::string("the NVIDIA driver does not start: ") + name;
  }
  if (deviceCount(&deviceCount_) || deviceCount_ == 0)
    return "the NVIDIA driver finds no GPU";
  return "";
}

const Driver *Driver::get(std::string &why) {
  static Driver driver;
  static const std::string failure = driver.load();
  why = failure;
  return failure.empty() ? &driver : nullptr;
}

int Driver::capability(int ordinal) const {
  DeviceId id;
  int major = 0, minor = 0;
  if (deviceGet(&id, ordinal) || deviceAttribute(&major, ComputeMajor, id) ||
      deviceAttribute(&minor, ComputeMinor, id))
    return 0;
  return major * 10 + minor;
}

std::string Driver::nameOf(int ordinal) const {
  DeviceId id;
  char text[128] = "";
  if (deviceGet(&id, ordinal) || deviceName(text, sizeof(text), id))
    return "";
  return text;
}

void Driver::check(Result result, const std::string &what) const {
  if (!result)
    return;
  const char *name = "unknown error", *text = "";
  errorName(result, &name);
  errorString(result, &text);
  throw Error("cuda: " + what + ": " + name + " (" + text + ")");
}

} // namespace qrt::cuda
