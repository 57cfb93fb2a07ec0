//===- GgufSplit.h - GGUF models in several files ---------------*- C++ -*-===//
//
// As llama-gguf-split writes them: <name>-00001-of-0000N.gguf and so on. The
// first file has the model's metadata, each has some of the tensors, and the
// keys "split.no" (from 0), "split.count" and "split.tensors.count" say how
// they go together.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_CHECKPOINT_GGUFSPLIT_H
#define QCC_FRONTENDS_CHECKPOINT_GGUFSPLIT_H

#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// The files of the model that the file `path` is one of, in order; `path`
/// alone if its name is not that of a part.
std::vector<std::string> ggufParts(const std::string &path);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_GGUFSPLIT_H
