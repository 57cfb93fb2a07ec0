//===- qcc.cpp - The compiler's command -----------------------------------===//

#include "compiler/driver/Compile.h"
#include "compiler/driver/Version.h"
#include "compiler/qcc/Commands.h"
#include "runtime/support/Error.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <limits>
#include <new>

using namespace qcc;
using qrt::UsageError;

static std::atomic<bool> interrupted = false;

static void onInterrupt(int) {
  // A second Ctrl-C ends the program the usual way.
  interrupted = true;
  std::signal(SIGINT, SIG_DFL);
}

namespace {

/// The items of a list, empty ones too; none of an empty text.
std::vector<std::string> splitAtCommas(const std::string &text) {
  std::vector<std::string> items;
  for (size_t begin = 0, end; !text.empty() && begin <= text.size();
       begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
  }
  return items;
}

/// A check that CLI11 lacks: it lets numbers wrap around.
template <class T>
CLI::Validator inRange(T least = std::numeric_limits<T>::min(),
                       T most = std::numeric_limits<T>::max()) {
  return {[=](const std::string &text) -> std::string {
            T value = 0;
            const char *end = text.data() + text.size();
            auto [next, error] = std::from_chars(text.data(), end, value);
            if (error == std::errc() && next == end && value >= least &&
                value <= most)
              return "";
            return "'" + text + "' is no integer from " +
                   std::to_string(least) + " to " + std::to_string(most);
          },
          ""};
}

/// `qcc compile`.
struct CompileCommand {
  CompileOptions options;
  std::string precision, targets, cpuVariants;
  bool symmetric = false, mse = false, nearest = false;
  bool actOrder = false, staticGroups = false, groupAware = false,
       trueSequential = false;
  double damp = 0;
  int64_t refine = 0;
  int64_t samples = 0, sequenceLength = 0, calibrationMemory = 0;
  int64_t bits = 0, groupSize = 0, blockSize = 0;
  double outlierThreshold = 0;
  uint64_t randomSeed = 0;
  CLI::App *app = nullptr;

  void add(CLI::App &parent) {
    app = parent.add_subcommand("compile", "Compiles a model to a .qbin");
    app->footer("Example: qcc compile falcon-7b --quantize bnb.nf4 -o "
                "falcon.qbin");
    app->add_option("model", options.model,
                    "Folder, .gguf file, hub id or short name")
        ->required();
    app->add_option("-o,--output", options.output,
                    "The artifact, or the file that --emit prints to");
    app->add_option("--quantize", options.scheme, "Scheme (see qcc list)");
    app->add_flag("--nearest", nearest, "The scheme rtn with --bits");
    app->add_option("--bits,--wbits", bits, "Width, with rtn and gptq")
        ->check(inRange<int64_t>());
    app->add_option("--group-size,--groupsize", groupSize,
                    "rtn, gptq: elements a scale, -1 for a row (128)")
        ->check(inRange<int64_t>());
    app->add_flag("--sym,!--asym", symmetric, "rtn, gptq: without zero points");
    app->add_flag("--mse,!--no-mse", mse,
                  "rtn, gptq: search for the best scales");
    app->add_option("--block-size", blockSize, "bnb: elements a block (64)")
        ->check(inRange<int64_t>());
    app->add_option("--outlier-threshold", outlierThreshold,
                    "bnb.int8: columns of activations with such a magnitude "
                    "multiply in float, 0 for none (6.0)");
    app->add_option("--modules", options.modules,
                    "REGEX=SCHEME for some modules; repeatable")
        ->take_all()
        ->allow_extra_args(false);
    app->add_option("--lm-head", options.lmHead, "Scheme of the head");
    app->add_option("--dtype", options.dtype,
                    "Type of unquantized weights: f32, bf16, f16");
    app->add_option("--precision", precision,
                    "The same: 32-true, bf16-true, 16-true");
    app->add_option("--activations", options.activations,
                    "Type of activations in GEMMs");
    app->add_option("--kv-dtype", options.kvDtype, "Type of the KV cache");
    app->add_option("--target", targets,
                    "Targets, separated by commas (cpu, and where there is "
                    "NVRTC this machine's GPU)");
    app->add_option("--cpu-variants", cpuVariants,
                    "Of the target cpu, separated by commas: x86-64-v3, "
                    "x86-64-v4, amx, native (all)");
    app->add_option("--random-weights", randomSeed,
                    "Make weights from this seed")
        ->check(inRange<uint64_t>());
    app->add_option("--threads", options.threads, "Threads (all)")
        ->check(inRange<unsigned>(0, 1024));
    app->add_option("--emit", options.emit,
                    "Print the program: tfm, qnt, krn, llvm, cuda, sass");
    app->add_option("--save-temps", options.saveTemps,
                    "Folder for intermediate files");
    app->add_option("--quant-log", options.quantLog, "CSV line a module");
    app->add_flag("--print-pipeline", options.printPipeline,
                  "Print the passes as qcc-opt accepts them");
    app->add_option("--pipeline", options.pipeline,
                    "Run these passes instead (see --print-pipeline)");
    app->add_flag("--mlir-timing", options.timing, "Say where time goes");
    app->add_flag("--no-chat-template", options.noChatTemplate,
                  "Leave the chat template out");
    app->add_flag("--quiet", options.quiet, "No progress");
    addGptq();
  }

