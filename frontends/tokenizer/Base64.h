//===- Base64.h - RFC 4648 --------------------------------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_TOKENIZER_BASE64_H
#define QCC_FRONTENDS_TOKENIZER_BASE64_H

#include <string>
#include <string_view>

namespace qcc {

/// Decodes \p text, with or without the padding at its end, to \p bytes; false
/// if it is no Base64.
bool fromBase64(std::string_view text, std::string &bytes);

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_BASE64_H
