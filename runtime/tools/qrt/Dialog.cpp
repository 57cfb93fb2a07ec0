//===- Dialog.cpp - A conversation with a model ---------------------------===//

#include "runtime/tools/qrt/Dialog.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::tool {

static chat::Value message(const char *role, const std::string &content) {
  chat::Dict dict;
  dict.set("role", role);
  dict.set("content", content);
  return dict;
}

Dialog::Dialog(Session &session, std::string system)
    : session(session), system(std::move(system)) {
  session.model().requireTokenizer();
  session.model().requireChatTemplates();
  reset();
}

void Dialog::reset() {
  messages.clear();
  if (!system.empty())
    messages.push_back(message("system", system));
}

std::vector<int32_t> Dialog::encode(const chat::Values &conversation) const {
  chat::Conversation turns;
  turns.messages = conversation;
  turns.addGenerationPrompt = true;
  const Model &model = session.model();
  std::vector<int32_t> ids =
      model.encodeChat(model.requireChatTemplates().render(turns));
  size_t count = ids.size(), room = session.capacity();
  if (count == 0)
    throw Error("the chat template renders the conversation as nothing");
  if (count >= room)
    throw Error("the conversation has " + std::to_string(count) +
                    " tokens, which leaves no room for an answer in a context "
                    "of " +
                    std::to_string(room),
                "", "/reset begins anew, --context gives more room");
  return ids;
}

Answer Dialog::say(const std::string &text, GenerateOptions options,
                   const TokenCallback &callback) {
  chat::Values conversation = messages;
  conversation.push_back(message("user", text));
  std::vector<int32_t> ids = encode(conversation);

  Answer answer;
  answer.promptTokens = ids.size();
  // The last token is always fed: its logits are what the answer begins with.
  size_t most = std::min(held.size(), ids.size() - 1);
  answer.keptTokens =
      size_t(std::mismatch(ids.begin(), ids.begin() + std::ptrdiff_t(most),
                           held.begin())
                 .first -
             ids.begin());
  session.truncate(uint32_t(answer.keptTokens));
  std::span<const int32_t> all = ids;
  options.before = all.first(answer.keptTokens);
  int32_t end = session.model().tokenizer()->eosId();
  if (end >= 0)
    options.stopTokens.push_back(end);

  std::vector<int32_t> made;
  auto note = [&](int32_t token, std::string_view part) {
    if (token >= 0)
      made.push_back(token);
    answer.text += part;
    return callback(token, part);
  };
  auto noteHeld = [&] {
    held = ids;
    held.insert(held.end(), made.begin(), made.end());
    held.resize(session.length());
  };
  try {
    answer.reason =
        generate(session, all.subspan(answer.keptTokens), options, note).reason;
  } catch (const Error &error) {
    if (error.kind() != ErrorKind::Cancelled) {
      noteHeld();
      throw;
    }
    answer.isInterrupted = true;
  }
  noteHeld();
  answer.newTokens = made.size();
  // One that was stopped before it began has not been said.
  if (answer.isInterrupted && answer.text.empty())
    return answer;
  messages = std::move(conversation);
  messages.push_back(message("assistant", answer.text));
  return answer;
}

} // namespace qrt::tool
