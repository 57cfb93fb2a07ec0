//===- Hub.cpp - Where a model named by a user lies -----------------------===//

#include "frontends/checkpoint/Hub.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace fs = std::filesystem;
using qrt::Error;

namespace qcc {

static std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

std::string hubCache() {
  if (std::string cache = environment("HF_HUB_CACHE"); !cache.empty())
    return cache;
  if (std::string home = environment("HF_HOME"); !home.empty())
    return (fs::path(home) / "hub").string();
  fs::path base = environment("XDG_CACHE_HOME");
  if (base.empty())
    base = fs::path(environment("HOME")) / ".cache";
  return (base / "huggingface" / "hub").string();
}

/// The snapshot of a cached repository: that of refs/main, or the only one.
static std::string snapshotOf(const fs::path &repository) {
  std::ifstream ref(repository / "refs" / "main");
  std::string commit;
  if (ref && std::getline(ref, commit)) {
    commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
    fs::path snapshot = repository / "snapshots" / commit;
    if (!commit.empty() && commit.find('/') == std::string::npos &&
        fs::is_directory(snapshot))
      return snapshot.string();
  }
  std::vector<fs::path> snapshots;
  std::error_code error;
  for (auto &entry : fs::directory_iterator(repository / "snapshots", error))
    if (entry.is_directory())
      snapshots.push_back(entry.path());
  if (snapshots.size() != 1)
    throw Error("the cached repository has " +
                    std::to_string(snapshots.size()) +
                    " snapshots and no refs/main that names one",
                repository.string());
  return snapshots[0].string();
}

std::string resolveModel(const std::string &model) {
  std::error_code error;
  if (model.empty())
    throw qrt::UsageError("the model's name is empty");
  if (fs::exists(model, error))
    return model;

  std::string cache = hubCache();
  bool isPath = model.front() == '/' || model.front() == '.' ||
                model.ends_with(".gguf") || std::ranges::count(model, '/') > 1;
  if (!isPath) {
    // "org/name" is exactly one folder; a short name may be in several orgs.
    size_t slash = model.find('/');
    std::string folder = slash == std::string::npos
                             ? "--" + model
                             : "models--" + model.substr(0, slash) + "--" +
                                   model.substr(slash + 1);
    std::vector<std::string> found;
    for (auto &entry : fs::directory_iterator(cache, error)) {
      std::string name = entry.path().filename().string();
      if (name == folder ||
          (slash == std::string::npos && name.starts_with("models--") &&
           (name == "models" + folder || name.ends_with(folder))))
        found.push_back(name);
    }
    std::ranges::sort(found);
    if (found.size() > 1) {
      std::string list;
      for (const std::string &name : found)
        list += (list.empty() ? "" : ", ") + name.substr(8);
      throw Error("the name '" + model + "' is ambiguous: " + list, cache,
                  "say org/name");
    }
    if (found.size() == 1)
      return snapshotOf(fs::path(cache) / found[0]);
  }
  throw Error("no model '" + model + "'; searched '" +
              fs::absolute(model, error).string() + "'" +
              (isPath ? "" : " and '" + cache + "'"));
}

} // namespace qcc
