//===- PackedSources.cpp - Rows of packed values --------------------------===//

#include "compiler/weights/Sources.h"

#include "compiler/quantize/Bnb.h"
#include "compiler/quantize/FiniteCheck.h"
#include "compiler/quantize/Pack.h"
#include "compiler/quantize/Rtn.h"
#include "dialects/QNT/QNT.h"
#include "runtime/formats/Reference.h"
#include "runtime/support/Error.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <vector>

using namespace mlir;
using qrt::Format;

namespace qcc {
namespace {

/// What quantization lost in each stripe. Summed in the order of rows, so that
/// the sum does not depend on which thread came first.
class LossLedger {
public:
  void add(int64_t firstRow, const QuantizeStatistics &lost) {
    std::lock_guard<std::mutex> lock(mutex);
    stripes[firstRow] = lost;
  }
  QuantizeStatistics sum() const {
    std::lock_guard<std::mutex> lock(mutex);
    QuantizeStatistics sum;
    for (auto &[row, lost] : stripes)
      sum += lost;
    return sum;
  }

private:
  mutable std::mutex mutex;
  std::map<int64_t, QuantizeStatistics> stripes;
};

/// qnt.convert: float rows as they are.
class ConvertSource : public PackedSource {
public:
  ConvertSource(std::unique_ptr<FloatSource> input, const Format &format,
                std::string name)
      : PackedSource(input->rows(), input->columns(), format),
        input(std::move(input)), name(std::move(name)) {}

  void read(int64_t first, int64_t count, float *values, uint8_t *, float *,
            uint8_t *) override {
    input->read(first, count, values);
    checkFinite(values, count, columns(), name, first);
    if (format().code != qrt::Code::F16)
      return;
    // From half a step above the largest f16 on, rounding gives infinity.
    for (int64_t i = 0; i < count * columns(); ++i)
      if (std::abs(values[i]) >= 65520.0F)
        throw qrt::Error("weight '" + name + "' holds " +
                             std::to_string(values[i]) + ", too large for f16",
                         "", "use --dtype bf16 or f32");
  }
  std::vector<QuantizeStatistics> statistics() const override { return {{}}; }

private:
  std::unique_ptr<FloatSource> input;
  std::string name;
};

/// Rows of a weight in bitsandbytes' flattened blocks, which may begin and end
/// in the middle of rows.
class BlockQuantizer {
public:
  BlockQuantizer(const FloatSource &input, const Format &format,
                 const std::string &name)
      : input(input), format(format), name(name) {}

  /// Rows [first, first + count): codes [count][columns]; scales, as they are
  /// stored, of the blocks from the one that holds the first element on.
  struct Rows {
    std::vector<uint8_t> codes;
    std::vector<float> scales;
    std::vector<uint8_t> scaleCodes; ///< if they are nested
    QuantizeStatistics lost;
  };
  Rows quantize(int64_t first, int64_t count) const {
    // Quantize from the row that begins a block.
    int64_t columns = input.columns(), unit = blockRows(format, columns);
    int64_t from = first / unit * unit;
    int64_t to =
        std::min(input.rows(), (first + count + unit - 1) / unit * unit);
    std::vector<float> w = read(from, to - from);
    auto elements = int64_t(w.size());
    int64_t firstBlock = from * columns / format.group;
    Rows rows;
    rows.codes.resize(w.size());
    rows.scales.resize((elements - 1) / format.group + 1);
    if (format.nested) {
      std::copy_n(scales.begin() + firstBlock, rows.scales.size(),
                  rows.scales.begin());
      rows.lost = quantizeToScales(w.data(), elements, format,
                                   rows.scales.data(), rows.codes.data());
    } else {
      rows.lost = quantizeTableRows(w.data(), to - from, columns, format,
                                    rows.codes.data(), rows.scales.data());
    }
    // Drop what stands before the first row.
    int64_t skipped = first * columns / format.group - firstBlock;
    rows.scales.erase(rows.scales.begin(), rows.scales.begin() + skipped);
    rows.codes.erase(rows.codes.begin(),
                     rows.codes.begin() + (first - from) * columns);
    rows.codes.resize(count * columns);
    if (format.nested)
      rows.scaleCodes.assign(nested.codes.begin() + firstBlock + skipped,
                             nested.codes.begin() + firstBlock + skipped +
                                 int64_t(rows.scales.size()));
    return rows;
  }

