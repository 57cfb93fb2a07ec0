//===- Main.cpp - The command qrt -----------------------------------------===//

#include "runtime/support/Error.h"
#include "runtime/tools/qrt/Support.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <new>

using namespace qrt;

enum ExitCode { Done = 0, Failed = 1, WrongUsage = 2, Interrupted = 130 };

/// One line, whatever is in the text.
static void printError(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  std::fflush(stdout);
  std::fprintf(stderr, "qrt: error: %s\n", text.c_str());
}

static bool hasCommand(const CLI::App &app, const std::string &name) {
  return std::ranges::any_of(app.get_subcommands({}), [&](const auto *command) {
    return command->get_name() == name;
  });
}

static int run(std::vector<std::string> arguments) {
  CLI::App app("Runs compiled models.", "qrt");
  app.set_version_flag("--version", "qrt " QRT_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  tool::addGenerate(app);
  tool::addChat(app);
  tool::addLogits(app);
  tool::addEval(app);
  tool::addBench(app);
  if (!arguments.empty() && !arguments[0].starts_with("-") &&
      !hasCommand(app, arguments[0])) {
    printError("there is no command '" + arguments[0] +
               "'; qrt --help lists them");
    return WrongUsage;
  }
  // CLI11 takes the arguments from the back.
  std::ranges::reverse(arguments);
  try {
    app.parse(std::move(arguments));
    tool::finishOutput();
    return Done;
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error);
    std::string text = error.what();
    // "The following ...", "A subcommand ..." but not "FILE is required".
    if (text.size() > 1 && !std::isupper(text[1]))
      text[0] = char(std::tolower(text[0]));
    printError(text);
    return WrongUsage;
  } catch (const Error &error) {
    printError(error.what());
    return error.kind() == ErrorKind::Usage       ? WrongUsage
           : error.kind() == ErrorKind::Cancelled ? Interrupted
                                                  : Failed;
  } catch (const std::bad_alloc &) {
    printError("not enough memory");
  } catch (const std::exception &error) {
    printError(error.what());
  }
  return Failed;
}

int main(int argc, char **argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  // '-' and '_' are the same in the names of long options.
  for (std::string &argument : arguments) {
    if (argument == "--")
      break;
    if (argument.starts_with("--"))
      std::replace(argument.begin(),
                   std::find(argument.begin(), argument.end(), '='), '_', '-');
  }
  return run(std::move(arguments));
}