  void addGptq() {
    const char *group = "GPTQ";
    app->add_flag("--act-order,--desc-act,!--no-act-order,!--no-desc-act",
                  actOrder, "Quantize columns by falling activation")
        ->group(group);
    app->add_flag("--static-groups,!--no-static-groups", staticGroups,
                  "Find scales before the first column is quantized")
        ->group(group);
    app->add_flag("--group-aware-order,!--no-group-aware-order", groupAware,
                  "Activation order of groups, and within them")
        ->group(group);
    app->add_flag("--true-sequential,!--no-true-sequential", trueSequential,
                  "Modules see earlier ones of their layer quantized")
        ->group(group);
    app->add_option("--damp,--percdamp", damp, "Damping of the Hessian")
        ->group(group);
    app->add_option("--refine", refine,
                    "Sweeps of coordinate descent over codes and scales (1)")
        ->group(group)
        ->check(inRange<int64_t>(0, 1000));
    CalibrationRequest &data = options.calibration;
    app->add_option("--calibration,--dataset", data.data,
                    "wikitext2, c4, c4-new, ptb, ptb-new, self, or a .txt or "
                    ".jsonl file")
        ->group(group);
    app->add_option("--samples,--nsamples", samples,
                    "Calibration sequences (128)")
        ->group(group)
        ->check(inRange<int64_t>(1, 1 << 20));
    app->add_option("--sequence-length,--seqlen", sequenceLength,
                    "Tokens of a sequence (2048, or the model's limit)")
        ->group(group)
        ->check(inRange<int64_t>(2, 1 << 20));
    app->add_option("--seed", data.seed, "Seed of the calibration data (0)")
        ->group(group)
        ->check(inRange<uint64_t>());
    app->add_option("--calibration-memory", calibrationMemory,
                    "MiB of activations in memory (half of the machine's; on a "
                    "GPU 14336), the rest goes into files beside the artifact "
                    "or is computed again")
        ->group(group)
        ->check(inRange<int64_t>(0, 1 << 30));
    app->add_option("--calibration-device", data.device,
                    "Where the calibration runs: cpu, cuda or cuda:N (a GPU if "
                    "it can)")
        ->group(group);
  }

