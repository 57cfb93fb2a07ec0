//===- CudaBackend.cpp - Calibration on a GPU -----------------------------===//
//
// Segments run on the kernels that codegen/cuda generates for prompts, in f16
// with f32 sums; Hessians, factors and codes come from CudaGptq. Everything is
// on the device's one stream.
//
//===----------------------------------------------------------------------===//

#include "codegen/cuda/CompileCuda.h"
#include "codegen/cuda/DetectTargets.h"
#include "compiler/calibrate/Backend.h"
#include "compiler/quantize/cuda/CudaGptq.h"
#include "runtime/executor/cuda/Architecture.h"
#include "runtime/executor/cuda/Launches.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Error.h"

#include "flatbuffers/flatbuffers.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

using namespace mlir;
using namespace qrt::cuda;
using qrt::Error;
namespace fb = qrt::fb;

namespace qcc {

namespace {

/// Tokens that the kernels take at once.
constexpr int64_t kMaxTokens = 4096;
/// Bytes of activations unless told otherwise: what else a layer of a 7B model
/// needs fits beside them on a card of 20 GB.
constexpr uint64_t kActivationMemory = uint64_t(14) << 30;

class CudaValue : public KeptValue {
public:
  CudaValue(const Device &device, int64_t tokens, int64_t columns,
            uint64_t &inUse)
      : memory(device, uint64_t(tokens * columns) * sizeof(float),
               "activations",
               "fewer or shorter samples, or a lower --calibration-memory, "
               "would fit"),
        width(columns), inUse(inUse) {
    inUse += memory.size();
  }
  ~CudaValue() override { inUse -= memory.size(); }
  int64_t columns() const override { return width; }
  DevicePointer row(int64_t index) const {
    return memory.address() + uint64_t(index * width) * sizeof(float);
  }
  uint64_t bytes() const { return memory.size(); }

private:
  Buffer memory;
  int64_t width;
  uint64_t &inUse;
};

const CudaValue &valueOf(const KeptValue &value) {
  return static_cast<const CudaValue &>(value);
}

class CudaSegment : public CompiledSegment {
public:
  CudaSegment(Value target, ArrayRef<Value> kept, int64_t tokens,
              const Device &device, const std::string &architecture,
              unsigned threads)
      : CompiledSegment(target, kept, tokens, {/*isCuda=*/true, kMaxTokens}),
        overlaps(architectureOf(architecture) >= 90) {
    CompileCudaOptions options;
    options.threads = threads;
    krn::ProgramOp program = segment.program();
    CudaCode code = compileCuda(program, architecture, options);
    description.Finish(fb::Kernels::Pack(description, code.kernels.get()));
    const auto *kernels =
        flatbuffers::GetRoot<fb::Kernels>(description.GetBufferPointer());
    images = Images(device, *kernels,
                    {reinterpret_cast<const uint8_t *>(code.bytes.data()),
                     code.bytes.size()});
    const fb::Entry &entry = *kernels->entries()->Get(0);
    auto planned = *program.getOps<krn::EntryOp>().begin();
    arenaBytes =
        std::max<uint64_t>(uint64_t(planned.getArena()), entry.arena_bytes());
    kvBytesPerToken = uint64_t(program.getKvBytes());
    for (const fb::Launch *launch : *entry.launches()) {
      if (!isTaken(*launch, kMaxTokens, /*hasLibrary=*/false))
        continue;
      launches.push_back(*makeLaunch(device, *launch, images));
      counterBytes = std::max(counterBytes, uint64_t(launch->counters()) * 4);
      partialBytes =
          std::max(partialBytes, launch->partial_bytes() *
                                     launches.back().partialBlocks(device));
    }
  }

  flatbuffers::FlatBufferBuilder description; ///< what launches point into
  Images images;
  std::vector<Launch> launches;
  uint64_t arenaBytes = 0, counterBytes = 0, partialBytes = 0,
           kvBytesPerToken = 0;
  const bool overlaps; ///< launches wait by themselves
};

class CudaHessianSum : public HessianSum {
public:
  CudaHessianSum(CudaGptq &gptq, int64_t columns) : hessian(gptq, columns) {}
  void scale(double factor) override { hessian.scale(factor); }

