//===- GptqGoldens.h - GPTQ as the reference has it -------------*- C++ -*-===//
//
// The goldens hold, for a weight and its Hessian, the codes, scales, zero
// points and group indices that IST-DASLab's algorithm gives in f32. Where a
// value lies on the border between two codes, rounding in the algebra decides,
// and everything after it in the row follows: the comparison proves of every
// row that differs that its first difference is such a tie, and counts them.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_TESTS_SUPPORT_GPTQGOLDENS_H
#define QCC_TESTS_SUPPORT_GPTQGOLDENS_H

#include "compiler/quantize/Gptq.h"
#include "tests/support/Safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

namespace qcc::test {

/// "m0.b4.g128.asym.actorder.mse".
struct GptqSetting {
  explicit GptqSetting(const std::string &name) : name(name) {
    std::istringstream parts(name);
    for (std::string part; std::getline(parts, part, '.');) {
      if (part[0] == 'm' && part != "mse")
        matrix = part;
      else if (part[0] == 'b')
        format.code = part == "b2"   ? qrt::Code::Int2
                      : part == "b3" ? qrt::Code::Int3
                      : part == "b4" ? qrt::Code::Int4
                                     : qrt::Code::Int8;
      else if (part[0] == 'g')
        format.group = std::stoll(part.substr(1));
      else if (part == "asym")
        format.zero = true;
      else if (part == "actorder")
        options.order = ColumnOrder::Activation;
      else if (part == "mse")
        options.scales.mse = true;
    }
    format.scale = qrt::ScaleType::F32;
  }
  std::string name, matrix;
  qrt::Format format;
  GptqOptions options;
};

inline std::vector<GptqSetting> gptqSettings(const Goldens &goldens) {
  std::set<std::string> names;
  for (const auto &[name, tensor] : goldens)
    if (name.ends_with(".codes"))
      names.insert(name.substr(0, name.size() - 6));
  return {names.begin(), names.end()};
}

struct GptqDifferences {
  int64_t codes = 0, ties = 0, rows = 0;
};

/// Compares one row; where it differs, the first difference in the order of
/// quantization must be a tie given the golden's codes before it.
inline void compareGoldenRow(const GptqSetting &one, const GptqFactor &factor,
                             const float *w, const uint8_t *expected,
                             const uint8_t *actual, const float *scales,
                             const uint8_t *zeros, GptqDifferences &counted) {
  auto n = int64_t(factor.order.size());
  int64_t first = -1;
  for (int64_t i = n - 1; i >= 0; --i)
    if (int32_t column = factor.order[size_t(i)];
        expected[column] != actual[column]) {
      ++counted.codes;
      first = i;
    }
  if (first < 0)
    return;
  ++counted.ties;
  auto valueOf = [&](int64_t i) {
    return factor.dead[size_t(factor.order[size_t(i)])]
               ? 0.0
               : double(w[factor.order[size_t(i)]]);
  };
  int64_t group = one.format.groupSize(n);
  double value = valueOf(first);
  for (int64_t j = 0; j < first; ++j) {
    int32_t column = factor.order[size_t(j)];
    double quantized = (double(expected[column]) - zeros[j / group]) *
                       double(scales[j / group]);
    value += (valueOf(j) - quantized) *
             double(factor.r[size_t(j * n + first)]) /
             double(factor.r[size_t(first * n + first)]);
  }
  int32_t column = factor.order[size_t(first)];
  double position =
      value / double(scales[first / group]) + zeros[first / group];
  double border = (expected[column] + actual[column]) / 2.0;
  EXPECT_EQ(std::abs(expected[column] - actual[column]), 1) << one.name;
  EXPECT_NEAR(position, border, 2e-3)
      << one.name << " column " << column << " is no tie";
}

/// Quantizes w [rows][columns] with a Hessian, of which `factor` is the CPU's
/// factor.
using GptqQuantizer = GptqResult (*)(const std::vector<float> &w, int64_t rows,
                                     int64_t columns,
                                     const std::vector<float> &hessian,
                                     const GptqSetting &one,
                                     const GptqFactor &factor);

inline GptqDifferences compareSetting(const Goldens &goldens,
                                      const GptqSetting &one,
                                      GptqQuantizer quantize) {
  const GoldenTensor &weight = goldens[one.matrix + ".W"];
  int64_t rows = weight.shape[0], columns = weight.shape[1];
  std::vector<float> w = weight.floats();
  std::vector<float> hessian = goldens[one.matrix + ".H"].floats();
  int64_t group = one.format.groupSize(columns);
  GptqFactor factor =
      factorHessian(Hessian(columns, hessian.data()), group, one.options);
  EXPECT_EQ(factor.damp, 0.01) << one.name;
  GptqResult result = quantize(w, rows, columns, hessian, one, factor);

  auto indices = goldens[one.name + ".g_idx"].as<int32_t>();
  for (int64_t i = 0; i < columns; ++i)
    EXPECT_EQ(indices[size_t(factor.order[size_t(i)])], i / group) << one.name;
  auto codes = goldens[one.name + ".codes"].as<uint8_t>();
  auto scales = goldens[one.name + ".scales"].floats();
  auto zeros = goldens[one.name + ".zeros"].as<uint8_t>();
  int64_t groups = one.format.groupsPerRow(columns);
  GptqDifferences counted;
  counted.rows = rows;
  bool permuted = storesPermuted(one.options);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<uint8_t> actual(static_cast<size_t>(columns));
    for (int64_t i = 0; i < columns; ++i) {
      uint8_t code = result.codes[size_t(row * columns + i)];
      bool isSigned = one.format.code == qrt::Code::Int8 && !one.format.zero;
      actual[size_t(permuted ? factor.order[size_t(i)] : i)] =
          uint8_t(isSigned ? code + 128 : code);
    }
    int64_t before = counted.ties;
    compareGoldenRow(one, factor, w.data() + row * columns,
                     codes.data() + row * columns, actual.data(),
                     scales.data() + row * groups, zeros.data() + row * groups,
                     counted);
    // Behind a tie, later groups see other weights.
    if (counted.ties == before)
      for (int64_t g = 0; g < groups; ++g) {
        auto at = size_t(row * groups + g);
        EXPECT_NEAR(result.scales[at], scales[at], 1e-4 * scales[at])
            << one.name << " row " << row << " group " << g;
        if (one.format.zero) {
          EXPECT_EQ(result.zeros[at], zeros[at]) << one.name;
        }
      }
  }
  return counted;
}

inline void compareWithGoldens(const std::filesystem::path &path,
                               GptqQuantizer quantize) {
  Goldens goldens(path);
  GptqDifferences all;
  std::vector<GptqSetting> settings = gptqSettings(goldens);
  int64_t elements = 0;
  for (const GptqSetting &one : settings) {
    GptqDifferences counted = compareSetting(goldens, one, quantize);
    all.codes += counted.codes;
    all.ties += counted.ties;
    all.rows += counted.rows;
    elements += int64_t(goldens[one.name + ".codes"].bytes.size());
  }
  std::printf("%zu settings: %lld of %lld codes differ, all behind %lld ties "
              "in %lld rows\n",
              settings.size(), static_cast<long long>(all.codes),
              static_cast<long long>(elements),
              static_cast<long long>(all.ties),
              static_cast<long long>(all.rows));
  EXPECT_FALSE(settings.empty());
  EXPECT_LT(all.ties, all.rows / 20);
}

} // namespace qcc::test

#endif // QCC_TESTS_SUPPORT_GPTQGOLDENS_H
