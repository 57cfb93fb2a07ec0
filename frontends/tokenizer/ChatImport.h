//===- ChatImport.h - Chat templates of checkpoints -------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_TOKENIZER_CHATIMPORT_H
#define QCC_FRONTENDS_TOKENIZER_CHATIMPORT_H

#include "runtime/chat/ChatSource.h"

#include <filesystem>

namespace qcc {

/// The chat templates of a folder in Hugging Face layout. The first of these
/// counts, as in transformers:
///
///   chat_template.jinja and additional_chat_templates/NAME.jinja
///   tokenizer_config.json: chat_template, a text or [{"name", "template"}]
///   chat_template.json, which processors have
///
/// tokenizer_config.json and special_tokens_map.json say what the special
/// tokens are. A folder may have none of these. \p path may also be a .jinja or
/// .json file; then special tokens are those of its folder. Throws qrt::Error
/// naming the file and the field that is wrong.
qrt::chat::ChatSource importChat(const std::filesystem::path &path);

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_CHATIMPORT_H
