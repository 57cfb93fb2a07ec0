//===- Datasets.cpp - Texts for calibration and evaluation ----------------===//

#include "runtime/datasets/Datasets.h"

#include "runtime/datasets/Arrow.h"
#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>
#include <utf8proc.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace fs = std::filesystem;

namespace qrt {

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

namespace {

void checkUtf8(std::string_view text, const std::string &path) {
  auto bytes = reinterpret_cast<const utf8proc_uint8_t *>(text.data());
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t point;
    utf8proc_ssize_t size = utf8proc_iterate(
        bytes + at, utf8proc_ssize_t(text.size() - at), &point);
    if (size < 1)
      throw Error("the text is not UTF-8 at byte " + std::to_string(at), path,
                  "convert it, for example with iconv");
    at += size_t(size);
  }
}

std::string_view textOf(const MappedFile &file) {
  return {reinterpret_cast<const char *>(file.bytes().data()),
          file.bytes().size()};
}

std::string gunzip(const std::string &path) {
  struct Closer {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::unique_ptr<gzFile_s, Closer> file(gzopen(path.c_str(), "rb"));
  if (!file)
    throw Error("cannot open the file", path);
  std::string text;
  constexpr size_t kPiece = size_t(1) << 20;
  for (;;) {
    size_t at = text.size();
    text.resize(at + kPiece);
    int count = gzread(file.get(), text.data() + at, unsigned(kPiece));
    if (count < 0)
      throw Error("the file is no sound gzip", path);
    text.resize(at + size_t(count));
    if (count == 0)
      break;
  }
  int error = Z_OK;
  gzerror(file.get(), &error);
  if (error != Z_OK && error != Z_STREAM_END)
    throw Error("the gzip file ends early", path);
  return text;
}

void readJsonLines(std::string_view all, const std::string &path,
                   TextRecords &records) {
  int64_t line = 0;
  for (size_t at = 0; at < all.size();) {
    size_t end = std::min(all.find('\n', at), all.size());
    std::string_view one = all.substr(at, end - at);
    at = end + 1;
    ++line;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    std::string where = path + ", line " + std::to_string(line);
    auto value =
        nlohmann::json::parse(one, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded())
      throw Error("a line of the file is no JSON", where);
    const nlohmann::json *text = &value;
    for (const char *field : {"text", "content", "sentence"})
      if (value.is_object() && value.contains(field)) {
        text = &value[field];
        break;
      }
    if (!text->is_string())
      throw Error("a line of the file holds no text", where,
                  "each is a string or an object with \"text\"");
    records.texts.push_back(records.keep(text->get<std::string>()));
  }
}

void readArrow(const std::string &path, std::string_view column,
               TextRecords &records) {
  MappedFile file(path);
  std::vector<std::string_view> texts =
      readArrowTexts(file.bytes(), column, path);
  records.texts.insert(records.texts.end(), texts.begin(), texts.end());
  records.keep(std::move(file));
}

} // namespace

TextRecords readTextFile(const std::string &path) {
  TextRecords records;
  records.path = path;
  if (path.ends_with(".arrow")) {
    MappedFile file(path);
    try {
      readArrow(path, "text", records);
    } catch (const Error &) {
      readArrow(path, "sentence", records);
    }
  } else if (path.ends_with(".json.gz") || path.ends_with(".jsonl.gz")) {
    std::string_view all = records.keep(gunzip(path));
    checkUtf8(all, path);
    readJsonLines(all, path, records);
  } else {
    MappedFile file(path);
    std::string_view text = textOf(file);
    checkUtf8(text, path);
    if (path.ends_with(".jsonl")) {
      readJsonLines(text, path, records);
    } else {
      // A byte order mark is no text.
      if (text.starts_with("\xef\xbb\xbf"))
        text.remove_prefix(3);
      records.texts.push_back(text);
    }
    records.keep(std::move(file));
  }
  return records;
}

//===----------------------------------------------------------------------===//
// The caches
//===----------------------------------------------------------------------===//

namespace {

/// A data set as the caches know it.
struct Known {
  std::string_view name;
  /// Folders of the cache of `datasets`, the configuration's folder in them
  /// (empty: any), and the column of text.
  std::vector<std::string_view> folders;
  std::string_view configuration, column;
  /// In the hub's cache: the repository's folder, and how the files of a split
  /// begin.
  std::string_view repository, file;
  std::string_view separator;
};

const std::vector<Known> &knownSets() {
  static const std::vector<Known> sets = {
      {"wikitext2",
       {"wikitext", "Salesforce___wikitext"},
       "wikitext-2-raw-v1",
       "text",
       "",
       "",
       "\n\n"},
      {"c4",
       {"allenai___c4", "c4"},
       "",
       "text",
       "datasets--allenai--c4",
       "c4-",
       " "},
      {"ptb",
       {"ptb_text_only", "ptb-text-only___ptb_text_only"},
       "penn_treebank",
       "sentence",
       "",
       "",
       "\n\n"},
  };
  return sets;
}

/// c4-new and ptb-new are c4 and ptb, joined in another way.
const Known *findKnown(std::string_view name) {
  if (name.ends_with("-new"))
    name.remove_suffix(4);
  for (const Known &one : knownSets())
    if (one.name == name)
      return &one;
  return nullptr;
}

std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

/// The folder that a variable names, or an empty path.
fs::path folderOf(const char *variable) {
  std::string value = environment(variable);
  if (value == "~" || value.starts_with("~/"))
    return environment("HOME") + value.substr(1);
  return value;
}

fs::path huggingFaceHome() {
  if (fs::path home = folderOf("HF_HOME"); !home.empty())
    return home;
  fs::path base = folderOf("XDG_CACHE_HOME");
  if (base.empty())
    base = fs::path(environment("HOME")) / ".cache";
  return base / "huggingface";
}

fs::path datasetsCache() {
  fs::path cache = folderOf("HF_DATASETS_CACHE");
  return cache.empty() ? huggingFaceHome() / "datasets" : cache;
}

fs::path hubCache() {
  fs::path cache = folderOf("HF_HUB_CACHE");
  return cache.empty() ? huggingFaceHome() / "hub" : cache;
}

/// All files below `folder`, sorted; none if it cannot be read.
std::vector<fs::path> filesBelow(const fs::path &folder) {
  std::vector<fs::path> files;
  std::error_code error;
  auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(folder, options, error), end;
       !error && it != end; it.increment(error))
    if (it->is_regular_file(error) || it->is_symlink(error))
      files.push_back(it->path());
  std::ranges::sort(files);
  return files;
}

} // namespace

