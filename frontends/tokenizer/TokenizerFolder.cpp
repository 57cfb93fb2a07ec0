//===- TokenizerFolder.cpp - Finds a folder's tokenizer -------------------===//

#include "frontends/tokenizer/AddedTokenConfig.h"
#include "frontends/tokenizer/TokenizerImport.h"
#include "frontends/tokenizer/VocabBuilder.h"
#include "runtime/support/Error.h"

#include <fstream>

namespace qcc {

using namespace qrt;
namespace fs = std::filesystem;

namespace {

/// Far beyond any real tokenizer; keeps a wrong file from filling the memory.
constexpr uintmax_t maxFileBytes = uintmax_t(1) << 30;

constexpr const char *configName = "tokenizer_config.json";
constexpr const char *mapName = "special_tokens_map.json";

std::string readFile(const fs::path &path) {
  std::error_code error;
  uintmax_t size = fs::file_size(path, error);
  if (error)
    throw Error("cannot read the file: " + error.message(), path.string());
  if (size > maxFileBytes)
    throw Error("the file has " + std::to_string(size) + " bytes, more than " +
                    std::to_string(maxFileBytes),
                path.string());
  std::string bytes(size, '\0');
  std::ifstream stream(path, std::ios::binary);
  if (!stream.read(bytes.data(), static_cast<std::streamsize>(size)))
    throw Error("cannot read " + std::to_string(size) + " bytes",
                path.string());
  return bytes;
}

/// Refuses files of a model that are no tokenizer: a SentencePiece model has
/// no magic of its own, and its reader would name some field.
void refuseWeights(std::string_view bytes, const std::string &file) {
  auto refuse = [&](const char *what) {
    throw Error(std::string("the file is ") + what + ", no tokenizer", file,
                "name the model's folder or its tokenizer's file");
  };
  if (bytes.empty())
    refuse("empty");
  // A zip archive, and a pickle of protocol 2 to 5.
  if (bytes.starts_with("PK\3\4") || (bytes.size() > 1 && bytes[0] == '\x80' &&
                                      bytes[1] >= 2 && bytes[1] <= 5))
    refuse("a PyTorch checkpoint");
  // The length of a JSON header in 8 bytes, of which the upper ones are 0.
  if (bytes.size() > 8 &&
      bytes.substr(4, 5) == std::string_view("\0\0\0\0{", 5))
    refuse("a safetensors checkpoint");
  if (bytes.starts_with("QBIN\r\n"))
    refuse("an artifact");
  if (bytes.starts_with("GGUF"))
    refuse("a GGUF file whose name does not end in .gguf");
}

/// Empty if there is no such file.
std::string readIfThere(const fs::path &path) {
  std::error_code error;
  return fs::is_regular_file(path, error) ? readFile(path) : std::string();
}

nlohmann::json parseIfThere(std::string_view text, const std::string &file) {
  return text.empty() ? nlohmann::json() : parseJson(text, file);
}

/// vocab_size of config.json; 0 if the folder has no such file or field. (Who
/// compiles the model says what is wrong with it.)
int64_t readVocabularySize(const fs::path &folder) {
  std::error_code error;
  if (!fs::is_regular_file(folder / "config.json", error))
    return 0;
  nlohmann::json config = nlohmann::json::parse(
      readFile(folder / "config.json"), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object() || !config.contains("vocab_size") ||
      !config["vocab_size"].is_number_integer())
    return 0;
  return config["vocab_size"].get<int64_t>();
}

/// What transformers' Llama and Gemma tokenizers add to SentencePiece's.
void applyConfig(TokenizerModel &model, std::string_view config,
                 std::string_view specialTokensMap) {
  const std::string configFile = configName, mapFile = mapName;
  nlohmann::json configJson = parseIfThere(config, configFile);
  nlohmann::json mapJson = parseIfThere(specialTokensMap, mapFile);
  JsonView root(configJson, "", configFile);
  SpecialTokens special =
      readSpecialTokens(root, JsonView(mapJson, "", mapFile));
  TokenIds ids;
  for (size_t id = 0; id < model.pieces.size(); ++id)
    ids.byText.emplace(model.pieces[id].text, static_cast<int32_t>(id));
  for (const AddedToken &token : special.numbered)
    addToken(model, ids, token, root);
  applyNamedTokens(model, ids, special, root);
  model.sentencePiece.prefixOnlyFirst = !special.legacy.value_or(true);
  setTemplate(model, special.addBos.value_or(true),
              special.addEos.value_or(false));
  validate(model);
}

} // namespace

TokenizerModel importVocabAndMerges(std::string_view vocabJson,
                                    std::string_view mergesText,
                                    std::string_view config,
                                    std::string_view specialTokensMap) {
  const std::string vocabName = "vocab.json", mergesName = "merges.txt";
  const std::string configFile = configName, mapFile = mapName;
  nlohmann::json configJson = parseIfThere(config, configFile);
  nlohmann::json mapJson = parseIfThere(specialTokensMap, mapFile);
  JsonView root(configJson, "", configFile);
  SpecialTokens special =
      readSpecialTokens(root, JsonView(mapJson, "", mapFile));

  TokenizerModel model;
  PreTokenizerStep byteLevel;
  byteLevel.addPrefixSpace = special.addPrefixSpace.value_or(false);
  const std::string &kind = special.tokenizerClass;
  if (kind.starts_with("Qwen2Tokenizer")) {
    // transformers' tokenization_qwen2.py.
    model.normalizers.emplace_back(); // NFC
    PreTokenizerStep split;
    split.kind = PreTokenizerKind::Split;
    split.pattern = {
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        true};
    model.preTokenizers.push_back(split);
    byteLevel.useRegex = false;
  } else if (!kind.empty() && !kind.starts_with("GPT2Tokenizer") &&
             !kind.starts_with("CodeGenTokenizer") &&
             !kind.starts_with("PreTrainedTokenizer") &&
             !kind.starts_with("TokenizersBackend")) {
    root.at("tokenizer_class")
        .fail("is '" + kind.substr(0, 64) +
              "', which is not supported with vocab.json and merges.txt");
  }
  model.preTokenizers.push_back(byteLevel);
  model.decoders.push_back({});

  nlohmann::json vocab = parseJson(vocabJson, vocabName);
  TokenIds ids = readVocab(JsonView(vocab, "", vocabName), model);
  const std::string listName = "line";
  MergeAdder adder(ids, model, listName, mergesName);
  for (size_t line = 1; !mergesText.empty(); ++line) {
    size_t end = std::min(mergesText.find('\n'), mergesText.size());
    std::string_view text = mergesText.substr(0, end);
    mergesText.remove_prefix(std::min(end + 1, mergesText.size()));
    if (text.ends_with('\r'))
      text.remove_suffix(1);
    if (!text.empty() && (line > 1 || !text.starts_with("#version")))
      adder.addLine(text, line);
  }

  // GPT-2's own tokens, where nothing else is said.
  if (special.named.empty() && special.numbered.empty() &&
      ids.find("<|endoftext|>") >= 0) {
    AddedToken end;
    end.content = "<|endoftext|>";
    end.special = true;
    special.named = {{"bos_token", end}, {"eos_token", end}};
  }
  for (const AddedToken &token : special.numbered)
    addToken(model, ids, token, root);
  applyNamedTokens(model, ids, special, root);
  setTemplate(model, special.addBos.value_or(false),
              special.addEos.value_or(false));
  validate(model);
  return model;
}

/// The one file *.tiktoken of a folder, or tiktoken.model; or empty.
static fs::path findTiktoken(const fs::path &folder) {
  fs::path found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".tiktoken" &&
        it->path().filename() != "tiktoken.model")
      continue;
    if (!found.empty())
      throw Error("the folder has several tiktoken vocabularies",
                  folder.string(), "name one of them");
    found = it->path();
  }
  return found;
}

