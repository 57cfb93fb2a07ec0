//===- LoadedKernels.cpp - Loads and runs what compileCpu() makes ---------===//

#include "LoadedKernels.h"

#include "runtime/support/ThreadTeam.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

using namespace qcc::test;

AlignedBytes::AlignedBytes(size_t size, uint8_t fill)
    : storage(size + 64, fill), length(size) {
  auto address = reinterpret_cast<uintptr_t>(storage.data());
  start = storage.data() + (64 - address % 64) % 64;
}

LoadedKernels::LoadedKernels(const std::vector<char> &object) {
  int file = memfd_create("kernels", MFD_CLOEXEC);
  if (file < 0 ||
      write(file, object.data(), object.size()) != ssize_t(object.size()))
    throw std::runtime_error("no file in memory");
  std::string path = "/proc/self/fd/" + std::to_string(file);
  handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  if (!handle)
    throw std::runtime_error(dlerror());
  kernels = static_cast<const qrt_kernel_table_t *>(
      dlsym(handle, QRT_KERNEL_TABLE_SYMBOL));
  if (!kernels)
    throw std::runtime_error("no " QRT_KERNEL_TABLE_SYMBOL);
}

LoadedKernels::~LoadedKernels() {
  if (handle)
    dlclose(handle);
}

const qrt_entry &LoadedKernels::entry(uint32_t level,
                                      const std::string &name) const {
  for (uint32_t v = 0; v < kernels->variant_count; ++v) {
    const qrt_variant &variant = kernels->variants[v];
    for (uint32_t e = 0; e < variant.entry_count; ++e)
      if (variant.cpu_level == level && variant.entries[e].name == name)
        return variant.entries[e];
  }
  throw std::runtime_error("no entry " + name);
}

std::vector<float>
qcc::test::runStep(const qrt_kernel_table_t &table, const qrt_entry &entry,
                   uint32_t threads, const std::vector<StepSequence> &sequences,
                   const std::vector<int32_t> &logitRows,
                   const std::vector<const void *> &weights) {
  std::vector<int32_t> ids, positions;
  std::vector<qrt_sequence> rows;
  for (const StepSequence &sequence : sequences) {
    rows.push_back({uint32_t(ids.size()), uint32_t(sequence.tokens.size()),
                    sequence.past, sequence.capacity, sequence.kv});
    for (int32_t id : sequence.tokens) {
      positions.push_back(
          int32_t(sequence.past + ids.size() - rows.back().first_token));
      ids.push_back(id);
    }
  }
  constexpr size_t kGuard = 4096;
  constexpr uint8_t kNaN = 0xff;
  size_t room = entry.arena_bytes + threads * entry.scratch_bytes;
  AlignedBytes arena(room + kGuard, kNaN);
  std::vector<float> logits(logitRows.size() * table.vocabulary);
  qrt::ThreadTeam team(threads);

  qrt_step step = {};
  step.struct_size = sizeof step;
  step.threads = threads;
  step.tokens = uint32_t(ids.size());
  step.sequence_count = uint32_t(rows.size());
  step.logit_count = uint32_t(logitRows.size());
  step.token_ids = ids.data();
  step.positions = positions.data();
  step.sequences = rows.data();
  step.logit_rows = logitRows.data();
  step.logits = logits.data();
  step.weights = weights.data();
  step.arena = reinterpret_cast<char *>(arena.data());
  step.barrier = [](void *barrier, uint32_t) {
    static_cast<qrt::SpinBarrier *>(barrier)->wait();
  };
  step.barrier_context = &team.barrier();
  team.run([&](uint32_t thread) { entry.run(&step, thread); });

  const uint8_t *guard = arena.data() + room;
  if (std::any_of(guard, guard + kGuard,
                  [](uint8_t byte) { return byte != kNaN; }))
    throw std::runtime_error("wrote past the scratch");
  return logits;
}