  CudaHessian hessian;
};

class CudaFactored : public FactoredHessian {
public:
  explicit CudaFactored(CudaGptqFactor factor) : held(std::move(factor)) {}
  const GptqFactor &factor() const override { return held.host; }

  CudaGptqFactor held;
};

/// One run of a segment: its memory and the steps it is made of.
class SegmentRun {
public:
  SegmentRun(const Device &device, const CalibrationTokens &tokens,
             CudaSegment &code, const SegmentInputs &inputs,
             const WeightStreamOptions &stream);

  /// Puts a step on the stream; the result goes to `output`.
  void enqueueStep(const SegmentStep &part, DevicePointer output);

private:
  static constexpr uint64_t kAlignment = 256;
  Buffer cleared(uint64_t bytes, const char *what) const {
    Buffer buffer(device, std::max(bytes, kAlignment), what);
    device.driver().check(device.driver().fill(buffer.address(), 0,
                                               buffer.size(), device.stream()),
                          "cannot clear memory");
    return buffer;
  }

  const Device &device;
  CudaSegment &code;
  int64_t length;
  std::vector<DevicePointer> weights; ///< by the program's index
  std::map<std::string, Buffer> tensors;
  Buffer arena, counters, partials, caches, step;
  PinnedBuffer image;
  uint32_t capacity;
  uint64_t cacheBytes;
};

SegmentRun::SegmentRun(const Device &device, const CalibrationTokens &tokens,
                       CudaSegment &code, const SegmentInputs &inputs,
                       const WeightStreamOptions &stream)
    : device(device), code(code), length(tokens.length) {
  Segment &segment = code.segment;
  segment.streamTensors(
      inputs.resolve, inputs.read, stream, [&](const StreamedTensor &tensor) {
        device.use(); // on a thread of the stream's own
        Buffer buffer(device, tensor.data.size(), "a layer's weights");
        device.driver().check(
            device.driver().copyToDevice(buffer.address(), tensor.data.data(),
                                         tensor.data.size(), device.stream()),
            "cannot copy weights");
        device.driver().check(device.driver().synchronize(device.stream()),
                              "copying weights failed");
        tensors.emplace(tensor.name, std::move(buffer));
      });
  for (const Segment::Slot &slot : segment.slots())
    weights.push_back(
        slot.table >= 0
            ? valueOf(*inputs.kept.find(segment.inputs()[size_t(slot.table)])
                           ->second)
                  .row(0)
            : tensors.at(slot.tensor).address());
  // Staged rows that no token fills are multiplied, and masked positions are
  // read: neither may be infinite.
  arena = cleared(code.arenaBytes, "working memory");
  counters = cleared(code.counterBytes, "counters");
  partials = cleared(code.partialBytes, "partial sums");
  constexpr uint32_t multiple = QRT_CUDA_KV_MULTIPLE;
  capacity = uint32_t((length + multiple - 1) / multiple * multiple);
  cacheBytes = (capacity * code.kvBytesPerToken + kAlignment - 1) / kAlignment *
               kAlignment;
  caches = cleared(uint64_t(sequencesAtOnce(tokens, kMaxTokens)) * cacheBytes,
                   "the calibration's KV cache");
  uint64_t room =
      sizeof(qrt_cuda_step) + kAlignment +
      kMaxTokens * (4 * sizeof(int32_t) + sizeof(qrt_cuda_sequence));
  step = cleared(room, "a step");
  image = PinnedBuffer(device, room);
}

void SegmentRun::enqueueStep(const SegmentStep &part, DevicePointer output) {
  const Driver &driver = device.driver();
  // The step in front has been read.
  driver.check(driver.synchronize(device.stream()), "a step failed");
  uint64_t at = sizeof(qrt_cuda_step);
  auto table = [&]<typename T>(T, uint64_t count) {
    at = (at + 15) / 16 * 16;
    auto *here = reinterpret_cast<T *>(image.data() + at);
    uint64_t address = step.address() + at;
    at += count * sizeof(T);
    return std::pair(here, address);
  };
  uint64_t count = part.ids.size();
  qrt_cuda_step head = {};
  head.tokens = head.logit_count = uint32_t(count);
  head.sequence_count = uint32_t(part.sequences.size());
  head.logits = output;
  auto [sequences, sequencesAt] =
      table(qrt_cuda_sequence(), part.sequences.size());
  auto [ids, idsAt] = table(int32_t(), count);
  auto [positions, positionsAt] = table(int32_t(), count);
  auto [owners, ownersAt] = table(uint32_t(), count);
  auto [rows, rowsAt] = table(int32_t(), count);
  head.sequences = sequencesAt;
  head.token_ids = idsAt;
  head.positions = positionsAt;
  head.token_sequence = ownersAt;
  head.logit_rows = rowsAt;
  std::copy(part.ids.begin(), part.ids.end(), ids);
  std::copy(part.positions.begin(), part.positions.end(), positions);
  std::iota(rows, rows + count, 0);
  for (size_t i = 0; i < part.sequences.size(); ++i) {
    const SegmentStep::Sequence &s = part.sequences[i];
    sequences[i] = {uint32_t(s.first),
                    uint32_t(s.tokens),
                    uint32_t(s.past),
                    capacity,
                    caches.address() + uint64_t(s.cache) * cacheBytes,
                    uint32_t(length),
                    0};
    std::fill_n(owners + s.first, s.tokens, uint32_t(i));
  }
  std::memcpy(image.data(), &head, sizeof(head));
  driver.check(
      driver.copyToDevice(step.address(), image.data(), at, device.stream()),
      "cannot send a step");
  const uint64_t stepAddress = step.address();
  bool isFirst = true;
  // Nothing else: segments have no persistent kernels.
  const OperandPlaces places = {.arena = arena.address(),
                                .counters = counters.address(),
                                .partials = partials.address(),
                                .logits = output,
                                .tensors = weights};
  for (Launch &launch : code.launches) {
    resolveOperands(launch, places);
    enqueue(device, launch, head.tokens, head.logit_count, &stepAddress,
            code.overlaps && !isFirst);
    isFirst = false;
  }
}

class CudaBackend : public CalibrationBackend {
public:
  CudaBackend(const CalibrationTokens &tokens, unsigned threads,
              const std::atomic<bool> *cancelled, int gpu,
              std::optional<uint64_t> memory)
      : CalibrationBackend(tokens, threads, cancelled), device(gpu),
        gptq(device), architecture(cudaTargetOf(gpu)) {
    device.use();
    activationMemory =
        memory.value_or(std::min(kActivationMemory, device.freeBytes() / 2));
  }
  ~CudaBackend() override { device.tryUse(); }

