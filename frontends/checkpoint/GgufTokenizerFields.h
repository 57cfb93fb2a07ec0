//===- GgufTokenizerFields.h - The tokenizer in GGUF's metadata -*- C++ -*-===//

#ifndef QCC_FRONTENDS_CHECKPOINT_GGUFTOKENIZERFIELDS_H
#define QCC_FRONTENDS_CHECKPOINT_GGUFTOKENIZERFIELDS_H

#include "frontends/checkpoint/Gguf.h"
#include "frontends/tokenizer/GgufTokenizer.h"
#include "runtime/chat/ChatSource.h"

namespace qcc {

/// The values of the keys "tokenizer.ggml.*"; nothing if the file has no
/// tokenizer. Throws qrt::Error for a value of the wrong type or range.
std::optional<GgufTokenizerFields>
readGgufTokenizerFields(const GgufMetadata &metadata);

/// The chat templates (tokenizer.chat_template and those of a name behind it)
/// and the special tokens. Throws as above.
qrt::chat::ChatSource readGgufChat(const GgufMetadata &metadata);

} // namespace qcc

#endif // QCC_FRONTENDS_CHECKPOINT_GGUFTOKENIZERFIELDS_H
