//===- HuggingFaceFolder.cpp - Models as transformers saves them ----------===//

#include "frontends/checkpoint/Checkpoint.h"
#include "frontends/checkpoint/PyTorch.h"
#include "frontends/checkpoint/Safetensors.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace fs = std::filesystem;
using nlohmann::json;
using qrt::Error;

namespace qcc {
namespace {

class FolderCheckpoint : public Checkpoint {
public:
  explicit FolderCheckpoint(const std::string &path) : Checkpoint(path) {}

  void openFile(const std::string &path,
                decltype(&parseSafetensors) parse = nullptr) {
    files.emplace_back(path);
    std::span<const uint8_t> bytes = files.back().bytes();
    constexpr std::string_view pointer = "version https://git-lfs";
    if (std::ranges::equal(bytes.first(std::min(bytes.size(), pointer.size())),
                           pointer))
      throw Error("the file is a pointer of Git LFS, not the weights", path,
                  "fetch them with 'git lfs pull'");
    if (!parse)
      parse = fs::path(path).extension() == ".safetensors" ? &parseSafetensors
                                                           : &parsePyTorch;
    for (TensorInfo &info : parse(bytes, path)) {
      info.file = files.size() - 1;
      add(std::move(info));
    }
  }

  void openFolder(const std::string &weights) {
    configuration = readObject("config.json");
    if (exists("generation_config.json"))
      generation = readObject("generation_config.json");
    if (!weights.empty())
      return openFile(join(weights));
    // In transformers' order; PyTorch's pickles come last.
    for (const char *name : {"model.safetensors", "pytorch_model.bin"}) {
      const std::string index = std::string(name) + ".index.json";
      if (exists(name))
        return openFile(join(name));
      if (exists(index))
        return openShards(index);
    }
    throw Error("the folder has none of model.safetensors, pytorch_model.bin "
                "and their .index.json",
                location, "name the file of the weights itself");
  }

private:
  std::string join(const std::string &name) const {
    return (fs::path(location) / name).string();
  }
  bool exists(const std::string &name) const {
    std::error_code error;
    return fs::exists(fs::path(location) / name, error);
  }

  json readObject(const std::string &name) const {
    json content = readJsonFile(join(name));
    if (!content.is_object())
      throw Error("the file holds no JSON object", join(name));
    return content;
  }

  void openShards(const std::string &name) {
    std::string index = join(name);
    json content = readObject(name);
    auto map = content.find("weight_map");
    if (map == content.end() || !map->is_object() || map->empty())
      throw Error("field 'weight_map' is no object with tensors", index);

    std::map<std::string, size_t> shards; // name to index of the file
    for (auto &[tensor, shard] : map->items()) {
      if (!shard.is_string())
        throw Error("weight_map[" + quoteText(tensor) + "] is no file name",
                    index);
      // A shard lies beside its index: no way out of the folder.
      const auto &file = shard.get_ref<const std::string &>();
      if (file.empty() || file == "." || file == ".." ||
          file.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
        throw Error("weight_map[" + quoteText(tensor) + "] is " +
                        quoteText(file) +
                        ", not the name of a file in this folder",
                    index);
      shards.emplace(file, 0);
    }
    for (auto &[shard, file] : shards) {
      if (!exists(shard))
        throw Error("shard " + quoteText(shard) + " is missing", index,
                    "the download may be incomplete");
      file = files.size();
      openFile(join(shard));
    }
    for (auto &[tensor, shard] : map->items()) {
      const auto &file = shard.get_ref<const std::string &>();
      const TensorInfo *info = find(tensor);
      if (!info || info->file != shards[file])
        throw Error("tensor " + quoteText(tensor) + " is not in its shard " +
                        quoteText(file),
                    index);
    }
  }
};

} // namespace

std::unique_ptr<Checkpoint> openHuggingFaceFolder(const std::string &path,
                                                  const std::string &weights) {
  auto checkpoint = std::make_unique<FolderCheckpoint>(path);
  checkpoint->openFolder(weights);
  return checkpoint;
}

std::unique_ptr<Checkpoint> openSafetensorsFile(const std::string &path) {
  auto checkpoint = std::make_unique<FolderCheckpoint>(path);
  checkpoint->openFile(path, &parseSafetensors);
  return checkpoint;
}

} // namespace qcc
