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
  }
  std::vector<QuantizeStatistics> statistics() const override { return {{}}; }

private:
  std::unique_ptr<FloatSource> input;
  std::string name;
};

/// qnt.quantize and qnt.pack: codes and scales of float rows.
class QuantizeSource : public PackedSource {
public:
  QuantizeSource(std::unique_ptr<FloatSource> input, qnt::QuantizeOp op,
                 const Format &stored, std::string name)
      : PackedSource(input->rows(), input->columns(), stored),
        input(std::move(input)), format(op.getFormat().getValue()),
        isRtn(op.getMethod() == "rtn"), name(std::move(name)) {
    options.mse = op.getMse();
    if (!isRtn && op.getMethod() != "bnb")
      throw qrt::Error("unknown quantization method '" + op.getMethod().str() +
                       "'");
  }

  void read(int64_t first, int64_t count, float *, uint8_t *codes,
            float *scales, uint8_t *zeros) override {
    // Blocks of a flattened format may begin before `first`: quantize from
    // the row that begins one.
    int64_t unit = blockRows(format, columns());
    int64_t from = first / unit * unit;
    int64_t to = std::min(rows(), (first + count + unit - 1) / unit * unit);
    std::vector<float> w((to - from) * columns());
    input->read(from, to - from, w.data());
    checkFinite(w.data(), to - from, columns(), name, from);

    QuantizeStatistics lost;
    if (isRtn) {
      lost = quantizeRows(w.data(), count, columns(), format, options, codes,
                          scales, zeros);
    } else if (!format.flattened) {
      lost =
          quantizeTableRows(w.data(), count, columns(), format, codes, scales);
    } else {
      int64_t elements = (to - from) * columns();
      std::vector<uint8_t> all(elements);
      std::vector<float> absmax((elements + format.group - 1) / format.group);
      lost = quantizeTableRows(w.data(), to - from, columns(), format,
                               all.data(), absmax.data());
      std::copy_n(all.data() + (first - from) * columns(), count * columns(),
                  codes);
      expandScales(from, first, count, absmax, scales);
    }
    lost.rows = count;
    losses.add(first, lost);
  }

  std::vector<QuantizeStatistics> statistics() const override {
    return {losses.sum()};
  }

private:
  void expandScales(int64_t from, int64_t first, int64_t count,
                    const std::vector<float> &absmax, float *scales) const {
    // absmax begins with the block of row `from`; expandBlockScales wants it
    // to begin with the block that holds row `first`.
    int64_t firstElement = first * columns();
    int64_t skipped =
        firstElement / format.group - from * columns() / format.group;
    expandBlockScales(format, firstElement, count, columns(),
                      absmax.data() + skipped, scales);
  }

  std::unique_ptr<FloatSource> input;
  Format format;
  RtnOptions options;
  bool isRtn;
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
  DequantizedSource(std::unique_ptr<FloatSource> input, qnt::QuantizeOp op,
                    std::string name)
      : PackedSource(input->rows(), input->columns(), Format{}),
        input(std::move(input)), format(op.getFormat().getValue()),
        name(std::move(name)) {}

  void read(int64_t first, int64_t count, float *values, uint8_t *, float *,
            uint8_t *) override {
    int64_t unit = blockRows(format, columns());
    int64_t from = first / unit * unit;
    int64_t to = std::min(rows(), (first + count + unit - 1) / unit * unit);
    qrt::PackedWeight weight{format, to - from, columns(), {}, {}, {}};
    std::vector<float> w((to - from) * columns());
    input->read(from, to - from, w.data());
    checkFinite(w.data(), to - from, columns(), name, from);
    weight.codes.resize(w.size());
    weight.scales.resize((w.size() + format.group - 1) / format.group);
    QuantizeStatistics lost =
        quantizeTableRows(w.data(), to - from, columns(), format,
                          weight.codes.data(), weight.scales.data());
    qrt::dequantize(weight, w.data());
    std::copy_n(w.data() + (first - from) * columns(), count * columns(),
                values);
    lost.rows = count;
    losses.add(first, lost);
  }
  std::vector<QuantizeStatistics> statistics() const override {
    return {losses.sum()};
  }

private:
  std::unique_ptr<FloatSource> input;
  Format format;
  std::string name;
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
        std::optional<Format> stored =
            packedFormat(quantize.getFormat().getValue(), input->columns());
        if (!stored)
          return std::make_unique<DequantizedSource>(std::move(input), quantize,
                                                     name);
        return std::make_unique<QuantizeSource>(std::move(input), quantize,
                                                *stored, name);
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
