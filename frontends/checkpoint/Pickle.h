//===- Pickle.h - Python's pickles, as far as weights need them -*- C++ -*-===//
//
// A pickle is a program for a stack machine (Python's Lib/pickletools.py
// documents its opcodes) that may call any function by name. This machine calls
// none: it knows the opcodes that protocols 2 to 5 use for plain values, and of
// the functions only those with which PyTorch's state dictionaries are written;
// any other opcode or name is refused.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_PICKLE_H
#define QCC_FRONTENDS_CHECKPOINT_PICKLE_H

#include "frontends/checkpoint/TensorType.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

/// Elements that tensors share, as a persistent id names them.
struct PickledStorage {
  std::string_view key; ///< the name of the file, or of the record, it lies in
  TensorType type = TensorType::F32; ///< U8: bytes, of a v3 tensor
  int64_t elements = 0;
  /// A part of the storage of that key that begins at this element, as files
  /// from before 2018 have it.
  int64_t viewOffset = 0;
};

/// A view of a storage. Offset and strides count elements; nothing is checked
/// against the storage yet, but no number is negative.
struct PickledTensor {
  std::string_view name;
  PickledStorage storage;
  TensorType type = TensorType::F32;
  int64_t offset = 0;
  std::vector<int64_t> shape, strides;
};

/// What a pickle at the start of a stretch of bytes holds.
struct Pickled {
  /// The tensors of the dictionary that the pickle is, or of the one under
  /// "state_dict", "model" or "module" in it.
  std::vector<PickledTensor> tensors;
  bool isDictionary = false;
  /// All storages that it names, in its order; some of them several times.
  std::vector<PickledStorage> storages;
  /// The strings of the list that the pickle is.
  std::vector<std::string_view> strings;
  /// The entry "little_endian" of the dictionary that the pickle is; true if
  /// there is none.
  bool isLittleEndian = true;
  uint64_t bytes = 0; ///< its length
};

/// Runs the pickle that begins at `bytes[at]`. Texts in the result refer to
/// `bytes`. Throws qrt::Error, naming `file`, for whatever is refused. Takes
/// time and memory in proportion to the pickle's length.
Pickled readPickle(std::span<const uint8_t> bytes, uint64_t at,
                   const std::string &file);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_PICKLE_H
