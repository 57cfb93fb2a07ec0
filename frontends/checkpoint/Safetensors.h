//===- Safetensors.h - The safetensors format -------------------*- C++ -*-===//
//
// The format: https://huggingface.co/docs/safetensors (a u64 header length, a
// JSON header, then the tensors' bytes without holes or overlaps).
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_SAFETENSORS_H
#define QCC_FRONTENDS_CHECKPOINT_SAFETENSORS_H

#include "frontends/checkpoint/TensorInfo.h"

#include <span>
#include <string>
#include <vector>

namespace qcc {

/// The tensors of a safetensors file with the content `bytes`, by name. Throws
/// qrt::Error, naming `file`, for whatever does not follow the format.
std::vector<TensorInfo> parseSafetensors(std::span<const uint8_t> bytes,
                                         const std::string &file);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_SAFETENSORS_H