  /// Takes over the options of GPTQ that were given, and refuses them where
  /// nothing is calibrated.
  void takeGptq(bool calibrates) {
    auto given = [&](const char *name) { return app->count(name) > 0; };
    SchemeOptions &scheme = options.schemeOptions;
    if (given("--act-order"))
      scheme.actOrder = actOrder;
    if (given("--static-groups"))
      scheme.staticGroups = staticGroups;
    if (given("--group-aware-order"))
      scheme.groupAwareOrder = groupAware;
    if (given("--true-sequential"))
      scheme.trueSequential = trueSequential;
    if (given("--damp"))
      scheme.damp = damp;
    if (given("--refine"))
      scheme.refine = refine;
    if (given("--samples"))
      options.calibration.samples = samples;
    if (given("--sequence-length"))
      options.calibration.length = sequenceLength;
    if (given("--calibration-memory"))
      options.calibration.memory = calibrationMemory;
    if (calibrates)
      return;
    for (const char *name :
         {"--calibration", "--samples", "--sequence-length", "--seed",
          "--calibration-memory", "--calibration-device"})
      if (given(name))
        throw UsageError(std::string(name) + " does not apply to the scheme '" +
                         options.scheme + "'");
  }

  void run() {
    auto given = [&](const char *name) { return app->count(name) > 0; };
    for (const CLI::Option *option : app->get_options())
      for (const std::string &value : option->results())
        if (value.empty())
          throw UsageError(option->get_name() + " is empty");
    SchemeOptions &scheme = options.schemeOptions;
    if (nearest) {
      if (given("--quantize"))
        throw UsageError("--nearest and --quantize exclude each other");
      options.scheme = "rtn";
    }
    if (given("--bits"))
      scheme.bits = bits;
    if (given("--group-size"))
      scheme.groupSize = groupSize;
    if (given("--sym"))
      scheme.symmetric = symmetric;
    if (given("--mse"))
      scheme.mse = mse;
    if (given("--block-size"))
      scheme.blockSize = blockSize;
    if (given("--outlier-threshold"))
      options.outlierThreshold = outlierThreshold;
    if (given("--random-weights"))
      options.randomSeed = randomSeed;
    if (given("--precision")) {
      if (given("--dtype"))
        throw UsageError("--precision and --dtype exclude each other");
      if (precision == "32-true")
        options.dtype = "f32";
      else if (precision == "bf16-true")
        options.dtype = "bf16";
      else if (precision == "16-true")
        options.dtype = "f16";
      else
        throw UsageError("unknown --precision '" + precision + "'",
                         "known are 32-true, bf16-true and 16-true");
    }
    options.targets = splitAtCommas(targets);
    options.cpuVariants = splitAtCommas(cpuVariants);
    // A rule may calibrate some modules where the scheme does not.
    bool calibrates = options.scheme.starts_with("gptq") ||
                      options.lmHead.starts_with("gptq");
    for (const std::string &rule : options.modules)
      calibrates |= rule.find("=gptq") != std::string::npos;
    takeGptq(calibrates);
    scheme.gptqElsewhere = calibrates && !options.scheme.starts_with("gptq");
    parseScheme(options.scheme, scheme);
    options.cancelled = &interrupted;
    std::signal(SIGINT, onInterrupt);
    compile(options);
  }
};

/// `--max_new_tokens` is `--max-new-tokens`, as interface.md says.
std::vector<std::string> normalizeArguments(int argc, char **argv) {
  std::vector<std::string> arguments;
  bool optionsEnded = false;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    optionsEnded |= argument == "--";
    if (!optionsEnded && argument.starts_with("--"))
      std::replace(argument.begin(),
                   argument.begin() +
                       long(std::min(argument.find('='), argument.size())),
                   '_', '-');
    arguments.push_back(argument);
  }
  return arguments;
}

/// What CLI11 says, in lower case as all messages are.
std::string lowerCase(std::string text) {
  // "The following ...", "A subcommand ...".
  if (text.size() > 1 && !std::isupper(text[1]))
    text[0] = char(std::tolower(text[0]));
  return text;
}

/// One line on stderr, whatever the text holds.
void printError(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::fprintf(stderr, "qcc: error: %s\n", text.c_str());
}

