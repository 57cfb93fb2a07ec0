//===- WeightStream.cpp - Executes @weights -------------------------------===//

#include "compiler/weights/WeightStream.h"

#include "compiler/quantize/Parallel.h"
#include "dialects/QNT/QNT.h"
#include "runtime/formats/HalfFloat.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <vector>

using namespace mlir;
using qrt::Code;
using qrt::Format;

namespace qcc {
namespace {

/// Elements of a stripe: enough to make threads worth their while, few enough
/// to stay in a core's cache.
constexpr int64_t kStripeElements = 1 << 18;

/// Packs stripes of one source.
class TensorPacker {
public:
  /// Finds where everything of the tensor lies.
  TensorPacker(PackedSource &source, StreamedTensor &tensor)
      : source(source), tensor(tensor), format(source.format()),
        columns(source.columns()), tiled(tensor.layout == "t16") {
    if (tiled) {
      tensor.planes = t16Layout(format, source.rows(), columns);
    } else {
      if (format.isQuantized())
        throw qrt::Error("weight '" + tensor.name + "' is " + format.mangled() +
                         ", which has no row-major layout");
      tensor.planes = {};
      tensor.planes.codesBytes =
          source.rows() * columns * (format.codeBits() / 8);
      tensor.planes.totalBytes = (tensor.planes.codesBytes + 63) / 64 * 64;
    }
  }

  /// Packs what belongs to no stripe into `room`, where the tensor is to be;
  /// what nothing is packed into is zero.
  void begin(std::span<uint8_t> room, const ParallelFor &parallel) {
    constexpr size_t kPiece = size_t(4) << 20;
    parallel(int64_t((room.size() + kPiece - 1) / kPiece), [&](int64_t i) {
      size_t at = size_t(i) * kPiece;
      std::memset(room.data() + at, 0, std::min(kPiece, room.size() - at));
    });
    data = room.data();
    if (format.nested)
      packNestedScales(format, columns, source.nestedScales(),
                       data + tensor.planes.zerosOffset);
  }

  void pack(int64_t first, int64_t count) {
    const PackedLayout &planes = tensor.planes;
    if (!format.isQuantized()) {
      std::vector<float> values(count * columns);
      source.read(first, count, values.data(), nullptr, nullptr, nullptr);
      if (tiled)
        packFloats(format, count, columns, values.data(),
                   data + first / 16 * planes.tileCodesBytes);
      else
        storeRows(first, count, values.data());
      return;
    }
    int64_t groups = format.groupsPerRow(columns);
    std::vector<uint8_t> codes(count * columns), zeros;
    std::vector<float> scales(count * groups);
    if (format.zero || format.nested)
      zeros.resize(count * groups);
    source.read(first, count, nullptr, codes.data(), scales.data(),
                zeros.empty() ? nullptr : zeros.data());
    int64_t tile = first / 16;
    packCodes(format, count, columns, codes.data(),
              data + planes.codesOffset + tile * planes.tileCodesBytes);
    uint8_t *scalesAt =
        data + planes.scalesOffset + tile * planes.tileScalesBytes;
    if (format.nested)
      return packScaleCodes(format, count, columns, zeros.data(), scalesAt);
    packScales(format, count, columns, scales.data(), scalesAt);
    if (format.zero)
      packZeros(format, count, columns, zeros.data(),
                data + planes.zerosOffset + tile * planes.tileZerosBytes);
  }

private:
  void storeRows(int64_t first, int64_t count, const float *values) {
    int64_t elements = count * columns, at = first * columns;
    if (format.code == Code::F32) {
      std::memcpy(data + at * 4, values, elements * 4);
      return;
    }
    auto *out = reinterpret_cast<uint16_t *>(data) + at;
    for (int64_t i = 0; i < elements; ++i)
      out[i] = format.code == Code::F16 ? qrt::floatToHalf(values[i])
                                        : qrt::floatToBfloat(values[i]);
  }

  PackedSource &source;
  StreamedTensor &tensor;
  Format format;
  int64_t columns;
  bool tiled;
  uint8_t *data = nullptr;
};

int64_t elementsOf(tfm::DefineOp define) {
  auto type = dyn_cast<qnt::PackedType>(define.getValue().getType());
  return type ? type.getRows() * type.getColumns() : 0;
}

} // namespace

void streamWeights(func::FuncOp weights, const ParameterReader &reader,
                   const WeightStreamOptions &options,
                   const std::function<void(const StreamedTensor &)> &sink) {
  int64_t total = 0, done = 0;
  for (auto define : weights.getOps<tfm::DefineOp>())
    total += elementsOf(define);

  // Two buffers: while one tensor is written, the next one is made.
  std::vector<uint8_t> buffers[2];
  auto room = [&](int turn, uint64_t bytes) -> std::span<uint8_t> {
    if (options.room)
      return options.room(turn, bytes);
    if (buffers[turn].size() < bytes) {
      buffers[turn].clear(); // not to be moved
      buffers[turn].resize(bytes);
    }
    return {buffers[turn].data(), bytes};
  };
  StreamedTensor tensors[2];
  std::future<void> writing;
  int turn = 0;
  for (auto define : weights.getOps<tfm::DefineOp>()) {
    auto type = dyn_cast<qnt::PackedType>(define.getValue().getType());
    if (!type || !type.getLayout())
      throw qrt::Error("weight '" + define.getName().str() +
                       "' has no layout: the layout phase did not run");
    auto start = std::chrono::steady_clock::now();
    StreamedTensor &tensor = tensors[turn];
    tensor = {};
    tensor.name = define.getName().str();
    if (auto modules = define->getAttrOfType<ArrayAttr>("modules"))
      for (auto module : modules.getAsRange<StringAttr>())
        tensor.modules.push_back(module.str());
    else if (define.getModule())
      tensor.modules.push_back(define.getModule()->str());
    tensor.layout = type.getLayout().str();
    auto source = makePackedSource(define.getValue(), reader, tensor.name);
    tensor.format = source->format();
    tensor.rows = source->rows();
    tensor.columns = source->columns();

    auto parallel = [&](int64_t count,
                        const std::function<void(int64_t)> &work) {
      parallelFor(options.threads, count, [&](int64_t i) {
        qrt::throwIfCancelled(options.cancelled);
        work(i);
      });
    };
    source->prepare(parallel);
    TensorPacker packer(*source, tensor);
    std::span<uint8_t> packed = room(turn, tensor.planes.totalBytes);
    packer.begin(packed, parallel);
    int64_t stripe =
        std::max<int64_t>(16, kStripeElements / tensor.columns / 16 * 16);
    int64_t stripes = (tensor.rows + stripe - 1) / stripe;
    parallel(stripes, [&](int64_t i) {
      packer.pack(i * stripe, std::min(stripe, tensor.rows - i * stripe));
    });
    tensor.data = packed;
    tensor.statistics = source->statistics();
    tensor.calibrations = source->calibrations();
    tensor.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    if (writing.valid())
      writing.get();
    writing =
        std::async(std::launch::async, [&sink, &tensor] { sink(tensor); });
    turn ^= 1;
    done += elementsOf(define);
    if (options.progress)
      options.progress(done, total);
  }
  if (writing.valid())
    writing.get();
}

} // namespace qcc
