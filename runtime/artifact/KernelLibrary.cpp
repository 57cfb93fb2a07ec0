//===- KernelLibrary.cpp - The compiled kernels of an artifact ------------===//

#include "runtime/artifact/KernelLibrary.h"

#include "runtime/support/Cpu.h"
#include "runtime/support/Error.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace qrt {

/// Loads a shared object from memory: an anonymous file that dlopen can name.
/// The file stays open in `fd` for as long as the object is loaded: dlopen
/// takes a second object of the same name for the first.
static void *loadFromMemory(std::span<const uint8_t> code,
                            const std::string &path, int &fd) {
  if (code.size() < sizeof(Elf64_Ehdr) ||
      std::memcmp(code.data(), ELFMAG, SELFMAG) != 0)
    throw Error("the kernels are no ELF object", path);
  fd = ::memfd_create("qrt-kernels", MFD_CLOEXEC);
  if (fd < 0)
    throw Error(std::string("cannot make an anonymous file: ") +
                    std::strerror(errno),
                path);
  size_t done = 0;
  while (done < code.size()) {
    ssize_t n = ::write(fd, code.data() + done, code.size() - done);
    if (n <= 0)
      throw Error(std::string("cannot copy the kernels: ") +
                      std::strerror(errno),
                  path);
    done += size_t(n);
  }
  std::string name = "/proc/self/fd/" + std::to_string(fd);
  void *handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    throw Error(std::string("cannot load the kernels: ") + ::dlerror(), path);
  return handle;
}

/// What the manifest says about the entries must hold for every variant: tools
/// show it, and a difference means that the parts are not of one compilation.
static void checkEntries(const fb::Kernels &described,
                         const qrt_kernel_table_t &table,
                         const std::string &path) {
  auto refuse = [&](const std::string &what) {
    throw Error("damaged artifact: the kernels have " + what, path);
  };
  constexpr uint32_t mostVariants = 64;
  if (table.variant_count == 0 || table.variant_count > mostVariants ||
      !table.variants)
    refuse(std::to_string(table.variant_count) + " variants");
  for (uint32_t v = 0; v < table.variant_count; ++v) {
    const qrt_variant &variant = table.variants[v];
    if (v > 0 && variant.cpu_level <= table.variants[v - 1].cpu_level)
      refuse("variants that do not ascend");
    if (variant.entry_count != described.entries()->size() || !variant.entries)
      refuse(std::to_string(variant.entry_count) +
             " entries where the manifest says " +
             std::to_string(described.entries()->size()));
    for (uint32_t i = 0; i < variant.entry_count; ++i) {
      const qrt_entry &entry = variant.entries[i];
      const fb::Entry &expected = *described.entries()->Get(i);
      if (entry.max_tokens != expected.max_tokens() ||
          entry.arena_bytes != expected.arena_bytes() ||
          entry.scratch_bytes != expected.scratch_bytes())
        refuse("another entry than the manifest's entries[" +
               std::to_string(i) + "]");
    }
  }
}

void KernelLibrary::load(std::span<const uint8_t> code) {
  object.handle = loadFromMemory(code, path, object.fd);
  kernels = static_cast<const qrt_kernel_table_t *>(
      ::dlsym(object.handle, QRT_KERNEL_TABLE_SYMBOL));
  if (!kernels || kernels->abi_version != QRT_KERNEL_ABI_VERSION)
    throw Error("damaged artifact: the kernels have no table of this version",
                path);
}

KernelLibrary::KernelLibrary(std::span<const uint8_t> code) { load(code); }

KernelLibrary::KernelLibrary(const Artifact &artifact) : path(artifact.path()) {
  const fb::Kernels *cpu = artifact.kernels("cpu");
  if (!cpu)
    throw Error("the artifact has no kernels for the CPU", path,
                "compile it with --target cpu");
  if (cpu->abi_version() != QRT_KERNEL_ABI_VERSION)
    throw Error("the kernels are for version " +
                    std::to_string(cpu->abi_version()) +
                    " of the kernel ABI, this is version " +
                    std::to_string(QRT_KERNEL_ABI_VERSION),
                path, "compile the model again");
  load(artifact.bytes(*cpu->code()));
  auto refuse = [&](const char *why) {
    throw Error(std::string("damaged artifact: the kernels ") + why, path);
  };
  if (kernels->weight_count > artifact.manifest().tensors()->size())
    refuse("read more tensors than there are");
  if (kernels->vocabulary != artifact.model().vocabulary())
    refuse("have another vocabulary than the manifest");
  if (kernels->kv_bytes_per_token != artifact.manifest().kv_bytes_per_token())
    refuse("have another KV cache than the manifest");
  checkEntries(*cpu, *kernels, path);
}

KernelLibrary::Object::~Object() {
  if (handle)
    ::dlclose(handle);
  if (fd >= 0)
    ::close(fd);
}

const qrt_variant &KernelLibrary::variant(uint32_t level) const {
  const qrt_variant *best = nullptr;
  for (uint32_t i = 0; i < kernels->variant_count; ++i)
    if (kernels->variants[i].cpu_level <= level)
      best = &kernels->variants[i];
  if (!best || best->entry_count == 0)
    throw Error("the artifact has no kernels for " +
                    std::string(cpuLevelName(level)),
                path);
  return *best;
}

} // namespace qrt