int runCommand(int argc, char **argv) {
  CLI::App app("Compiles transformer checkpoints to artifacts that qrt runs",
               "qcc");
  app.set_version_flag("--version", std::string("qcc ") + kVersion);
  app.require_subcommand(1);
  CompileCommand compileCommand;
  compileCommand.add(app);

  std::string path;
  bool json = false;
  CLI::App *inspect =
      app.add_subcommand("inspect", "Shows what is in an artifact");
  inspect->footer("Example: qcc inspect falcon.qbin --json");
  inspect->add_option("artifact", path, "The .qbin")->required();
  inspect->add_flag("--json", json, "One JSON object");

  TokenizeOptions tokenizing;
  CLI::App *tokenize = app.add_subcommand(
      "tokenize", "Text from standard input to token ids, or back");
  tokenize->footer("Example: echo Hello | qcc tokenize falcon-7b");
  tokenize->add_option("model", tokenizing.model, "Model or tokenizer")
      ->required();
  tokenize->add_flag("--no-special-tokens", tokenizing.noSpecialTokens,
                     "Add none");
  tokenize->add_flag("--literal", tokenizing.literal,
                     "Special tokens in the text are plain text");
  tokenize->add_flag("--decode", tokenizing.decode, "Ids to text");
  tokenize->add_flag("--json-lines", tokenizing.jsonLines,
                     "One JSON value a line");

  CLI::App *list = app.add_subcommand(
      "list", "Architectures, quantization schemes and targets");
  list->footer("Example: qcc list");
  CLI::App *chatTemplate =
      app.add_subcommand("template", "Renders a chat template");
  TemplateOptions templating;
  chatTemplate->footer("Example: qcc template llama-3-8b-instruct --messages "
                       "chat.json --add-generation-prompt");
  chatTemplate->add_option("model", templating.model, "Model, or a .jinja file")
      ->required();
  chatTemplate
      ->add_option("--messages", templating.messages,
                   "JSON file with the messages (-: standard input)")
      ->required();
  chatTemplate->add_option("--tools", templating.tools,
                           "JSON file with the tools' schemas");
  chatTemplate->add_flag("--add-generation-prompt",
                         templating.addGenerationPrompt,
                         "End with what an answer begins with");
  chatTemplate->add_option("--date", templating.date,
                           "The day that templates print, as 2026-11-23");
  chatTemplate->add_option("--name", templating.name,
                           "Which of several templates (default, tool_use)");
  chatTemplate
      ->add_option("--set", templating.variables,
                   "NAME=VALUE, a variable of the template; repeatable")
      ->take_all()
      ->allow_extra_args(false);

  std::vector<std::string> arguments = normalizeArguments(argc, argv);
  auto isNamed = [&](const CLI::App *command) {
    return command->get_name() == arguments[0];
  };
  if (!arguments.empty() && !arguments[0].starts_with("-") &&
      std::ranges::none_of(app.get_subcommands({}), isNamed))
    throw UsageError("there is no command '" + arguments[0] + "'",
                     "qcc --help lists them");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::Success &success) {
    return app.exit(success); // --help and --version
  } catch (const CLI::ParseError &error) {
    printError(lowerCase(error.what()));
    return 2;
  }
  if (*compileCommand.app)
    compileCommand.run();
  else if (*inspect)
    inspectArtifact(path, json);
  else if (*tokenize)
    tokenizeInput(tokenizing);
  else if (*list)
    listEverything();
  else
    renderTemplate(templating);
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0)
    throw qrt::Error("cannot write to standard output");
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  try {
    return runCommand(argc, argv);
  } catch (const qrt::Error &error) {
    printError(error.what());
    switch (error.kind()) {
    case qrt::ErrorKind::Usage:
      return 2;
    case qrt::ErrorKind::Cancelled:
      return 130;
    case qrt::ErrorKind::Failed:
      return 1;
    }
  } catch (const std::bad_alloc &) {
    printError("not enough memory");
  } catch (const std::exception &error) {
    printError(error.what());
  }
  return 1;
}
