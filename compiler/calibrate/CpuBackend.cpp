//===- CpuBackend.cpp - Calibration on the CPU ----------------------------===//

#include "codegen/cpu/CompileCpu.h"
#include "compiler/calibrate/Backend.h"
#include "runtime/artifact/KernelLibrary.h"
#include "runtime/executor/Memory.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Cpu.h"
#include "runtime/support/ThreadTeam.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

using namespace mlir;

namespace qcc {

namespace {

/// Tokens that the kernels take at once.
constexpr int64_t kMaxTokens = 512;

class CpuValue : public KeptValue {
public:
  explicit CpuValue(Activations activations)
      : activations(std::move(activations)) {}
  int64_t columns() const override { return activations.columns(); }

  Activations activations;
};

const Activations &activationsOf(const KeptValue &value) {
  return static_cast<const CpuValue &>(value).activations;
}

class CpuSegment : public CompiledSegment {
public:
  CpuSegment(Value target, ArrayRef<Value> kept, int64_t tokens,
             unsigned threads)
      : CompiledSegment(target, kept, tokens, {/*isCuda=*/false, kMaxTokens}) {
    CompileCpuOptions cpu;
    cpu.threads = threads;
    // f32 products gain nothing from AMX.
    cpu.variants = {
        qrt_cpu_level(std::min<uint32_t>(qrt::cpuLevel(), QRT_CPU_X86_64_V4))};
    std::vector<char> code = compileCpu(segment.program(), cpu);
    kernels = std::make_unique<qrt::KernelLibrary>(
        std::span(reinterpret_cast<const uint8_t *>(code.data()), code.size()));
  }

  std::unique_ptr<qrt::KernelLibrary> kernels;
};

class CpuHessian : public HessianSum {
public:
  explicit CpuHessian(int64_t columns) : hessian(columns) {}
  void scale(double factor) override { hessian.scale(factor); }

  Hessian hessian;
};

class CpuFactor : public FactoredHessian {
public:
  explicit CpuFactor(GptqFactor factor) : held(std::move(factor)) {}
  const GptqFactor &factor() const override { return held; }

private:
  GptqFactor held;
};

class CpuBackend : public CalibrationBackend {
public:
  CpuBackend(const CalibrationTokens &tokens, unsigned threads,
             const std::atomic<bool> *cancelled, const std::string &folder,
             uint64_t activationMemory)
      : CalibrationBackend(tokens, threads, cancelled), team(threads),
        store(folder, activationMemory) {}

  std::unique_ptr<CompiledSegment> compile(Value target,
                                           ArrayRef<Value> kept) override {
    return std::make_unique<CpuSegment>(target, kept, tokens.count(), threads);
  }

  bool keeps(const Segment &) const override { return true; }
  std::unique_ptr<KeptValue> makeValue(int64_t columns) override {
    return std::make_unique<CpuValue>(store.make(tokens.count(), columns));
  }
  std::unique_ptr<KeptValue> copy(const KeptValue &value) override {
    const Activations &from = activationsOf(value);
    Activations to = store.make(tokens.count(), from.columns());
    std::copy_n(from.data(), tokens.count() * from.columns(), to.data());
    return std::make_unique<CpuValue>(std::move(to));
  }
  // Threads of a step are not all in the same phase.
  bool runsInPlace() const override { return false; }
  bool storesActivations() const override { return true; }
  const Activations *stored(const KeptValue &value) const override {
    return &activationsOf(value);
  }

  void run(CompiledSegment &segment, const SegmentInputs &inputs,
           KeptValue *output, HessianSum *hessian) override;

