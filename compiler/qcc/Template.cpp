//===- Template.cpp - qcc template ----------------------------------------===//

#include "compiler/qcc/Commands.h"

#include "compiler/driver/LoadModel.h"
#include "runtime/chat/ChatTemplates.h"
#include "runtime/chat/Json.h"
#include "runtime/support/Error.h"
#include "runtime/support/MappedFile.h"

#include <iostream>
#include <iterator>

using namespace qrt::chat;
using qrt::Error;
using qrt::UsageError;

namespace qcc {

static std::string readInput(const std::string &path) {
  if (path == "-")
    return {std::istreambuf_iterator<char>(std::cin), {}};
  qrt::MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

/// Calls `body`, whose errors then name the file.
template <typename Body>
static auto naming(const std::string &file, Body body) {
  try {
    return body();
  } catch (const Error &error) {
    throw Error(error.what(), file, "", error.kind());
  }
}

/// `{"messages": [...], "tools": [...]}`, as requests have it, or the list of
/// messages alone.
static void readMessages(const std::string &json, Conversation &conversation) {
  Value value = parseJson(json);
  if (value.isDict()) {
    const Value *messages = value.dict().find(std::string_view("messages"));
    const Value *tools = value.dict().find(std::string_view("tools"));
    if (!messages)
      throw Error("there are no messages");
    conversation.messages = *messages;
    if (tools)
      conversation.tools = *tools;
    return;
  }
  conversation.messages = std::move(value);
}

/// A value as JSON where it is that, else as a text.
static Value readVariable(const std::string &text) {
  try {
    return parseJson(text);
  } catch (const Error &) {
    return text;
  }
}

void renderTemplate(const TemplateOptions &options) {
  Conversation conversation;
  conversation.addGenerationPrompt = options.addGenerationPrompt;
  conversation.templateName = options.name;
  if (!options.date.empty())
    conversation.date = Date::parse(options.date);
  for (const std::string &variable : options.variables) {
    size_t equals = variable.find('=');
    if (equals == 0 || equals == variable.npos)
      throw UsageError("'" + variable + "' is no NAME=VALUE");
    conversation.variables.emplace_back(
        variable.substr(0, equals), readVariable(variable.substr(equals + 1)));
  }
  if (options.messages == "-" && options.tools == "-")
    throw UsageError("--messages and --tools cannot both be standard input");

  ChatSource source = loadChat(options.model);
  std::string messages = readInput(options.messages);
  naming(options.messages, [&] { readMessages(messages, conversation); });
  if (!options.tools.empty()) {
    std::string tools = readInput(options.tools);
    naming(options.tools,
           [&] { conversation.tools = parseListOfDicts(tools, "tool"); });
  }
  std::cout << naming(options.model, [&] {
    return ChatTemplates(source).render(conversation);
  });
}

} // namespace qcc
