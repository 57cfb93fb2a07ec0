//===- gpu_limits.cpp - What a GPU can do at most ---------------*- C++ -*-===//
//
// Prints, as one JSON object, the denominators of every GPU measurement: bytes
// a second that a kernel reads (nothing is written), and the rate of cuBLASLt
// at a large product of bf16 matrices of random numbers (null where the library
// is not found). Medians of repetitions on a card that has been kept busy.
//
// Usage: gpu_limits [GPU] [SECONDS]
//
// SECONDS (default 2) is how long each measurement lasts; a card at its power
// limit gets slower within the first second.
//
//===----------------------------------------------------------------------===//

#include "runtime/executor/cuda/Device.h"
#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <functional>
#include <vector>

using namespace qrt::cuda;

namespace {

/// A block of 512 threads reads 64 KiB, eight loads of 16 bytes a thread, all
/// in flight at once. The sum is written only if it is a number that it is not.
/// fill: a block writes 512 words that look like bf16 numbers around 1.
const char kKernels[] = R"(
.version 7.0
.target sm_80
.address_size 64

.visible .entry read(.param .u64 source, .param .u64 sink)
{
  .reg .pred p;
  .reg .b32 t, b, a<32>, s;
  .reg .b64 at, i, to;
  mov.u32 t, %tid.x;
  mov.u32 b, %ctaid.x;
  ld.param.u64 at, [source];
  mul.wide.u32 i, b, 65536;
  add.u64 at, at, i;
  mul.wide.u32 i, t, 16;
  add.u64 at, at, i;
  ld.global.nc.v4.u32 {a0, a1, a2, a3}, [at];
  ld.global.nc.v4.u32 {a4, a5, a6, a7}, [at+8192];
  ld.global.nc.v4.u32 {a8, a9, a10, a11}, [at+16384];
  ld.global.nc.v4.u32 {a12, a13, a14, a15}, [at+24576];
  ld.global.nc.v4.u32 {a16, a17, a18, a19}, [at+32768];
  ld.global.nc.v4.u32 {a20, a21, a22, a23}, [at+40960];
  ld.global.nc.v4.u32 {a24, a25, a26, a27}, [at+49152];
  ld.global.nc.v4.u32 {a28, a29, a30, a31}, [at+57344];
  xor.b32 s, a0, a1;    xor.b32 s, s, a2;   xor.b32 s, s, a3;
  xor.b32 s, s, a4;     xor.b32 s, s, a5;   xor.b32 s, s, a6;
  xor.b32 s, s, a7;     xor.b32 s, s, a8;   xor.b32 s, s, a9;
  xor.b32 s, s, a10;    xor.b32 s, s, a11;  xor.b32 s, s, a12;
  xor.b32 s, s, a13;    xor.b32 s, s, a14;  xor.b32 s, s, a15;
  xor.b32 s, s, a16;    xor.b32 s, s, a17;  xor.b32 s, s, a18;
  xor.b32 s, s, a19;    xor.b32 s, s, a20;  xor.b32 s, s, a21;
  xor.b32 s, s, a22;    xor.b32 s, s, a23;  xor.b32 s, s, a24;
  xor.b32 s, s, a25;    xor.b32 s, s, a26;  xor.b32 s, s, a27;
  xor.b32 s, s, a28;    xor.b32 s, s, a29;  xor.b32 s, s, a30;
  xor.b32 s, s, a31;
  setp.eq.u32 p, s, 0x12345677;
  ld.param.u64 to, [sink];
  @p st.global.u32 [to], s;
  ret;
}

.visible .entry fill(.param .u64 to)
{
  .reg .b32 t, b, n, h;
  .reg .b64 at, i;
  mov.u32 t, %tid.x;
  mov.u32 b, %ctaid.x;
  mad.lo.u32 n, b, 512, t;
  mul.lo.u32 h, n, 0x9e3779b1;
  shr.u32 t, h, 15;
  xor.b32 h, h, t;
  mul.lo.u32 h, h, 0x85ebca77;
  and.b32 h, h, 0x80ff80ff;
  or.b32 h, h, 0x3f003f00;
  ld.param.u64 at, [to];
  mul.wide.u32 i, n, 4;
  add.u64 at, at, i;
  st.global.u32 [at], h;
  ret;
}
)";

class Limits {
public:
  Limits(int ordinal, double seconds)
      : device(ordinal), api(device.driver()), seconds(seconds) {
    api.check(api.loadLibrary(&library, kKernels, nullptr, nullptr, 0, nullptr,
                              nullptr, 0),
              "the driver does not take the kernels");
    for (Event &event : events)
      api.check(api.createEvent(&event, 0), "no event");
  }

  nlohmann::ordered_json run() {
    nlohmann::ordered_json report;
    report["device"] = device.name();
    report["architecture"] = device.architecture();
    report["multiprocessors"] = device.multiprocessors();
    report["driver"] = api.version;
    report["memory_bytes"] = device.freeBytes();
    report["read_bytes_per_second"] = readRate();
    if (double rate = gemmRate())
      report["bf16_gemm_flops"] = rate;
    else
      report["bf16_gemm_flops"] = nullptr;
    return report;
  }

private:
  void launch(const char *name, unsigned blocks, std::vector<uint64_t> args) {
    Kernel kernel = nullptr;
    Function function = nullptr;
    api.check(api.libraryKernel(&kernel, library, name), name);
    api.check(api.kernelFunction(&function, kernel), name);
    LaunchConfig config = {blocks,          1,       1, 512, 1, 1, 0,
                           device.stream(), nullptr, 0};
    std::vector<void *> parameters;
    for (uint64_t &arg : args)
      parameters.push_back(&arg);
    api.check(api.launch(&config, function, parameters.data(), nullptr), name);
  }

