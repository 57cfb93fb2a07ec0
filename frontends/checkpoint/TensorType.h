//===- TensorType.h - What elements of a checkpoint are stored as -*- C++ -*-=//

#ifndef QCC_FRONTENDS_CHECKPOINT_TENSORTYPE_H
#define QCC_FRONTENDS_CHECKPOINT_TENSORTYPE_H

#include <cstdint>
#include <string_view>

namespace qcc {

/// Element types of safetensors and element or block types of GGUF.
enum class TensorType {
  F64,
  F32,
  F16,
  BF16,
  I64,
  I32,
  I16,
  I8,
  U8,
  Bool,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q4_K,
  Q6_K,
};

/// Elements and bytes of one block; elements is 1 for plain types.
struct TypeTraits {
  std::string_view name;
  int64_t elements;
  int64_t bytes;
  bool isFloat; ///< readable as f32
};

const TypeTraits &traits(TensorType type);
inline bool isBlockType(TensorType type) { return traits(type).elements > 1; }

/// Converts or dequantizes `count` elements to f32; for block types `count` is
/// a multiple of the block's elements and `bytes` begins a block. Block types
/// follow ggml's definitions (ggml-common.h, dequantize_row_*).
void convertToF32(TensorType type, const uint8_t *bytes, int64_t count,
                  float *out);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_TENSORTYPE_H
