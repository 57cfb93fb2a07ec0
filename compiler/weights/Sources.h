//===- Sources.h - Rows of the values of @weights ---------------*- C++ -*-===//
//
// Every value of @weights can be asked for some of its rows. A source holds no
// bytes: it computes rows from those of its operands, down to the parameters,
// so that a weight streams through in stripes, whatever its size.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_WEIGHTS_SOURCES_H
#define QCC_COMPILER_WEIGHTS_SOURCES_H

#include "compiler/quantize/Pack.h"
#include "compiler/quantize/Statistics.h"
#include "dialects/TFM/TFM.h"
#include "runtime/formats/Format.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qcc {

/// What calibration made of a weight (qnt.gptq).
struct CalibratedWeight {
  qrt::Format format;
  int64_t rows = 0, columns = 0;
  /// As qrt::PackedWeight holds them.
  std::vector<uint8_t> codes;
  std::vector<float> scales;
  std::vector<uint8_t> zeros;
  /// Stored column i is column order[i] of the weight; empty: they are as they
  /// were.
  std::vector<int32_t> order;
  QuantizeStatistics statistics;
  double damp = 0;
  double seconds = 0;
  std::string note; ///< what was not as usual; empty otherwise
};

/// Reads the values of parameters. Called from several threads at once.
class ParameterReader {
public:
  virtual ~ParameterReader() = default;
  /// Elements first .. first + count of the row-major tensor `param` of
  /// `type`.
  virtual void read(tfm::ParamAttr param, mlir::RankedTensorType type,
                    int64_t first, int64_t count, float *out) const = 0;
  /// Says that `param` will not be read again soon.
  virtual void release(tfm::ParamAttr param) const = 0;
  /// What calibration made of the weight `name`. Throws qrt::Error if nothing
  /// did.
  virtual std::shared_ptr<const CalibratedWeight>
  calibrated(const std::string &name) const;
};

/// Rows of a float value (tfm.param, slice_rows, ...). Vectors are one row.
class FloatSource {
public:
  virtual ~FloatSource() = default;
  int64_t rows() const { return numRows; }
  int64_t columns() const { return numColumns; }
  /// Writes rows [first, first + count) to out [count][columns].
  virtual void read(int64_t first, int64_t count, float *out) const = 0;

protected:
  FloatSource(int64_t rows, int64_t columns)
      : numRows(rows), numColumns(columns) {}

private:
  int64_t numRows, numColumns;
};

/// Calls work(i) for every i in [0, count), in any order and on several
/// threads.
using ParallelFor = std::function<void(
    int64_t count, const std::function<void(int64_t)> &work)>;

/// Rows of a packed value: logical codes, and scales and zero points by the
/// groups of packedFormat().
class PackedSource {
public:
  virtual ~PackedSource() = default;
  int64_t rows() const { return numRows; }
  int64_t columns() const { return numColumns; }
  /// As it will lie in memory: never flattened.
  const qrt::Format &format() const { return storedFormat; }
  /// Called once before rows are read: finds what depends on the whole weight.
  virtual void prepare(const ParallelFor &parallel) { (void)parallel; }
  /// Writes rows [first, first + count): codes [count][columns] and, for
  /// quantized formats, scales and zeros [count][groups]. Unscaled formats
  /// write f32 values [count][columns] to `values` instead; the codes of nested
  /// scales [count][groups] go to `zeros`.
  virtual void read(int64_t first, int64_t count, float *values, uint8_t *codes,
                    float *scales, uint8_t *zeros) = 0;
  /// What belongs to those codes; after prepare().
  virtual NestedPlane nestedScales() const { return {}; }
  /// What quantization lost so far, for each weight that is stacked in this
  /// one (itself, if none is).
  virtual std::vector<QuantizeStatistics> statistics() const = 0;
  /// What calibration says of each of them: damping, time, notes. Null for
  /// those that were not calibrated.
  virtual std::vector<std::shared_ptr<const CalibratedWeight>>
  calibrations() const {
    return std::vector<std::shared_ptr<const CalibratedWeight>>(
        statistics().size());
  }

protected:
  PackedSource(int64_t rows, int64_t columns, qrt::Format format)
      : numRows(rows), numColumns(columns), storedFormat(format) {}

private:
  int64_t numRows, numColumns;
  qrt::Format storedFormat;
};

/// The source of a float value of @weights. `name` is for messages.
std::unique_ptr<FloatSource> makeFloatSource(mlir::Value value,
                                             const ParameterReader &reader);

/// The source of a packed value of @weights; looks through qnt.relayout.
std::unique_ptr<PackedSource> makePackedSource(mlir::Value value,
                                               const ParameterReader &reader,
                                               const std::string &name);

} // namespace qcc

#endif // QCC_COMPILER_WEIGHTS_SOURCES_H
