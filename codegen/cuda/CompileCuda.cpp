//===- CompileCuda.cpp - From KRN to cubins and launches ------------------===//

#include "codegen/cuda/CompileCuda.h"

#include "codegen/cuda/CubinInfo.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/kernels/KernelSources.h"
#include "runtime/abi/cuda_abi.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>
#include <unistd.h>

using namespace qcc;
using namespace qcc::cuda;

namespace {

void writeFile(const std::filesystem::path &path, std::string_view bytes) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), std::streamsize(bytes.size()));
  if (!file.flush())
    throw qrt::Error("cannot write the file", path.string());
}

std::string extensionOf(const std::string &architecture) {
  return architecture.starts_with("compute_") ? ".ptx" : ".cubin";
}

/// Writes units and the headers that they include.
void writeSources(const std::filesystem::path &folder,
                  std::span<const KernelUnit> units,
                  const std::vector<HeaderText> &headers) {
  for (const HeaderText &header : headers)
    writeFile(folder / header.name, header.text);
  for (const KernelUnit &unit : units)
    writeFile(folder / (unit.function + ".cu"), unit.source);
}

/// Leaves the log of a unit that NVRTC did not compile beside its source, which
/// is in the folder of --save-temps or, where that is empty, in a new one, and
/// says where.
[[noreturn]] void report(const CompileFailure &failure, const KernelUnit &unit,
                         const std::vector<HeaderText> &headers,
                         std::filesystem::path folder) {
  if (folder.empty()) {
    std::string made =
        (std::filesystem::temp_directory_path() / "qcc-kernel-XXXXXX").string();
    if (!::mkdtemp(made.data()))
      throw failure;
    folder = made;
    writeSources(folder, {&unit, 1}, headers);
  }
  writeFile(folder / (unit.function + ".log"), failure.log);
  throw qrt::Error(failure.what(), "",
                   "its source and the log are " + unit.function + ".cu and " +
                       unit.function + ".log in " + folder.string());
}

