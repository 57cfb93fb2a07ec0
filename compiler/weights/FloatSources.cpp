//===- FloatSources.cpp - Rows of float values ----------------------------===//

#include "compiler/weights/Sources.h"

#include "dialects/QNT/QNT.h"
#include "runtime/support/Error.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <vector>

using namespace mlir;

namespace qcc {
namespace {

std::pair<int64_t, int64_t> shapeOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getRank() == 2
             ? std::make_pair(type.getDimSize(0), type.getDimSize(1))
             : std::make_pair(int64_t(1), type.getDimSize(0));
}

class ParamSource : public FloatSource {
public:
  ParamSource(tfm::ParamOp op, const ParameterReader &reader)
      : FloatSource(shapeOf(op).first, shapeOf(op).second),
        param(op.getSource()), type(cast<RankedTensorType>(op.getType())),
        reader(reader) {}
  ~ParamSource() override { reader.release(param); }
  void read(int64_t first, int64_t count, float *out) const override {
    reader.read(param, type, first * columns(), count * columns(), out);
  }

private:
  tfm::ParamAttr param;
  RankedTensorType type;
  const ParameterReader &reader;
};

/// Rows of the operand in another order, given by a function of the row.
/// Vectors count as one column here: their elements are what is picked.
template <typename RowOf>
class RowOrderSource : public FloatSource {
public:
  RowOrderSource(Value result, std::unique_ptr<FloatSource> input, RowOf rowOf)
      : FloatSource(shapeOf(result).first, shapeOf(result).second),
        isVector(cast<RankedTensorType>(result.getType()).getRank() == 1),
        input(std::move(input)), rowOf(rowOf) {}

  void read(int64_t first, int64_t count, float *out) const override {
    if (isVector) {
      std::vector<float> all(input->columns());
      input->read(0, 1, all.data());
      for (int64_t i = 0; i < columns(); ++i)
        out[i] = all[rowOf(i)];
      return;
    }
    for (int64_t row = first; row < first + count;) {
      // Runs of consecutive rows are read at once.
      int64_t from = rowOf(row), run = 1;
      while (row + run < first + count && rowOf(row + run) == from + run)
        ++run;
      input->read(from, run, out + (row - first) * columns());
      row += run;
    }
  }

private:
  bool isVector;
  std::unique_ptr<FloatSource> input;
  RowOf rowOf;
};

template <typename RowOf>
std::unique_ptr<FloatSource>
reorder(Value result, std::unique_ptr<FloatSource> input, RowOf rowOf) {
  return std::make_unique<RowOrderSource<RowOf>>(result, std::move(input),
                                                 rowOf);
}

class ConcatSource : public FloatSource {
public:
  ConcatSource(Value result, std::vector<std::unique_ptr<FloatSource>> inputs)
      : FloatSource(shapeOf(result).first, shapeOf(result).second),
        isVector(cast<RankedTensorType>(result.getType()).getRank() == 1),
        inputs(std::move(inputs)) {}

  void read(int64_t first, int64_t count, float *out) const override {
    if (isVector) {
      for (auto &input : inputs) {
        input->read(0, 1, out);
        out += input->columns();
      }
      return;
    }
    int64_t start = 0;
    for (auto &input : inputs) {
      int64_t from = std::max(first, start);
      int64_t to = std::min(first + count, start + input->rows());
      if (from < to)
        input->read(from - start, to - from, out + (from - first) * columns());
      start += input->rows();
    }
  }

private:
  bool isVector;
  std::vector<std::unique_ptr<FloatSource>> inputs;
};

/// qnt.activation_order: what the calibrator found.
class OrderSource : public FloatSource {
public:
  OrderSource(std::shared_ptr<const CalibratedWeight> weight)
      : FloatSource(1, weight->columns), weight(std::move(weight)) {}
  void read(int64_t, int64_t, float *out) const override {
    std::copy(weight->order.begin(), weight->order.end(), out);
  }

private:
  std::shared_ptr<const CalibratedWeight> weight;
};

class TransposeSource : public FloatSource {
public:
  TransposeSource(Value result, std::unique_ptr<FloatSource> input)
      : FloatSource(shapeOf(result).first, shapeOf(result).second),
        input(std::move(input)) {}

  void read(int64_t first, int64_t count, float *out) const override {
    // A few rows of the operand at a time: memory stays small.
    constexpr int64_t step = 16;
    std::vector<float> rows(step * input->columns());
    for (int64_t k = 0; k < columns(); k += step) {
      int64_t n = std::min(step, columns() - k);
      input->read(k, n, rows.data());
      for (int64_t r = 0; r < count; ++r)
        for (int64_t i = 0; i < n; ++i)
          out[r * columns() + k + i] = rows[i * input->columns() + first + r];
    }
  }

private:
  std::unique_ptr<FloatSource> input;
};

} // namespace

std::unique_ptr<FloatSource> makeFloatSource(Value value,
                                             const ParameterReader &reader) {
  using Source = std::unique_ptr<FloatSource>;
  return llvm::TypeSwitch<Operation *, Source>(value.getDefiningOp())
      .Case([&](tfm::ParamOp op) -> Source {
        return std::make_unique<ParamSource>(op, reader);
      })
      .Case([&](tfm::SliceRowsOp op) -> Source {
        int64_t offset = op.getOffset(), size = op.getSize();
        int64_t stride = op.getStride();
        return reorder(
            value, makeFloatSource(op.getInput(), reader), [=](int64_t row) {
              return stride ? row / size * stride + offset + row % size
                            : offset + row;
            });
      })
      .Case([&](tfm::UnpermuteRotaryOp op) -> Source {
        auto type = cast<RankedTensorType>(op.getType());
        int64_t headRows = type.getDimSize(0) / op.getHeads();
        int64_t half = headRows / 2;
        // Row j * half + i of a head lies at 2 * i + j.
        return reorder(value, makeFloatSource(op.getInput(), reader),
                       [=](int64_t row) {
                         int64_t head = row / headRows, in = row % headRows;
                         return head * headRows + 2 * (in % half) + in / half;
                       });
      })
      .Case([&](tfm::ConcatRowsOp op) -> Source {
        std::vector<Source> inputs;
        for (Value input : op.getInputs())
          inputs.push_back(makeFloatSource(input, reader));
        return std::make_unique<ConcatSource>(value, std::move(inputs));
      })
      .Case([&](tfm::TransposeOp op) -> Source {
        return std::make_unique<TransposeSource>(
            value, makeFloatSource(op.getInput(), reader));
      })
      .Case([&](qnt::ActivationOrderOp op) -> Source {
        auto weight = reader.calibrated(op.getName().str());
        if (int64_t(weight->order.size()) != op.getType().getNumElements())
          throw qrt::Error("calibration found no order of the columns of '" +
                           op.getName().str() + "'");
        return std::make_unique<OrderSource>(std::move(weight));
      })
      .Default([&](Operation *op) -> Source {
        throw qrt::Error("the weight stream cannot execute '" +
                         (op ? op->getName().getStringRef().str()
                             : std::string("a block argument")) +
                         "'");
      });
}

} // namespace qcc