  std::unique_ptr<CompiledSegment> compile(Value target,
                                           ArrayRef<Value> kept) override {
    device.use();
    try {
      return std::make_unique<CudaSegment>(target, kept, tokens.count(), device,
                                           architecture, threads);
    } catch (const Error &error) {
      throw Error(error.what(), "", "use --calibration-device cpu",
                  error.kind());
    }
  }

  bool keeps(const Segment &segment) const override {
    uint64_t bytes = uint64_t(tokens.count() * segment.columns()) * 4;
    return segment.isCostly() && inUse + bytes <= activationMemory;
  }
  std::unique_ptr<KeptValue> makeValue(int64_t columns) override {
    device.use();
    return std::make_unique<CudaValue>(device, tokens.count(), columns, inUse);
  }
  std::unique_ptr<KeptValue> copy(const KeptValue &value) override {
    std::unique_ptr<KeptValue> made = makeValue(value.columns());
    device.driver().check(device.driver().copyOnDevice(
                              valueOf(*made).row(0), valueOf(value).row(0),
                              valueOf(value).bytes(), device.stream()),
                          "cannot copy activations");
    return made;
  }
  // A step reads the rows of its own tokens alone, before it writes them.
  bool runsInPlace() const override { return true; }
  bool storesActivations() const override { return false; }
  const Activations *stored(const KeptValue &) const override {
    return nullptr;
  }

