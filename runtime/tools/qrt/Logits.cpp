//===- Logits.cpp - qrt logits --------------------------------------------===//

#include "runtime/support/AtomicFile.h"
#include "runtime/support/Error.h"
#include "runtime/tools/qrt/Support.h"

#include <algorithm>
#include <filesystem>
#include <memory>

namespace qrt::tool {

namespace {
struct LogitsVerb {
  CommonOptions common;
  std::string tokenIds, output;
  uint32_t stepTokens = 128;

  void run();
};
} // namespace

/// The head of a safetensors file with the one tensor `logits`, f32
/// [rows][columns]: a u64 length, then JSON padded with blanks to 8 bytes.
static std::string safetensorsHead(uint64_t rows, uint64_t columns) {
  nlohmann::ordered_json json;
  json["logits"] = {{"dtype", "F32"},
                    {"shape", {rows, columns}},
                    {"data_offsets", {0, rows * columns * sizeof(float)}}};
  std::string text = json.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string head;
  for (int i = 0; i < 8; ++i)
    head += char(uint64_t(text.size()) >> (8 * i));
  return head + text;
}

void LogitsVerb::run() {
  std::vector<int32_t> ids = parseTokenIds(tokenIds);
  std::error_code error; // of a file that is not there
  if (std::filesystem::equivalent(output, common.file, error))
    throw UsageError("-o " + output + " would replace the artifact");
  Model model(common.file, common.model());
  uint32_t limit = model.contextLimit();
  if (limit && !common.context && ids.size() > limit)
    throw UsageError(std::to_string(ids.size()) +
                     " tokens are more than the model's " +
                     std::to_string(limit));
  Session session(model,
                  common.context ? common.context : uint32_t(ids.size()));
  if (ids.size() > session.capacity())
    throw UsageError(std::to_string(ids.size()) +
                     " tokens do not fit into the context of " +
                     std::to_string(session.capacity()));
  warnBeyondLimit(model, session.capacity(), common.quiet);
  InterruptGuard interrupt(&session);
  AtomicFile file(output);
  std::string head = safetensorsHead(ids.size(), model.vocabulary());
  auto asBytes = [](const auto *data, size_t bytes) {
    return std::span(reinterpret_cast<const uint8_t *>(data), bytes);
  };
  file.writeAt(0, asBytes(head.data(), head.size()));
  uint64_t offset = head.size();
  // A piece at a time: all rows of a large vocabulary may not fit in memory.
  size_t piece = std::min<size_t>(model.executor().maxTokens(), stepTokens);
  Progress progress("logits", ids.size(), common.quiet);
  for (size_t at = 0; at < ids.size(); at += piece) {
    auto part = std::span(ids).subspan(at, std::min(piece, ids.size() - at));
    session.feed(part, LogitRows::All);
    std::span<const float> logits = session.logits();
    file.writeAt(offset, asBytes(logits.data(), logits.size_bytes()));
    offset += logits.size_bytes();
    progress.advance(part.size());
  }
  file.commit();
  if (common.json)
    printJson({{"output", output},
               {"tokens", ids.size()},
               {"vocabulary", model.vocabulary()}});
}

void addLogits(CLI::App &app) {
  auto verb = std::make_shared<LogitsVerb>();
  CLI::App *command = app.add_subcommand(
      "logits", "Writes `logits`, f32 [tokens, vocabulary], for given tokens");
  verb->common.addTo(*command);
  command->add_option("--token-ids", verb->tokenIds, "Such as 1,2,3")
      ->required();
  command
      ->add_option("-o,--output", verb->output, "The safetensors file to write")
      ->required();
  command
      ->add_option("--step-tokens", verb->stepTokens,
                   "Tokens of a step; 1 decodes")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1U << 20));
  command->footer("Example: qrt logits falcon.qbin --token-ids 1,2,3 -o "
                  "logits.safetensors");
  command->callback([verb] { verb->run(); });
}

} // namespace qrt::tool
