/*===- FakeCuda.c - A machine with a GPU that is none -----------------------===
 *
 * Stands for libcuda.so.1 and for NVRTC where tests ask which targets qcc takes
 * by itself. FAKE_CUDA_GPU is the compute capability (90 for 9.0), 0 for no
 * GPU; FAKE_NVRTC_ARCHS what NVRTC compiles for, as "80,90". FAKE_NVRTC_LOG is
 * what it says of any kernel, none of which it compiles.
 *
 *===----------------------------------------------------------------------===*/

#include <stdlib.h>
#include <string.h>

static int number(const char *name) {
  const char *text = getenv(name);
  return text ? atoi(text) : 0;
}

int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return 0;
}
int cuDeviceGetCount(int *count) {
  *count = number("FAKE_CUDA_GPU") > 0;
  return 0;
}
int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return 0;
}
int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, "Fake GPU", (size_t)length);
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  int gpu = number("FAKE_CUDA_GPU");
  *value = attribute == 75 ? gpu / 10 : attribute == 76 ? gpu % 10 : 0;
  return 0;
}

int nvrtcVersion(int *major, int *minor) {
  *major = 13;
  *minor = 0;
  return 0;
}
static int archs(int *out) {
  int count = 0;
  const char *at = getenv("FAKE_NVRTC_ARCHS");
  while (at && *at) {
    int arch = atoi(at);
    if (out)
      out[count] = arch;
    ++count;
    at = strchr(at, ',');
    at = at ? at + 1 : 0;
  }
  return count;
}
int nvrtcGetNumSupportedArchs(int *count) {
  *count = archs(0);
  return 0;
}
int nvrtcGetSupportedArchs(int *out) {
  archs(out);
  return 0;
}

const char *nvrtcGetErrorString(int result) { return "fake"; }

int nvrtcCreateProgram(void **program) {
  *program = program;
  return getenv("FAKE_NVRTC_LOG") ? 0 : 1;
}
int nvrtcDestroyProgram(void) { return 0; }
int nvrtcCompileProgram(void) { return 6; }
int nvrtcGetProgramLogSize(void *program, size_t *size) {
  *size = strlen(getenv("FAKE_NVRTC_LOG")) + 1;
  return 0;
}
int nvrtcGetProgramLog(void *program, char *log) {
  strcpy(log, getenv("FAKE_NVRTC_LOG"));
  return 0;
}

/* The others must be there, and fail. */
#define UNUSED(name)                                                           \
  int name(void) { return 1; }
UNUSED(cuGetErrorName)
UNUSED(cuGetErrorString)
UNUSED(cuDevicePrimaryCtxRetain)
UNUSED(cuDevicePrimaryCtxRelease_v2)
UNUSED(cuCtxSetCurrent)
UNUSED(cuMemGetInfo_v2)
UNUSED(cuMemAlloc_v2)
UNUSED(cuMemFree_v2)
UNUSED(cuMemHostAlloc)
UNUSED(cuMemFreeHost)
UNUSED(cuMemHostGetDevicePointer_v2)
UNUSED(cuMemcpyHtoDAsync_v2)
UNUSED(cuMemcpyDtoDAsync_v2)
UNUSED(cuMemcpyDtoHAsync_v2)
UNUSED(cuMemsetD8Async)
UNUSED(cuStreamCreateWithPriority)
UNUSED(cuStreamDestroy_v2)
UNUSED(cuStreamSynchronize)
UNUSED(cuStreamQuery)
UNUSED(cuStreamWaitEvent)
UNUSED(cuEventCreate)
UNUSED(cuEventDestroy_v2)
UNUSED(cuEventRecord)
UNUSED(cuEventSynchronize)
UNUSED(cuEventElapsedTime)
UNUSED(cuLibraryLoadData)
UNUSED(cuLibraryUnload)
UNUSED(cuLibraryGetKernel)
UNUSED(cuKernelGetFunction)
UNUSED(cuFuncSetAttribute)
UNUSED(cuOccupancyMaxActiveBlocksPerMultiprocessor)
UNUSED(cuLaunchKernelEx)
UNUSED(cuStreamBeginCapture_v2)
UNUSED(cuStreamEndCapture)
UNUSED(cuGraphInstantiateWithFlags)
UNUSED(cuGraphDestroy)
UNUSED(cuGraphExecDestroy)
UNUSED(cuGraphLaunch)
UNUSED(nvrtcGetCUBINSize)
UNUSED(nvrtcGetCUBIN)
UNUSED(nvrtcGetPTXSize)
UNUSED(nvrtcGetPTX)
