//===- PyTorch.h - Weights as torch.save writes them ------------*- C++ -*-===//
//
// Both formats of torch.save (torch/serialization.py): the zip archive since
// version 1.6 (data.pkl, and a file a storage) and the older one (pickles in a
// row, then the storages). Nothing in a file is executed; Pickle.h says what is
// understood.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_PYTORCH_H
#define QCC_FRONTENDS_CHECKPOINT_PYTORCH_H

#include "frontends/checkpoint/TensorInfo.h"

#include <span>
#include <string>
#include <vector>

namespace qcc {

/// The tensors of the state dictionary in a file with the content `bytes`, in
/// its order. Several may lie on the same bytes. Throws qrt::Error, naming
/// `file`, for whatever is no such file.
std::vector<TensorInfo> parsePyTorch(std::span<const uint8_t> bytes,
                                     const std::string &file);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_PYTORCH_H
