/*===- FakeCuda.c - A machine with a GPU that is none -----------------------===
 *
 * Stands for libcuda.so.1 and for NVRTC where tests ask which targets qcc takes
 * by itself, or what qrt does when a GPU fails. FAKE_CUDA_GPU is the compute
 * capability (90 for 9.0), 0 for no GPU; FAKE_CUDA_DRIVER the CUDA that the
 * driver is for (11040 for 11.4); FAKE_NVRTC_ARCHS what NVRTC compiles
 * for, as "80,90".
 *
 * With FAKE_NVRTC_LOG NVRTC compiles no kernel, and says so; with
 * FAKE_NVRTC_PTX every kernel becomes these words. With FAKE_CUDA_LAUNCHES the
 * GPU has memory and takes kernels, which do nothing; after so many launches
 * its context is lost, and all that is asked of it fails.
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
  *version = number("FAKE_CUDA_DRIVER");
  if (!*version)
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
  *value = attribute == 75   ? gpu / 10
           : attribute == 76 ? gpu % 10
           : attribute == 16 ? 132       /* multiprocessors */
           : attribute == 95 ? 1         /* barriers of the grid */
           : attribute == 97 ? 227 << 10 /* bytes of shared memory */
                             : 0;
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
  return getenv("FAKE_NVRTC_LOG") || getenv("FAKE_NVRTC_PTX") ? 0 : 1;
}
int nvrtcDestroyProgram(void) { return 0; }
int nvrtcCompileProgram(void) { return getenv("FAKE_NVRTC_PTX") ? 0 : 6; }
int nvrtcGetPTXSize(void *program, size_t *size) {
  *size = strlen(getenv("FAKE_NVRTC_PTX")) + 1;
  return 0;
}
int nvrtcGetPTX(void *program, char *ptx) {
  strcpy(ptx, getenv("FAKE_NVRTC_PTX"));
  return 0;
}
int nvrtcGetProgramLogSize(void *program, size_t *size) {
  *size = strlen(getenv("FAKE_NVRTC_LOG")) + 1;
  return 0;
}
int nvrtcGetProgramLog(void *program, char *log) {
  strcpy(log, getenv("FAKE_NVRTC_LOG"));
  return 0;
}

/* A GPU whose memory is the host's. */
static int launches;
static __thread int isCapturing;

/* 719 is CUDA_ERROR_LAUNCH_FAILED, after which a context is of no use. */
static int state(void) {
  const char *most = getenv("FAKE_CUDA_LAUNCHES");
  return !most ? 1 : launches > atoi(most) ? 719 : 0;
}
static int launch(void) {
  if (!isCapturing)
    __atomic_add_fetch(&launches, 1, __ATOMIC_RELAXED);
  return state();
}
int cuGetErrorName(int error, const char **name) {
  *name = "FAKE_ERROR";
  return 0;
}
int cuGetErrorString(int error, const char **text) {
  *text = error == 719 ? "the context is gone" : "fake";
  return 0;
}
int cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = *total = (size_t)1 << 30;
  return state();
}
int cuMemAlloc_v2(void **memory, size_t bytes) {
  *memory = state() ? 0 : calloc(bytes, 1);
  return state();
}
int cuMemFree_v2(void *memory) {
  free(memory);
  return state();
}
int cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
  return cuMemAlloc_v2(memory, bytes);
}
int cuMemFreeHost(void *memory) { return cuMemFree_v2(memory); }
int cuMemHostGetDevicePointer_v2(void **there, void *here, unsigned flags) {
  *there = here;
  return state();
}
static int copy(void *to, const void *from, size_t bytes) {
  if (!state())
    memmove(to, from, bytes);
  return state();
}
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes) {
  return copy(to, from, bytes);
}
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes) {
  return copy(to, from, bytes);
}
int cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t bytes) {
  return copy(to, from, bytes);
}
int cuMemsetD8Async(void *to, unsigned char value, size_t bytes) {
  if (!state())
    memset(to, value, bytes);
  return state();
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks) {
  *blocks = 1;
  return state();
}
int cuLaunchKernelEx(void) { return launch(); }
int cuGraphLaunch(void) { return launch(); }
int cuStreamBeginCapture_v2(void) {
  isCapturing = 1;
  return state();
}
int cuStreamEndCapture(void *stream, void **graph) {
  isCapturing = 0;
  *graph = &launches;
  return state();
}

/* Those that make something, which is never looked at. */
#define MADE(name)                                                             \
  int name(void **made) {                                                      \
    *made = &launches;                                                         \
    return state();                                                            \
  }
MADE(cuDevicePrimaryCtxRetain)
MADE(cuStreamCreateWithPriority)
MADE(cuEventCreate)
MADE(cuLibraryLoadData)
MADE(cuLibraryGetKernel)
MADE(cuKernelGetFunction)
MADE(cuGraphInstantiateWithFlags)

#define STATE(name)                                                            \
  int name(void) { return state(); }
STATE(cuDevicePrimaryCtxRelease_v2)
STATE(cuCtxSetCurrent)
STATE(cuStreamDestroy_v2)
STATE(cuStreamSynchronize)
STATE(cuStreamQuery)
STATE(cuStreamWaitEvent)
STATE(cuEventDestroy_v2)
STATE(cuEventRecord)
STATE(cuEventSynchronize)
STATE(cuLibraryUnload)
STATE(cuFuncSetAttribute)
STATE(cuGraphDestroy)
STATE(cuGraphExecDestroy)

/* The others must be there, and fail. */
#define UNUSED(name)                                                           \
  int name(void) { return 1; }
UNUSED(cuEventElapsedTime)
UNUSED(nvrtcGetCUBINSize)
UNUSED(nvrtcGetCUBIN)
