//===- TinyModel.cpp - The model of Inputs/tiny.mlir, in scalars ----------===//

#include "TinyModel.h"

#include "compiler/quantize/Pack.h"
#include "runtime/formats/HalfFloat.h"

#include <cmath>
#include <cstring>

using namespace qcc;
using namespace qcc::test;

TinyModel::TinyModel() {
  addPlain(vocabulary, hidden, 1);
  addFrequencies();
  int64_t fused = (heads + 2 * kvHeads) * headDim;
  for (int64_t layer = 0; layer < layers; ++layer) {
    addPlain(1, hidden, 0.2F, 1);
    addTiled("int4.g32", fused, hidden);
    addPlain(1, fused, 0.1F);
    addTiled("bf16", hidden, heads * headDim);
    addPlain(1, hidden, 0.2F, 1);
    addTiled("int8.row", 2 * intermediate, hidden);
    addTiled("nf4.g32", hidden, intermediate);
  }
  addPlain(1, hidden, 0.2F, 1);
  addTiled("f32", vocabulary, hidden);
}

void TinyModel::addPlain(int64_t rows, int64_t columns, float scale,
                         float offset) {
  Tensor tensor{rows, columns, {}, AlignedBytes(size_t(rows * columns) * 4)};
  for (int64_t i = 0; i < rows * columns; ++i)
    tensor.values.push_back(offset + scale * random());
  std::memcpy(tensor.bytes.data(), tensor.values.data(), tensor.bytes.size());
  tensors.push_back(std::move(tensor));
}

void TinyModel::addFrequencies() {
  Tensor tensor{1, headDim / 2, {}, AlignedBytes(size_t(headDim / 2) * 4)};
  for (int64_t i = 0; i < headDim / 2; ++i)
    tensor.values.push_back(
        float(std::pow(10000.0, -2.0 * double(i) / double(headDim))));
  std::memcpy(tensor.bytes.data(), tensor.values.data(), tensor.bytes.size());
  tensors.push_back(std::move(tensor));
}

void TinyModel::addTiled(const std::string &name, int64_t rows,
                         int64_t columns) {
  qrt::PackedWeight weight;
  weight.format = qrt::Format::parse(name);
  weight.rows = rows;
  weight.columns = columns;
  float size = 1 / std::sqrt(float(columns));
  auto elements = size_t(rows * columns);
  if (weight.format.isQuantized()) {
    for (size_t i = 0; i < elements; ++i)
      weight.codes.push_back(
          uint8_t(engine() & ((1U << weight.format.codeBits()) - 1)));
    float range = weight.format.code == qrt::Code::NF4
                      ? 1
                      : float(1 << (weight.format.codeBits() - 1));
    for (int64_t i = 0; i < weight.format.scaleCount(rows, columns); ++i)
      weight.scales.push_back(qrt::roundToScaleType(
          size / range * (1 + 0.3F * random()), weight.format.scale));
  } else {
    int64_t bytes = weight.format.codeBits() / 8;
    for (size_t i = 0; i < elements; ++i) {
      float value = size * random();
      uint32_t bits = 0;
      std::memcpy(&bits, &value, 4);
      // The high half of an f32 is a bf16.
      if (bytes == 2)
        bits >>= 16;
      for (int64_t byte = 0; byte < bytes; ++byte)
        weight.codes.push_back(uint8_t(bits >> (8 * byte)));
    }
  }
  PackedLayout layout = t16Layout(weight.format, rows, columns);
  Tensor tensor{rows, columns, std::vector<float>(elements),
                AlignedBytes(size_t(layout.totalBytes), 0xff)};
  qrt::dequantize(weight, tensor.values.data());
  packWeight(weight, tensor.bytes.data());
  tensors.push_back(std::move(tensor));
}

std::vector<const void *> TinyModel::weights() const {
  std::vector<const void *> pointers;
  for (const Tensor &tensor : tensors)
    pointers.push_back(tensor.bytes.data());
  return pointers;
}

