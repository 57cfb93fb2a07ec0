//===- ChatTemplates.h - A model's chat templates ---------------*- C++ -*-===//

#ifndef QRT_CHAT_CHATTEMPLATES_H
#define QRT_CHAT_CHATTEMPLATES_H

#include "runtime/chat/ChatSource.h"
#include "runtime/chat/Template.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace qrt::chat {

/// A conversation to be rendered.
struct Conversation {
  Value messages; ///< a list of dicts
  Value tools;    ///< a list of JSON schemas, or None
  bool addGenerationPrompt = false;
  std::string templateName; ///< empty: what the model has for it
  /// Further variables of the template ("enable_thinking").
  std::vector<std::pair<std::string, Value>> variables;
  std::optional<Date> date;
};

/// Compiled templates. Several threads may render at once.
class ChatTemplates {
public:
  /// Throws qrt::Error that shows the place of what is not supported.
  explicit ChatTemplates(const ChatSource &source);

  bool isEmpty() const { return templates.empty(); }

  /// The text of a conversation, byte for byte as transformers' (5.23)
  /// apply_chat_template(tokenize=False) renders it. Of several templates it
  /// takes that called `tool_use` if there are tools, else `default`. Throws
  /// qrt::Error if there is no such template, the messages are no list of
  /// dicts, or rendering fails.
  std::string render(const Conversation &conversation) const;

private:
  const Template &choose(const Conversation &conversation) const;

  std::map<std::string, Template> templates;
  NamedTexts specialTokens;
};

/// The messages, or the tools, of a JSON text: a list of dicts. Throws
/// qrt::Error that says which `what` it is not.
Value parseListOfDicts(std::string_view json, const std::string &what);

} // namespace qrt::chat

#endif // QRT_CHAT_CHATTEMPLATES_H