  /// Finds the scales of the whole weight, if they are nested.
  void prepare(const ParallelFor &parallel) {
    if (!format.nested)
      return;
    constexpr int64_t kStripeElements = 1 << 18;
    int64_t columns = input.columns(), unit = blockRows(format, columns);
    int64_t stripe =
        std::max<int64_t>(1, kStripeElements / (columns * unit)) * unit;
    scales.resize(format.scaleCount(input.rows(), columns));
    parallel((input.rows() - 1) / stripe + 1, [&](int64_t i) {
      int64_t first = i * stripe;
      std::vector<float> w =
          read(first, std::min(stripe, input.rows() - first));
      blockMaxima(w.data(), int64_t(w.size()), format.group,
                  scales.data() + first * columns / format.group);
    });
    nested = quantizeScales(scales.data(), int64_t(scales.size()));
    dequantizeScales(nested, scales.data());
  }

  const NestedScales &nestedScales() const { return nested; }

private:
  std::vector<float> read(int64_t first, int64_t count) const {
    std::vector<float> w(count * input.columns());
    input.read(first, count, w.data());
    checkFinite(w.data(), count, input.columns(), name, first);
    return w;
  }

  const FloatSource &input;
  Format format;
  std::string name;
  NestedScales nested;
  std::vector<float> scales; ///< what `nested` stands for, a block each
};

/// qnt.quantize "bnb" and qnt.pack: codes and scales of flattened blocks.
class BlockSource : public PackedSource {
public:
  BlockSource(std::unique_ptr<FloatSource> input, const Format &format,
              const Format &stored, const std::string &name)
      : PackedSource(input->rows(), input->columns(), stored),
        input(std::move(input)), format(format),
        quantizer(*this->input, format, name) {}

  void prepare(const ParallelFor &parallel) override {
    quantizer.prepare(parallel);
  }

  void read(int64_t first, int64_t count, float *, uint8_t *codes,
            float *scales, uint8_t *zeros) override {
    BlockQuantizer::Rows rows = quantizer.quantize(first, count);
    std::ranges::copy(rows.codes, codes);
    int64_t firstElement = first * columns();
    if (format.nested)
      expandBlockScales(format, firstElement, count, columns(),
                        rows.scaleCodes.data(), zeros);
    else
      expandBlockScales(format, firstElement, count, columns(),
                        rows.scales.data(), scales);
    rows.lost.rows = count;
    losses.add(first, rows.lost);
  }

  NestedPlane nestedScales() const override {
    const NestedScales &nested = quantizer.nestedScales();
    return nestedPlane(PackedSource::format(), rows(), columns(), nested.absmax,
                       nested.offset);
  }

  std::vector<QuantizeStatistics> statistics() const override {
    return {losses.sum()};
  }

private:
  std::unique_ptr<FloatSource> input;
  Format format;
  BlockQuantizer quantizer;
  LossLedger losses;
};

/// qnt.quantize and qnt.pack: codes and scales of groups along rows.
class QuantizeSource : public PackedSource {
public:
  QuantizeSource(std::unique_ptr<FloatSource> input, qnt::QuantizeOp op,
                 std::string name)
      : PackedSource(input->rows(), input->columns(),
                     op.getFormat().getValue()),
        input(std::move(input)), method(op.getMethod()), name(std::move(name)) {
    options.mse = op.getMse();
    if (method != "rtn" && method != "bnb" && method != "int8")
      throw qrt::Error("unknown quantization method '" + method + "'");
  }

  void read(int64_t first, int64_t count, float *, uint8_t *codes,
            float *scales, uint8_t *zeros) override {
    std::vector<float> w(count * columns());
    input->read(first, count, w.data());
    checkFinite(w.data(), count, columns(), name, first);
    QuantizeStatistics lost;
    if (method == "rtn")
      lost = quantizeRows(w.data(), count, columns(), format(), options, codes,
                          scales, zeros);
    else if (method == "int8")
      lost = quantizeLlmInt8Rows(w.data(), count, columns(), codes, scales);
    else
      lost = quantizeTableRows(w.data(), count, columns(), format(), codes,
                               scales);
    lost.rows = count;
    losses.add(first, lost);
  }