std::vector<double> TinyModel::product(const Tensor &weight,
                                       const std::vector<double> &x) const {
  std::vector<double> y(size_t(weight.rows), 0.0);
  for (int64_t row = 0; row < weight.rows; ++row)
    for (int64_t k = 0; k < weight.columns; ++k)
      y[row] += double(weight.values[row * weight.columns + k]) * x[k];
  return y;
}

std::vector<double> TinyModel::normalize(const Tensor &norm,
                                         const std::vector<double> &x) const {
  double squares = 0;
  for (double value : x)
    squares += value * value;
  double factor = 1 / std::sqrt(squares / double(x.size()) + 1e-5);
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i)
    y.push_back(x[i] * factor * double(norm.values[i]));
  return y;
}

void TinyModel::rotate(double *x, int64_t count, int64_t position) const {
  const std::vector<float> &frequencies = tensors[1].values;
  for (int64_t head = 0; head < count; ++head, x += headDim)
    for (int64_t i = 0; i < headDim / 2; ++i) {
      double angle = double(position) * double(frequencies[i]);
      double a = x[i], b = x[i + headDim / 2];
      x[i] = a * std::cos(angle) - b * std::sin(angle);
      x[i + headDim / 2] = b * std::cos(angle) + a * std::sin(angle);
    }
}

std::vector<float>
TinyModel::reference(const std::vector<int32_t> &tokens) const {
  std::vector<float> logits;
  // [layer][position] of keys and values.
  std::vector<std::vector<std::vector<double>>> keys(layers), values(layers);
  for (size_t position = 0; position < tokens.size(); ++position) {
    std::vector<double> x;
    for (int64_t i = 0; i < hidden; ++i)
      x.push_back(2 * double(tensors[0].values[tokens[position] * hidden + i]));
    for (int64_t layer = 0; layer < layers; ++layer) {
      const Tensor *weight = &tensors[2 + 7 * layer];
      std::vector<double> fused = product(weight[1], normalize(weight[0], x));
      for (size_t i = 0; i < fused.size(); ++i)
        fused[i] += double(weight[2].values[i]);
      rotate(fused.data(), heads + kvHeads, int64_t(position));
      auto key = fused.begin() + heads * headDim;
      auto value = key + kvHeads * headDim;
      keys[layer].emplace_back(key, value);
      values[layer].emplace_back(value, fused.end());
      std::vector<double> attended(size_t(heads * headDim), 0.0);
      for (int64_t head = 0; head < heads; ++head) {
        int64_t kv = head / (heads / kvHeads) * headDim;
        double total = 0;
        for (size_t past = 0; past <= position; ++past) {
          double score = 0;
          for (int64_t i = 0; i < headDim; ++i)
            score += fused[head * headDim + i] * keys[layer][past][kv + i];
          double share = std::exp(score * 0.25);
          total += share;
          for (int64_t i = 0; i < headDim; ++i)
            attended[head * headDim + i] += share * values[layer][past][kv + i];
        }
        for (int64_t i = 0; i < headDim; ++i)
          attended[head * headDim + i] /= total;
      }
      std::vector<double> change = product(weight[3], attended);
      for (int64_t i = 0; i < hidden; ++i)
        x[i] += change[i];
      std::vector<double> both = product(weight[5], normalize(weight[4], x));
      std::vector<double> gated;
      for (int64_t i = 0; i < intermediate; ++i) {
        // Blocks of 16 rows alternate: gate, up.
        double gate = both[i / 16 * 32 + i % 16];
        double up = both[i / 16 * 32 + 16 + i % 16];
        gated.push_back(gate / (1 + std::exp(-gate)) * up);
      }
      change = product(weight[6], gated);
      for (int64_t i = 0; i < hidden; ++i)
        x[i] += change[i];
    }
    size_t norm = 2 + 7 * layers;
    for (double logit : product(tensors[norm + 1], normalize(tensors[norm], x)))
      logits.push_back(float(logit));
  }
  return logits;
}