  /// The median of the seconds that `work` takes, the first tenth left out.
  double median(const std::function<void()> &work) {
    std::vector<double> times;
    const auto begin = std::chrono::steady_clock::now();
    while (
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
            .count() < seconds) {
      api.check(api.recordEvent(events[0], device.stream()), "no event");
      work();
      api.check(api.recordEvent(events[1], device.stream()), "no event");
      api.check(api.waitEvent(events[1]), "a measurement failed");
      float milliseconds = 0;
      api.check(api.elapsedMilliseconds(&milliseconds, events[0], events[1]),
                "no time");
      times.push_back(milliseconds / 1e3);
    }
    times.erase(times.begin(), times.begin() + long(times.size() / 10));
    std::ranges::nth_element(times, times.begin() + long(times.size() / 2));
    return times[times.size() / 2];
  }

  double readRate() {
    uint64_t bytes =
        std::min<uint64_t>(uint64_t(8) << 30, device.freeBytes() / 2) >>
        20 << 20;
    Buffer buffer(device, bytes, "a block to read");
    launch("fill", unsigned(bytes / 2048), {buffer.address()});
    double time = median([&] {
      launch("read", unsigned(bytes / 65536),
             {buffer.address(), buffer.address()});
    });
    return double(bytes) / time;
  }

  /// 8192 x 8192 x 8192; 0 without the library.
  double gemmRate() {
    void *lib = nullptr;
    for (const char *name :
         {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
          "/usr/local/cuda/lib64/libcublasLt.so"})
      if (!lib)
        lib = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
      return 0;
    // Types and values as cuBLAS' documentation has them.
    using Status = int;
    Status (*create)(void **);
    Status (*matmul)(void *, void *, const void *, const void *, void *,
                     const void *, void *, const void *, const void *, void *,
                     void *, void *, const void *, void *, size_t, Stream);
    Status (*describe)(void **, int, int);
    Status (*setDescription)(void *, int, const void *, size_t);
    Status (*lay)(void **, int, uint64_t, uint64_t, int64_t);
    Status (*createPreference)(void **);
    Status (*setPreference)(void *, int, const void *, size_t);
    Status (*choose)(void *, void *, void *, void *, void *, void *, void *,
                     int, void *, int *);
    auto resolve = [&](auto &function, const char *name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
          ::dlsym(lib, name));
      if (!function)
        throw qrt::Error(std::string("cublasLt has no function ") + name);
    };
    resolve(create, "cublasLtCreate");
    resolve(matmul, "cublasLtMatmul");
    resolve(describe, "cublasLtMatmulDescCreate");
    resolve(setDescription, "cublasLtMatmulDescSetAttribute");
    resolve(lay, "cublasLtMatrixLayoutCreate");
    resolve(createPreference, "cublasLtMatmulPreferenceCreate");
    resolve(setPreference, "cublasLtMatmulPreferenceSetAttribute");
    resolve(choose, "cublasLtMatmulAlgoGetHeuristic");
    constexpr int kF32 = 0, kBF16 = 14, kComputeF32 = 68;
    constexpr int kTransposeA = 3, kWorkspaceBytes = 1;
    constexpr uint64_t n = 8192;
    auto check = [](Status status) {
      if (status)
        throw qrt::Error("cublasLt fails with status " +
                         std::to_string(status));
    };
    Buffer a(device, n * n * 2, "a matrix"), b(device, n * n * 2, "a matrix"),
        c(device, n * n * 2, "a matrix"),
        workspace(device, uint64_t(64) << 20, "cublasLt");
    for (const Buffer *m : {&a, &b})
      launch("fill", unsigned(n * n / 1024), {m->address()});
    void *handle, *description, *layout, *preference;
    check(create(&handle));
    check(describe(&description, kComputeF32, kF32));
    int transpose = 1;
    check(setDescription(description, kTransposeA, &transpose,
                         sizeof(transpose)));
    check(lay(&layout, kBF16, n, n, int64_t(n)));
    check(createPreference(&preference));
    uint64_t room = workspace.size();
    check(setPreference(preference, kWorkspaceBytes, &room, sizeof(room)));
    struct {
      uint64_t algorithm[8];
      size_t workspace;
      int state;
      float waves;
      int reserved[4];
    } chosen = {};
    int count = 0;
    check(choose(handle, description, layout, layout, layout, layout,
                 preference, 1, &chosen, &count));
    if (!count)
      throw qrt::Error("cublasLt has no algorithm");
    float one = 1, zero = 0;
    double time = median([&] {
      check(matmul(
          handle, description, &one, reinterpret_cast<void *>(a.address()),
          layout, reinterpret_cast<void *>(b.address()), layout, &zero,
          reinterpret_cast<void *>(c.address()), layout,
          reinterpret_cast<void *>(c.address()), layout, &chosen.algorithm,
          reinterpret_cast<void *>(workspace.address()), room,
          device.stream()));
    });
    return 2.0 * double(n) * double(n) * double(n) / time;
  }

  Device device;
  const Driver &api;
  double seconds;
  Library library = nullptr;
  Event events[2] = {};
};

} // namespace

int main(int argc, char **argv) {
  try {
    Limits limits(argc > 1 ? std::atoi(argv[1]) : 0,
                  argc > 2 ? std::atof(argv[2]) : 2.0);
    std::printf("%s\n", limits.run().dump(2).c_str());
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gpu_limits: error: %s\n", error.what());
    return 1;
  }
}