  std::unique_ptr<HessianSum> makeHessian(int64_t columns) override {
    return std::make_unique<CpuHessian>(columns);
  }
  void add(HessianSum &hessian, const KeptValue &value) override;
  std::unique_ptr<FactoredHessian> factor(const HessianSum &hessian,
                                          int64_t groupSize,
                                          const GptqOptions &options) override {
    return std::make_unique<CpuFactor>(factorHessian(
        static_cast<const CpuHessian &>(hessian).hessian, groupSize, options));
  }
  std::span<float> weightRoom(int64_t elements) override {
    // Kept from weight to weight: fresh memory would have to be cleared.
    w.resize(std::max(w.size(), size_t(elements)));
    return {w.data(), size_t(elements)};
  }
  GptqResult quantize(const float *w, int64_t rows, int64_t columns,
                      const qrt::Format &format, const FactoredHessian &factor,
                      const GptqOptions &options) override {
    return quantizeGptq(w, rows, columns, format, factor.factor(), options);
  }

private:
  qrt::ThreadTeam team;
  ActivationStore store;
  std::vector<float> w; ///< weightRoom()'s
};

void CpuBackend::run(CompiledSegment &compiled, const SegmentInputs &inputs,
                     KeptValue *output, HessianSum *hessian) {
  auto &code = static_cast<CpuSegment &>(compiled);
  Segment &segment = code.segment;
  const Activations &to = activationsOf(*output);
  std::map<std::string, qrt::Memory> tensors;
  std::optional<CalibrationClock> clock(std::in_place, times,
                                        &CalibrationTimes::weights);
  WeightStreamOptions stream;
  stream.threads = threads;
  stream.cancelled = cancelled;
  segment.streamTensors(
      inputs.resolve, inputs.read, stream, [&](const StreamedTensor &tensor) {
        qrt::Memory bytes(tensor.data.size(), "a layer's weights", true);
        std::copy(tensor.data.begin(), tensor.data.end(), bytes.data());
        tensors.emplace(tensor.name, std::move(bytes));
      });
  clock.reset();
  std::vector<const void *> pointers;
  for (const Segment::Slot &slot : segment.slots())
    pointers.push_back(
        slot.table >= 0
            ? activationsOf(
                  *inputs.kept.find(segment.inputs()[size_t(slot.table)])
                       ->second)
                  .data()
            : static_cast<const void *>(tensors.at(slot.tensor).data()));

  const qrt_variant &variant = code.kernels->variant(qrt::cpuLevel());
  const qrt_entry &entry = variant.entries[0];
  qrt::Memory arena(
      std::max<uint64_t>(64,
                         entry.arena_bytes + team.size() * entry.scratch_bytes),
      "the kernels' working memory", true);
  auto capacity = uint32_t((tokens.length + 15) / 16 * 16);
  uint64_t cacheBytes =
      (capacity * code.kernels->table().kv_bytes_per_token + 63) / 64 * 64;
  qrt::Memory caches(
      std::max<uint64_t>(64, uint64_t(sequencesAtOnce(tokens, kMaxTokens)) *
                                 cacheBytes),
      "the calibration's KV cache", false);

  std::vector<int32_t> rows(kMaxTokens);
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<qrt_sequence> sequences;
  forEachStep(
      tokens, kMaxTokens, segment.readsIds(), [&](const SegmentStep &part) {
        qrt::throwIfCancelled(cancelled);
        sequences.clear();
        for (const SegmentStep::Sequence &s : part.sequences)
          sequences.push_back({uint32_t(s.first), uint32_t(s.tokens),
                               uint32_t(s.past), capacity,
                               caches.data() + uint64_t(s.cache) * cacheBytes});
        qrt_step step = {};
        step.struct_size = sizeof(step);
        step.threads = team.size();
        step.tokens = uint32_t(part.ids.size());
        step.sequence_count = uint32_t(sequences.size());
        step.logit_count = step.tokens;
        step.token_ids = part.ids.data();
        step.positions = part.positions.data();
        step.sequences = sequences.data();
        step.logit_rows = rows.data();
        step.logits = to.data() + part.firstRow * to.columns();
        step.weights = pointers.data();
        step.arena = arena.data();
        step.barrier = [](void *barrier, uint32_t) {
          static_cast<qrt::SpinBarrier *>(barrier)->wait();
        };
        step.barrier_context = &team.barrier();
        team.run([&](uint32_t thread) { entry.run(&step, thread); });
      });
  if (hessian)
    add(*hessian, *output);
}

void CpuBackend::add(HessianSum &hessian, const KeptValue &value) {
  CalibrationClock clock(times, &CalibrationTimes::hessians);
  const Activations &x = activationsOf(value);
  constexpr int64_t kRows = 4096;
  for (int64_t first = 0; first < tokens.count(); first += kRows) {
    qrt::throwIfCancelled(cancelled);
    static_cast<CpuHessian &>(hessian).hessian.add(
        x.data() + first * x.columns(), std::min(kRows, tokens.count() - first),
        threads);
  }
}

} // namespace

std::unique_ptr<CalibrationBackend>
makeCpuBackend(const CalibrationTokens &tokens, unsigned threads,
               const std::atomic<bool> *cancelled, const std::string &folder,
               uint64_t activationMemory) {
  return std::make_unique<CpuBackend>(tokens, threads, cancelled, folder,
                                      activationMemory);
}

} // namespace qcc
