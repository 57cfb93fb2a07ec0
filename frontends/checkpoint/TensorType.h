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
  U64,
  U32,
  U16,
  U8,
  Bool,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ4_NL,
  IQ4_XS,
  MXFP4,
};

inline constexpr int kNumTensorTypes = int(TensorType::MXFP4) + 1;
/// The largest TypeTraits::elements.
inline constexpr int64_t kMaxBlockElements = 256;

/// One block; plain types are blocks of one element.
struct TypeTraits {
  std::string_view name; ///< as safetensors and ggml spell it
  int64_t elements;      ///< in a block
  int64_t bytes;         ///< of a block
  bool isFloat; ///< stands for real numbers, so that it can be a weight
};

const TypeTraits &traits(TensorType type);
inline bool isBlockType(TensorType type) { return traits(type).elements > 1; }

/// Converts `count` elements to f32, rounding to nearest where f32 is too
/// narrow. For block types `count` is a multiple of the block's elements and
/// `bytes` begins a block. `bytes` may have any alignment. Block types follow
/// ggml's definitions (dequantize_row_* in ggml-quants.c).
void convertToF32(TensorType type, const uint8_t *bytes, int64_t count,
                  float *out);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_TENSORTYPE_H
