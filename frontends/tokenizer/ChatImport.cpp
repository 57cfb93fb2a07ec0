//===- ChatImport.cpp - Chat templates of checkpoints ---------------------===//

#include "frontends/tokenizer/ChatImport.h"

#include "frontends/tokenizer/AddedTokenConfig.h"
#include "frontends/tokenizer/JsonView.h"
#include "runtime/support/MappedFile.h"

#include <algorithm>

namespace qcc {

namespace fs = std::filesystem;
using qrt::chat::ChatSource;

static std::string readText(const fs::path &path) {
  qrt::MappedFile file(path.string());
  return {file.bytes().begin(), file.bytes().end()};
}

static bool isFile(const fs::path &path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

namespace {
/// A JSON file that may be missing, and then is null.
struct JsonFile {
  explicit JsonFile(const fs::path &path) : name(path.string()) {
    if (isFile(path))
      document = parseJson(readText(path), name);
  }
  JsonView view() const { return {document, "", name}; }

  std::string name;
  nlohmann::json document;
};
} // namespace

/// A text, or a list of named ones.
static void addTemplates(const JsonView &value, ChatSource &source) {
  if (value.isNull())
    return;
  if (!value.isArray()) {
    source.templates.emplace_back("default", value.string());
    return;
  }
  for (size_t i = 0; i < value.size(); ++i)
    source.templates.emplace_back(value[i].at("name").string(),
                                  value[i].at("template").string());
}

static void addTemplateFiles(const fs::path &folder, ChatSource &source) {
  if (fs::path path = folder / "chat_template.jinja"; isFile(path))
    source.templates.emplace_back("default", readText(path));
  std::vector<fs::path> named;
  std::error_code error;
  for (fs::directory_iterator it(folder / "additional_chat_templates", error),
       end;
       !error && it != end; it.increment(error))
    if (it->path().extension() == ".jinja")
      named.push_back(it->path());
  std::ranges::sort(named);
  for (const fs::path &path : named)
    source.templates.emplace_back(path.stem().string(), readText(path));
}

ChatSource importChat(const fs::path &path) {
  bool isOneFile = isFile(path);
  fs::path folder = isOneFile ? path.parent_path() : path;
  JsonFile config(folder / "tokenizer_config.json"),
      map(folder / "special_tokens_map.json");
  ChatSource source;
  if (isOneFile && path.extension() == ".json")
    addTemplates(JsonFile(path).view().find("chat_template"), source);
  else if (isOneFile && path.extension() == ".jinja")
    source.templates.emplace_back("default", readText(path));
  else if (!isOneFile)
    addTemplateFiles(folder, source);
  if (source.templates.empty() && !isOneFile && !config.view().isNull())
    addTemplates(config.view().find("chat_template"), source);
  if (JsonFile legacy(folder / "chat_template.json");
      source.templates.empty() && !isOneFile && !legacy.view().isNull())
    addTemplates(legacy.view().find("chat_template"), source);
  for (const auto &[name, token] :
       readSpecialTokens(config.view(), map.view()).named)
    if (!name.empty())
      source.specialTokens.emplace_back(name, token.content);
  return source;
}

} // namespace qcc