bool isDatasetName(std::string_view name) {
  return findKnown(name) && name != "wikitext2-new";
}

std::string_view recordSeparator(std::string_view name) {
  if (name == "ptb-new")
    return " ";
  const Known *known = findKnown(name);
  return known ? known->separator : "\n\n";
}

std::vector<std::string> datasetFolders() {
  return {datasetsCache().string(), hubCache().string()};
}

std::optional<TextRecords> findDataset(std::string_view name,
                                       std::string_view split) {
  const Known *known = findKnown(name);
  if (!known)
    return std::nullopt;
  TextRecords records;
  // Shards of one version lie in one folder: the first folder that has any.
  fs::path version;
  std::string part = "-" + std::string(split);
  for (std::string_view folder : known->folders)
    for (const fs::path &path :
         filesBelow(datasetsCache() / folder / known->configuration)) {
      std::string file = path.filename().string();
      size_t at = file.find(part);
      if (path.extension() != ".arrow" || at == std::string::npos ||
          (file[at + part.size()] != '.' && file[at + part.size()] != '-') ||
          (!version.empty() && path.parent_path() != version))
        continue;
      version = path.parent_path();
      records.path = path.string();
      readArrow(path.string(), known->column, records);
    }
  if (!version.empty())
    return records;
  if (known->repository.empty())
    return std::nullopt;
  // The first shard is what GPTQ's loaders take.
  for (const fs::path &path : filesBelow(hubCache() / known->repository)) {
    std::string file = path.filename().string();
    if (file.starts_with(std::string(known->file) + std::string(split) +
                         ".00000") &&
        file.ends_with(".json.gz"))
      return readTextFile(path.string());
  }
  return std::nullopt;
}

} // namespace qrt
