//===- Driver.cpp - NVIDIA's driver, loaded when needed -------------------===//

#include "runtime/executor/cuda/Driver.h"

#include "runtime/support/Error.h"

#include <dlfcn.h>

namespace qrt::cuda {

std::string Driver::load() {
  void *library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return "this machine has no NVIDIA driver (libcuda.so.1)";
  const char *missing = nullptr;
  auto resolve = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        ::dlsym(library, name));
    if (!function && !missing)
      missing = name;
  };
  resolve(init, "cuInit");
  resolve(driverVersion, "cuDriverGetVersion");
  resolve(errorName, "cuGetErrorName");
  resolve(errorString, "cuGetErrorString");
  resolve(deviceCount, "cuDeviceGetCount");
  resolve(deviceGet, "cuDeviceGet");
  resolve(deviceName, "cuDeviceGetName");
  resolve(deviceAttribute, "cuDeviceGetAttribute");
  resolve(retainContext, "cuDevicePrimaryCtxRetain");
  resolve(releaseContext, "cuDevicePrimaryCtxRelease_v2");
  resolve(setContext, "cuCtxSetCurrent");
  resolve(memoryInfo, "cuMemGetInfo_v2");
  resolve(allocate, "cuMemAlloc_v2");
  resolve(free, "cuMemFree_v2");
  resolve(allocateHost, "cuMemHostAlloc");
  resolve(freeHost, "cuMemFreeHost");
  resolve(hostAddress, "cuMemHostGetDevicePointer_v2");
  resolve(copyToDevice, "cuMemcpyHtoDAsync_v2");
  resolve(copyToHost, "cuMemcpyDtoHAsync_v2");
  resolve(copyOnDevice, "cuMemcpyDtoDAsync_v2");
  resolve(fill, "cuMemsetD8Async");
  resolve(createStream, "cuStreamCreateWithPriority");
  resolve(waitInStream, "cuStreamWaitEvent");
  resolve(destroyStream, "cuStreamDestroy_v2");
  resolve(synchronize, "cuStreamSynchronize");
  resolve(queryStream, "cuStreamQuery");
  resolve(createEvent, "cuEventCreate");
  resolve(destroyEvent, "cuEventDestroy_v2");
  resolve(recordEvent, "cuEventRecord");
  resolve(waitEvent, "cuEventSynchronize");
  resolve(elapsedMilliseconds, "cuEventElapsedTime");
  resolve(loadLibrary, "cuLibraryLoadData");
  resolve(unloadLibrary, "cuLibraryUnload");
  resolve(libraryKernel, "cuLibraryGetKernel");
  resolve(kernelFunction, "cuKernelGetFunction");
  resolve(setFunctionAttribute, "cuFuncSetAttribute");
  resolve(blocksPerMultiprocessor,
          "cuOccupancyMaxActiveBlocksPerMultiprocessor");
  resolve(launch, "cuLaunchKernelEx");
  resolve(beginCapture, "cuStreamBeginCapture_v2");
  resolve(endCapture, "cuStreamEndCapture");
  resolve(instantiate, "cuGraphInstantiateWithFlags");
  resolve(destroyGraph, "cuGraphDestroy");
  resolve(destroyGraphExec, "cuGraphExecDestroy");
  resolve(launchGraph, "cuGraphLaunch");
  if (driverVersion)
    driverVersion(&version);
  if (missing || version < 12000)
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