  std::vector<QuantizeStatistics> statistics() const override {
    return {losses.sum()};
  }

private:
  std::unique_ptr<FloatSource> input;
  RtnOptions options;
  std::string method;
  std::string name;
  LossLedger losses;
};

/// qnt.gptq and qnt.pack: what the calibrator made.
class CalibratedSource : public PackedSource {
public:
  CalibratedSource(std::shared_ptr<const CalibratedWeight> weight)
      : PackedSource(weight->rows, weight->columns, weight->format),
        weight(std::move(weight)) {}

  void read(int64_t first, int64_t count, float *, uint8_t *codes,
            float *scales, uint8_t *zeros) override {
    int64_t groups = format().groupsPerRow(columns());
    std::copy_n(weight->codes.data() + first * columns(), count * columns(),
                codes);
    std::copy_n(weight->scales.data() + first * groups, count * groups, scales);
    if (format().zero)
      std::copy_n(weight->zeros.data() + first * groups, count * groups, zeros);
  }
  std::vector<QuantizeStatistics> statistics() const override {
    return {weight->statistics};
  }
  std::vector<std::shared_ptr<const CalibratedWeight>>
  calibrations() const override {
    return {weight};
  }

private:
  std::shared_ptr<const CalibratedWeight> weight;
};

/// A quantized weight whose format has no layout of its own (blocks that do
/// not divide rows well): its dequantized values, stored as f32.
class DequantizedSource : public PackedSource {
public:
  DequantizedSource(std::unique_ptr<FloatSource> input, const Format &format,
                    const std::string &name)
      : PackedSource(input->rows(), input->columns(), Format{}),
        input(std::move(input)), format(format),
        quantizer(*this->input, format, name) {}

  void prepare(const ParallelFor &parallel) override {
    quantizer.prepare(parallel);
  }

  void read(int64_t first, int64_t count, float *values, uint8_t *, float *,
            uint8_t *) override {
    BlockQuantizer::Rows rows = quantizer.quantize(first, count);
    int64_t firstElement = first * columns();
    std::span<const uint8_t> codes = rows.codes;
    int64_t block = 0, at = firstElement % format.group;
    while (!codes.empty()) {
      auto run = std::min(codes.size(), size_t(format.group - at));
      qrt::dequantizeGroup(format, codes.first(run), rows.scales[block], 0,
                           values);
      codes = codes.subspan(run);
      values += run;
      ++block;
      at = 0;
    }
    rows.lost.rows = count;
    losses.add(first, rows.lost);
  }
  std::vector<QuantizeStatistics> statistics() const override {
    return {losses.sum()};
  }

private:
  std::unique_ptr<FloatSource> input;
  Format format;
  BlockQuantizer quantizer;
  LossLedger losses;
};

/// qnt.stack_rows.
class StackSource : public PackedSource {
public:
  StackSource(std::vector<std::unique_ptr<PackedSource>> inputs,
              int64_t interleave)
      : PackedSource(totalRows(inputs), inputs.front()->columns(),
                     inputs.front()->format()),
        inputs(std::move(inputs)), interleave(interleave) {}

  void read(int64_t first, int64_t count, float *values, uint8_t *codes,
            float *scales, uint8_t *zeros) override {
    int64_t groups =
        format().isQuantized() ? format().groupsPerRow(columns()) : 0;
    for (int64_t row = first; row < first + count;) {
      auto [input, from, run] = locate(row, first + count);
      int64_t at = row - first;
      inputs[input]->read(from, run, values ? values + at * columns() : nullptr,
                          codes ? codes + at * columns() : nullptr,
                          scales ? scales + at * groups : nullptr,
                          zeros ? zeros + at * groups : nullptr);
      row += run;
    }
  }

  void prepare(const ParallelFor &parallel) override {
    for (auto &input : inputs)
      input->prepare(parallel);
  }

  NestedPlane nestedScales() const override {
    NestedPlane all;
    std::vector<NestedPlane> parts;
    std::vector<uint64_t> bases; // of the parts' scales among all
    for (auto &input : inputs) {
      parts.push_back(input->nestedScales());
      bases.push_back(all.scales.size() * uint64_t(format().nested));
      all.scales.insert(all.scales.end(), parts.back().scales.begin(),
                        parts.back().scales.end());
    }
    for (int64_t row = 0; row < rows(); row += 16) {
      auto [input, from, run] = locate(row, rows());
      NestedPlane::Tile tile = parts[input].tiles[from / 16];
      uint64_t origin = bases[input] + tile.origin;
      if (origin > std::numeric_limits<uint32_t>::max() / 2)
        throw qrt::Error("a stack of " + std::to_string(rows()) +
                         " rows has too many nested scales");
      all.tiles.push_back({uint32_t(origin), tile.offset});
    }
    return all;
  }

