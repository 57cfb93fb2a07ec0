//===- TensorInfo.h - Where a tensor lies in a file -------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_CHECKPOINT_TENSORINFO_H
#define QCC_FRONTENDS_CHECKPOINT_TENSORINFO_H

#include "frontends/checkpoint/TensorType.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

/// One tensor of a file. Readers hand out only such as lie inside their file
/// and have exactly the bytes that type, shape and strides ask for.
struct TensorInfo {
  std::string name;
  TensorType type = TensorType::F32;
  std::vector<int64_t> shape; ///< PyTorch's order, rows first
  size_t file = 0;            ///< index of the file it lies in
  uint64_t offset = 0;        ///< bytes from the start of the file
  uint64_t bytes = 0;         ///< from the first element to the last
  /// Distances, in elements, of neighbours in each dimension; empty: elements
  /// follow one another, rows first. Only PyTorch's files have others.
  std::vector<int64_t> strides;
  /// q and k of GGUF's llama: the rows of a head are in rotary pairs.
  bool rotaryPermuted = false;

  /// Product of the shape.
  int64_t elements() const;
};

/// Product of a shape, or -1 if it does not fit into 2^58 (so that its bytes
/// fit into 63 bits, whatever the type) or a size is negative.
int64_t elementCount(const std::vector<int64_t> &shape);

/// The bytes of a tensor of that type and shape, or -1 if elementCount() is or
/// a row is no multiple of the type's blocks.
int64_t byteCount(TensorType type, const std::vector<int64_t> &shape);

/// The tensors by their place in the file. Throws qrt::Error, naming `file`, if
/// one ends past `fileBytes` or two overlap.
std::vector<const TensorInfo *>
sortByPlace(const std::vector<TensorInfo> &infos, uint64_t fileBytes,
            const std::string &file);

/// Text out of a file as messages show it: in quotes, on one line, not longer
/// than a line, bytes that are not printable ASCII as \xNN.
std::string quoteText(std::string_view text);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_TENSORINFO_H
