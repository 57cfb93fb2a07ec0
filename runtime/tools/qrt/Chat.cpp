//===- Chat.cpp - qrt chat ------------------------------------------------===//

#include "runtime/support/Error.h"
#include "runtime/tools/qrt/Dialog.h"
#include "runtime/tools/qrt/LineReader.h"
#include "runtime/tools/qrt/Support.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>

namespace qrt::tool {

namespace {
struct ChatVerb {
  CommonOptions common;
  std::string system;
  std::optional<uint64_t> seed;
  GenerateOptions options;

  void add(CLI::App &verb);
  void run();

private:
  /// Obeys a line that begins with '/'. Returns whether to go on.
  bool obey(const std::string &command, Dialog &dialog) const;
  void answer(const std::string &text, Session &session, Dialog &dialog);
  void print(const Answer &answer) const;
  void note(const std::string &text) const {
    if (!common.quiet)
      std::fprintf(stderr, "qrt: note: %s\n", text.c_str());
  }
};
} // namespace

void ChatVerb::add(CLI::App &verb) {
  common.addTo(verb);
  verb.add_option("--system", system, "What the model is told to be");
  options.maxNewTokens = std::numeric_limits<uint32_t>::max();
  verb.add_option("--max-new-tokens", options.maxNewTokens,
                  "At most so many tokens an answer (default: what the "
                  "context holds)")
      ->default_str("");
  addSampling(verb, options, seed);
  verb.footer("Reads what you say from standard input, a line a turn; one that "
              "ends with \\ goes on.\n/reset forgets the conversation, /exit "
              "leaves, /help lists the commands. Ctrl-C stops an answer.\n"
              "With --json each answer is an object on a line of its own.\n"
              "Example: qrt chat llama.qbin --system \"Be brief.\"");
}

bool ChatVerb::obey(const std::string &command, Dialog &dialog) const {
  if (command == "/exit")
    return false;
  if (command == "/reset") {
    dialog.reset();
    note("the conversation begins anew");
  } else if (command == "/help") {
    std::fputs("/reset  forgets the conversation\n"
               "/exit   leaves, as Ctrl-D does\n"
               "/help   shows this\n",
               stderr);
  } else {
    note("there is no command '" + command + "'; /help lists them");
  }
  return true;
}

void ChatVerb::print(const Answer &answer) const {
  if (common.json) {
    nlohmann::ordered_json json = {
        {"role", "assistant"},
        {"content", answer.text},
        {"finish_reason", answer.isInterrupted
                              ? "interrupted"
                              : finishReasonName(answer.reason)},
        {"prompt_tokens", answer.promptTokens},
        {"kept_tokens", answer.keptTokens},
        {"new_tokens", answer.newTokens}};
    std::string line = json.dump(
        -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    std::printf("%s\n", line.c_str());
  } else {
    std::fputc('\n', stdout);
  }
  finishOutput();
  if (answer.isInterrupted)
    note("stopped");
  else if (answer.reason == FinishReason::Length)
    note("the answer ends after " + std::to_string(answer.newTokens) +
         " tokens (--max-new-tokens)");
  else if (answer.reason == FinishReason::Context)
    note("the context is full, so the answer ends here; /reset begins anew, "
         "--context gives more room");
}

void ChatVerb::answer(const std::string &text, Session &session,
                      Dialog &dialog) {
  InterruptGuard interrupt(&session);
  session.takeCancel(); // one that came too late for the last answer
  Answer answer =
      dialog.say(text, options, [&](int32_t, std::string_view part) {
        if (!common.json) {
          std::fwrite(part.data(), 1, part.size(), stdout);
          finishOutput();
        }
        return !InterruptGuard::interrupted();
      });
  answer.isInterrupted |= InterruptGuard::takeInterrupt();
  print(answer);
}

/// "/word"; anything else that begins with a '/' is said to the model.
static bool isCommand(const std::string &line) {
  return line.size() > 1 && line[0] == '/' &&
         std::all_of(line.begin() + 1, line.end(),
                     [](char c) { return std::isalpha(uint8_t(c)); });
}

void ChatVerb::run() {
  options.sampling.seed = seed ? *seed : std::random_device{}();
  Model model(common.file, common.model());
  model.requireChatTemplates();
  Session session(model, common.context);
  warnBeyondLimit(model, session.capacity(), common.quiet);
  Dialog dialog(session, system);
  LineReader lines("> ");
  if (lines.isTerminal())
    note("/help lists the commands, /exit or Ctrl-D leaves");
  while (std::optional<std::string> line = lines.read()) {
    if (line->empty())
      continue;
    if (isCommand(*line)) {
      if (!obey(*line, dialog))
        break;
      continue;
    }
    try {
      answer(*line, session, dialog);
      ++options.sampling.seed; // another stream of numbers for each turn
    } catch (const Error &error) {
      // At a terminal the user can say something else.
      if (!lines.isTerminal())
        throw;
      std::fprintf(stderr, "qrt: error: %s\n", error.what());
    }
  }
}

void addChat(CLI::App &app) {
  auto verb = std::make_shared<ChatVerb>();
  CLI::App *command =
      app.add_subcommand("chat", "Talks by the model's chat template");
  verb->add(*command);
  command->callback([verb] { verb->run(); });
}

} // namespace qrt::tool
