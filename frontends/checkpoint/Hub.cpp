//===- Hub.cpp - Where a model named by a user lies -----------------------===//

#include "frontends/checkpoint/Hub.h"

#include "frontends/checkpoint/TensorInfo.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;
using qrt::Error;

namespace qcc {

//===----------------------------------------------------------------------===//
// The cache's place
//===----------------------------------------------------------------------===//

static std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

/// The folder that a variable names, or an empty path.
static fs::path folderOf(const char *variable) {
  std::string value = environment(variable);
  if (value == "~" || value.starts_with("~/"))
    return environment("HOME") + value.substr(1);
  return value;
}

std::string hubCache() {
  // As huggingface_hub.constants; the second name is what it was called before.
  for (const char *variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (fs::path cache = folderOf(variable); !cache.empty())
      return cache.string();
  fs::path home = folderOf("HF_HOME");
  if (home.empty()) {
    fs::path base = folderOf("XDG_CACHE_HOME");
    if (base.empty())
      base = fs::path(environment("HOME")) / ".cache";
    home = base / "huggingface";
  }
  return (home / "hub").string();
}

//===----------------------------------------------------------------------===//
// Repositories in it
//===----------------------------------------------------------------------===//

/// The entries of a folder, by name; nothing if it cannot be read.
static std::vector<std::string> list(const fs::path &folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    names.push_back(it->path().filename().string());
  std::ranges::sort(names);
  return names;
}

static bool isFolder(const fs::path &path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

static bool equalIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// The hub id of a folder of the cache ("models--org--name", or
/// "models--name" for the few without an organization); empty if it is none.
static std::string hubId(const std::string &folder) {
  constexpr std::string_view prefix = "models--";
  if (!folder.starts_with(prefix))
    return "";
  std::string id = folder.substr(prefix.size());
  size_t dashes = id.find("--");
  return dashes == std::string::npos
             ? id
             : id.substr(0, dashes) + '/' + id.substr(dashes + 2);
}

/// The snapshot of a cached repository: that of refs/main, or the only one.
static std::string snapshotOf(const fs::path &repository) {
  fs::path snapshots = repository / "snapshots";
  std::ifstream ref(repository / "refs" / "main");
  std::string commit;
  if (ref >> commit && commit != "." && commit != ".." &&
      commit.find('/') == std::string::npos && isFolder(snapshots / commit))
    return (snapshots / commit).string();

  std::vector<fs::path> found;
  for (const std::string &name : list(snapshots))
    if (isFolder(snapshots / name))
      found.push_back(snapshots / name);
  if (found.empty())
    throw Error("the cached repository has no snapshot", repository.string(),
                "the download may be incomplete");
  if (found.size() > 1)
    throw Error("the cached repository has " + std::to_string(found.size()) +
                    " snapshots and no refs/main that names one of them",
                repository.string(), "name a snapshot's folder");
  return found[0].string();
}

/// The cached repository `id`, an "org/name" or a name, or an empty path.
static fs::path findRepository(const fs::path &cache, const std::string &id) {
  bool isShort = id.find('/') == std::string::npos;
  std::vector<std::string> exact, found;
  for (const std::string &folder : list(cache)) {
    std::string other = hubId(folder);
    std::string_view compared = other;
    if (isShort)
      compared.remove_prefix(compared.rfind('/') + 1); // npos + 1 is 0
    if (compared.empty() || !equalIgnoringCase(compared, id))
      continue;
    found.push_back(folder);
    if (compared == id)
      exact.push_back(folder);
  }
  if (!exact.empty())
    found = exact;
  if (found.empty())
    return {};
  if (found.size() > 1) {
    std::string candidates;
    for (const std::string &folder : found)
      candidates += (candidates.empty() ? "" : ", ") + hubId(folder);
    throw Error("the name " + quoteText(id) + " is ambiguous: " + candidates,
                cache.string(), "say which one");
  }
  return cache / found[0];
}

/// True if `model` can only be a path: hub ids are "org/name" or "name".
static bool isPath(const std::string &model) {
  return model.starts_with('/') || model.starts_with('.') ||
         model.starts_with('~') || model.ends_with('/') ||
         model.ends_with(".gguf") || std::ranges::count(model, '/') > 1 ||
         model.find("/.") != std::string::npos;
}

std::string resolveModel(const std::string &model) {
  if (model.empty())
    throw qrt::UsageError("the model's name is empty");
  std::error_code error;
  if (model.find('\0') == std::string::npos && fs::exists(model, error))
    return model;

  fs::path here = fs::current_path(error) / model;
  std::string searched = "searched " + here.lexically_normal().string();
  if (!isPath(model)) {
    std::string cache = hubCache();
    if (fs::path repository = findRepository(cache, model); !repository.empty())
      return snapshotOf(repository);
    searched += " and the Hugging Face cache " + cache;
    if (!isFolder(cache))
      searched += " (which is not there)";
  }
  throw Error("there is no model " + quoteText(model), "", searched);
}

} // namespace qcc
