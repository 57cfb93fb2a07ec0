//===- ChatTemplates.cpp - A model's chat templates -----------------------===//

#include "runtime/chat/ChatTemplates.h"

#include "runtime/chat/Json.h"
#include "runtime/support/Error.h"

namespace qrt::chat {

ChatTemplates::ChatTemplates(const ChatSource &source)
    : specialTokens(source.specialTokens) {
  for (const auto &[name, text] : source.templates) {
    try {
      templates.try_emplace(name, text);
    } catch (const Error &error) {
      if (source.templates.size() == 1)
        throw;
      throw Error("template '" + name + "': " + error.what());
    }
  }
}

const Template &ChatTemplates::choose(const Conversation &conversation) const {
  std::string name = conversation.templateName;
  if (name.empty())
    name = !conversation.tools.isNone() && templates.contains("tool_use")
               ? "tool_use"
               : "default";
  auto found = templates.find(name);
  if (found != templates.end())
    return found->second;
  if (templates.empty())
    throw Error("the model has no chat template");
  std::string names;
  for (const auto &[known, ignored] : templates)
    names += (names.empty() ? "" : ", ") + known;
  throw Error("the model has no chat template '" + name + "'", "",
              "it has " + names);
}

/// A message with its reasoning under the names that templates look for, as
/// transformers passes it on.
static Value withReasoning(const Value &message) {
  const Dict &dict = message.dict();
  for (std::string_view name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value *reasoning = dict.find(name);
    if (!reasoning || reasoning->isNone())
      continue;
    Dict aliased;
    aliased.set("thinking", *reasoning);
    for (const auto &[key, value] : dict.entries())
      aliased.set(key, value);
    aliased.set("reasoning_content", *reasoning);
    return aliased;
  }
  return message;
}

static void requireListOfDicts(const Value &value, const std::string &what) {
  if (!value.isSequence())
    throw Error("the " + what + "s are no list");
  for (size_t i = 0; i < value.items().size(); ++i)
    if (!value.items()[i].isDict())
      throw Error(what + " " + std::to_string(i) + " is no object");
}

std::string ChatTemplates::render(const Conversation &conversation) const {
  const Template &chosen = choose(conversation);
  requireListOfDicts(conversation.messages, "message");
  if (conversation.messages.items().empty())
    throw Error("the conversation has no messages");
  if (!conversation.tools.isNone())
    requireListOfDicts(conversation.tools, "tool");
  Values messages;
  for (const Value &message : conversation.messages.items())
    messages.push_back(withReasoning(message));
  RenderContext context;
  context.date = conversation.date;
  // Later ones win.
  context.variables = {
      {"messages", Value(std::move(messages))},
      {"tools", conversation.tools},
      {"documents", Value()},
      {"add_generation_prompt", Value(conversation.addGenerationPrompt)}};
  for (const auto &[name, text] : specialTokens)
    context.variables.emplace_back(name, text);
  for (const auto &variable : conversation.variables)
    context.variables.push_back(variable);
  return chosen.render(context);
}

Value parseListOfDicts(std::string_view json, const std::string &what) {
  Value value = parseJson(json);
  requireListOfDicts(value, what);
  return value;
}

} // namespace qrt::chat
