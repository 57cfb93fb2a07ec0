//===- GgufCheckpoint.cpp - GGUF files as Hugging Face models -------------===//

#include "frontends/checkpoint/Gguf.h"
#include "frontends/checkpoint/GgufArchitecture.h"
#include "frontends/checkpoint/GgufSplit.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

using nlohmann::json;
using qrt::Error;

namespace qcc {

/// What ends a text: besides eos the end of a turn and of a message, and the
/// tokens whose names llama.cpp (llama-vocab.cpp) takes for such ends.
static json makeGenerationConfig(const GgufMetadata &meta) {
  json ids = json::array();
  for (const char *name : {"eos_token_id", "eot_token_id", "eom_token_id"})
    if (auto id = meta.integer(std::string("tokenizer.ggml.") + name);
        id && std::ranges::find(ids, json(*id)) == ids.end())
      ids.push_back(*id);
  static constexpr std::string_view kEnds[] = {
      "<|eot_id|>",    "<|im_end|>",         "<|end|>",    "<|return|>",
      "<|call|>",      "<end_of_turn>",      "<|eom_id|>", "<EOT>",
      "<|endoftext|>", "<end_of_utterance>", "_<EOT>",     "<|end_of_text|>"};
  std::vector<std::string> tokens = meta.strings("tokenizer.ggml.tokens");
  for (int64_t id = 0; id < int64_t(tokens.size()); ++id)
    if (std::ranges::find(kEnds, tokens[size_t(id)]) != std::end(kEnds) &&
        std::ranges::find(ids, json(id)) == ids.end())
      ids.push_back(id);
  return ids.empty() ? json() : json{{"eos_token_id", ids}};
}

//===----------------------------------------------------------------------===//
// GgufCheckpoint
//===----------------------------------------------------------------------===//

GgufCheckpoint::GgufCheckpoint(const std::string &path) : Checkpoint(path) {
  std::vector<TensorInfo> tensors = openParts(path);
  auto architecture = meta.string("general.architecture");
  if (!architecture)
    throw Error("metadata 'general.architecture' is missing", path);
  const GgufArchitecture *known = findGgufArchitecture(*architecture);
  if (!known)
    throw Error("gguf architecture " + quoteText(*architecture) +
                    " is not supported",
                path, "supported are " + ggufArchitectureNames());
  for (TensorInfo &info : tensors) {
    info.rotaryPermuted = isRotaryPermuted(*known, info.name);
    info.name = huggingFaceName(*known, info.name);
    add(std::move(info));
  }
  configuration = makeGgufConfig(*known, meta, *this);
  generation = makeGenerationConfig(meta);
}

std::vector<TensorInfo> GgufCheckpoint::openParts(const std::string &path) {
  std::vector<TensorInfo> tensors;
  const std::vector<std::string> parts = ggufParts(path);
  for (size_t i = 0; i < parts.size(); ++i) {
    std::error_code error;
    if (!std::filesystem::exists(parts[i], error) && parts.size() > 1)
      throw Error("part " + quoteText(parts[i]) + " of " +
                      std::to_string(parts.size()) + " is missing",
                  path, "the download may be incomplete");
    files.emplace_back(parts[i]);
    GgufContents contents = parseGguf(files[i].bytes(), parts[i]);
    const GgufMetadata &metadata = contents.metadata;
    const int64_t count = metadata.integer("split.count").value_or(1);
    const int64_t number = metadata.integer("split.no").value_or(0);
    // One part of several has a name that says so; 0 parts are as good as 1.
    if (std::max<int64_t>(count, 1) != int64_t(parts.size()) ||
        number != int64_t(i))
      throw Error("the file is part " + std::to_string(number + 1) + " of " +
                      std::to_string(count) + ", which its name does not say",
                  parts[i], "name parts as in model-00001-of-00002.gguf");
    for (TensorInfo &info : contents.tensors) {
      info.file = i;
      tensors.push_back(std::move(info));
    }
    if (i == 0)
      meta = std::move(contents.metadata);
  }
  if (int64_t count =
          meta.integer("split.tensors.count").value_or(int64_t(tensors.size()));
      count != int64_t(tensors.size()))
    throw Error("the model has " + std::to_string(tensors.size()) +
                    " tensors, not " + std::to_string(count),
                path);
  return tensors;
}

bool GgufCheckpoint::isQuantized() const {
  return std::ranges::any_of(
      infos, [](const TensorInfo &info) { return isBlockType(info.type); });
}

std::unique_ptr<Checkpoint> openGguf(const std::string &path) {
  return std::make_unique<GgufCheckpoint>(path);
}

} // namespace qcc