  std::vector<QuantizeStatistics> statistics() const override {
    std::vector<QuantizeStatistics> all;
    for (auto &input : inputs)
      for (const QuantizeStatistics &part : input->statistics())
        all.push_back(part);
    return all;
  }

  std::vector<std::shared_ptr<const CalibratedWeight>>
  calibrations() const override {
    std::vector<std::shared_ptr<const CalibratedWeight>> all;
    for (auto &input : inputs)
      for (auto &part : input->calibrations())
        all.push_back(part);
    return all;
  }

private:
  static int64_t
  totalRows(const std::vector<std::unique_ptr<PackedSource>> &inputs) {
    int64_t sum = 0;
    for (auto &input : inputs)
      sum += input->rows();
    return sum;
  }

  struct Place {
    size_t input;
    int64_t row, run;
  };
  /// Where row `row` comes from and how many rows up to `end` follow it there.
  Place locate(int64_t row, int64_t end) const {
    if (interleave) {
      int64_t block = row / interleave;
      int64_t in =
          block / int64_t(inputs.size()) * interleave + row % interleave;
      return {size_t(block) % inputs.size(), in,
              std::min(end - row, interleave - row % interleave)};
    }
    for (size_t i = 0;; ++i) {
      if (row < inputs[i]->rows())
        return {i, row, std::min(end, inputs[i]->rows()) - row};
      row -= inputs[i]->rows();
      end -= inputs[i]->rows();
    }
  }

  std::vector<std::unique_ptr<PackedSource>> inputs;
  int64_t interleave;
};

} // namespace

std::shared_ptr<const CalibratedWeight>
ParameterReader::calibrated(const std::string &name) const {
  throw qrt::Error("weight '" + name + "' has not been calibrated");
}

std::unique_ptr<PackedSource> makePackedSource(Value value,
                                               const ParameterReader &reader,
                                               const std::string &name) {
  using Source = std::unique_ptr<PackedSource>;
  return llvm::TypeSwitch<Operation *, Source>(value.getDefiningOp())
      .Case([&](qnt::RelayoutOp op) -> Source {
        return makePackedSource(op.getInput(), reader, name);
      })
      .Case([&](qnt::ConvertOp op) -> Source {
        return std::make_unique<ConvertSource>(
            makeFloatSource(op.getInput(), reader),
            cast<qnt::PackedType>(op.getType()).getFormat().getValue(), name);
      })
      .Case([&](qnt::PackOp op) -> Source {
        if (auto gptq = op.getCodes().getDefiningOp<qnt::GptqOp>()) {
          auto weight = reader.calibrated(gptq.getName().str());
          if (weight->format != gptq.getFormat().getValue() ||
              weight->rows != op.getType().getRows() ||
              weight->columns != op.getType().getColumns())
            throw qrt::Error("calibration made another weight of '" + name +
                             "'");
          return std::make_unique<CalibratedSource>(std::move(weight));
        }
        auto quantize = op.getCodes().getDefiningOp<qnt::QuantizeOp>();
        if (!quantize)
          throw qrt::Error("the weight stream packs only what qnt.quantize "
                           "or qnt.gptq made, not '" +
                           name + "'");
        auto input = makeFloatSource(quantize.getInput(), reader);
        const Format &format = quantize.getFormat().getValue();
        if (!format.flattened)
          return std::make_unique<QuantizeSource>(std::move(input), quantize,
                                                  name);
        std::optional<Format> stored = packedFormat(format, input->columns());
        if (!stored)
          return std::make_unique<DequantizedSource>(std::move(input), format,
                                                     name);
        return std::make_unique<BlockSource>(std::move(input), format, *stored,
                                             name);
      })
      .Case([&](qnt::StackRowsOp op) -> Source {
        std::vector<Source> inputs;
        for (Value input : op.getInputs())
          inputs.push_back(makePackedSource(input, reader, name));
        return std::make_unique<StackSource>(std::move(inputs),
                                             op.getInterleave());
      })
      .Default([&](Operation *op) -> Source {
        throw qrt::Error("the weight stream cannot execute '" +
                         (op ? op->getName().getStringRef().str()
                             : std::string("a block argument")) +
                         "' for '" + name + "'");
      });
}

} // namespace qcc
