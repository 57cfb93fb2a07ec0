//===- GptqNearest.cpp - GPTQ without a usable Hessian --------------------===//

#include "compiler/quantize/GptqNearest.h"

#include "compiler/quantize/Parallel.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qcc {

/// Rows that a thread takes at a time.
constexpr int64_t kStripeRows = 64;

void checkGptqFormat(int64_t columns, const qrt::Format &format,
                     const GptqFactor &factor) {
  format.verify();
  if (!qrt::isIntCode(format.code))
    throw qrt::Error("GPTQ makes int codes, not " + format.mangled());
  if (int64_t(factor.order.size()) != columns)
    throw qrt::Error("the Hessian is of " +
                     std::to_string(factor.order.size()) +
                     " inputs, the weight has " + std::to_string(columns));
}

GptqResult makeGptqResult(int64_t rows, int64_t columns,
                          const qrt::Format &format, const GptqFactor &factor) {
  checkGptqFormat(columns, format, factor);
  GptqResult result;
  result.codes.resize(size_t(rows * columns));
  result.scales.resize(size_t(rows * format.groupsPerRow(columns)));
  if (format.zero)
    result.zeros.resize(result.scales.size());
  return result;
}

void roundToNearest(const float *w, int64_t rows, int64_t columns,
                    const qrt::Format &format, const GptqFactor &factor,
                    const GptqOptions &options, GptqResult &result) {
  int64_t groups = format.groupsPerRow(columns);
  int64_t stripes = (rows + kStripeRows - 1) / kStripeRows;
  std::vector<QuantizeStatistics> parts(size_t(stripes), QuantizeStatistics{});
  parallelFor(options.threads, stripes, [&](int64_t stripe) {
    qrt::throwIfCancelled(options.cancelled);
    int64_t first = stripe * kStripeRows;
    int64_t count = std::min(kStripeRows, rows - first);
    std::vector<float> permuted;
    const float *from = w + first * columns;
    if (storesPermuted(options)) {
      for (int64_t row = 0; row < count; ++row)
        for (int32_t column : factor.order)
          permuted.push_back(from[row * columns + column]);
      from = permuted.data();
    }
    parts[size_t(stripe)] = quantizeRows(
        from, count, columns, format, options.scales,
        result.codes.data() + first * columns,
        result.scales.data() + first * groups,
        format.zero ? result.zeros.data() + first * groups : nullptr);
  });
  for (const QuantizeStatistics &part : parts)
    result.statistics += part;
}

} // namespace qcc