std::optional<TokenizerModel> importTokenizerFolder(const fs::path &path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    std::string bytes = readFile(path);
    if (path.extension() == ".json")
      return importTokenizerJson(bytes, {}, path.string());
    if (isTiktoken(bytes))
      return importTiktoken(bytes, {}, path.string());
    refuseWeights(bytes, path.string());
    return importSentencePiece(bytes, path.string());
  }
  if (!fs::is_directory(path, error))
    throw Error("there is no such file or folder", path.string());

  std::string config = readIfThere(path / configName);
  std::string specialTokensMap = readIfThere(path / mapName);
  fs::path json = path / "tokenizer.json", spm = path / "tokenizer.model";
  fs::path vocab = path / "vocab.json", merges = path / "merges.txt";
  if (fs::is_regular_file(json, error))
    return importTokenizerJson(readFile(json), config, json.string(),
                               readVocabularySize(path));
  if (fs::is_regular_file(spm, error)) {
    std::string bytes = readFile(spm);
    if (isTiktoken(bytes))
      return importTiktoken(bytes, config, spm.string());
    TokenizerModel model = importSentencePiece(bytes, spm.string());
    if (!config.empty() || !specialTokensMap.empty())
      applyConfig(model, config, specialTokensMap);
    return model;
  }
  if (fs::path ranks = findTiktoken(path); !ranks.empty())
    return importTiktoken(readFile(ranks), config, ranks.string());
  if (fs::is_regular_file(vocab, error) && fs::is_regular_file(merges, error))
    return importVocabAndMerges(readFile(vocab), readFile(merges), config,
                                specialTokensMap);
  return std::nullopt;
}

} // namespace qcc
