//===- BlockTypes.h - GGUF's quantized blocks to f32 ------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_CHECKPOINT_BLOCKTYPES_H
#define QCC_FRONTENDS_CHECKPOINT_BLOCKTYPES_H

#include "frontends/checkpoint/TensorType.h"

namespace qcc {

/// Dequantizes `blocks` whole blocks of a block type.
void dequantizeBlocks(TensorType type, const uint8_t *bytes, int64_t blocks,
                      float *out);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_BLOCKTYPES_H