  void run(CompiledSegment &segment, const SegmentInputs &inputs,
           KeptValue *output, HessianSum *hessian) override;

  std::unique_ptr<HessianSum> makeHessian(int64_t columns) override {
    device.use();
    return std::make_unique<CudaHessianSum>(gptq, columns);
  }
  void add(HessianSum &hessian, const KeptValue &value) override;
  std::unique_ptr<FactoredHessian> factor(const HessianSum &hessian,
                                          int64_t groupSize,
                                          const GptqOptions &options) override {
    device.use();
    return std::make_unique<CudaFactored>(factorHessian(
        gptq, static_cast<const CudaHessianSum &>(hessian).hessian, groupSize,
        options));
  }
  std::span<float> weightRoom(int64_t elements) override {
    device.use();
    uint64_t bytes = uint64_t(elements) * sizeof(float);
    return {reinterpret_cast<float *>(gptq.copies().room(bytes).data()),
            size_t(elements)};
  }
  GptqResult quantize(const float *w, int64_t rows, int64_t columns,
                      const qrt::Format &format, const FactoredHessian &factor,
                      const GptqOptions &options) override {
    device.use();
    return quantizeGptq(gptq, w, rows, columns, format,
                        static_cast<const CudaFactored &>(factor).held,
                        options);
  }

private:
  void synchronize() const {
    device.driver().check(device.driver().synchronize(device.stream()),
                          "calibration failed");
  }
  /// Rows [tokens][columns] from `x` on; ends with an idle stream.
  void addRows(HessianSum &hessian, DevicePointer x, int64_t rows) {
    synchronize();
    CalibrationClock clock(times, &CalibrationTimes::hessians);
    static_cast<CudaHessianSum &>(hessian).hessian.add(x, rows);
    synchronize();
  }

  Device device;
  CudaGptq gptq;
  const std::string architecture;
  PinnedBuffer packed[2]; ///< where weights of segments are packed
  uint64_t activationMemory;
  uint64_t inUse = 0;
};

void CudaBackend::run(CompiledSegment &compiled, const SegmentInputs &inputs,
                      KeptValue *output, HessianSum *hessian) {
  device.use();
  gptq.releaseWorkspace();
  auto &code = static_cast<CudaSegment &>(compiled);
  std::optional<CalibrationClock> clock(std::in_place, times,
                                        &CalibrationTimes::weights);
  WeightStreamOptions stream;
  stream.threads = threads;
  stream.cancelled = cancelled;
  stream.room = [&](int turn, uint64_t bytes) {
    std::span<char> room = cuda::reserve(packed[turn], device, bytes);
    return std::span(reinterpret_cast<uint8_t *>(room.data()), room.size());
  };
  SegmentRun run(device, tokens, code, inputs, stream);
  clock.reset();
  Buffer scratch;
  int64_t columns = code.segment.columns();
  if (!output)
    scratch = Buffer(device, uint64_t(kMaxTokens * columns) * sizeof(float),
                     "activations of a step");
  forEachStep(tokens, kMaxTokens, code.segment.readsIds(),
              [&](const SegmentStep &part) {
                qrt::throwIfCancelled(cancelled);
                DevicePointer to = output ? valueOf(*output).row(part.firstRow)
                                          : scratch.address();
                run.enqueueStep(part, to);
                if (hessian)
                  addRows(*hessian, to, int64_t(part.ids.size()));
              });
  synchronize();
}

void CudaBackend::add(HessianSum &hessian, const KeptValue &value) {
  device.use();
  for (int64_t first = 0; first < tokens.count(); first += kMaxTokens) {
    qrt::throwIfCancelled(cancelled);
    addRows(hessian, valueOf(value).row(first),
            std::min(kMaxTokens, tokens.count() - first));
  }
}

} // namespace

std::unique_ptr<CalibrationBackend>
makeCudaBackend(const CalibrationTokens &tokens, unsigned threads,
                const std::atomic<bool> *cancelled, int gpu,
                std::optional<uint64_t> activationMemory) {
  return std::make_unique<CudaBackend>(tokens, threads, cancelled, gpu,
                                       activationMemory);
}

} // namespace qcc
