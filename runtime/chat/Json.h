//===- Json.h - Template values as JSON -------------------------*- C++ -*-===//

#ifndef QRT_CHAT_JSON_H
#define QRT_CHAT_JSON_H

#include "runtime/chat/Value.h"

namespace qrt::chat {

/// How json.dumps writes, by default as transformers' tojson calls it.
struct JsonStyle {
  bool ensureAscii = false;
  bool sortKeys = false;
  /// Of one level; none: everything stands on one line.
  std::optional<std::string> indent;
  std::string itemSeparator = ", ", keySeparator = ": ";
};

/// json.dumps. Throws qrt::Error for values that JSON does not have.
std::string toJson(const Value &value, const JsonStyle &style = {});

/// json.loads. Throws qrt::Error naming the byte where the text is no JSON.
Value parseJson(std::string_view text);

} // namespace qrt::chat

#endif // QRT_CHAT_JSON_H
