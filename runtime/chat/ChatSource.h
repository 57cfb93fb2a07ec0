//===- ChatSource.h - What a checkpoint says about chats --------*- C++ -*-===//

#ifndef QRT_CHAT_CHATSOURCE_H
#define QRT_CHAT_CHATSOURCE_H

#include <string>
#include <utility>
#include <vector>

namespace qrt::chat {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

/// Chat templates and what they print, as a checkpoint or an artifact has them.
struct ChatSource {
  NamedTexts templates; ///< by name; a model's only one is "default"
  /// What templates know special tokens by ("bos_token"), and their text.
  NamedTexts specialTokens;
};

} // namespace qrt::chat

#endif // QRT_CHAT_CHATSOURCE_H