/// Compiles every unit; the first failure in their order is thrown.
std::vector<std::vector<char>>
compileUnits(const std::vector<KernelUnit> &units,
             const std::string &architecture,
             const CompileCudaOptions &options) {
  std::shared_ptr<const Nvrtc> nvrtc = Nvrtc::load();
  if (!nvrtc->supports(architecture))
    throw qrt::Error("nvrtc " + nvrtc->version() + " has no target " +
                         architecture,
                     "", "use another version of NVRTC");
  std::vector<HeaderText> headers = kernelSources();
  if (!options.saveTemps.empty())
    writeSources(options.saveTemps, units, headers);
  std::vector<std::vector<char>> images(units.size());
  std::vector<std::exception_ptr> failures(units.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < units.size(); i = next++) {
      try {
        images[i] = nvrtc->compile(units[i].function, units[i].source, headers,
                                   architecture);
        if (!options.saveTemps.empty())
          writeFile(std::filesystem::path(options.saveTemps) /
                        (units[i].function + "." + architecture +
                         extensionOf(architecture)),
                    {images[i].data(), images[i].size()});
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  unsigned threads = options.threads
                         ? options.threads
                         : std::max(1U, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> team;
    for (size_t i = 1; i < std::min<size_t>(threads, units.size()); ++i)
      team.emplace_back(work);
    work();
  }
  for (size_t i = 0; i < units.size(); ++i) {
    try {
      if (failures[i])
        std::rethrow_exception(failures[i]);
    } catch (const CompileFailure &failure) {
      report(failure, units[i], headers, options.saveTemps);
    }
  }
  return images;
}

} // namespace

const std::vector<std::string> &qcc::cudaArchitectures() {
  static const std::vector<std::string> known = {
      "sm_80",  "sm_86",  "sm_89",      "sm_90",
      "sm_100", "sm_120", "compute_80", "compute_90"};
  return known;
}

CudaCode qcc::compileCuda(krn::ProgramOp program,
                          const std::string &architecture,
                          const CompileCudaOptions &options) {
  CudaProgram generated = generateKernels(program, architecture);
  std::vector<std::vector<char>> images =
      compileUnits(generated.units, architecture, options);
  CudaCode code;
  code.kernels = std::make_unique<qrt::fb::KernelsT>();
  code.kernels->target = architecture;
  code.kernels->abi_version = QRT_CUDA_ABI_VERSION;
  for (size_t i = 0; i < images.size(); ++i) {
    auto image = std::make_unique<qrt::fb::ImageT>();
    image->offset = code.bytes.size();
    image->length = images[i].size();
    auto function = std::make_unique<qrt::fb::FunctionT>();
    function->name = generated.units[i].function;
    if (!architecture.starts_with("compute_"))
      for (const CubinFunction &info : readCubin(images[i]))
        if (info.name == function->name) {
          function->registers = info.registers;
          function->local_bytes = info.localBytes;
          function->static_shared = info.staticShared;
        }
    image->functions.push_back(std::move(function));
    code.kernels->images.push_back(std::move(image));
    code.bytes.insert(code.bytes.end(), images[i].begin(), images[i].end());
    code.bytes.resize((code.bytes.size() + 63) / 64 * 64);
  }
  for (CudaProgram::Entry &made : generated.entries) {
    auto entry = std::make_unique<qrt::fb::EntryT>();
    entry->name = made.name;
    entry->max_tokens = made.maxTokens;
    entry->arena_bytes = made.arenaBytes;
    entry->library_bytes = made.libraryBytes;
    for (qrt::fb::LaunchT &launch : made.launches)
      entry->launches.push_back(
          std::make_unique<qrt::fb::LaunchT>(std::move(launch)));
    code.kernels->entries.push_back(std::move(entry));
  }
  if (generated.sampling.threads)
    code.kernels->sampling =
        std::make_unique<qrt::fb::LaunchT>(std::move(generated.sampling));
  code.kernels->notes = std::move(generated.notes);
  return code;
}

std::string qcc::emitCuda(krn::ProgramOp program,
                          const std::string &architecture) {
  std::string text;
  for (const KernelUnit &unit : generateKernels(program, architecture).units)
    text += "//===- " + unit.function + ".cu\n" + unit.source + "\n";
  return text;
}

std::string qcc::emitSass(krn::ProgramOp program,
                          const std::string &architecture,
                          const CompileCudaOptions &options) {
  CudaProgram generated = generateKernels(program, architecture);
  std::vector<std::vector<char>> images =
      compileUnits(generated.units, architecture, options);
  if (architecture.starts_with("compute_")) {
    std::string text;
    for (const std::vector<char> &image : images)
      text += image.data();
    return text;
  }
  const char *tool = std::system("cuobjdump --version >/dev/null 2>&1") == 0
                         ? "cuobjdump -sass "
                     : std::system("nvdisasm --version >/dev/null 2>&1") == 0
                         ? "nvdisasm -c "
                         : nullptr;
  if (!tool)
    throw qrt::Error("--emit sass needs cuobjdump or nvdisasm on the PATH", "",
                     "--save-temps keeps the cubins");
  std::string text;
  auto folder = std::filesystem::temp_directory_path() /
                ("qcc-sass-" + std::to_string(::getpid()));
  struct Remove {
    std::filesystem::path folder;
    ~Remove() {
      std::error_code error;
      std::filesystem::remove_all(folder, error);
    }
  } remove{folder};
  for (size_t i = 0; i < images.size(); ++i) {
    auto file = folder / (generated.units[i].function + ".cubin");
    writeFile(file, {images[i].data(), images[i].size()});
    FILE *pipe = ::popen((tool + file.string()).c_str(), "r");
    if (!pipe)
      throw qrt::Error("cannot run " + std::string(tool));
    char buffer[4096];
    while (size_t n = std::fread(buffer, 1, sizeof(buffer), pipe))
      text.append(buffer, n);
    ::pclose(pipe);
  }
  return text;
}
