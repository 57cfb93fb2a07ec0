//===- Driver.h - NVIDIA's driver, loaded when needed -----------*- C++ -*-===//
//
// The few functions of libcuda.so.1 that the executor calls, found with dlopen:
// qrt has no CUDA dependency and runs where there is no driver. Types and
// values are those of the driver API's documentation, version 12.0.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_EXECUTOR_CUDA_DRIVER_H
#define QRT_EXECUTOR_CUDA_DRIVER_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace qrt::cuda {

using Result = int;
using DeviceId = int;
using DevicePointer = uint64_t;
using Context = struct OpaqueContext *;
using Stream = struct OpaqueStream *;
using Event = struct OpaqueEvent *;
using Library = struct OpaqueLibrary *;
using Kernel = struct OpaqueKernel *;
using Function = struct OpaqueFunction *;
using Graph = struct OpaqueGraph *;
using GraphExec = struct OpaqueGraphExec *;

enum DeviceAttribute {
  MultiprocessorCount = 16,
  MemoryClockKilohertz = 36,
  MemoryBusBits = 37,
  ComputeMajor = 75,
  ComputeMinor = 76,
  CooperativeLaunch = 95,
  SharedBytesPerBlock = 97
};
constexpr int kDynamicSharedBytes = 8; ///< a function's attribute
constexpr int kSharedCarveout = 9;     ///< a function's attribute, in percent
constexpr int kCooperative = 2;        ///< a launch's attribute
constexpr int kProgrammaticLaunch = 6; ///< a launch's attribute
constexpr unsigned kNonBlocking = 1;   ///< a stream's flag
constexpr int kLeastPriority = 0;      ///< a stream's
constexpr int kHigherPriority = -1;    ///< a stream's
constexpr unsigned kNoTiming = 2;      ///< an event's flag
constexpr int kCaptureThreadLocal = 1;
constexpr Result kNotReady = 600;

struct LaunchAttribute {
  int id;
  char pad[4];
  union {
    char bytes[64];
    int value;
  };
};
static_assert(sizeof(LaunchAttribute) == 72);

struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  Stream stream;
  LaunchAttribute *attributes;
  unsigned attributeCount;
};
static_assert(sizeof(LaunchConfig) == 56);

/// The driver's functions. One object a process.
class Driver {
public:
  /// The driver, or null if the machine has none that is new enough (CUDA
  /// 12.0) or it finds no device; `why` then says so.
  static const Driver *get(std::string &why);

  /// Throws qrt::Error "cuda: <what>: <the driver's words>" unless it is 0.
  void check(Result result, const std::string &what) const;

  /// The compute capability of a GPU, 90 for 9.0; 0 if it does not answer.
  int capability(int ordinal) const;
  /// Its name, such as "NVIDIA H100 80GB HBM3"; empty if it does not answer.
  std::string nameOf(int ordinal) const;

  int version = 0; ///< 13000 for CUDA 13.0
  int deviceCount_ = 0;

  Result (*init)(unsigned);
  Result (*driverVersion)(int *);
  Result (*errorName)(Result, const char **);
  Result (*errorString)(Result, const char **);
  Result (*deviceCount)(int *);
  Result (*deviceGet)(DeviceId *, int);
  Result (*deviceName)(char *, int, DeviceId);
  Result (*deviceAttribute)(int *, int, DeviceId);
  Result (*retainContext)(Context *, DeviceId);
  Result (*releaseContext)(DeviceId);
  Result (*setContext)(Context);
  Result (*memoryInfo)(size_t *, size_t *);
  Result (*allocate)(DevicePointer *, size_t);
  Result (*free)(DevicePointer);
  Result (*allocateHost)(void **, size_t, unsigned);
  Result (*freeHost)(void *);
  Result (*hostAddress)(DevicePointer *, void *, unsigned);
  Result (*copyToDevice)(DevicePointer, const void *, size_t, Stream);
  Result (*copyToHost)(void *, DevicePointer, size_t, Stream);
  Result (*copyOnDevice)(DevicePointer, DevicePointer, size_t, Stream);
  Result (*fill)(DevicePointer, unsigned char, size_t, Stream);
  Result (*createStream)(Stream *, unsigned, int);
  Result (*waitInStream)(Stream, Event, unsigned);
  Result (*destroyStream)(Stream);
  Result (*synchronize)(Stream);
  Result (*queryStream)(Stream); ///< kNotReady while there is work
  Result (*createEvent)(Event *, unsigned);
  Result (*destroyEvent)(Event);
  Result (*recordEvent)(Event, Stream);
  Result (*waitEvent)(Event);
  Result (*elapsedMilliseconds)(float *, Event, Event);
  Result (*loadLibrary)(Library *, const void *, int *, void **, unsigned,
                        int *, void **, unsigned);
  Result (*unloadLibrary)(Library);
  Result (*libraryKernel)(Kernel *, Library, const char *);
  Result (*kernelFunction)(Function *, Kernel);
  Result (*setFunctionAttribute)(Function, int, int);
  Result (*blocksPerMultiprocessor)(int *, Function, int, size_t);
  Result (*launch)(const LaunchConfig *, Function, void **, void **);
  Result (*beginCapture)(Stream, int);
  Result (*endCapture)(Stream, Graph *);
  Result (*instantiate)(GraphExec *, Graph, unsigned long long);
  Result (*destroyGraph)(Graph);
  Result (*destroyGraphExec)(GraphExec);
  Result (*launchGraph)(GraphExec, Stream);

private:
  Driver() = default;
  /// Empty, or why it cannot be used.
  std::string load();
};

} // namespace qrt::cuda

#endif // QRT_EXECUTOR_CUDA_DRIVER_H
