//===- Nvrtc.cpp - NVIDIA's run-time compiler, loaded when needed ---------===//

#include "codegen/cuda/Nvrtc.h"

#include "codegen/cuda/ToolkitLibrary.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

using qrt::Error;

namespace qcc::cuda {
namespace {

// What NVRTC's documentation says; there is no header of it here.
using Program = struct OpaqueProgram *;
using Result = int;

class LoadedNvrtc : public Nvrtc {
public:
  explicit LoadedNvrtc(void *handle) : handle(handle) {
    resolve(createProgram, "nvrtcCreateProgram");
    resolve(destroyProgram, "nvrtcDestroyProgram");
    resolve(compileProgram, "nvrtcCompileProgram");
    resolve(logSize, "nvrtcGetProgramLogSize");
    resolve(log, "nvrtcGetProgramLog");
    resolve(cubinSize, "nvrtcGetCUBINSize");
    resolve(cubin, "nvrtcGetCUBIN");
    resolve(ptxSize, "nvrtcGetPTXSize");
    resolve(ptx, "nvrtcGetPTX");
    resolve(errorString, "nvrtcGetErrorString");
    resolve(getVersion, "nvrtcVersion");
    resolve(archCount, "nvrtcGetNumSupportedArchs");
    resolve(archs, "nvrtcGetSupportedArchs");
  }
  // The library stays in the process: it holds memory that only it can reach.

  std::string version() const override {
    int major = 0, minor = 0;
    getVersion(&major, &minor);
    return std::to_string(major) + "." + std::to_string(minor);
  }

  bool supports(const std::string &architecture) const override {
    int count = 0;
    if (archCount(&count) || count <= 0)
      return false;
    std::vector<int> known(static_cast<size_t>(count));
    if (archs(known.data()))
      return false;
    std::string number = architecture.substr(architecture.find('_') + 1);
    return std::ranges::any_of(
        known, [&](int arch) { return std::to_string(arch) == number; });
  }

  std::vector<char> compile(const std::string &name, const std::string &source,
                            const std::vector<HeaderText> &headers,
                            const std::string &architecture) const override {
    std::vector<const char *> texts, names;
    for (const HeaderText &header : headers) {
      texts.push_back(header.text);
      names.push_back(header.name);
    }
    Program program = nullptr;
    check(createProgram(&program, source.c_str(), (name + ".cu").c_str(),
                        int(headers.size()), texts.data(), names.data()),
          "cannot read kernel " + name);
    struct Destroy {
      const LoadedNvrtc &nvrtc;
      Program &program;
      ~Destroy() { nvrtc.destroyProgram(&program); }
    } destroy{*this, program};
    // Kernels for sm_90 use wgmma, which only its own code may.
    std::string arch = "--gpu-architecture=" + architecture +
                       (architecture == "sm_90" ? "a" : "");
    const char *options[] = {arch.c_str(), "--std=c++17", "-default-device",
                             "-w"};
    if (Result result = compileProgram(program, 4, options)) {
      size_t size = 0;
      std::string text;
      if (!logSize(program, &size) && size > 1) {
        text.resize(size);
        log(program, text.data());
      }
      text.resize(std::strlen(text.c_str())); // not its final zero
      throw CompileFailure("nvrtc " + version() + " cannot compile kernel " +
                               name + " for " + architecture + ": " +
                               firstError(text, result),
                           text);
    }
    bool isPtx = architecture.starts_with("compute_");
    size_t size = 0;
    check((isPtx ? ptxSize : cubinSize)(program, &size),
          "kernel " + name + " has no code");
    std::vector<char> code(size);
    check((isPtx ? ptx : cubin)(program, code.data()),
          "kernel " + name + " has no code");
    return code;
  }

private:
  std::string firstError(const std::string &text, Result result) const {
    size_t at = text.find("error");
    if (at == std::string::npos)
      return errorString(result);
    size_t begin = text.rfind('\n', at);
    begin = begin == std::string::npos ? 0 : begin + 1;
    return text.substr(begin, text.find('\n', at) - begin);
  }

  void check(Result result, const std::string &what) const {
    if (result)
      throw Error(what + ": " + errorString(result));
  }

  template <typename Function>
  void resolve(Function &function, const char *name) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    if (!function)
      throw Error(std::string("the nvrtc library has no function ") + name);
  }

  void *handle;
  Result (*createProgram)(Program *, const char *, const char *, int,
                          const char *const *, const char *const *);
  Result (*destroyProgram)(Program *);
  Result (*compileProgram)(Program, int, const char *const *);
  Result (*logSize)(Program, size_t *);
  Result (*log)(Program, char *);
  Result (*cubinSize)(Program, size_t *);
  Result (*cubin)(Program, char *);
  Result (*ptxSize)(Program, size_t *);
  Result (*ptx)(Program, char *);
  const char *(*errorString)(Result);
  Result (*getVersion)(int *, int *);
  Result (*archCount)(int *);
  Result (*archs)(int *);
};

} // namespace

std::shared_ptr<const Nvrtc> Nvrtc::load() {
  const char *file = std::getenv("QCC_NVRTC");
  const int flags = RTLD_NOW | RTLD_LOCAL;
  if (void *handle = file
                         ? ::dlopen(file, flags)
                         : openToolkitLibrary({"libnvrtc.so.13",
                                               "libnvrtc.so.12", "libnvrtc.so"},
                                              "cuda_nvrtc", flags))
    return std::make_shared<LoadedNvrtc>(handle);
  throw Error("a CUDA target needs NVRTC, which is neither installed with the "
              "CUDA toolkit nor as the Python package nvidia-cuda-nvrtc",
              file ? file : "", "set QCC_NVRTC to the file libnvrtc.so");
}

std::shared_ptr<const Nvrtc> Nvrtc::tryLoad() {
  try {
    return load();
  } catch (const Error &) {
    return nullptr;
  }
}

} // namespace qcc::cuda
