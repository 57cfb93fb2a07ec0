//===- Safetensors.cpp - Hugging Face folders -----------------------------===//
//
// The format: https://huggingface.co/docs/safetensors (a u64 header length, a
// JSON header, then the tensors' bytes without holes).
//
//===----------------------------------------------------------------------===//

#include "frontends/checkpoint/Checkpoint.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

namespace fs = std::filesystem;
using nlohmann::json;
using qrt::Error;

namespace qcc {
namespace {

TensorType parseType(const std::string &name, const std::string &tensor,
                     const std::string &file) {
  for (int i = 0; i <= int(TensorType::Bool); ++i)
    if (traits(TensorType(i)).name == name)
      return TensorType(i);
  throw Error("tensor '" + tensor + "' has the unknown dtype '" + name + "'",
              file);
}

/// An unsigned number of a header, or an error that names it.
uint64_t parseUnsigned(const json &value, const std::string &what,
                       const std::string &file) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > (uint64_t(1) << 62))
    throw Error(what + " is " + value.dump().substr(0, 40) + ", not a size",
                file);
  return value.get<uint64_t>();
}

class SafetensorsFolder : public Checkpoint {
public:
  explicit SafetensorsFolder(const std::string &path) : Checkpoint(path) {}

  void open() {
    configuration = readJsonFile(join("config.json"));
    if (fs::exists(join("generation_config.json")))
      generation = readJsonFile(join("generation_config.json"));
    readChatTemplate();
    if (fs::exists(join("model.safetensors.index.json")))
      openShards();
    else if (fs::exists(join("model.safetensors")))
      openFile("model.safetensors");
    else
      refuseFolder();
  }

private:
  std::string join(const std::string &name) const {
    return (fs::path(location) / name).string();
  }

  [[noreturn]] void refuseFolder() const {
    for (const char *name :
         {"pytorch_model.bin", "pytorch_model.bin.index.json"})
      if (fs::exists(join(name)))
        throw Error("PyTorch pickles are not supported", join(name),
                    "convert the checkpoint to safetensors");
    throw Error("the folder has neither model.safetensors nor "
                "model.safetensors.index.json",
                location);
  }

  void readChatTemplate() {
    if (fs::exists(join("chat_template.jinja"))) {
      auto file = qrt::MappedFile(join("chat_template.jinja"));
      chat.assign(file.bytes().begin(), file.bytes().end());
    } else if (fs::exists(join("tokenizer_config.json"))) {
      json tokenizer = readJsonFile(join("tokenizer_config.json"));
      auto it = tokenizer.find("chat_template");
      if (it != tokenizer.end() && it->is_string())
        chat = it->get<std::string>();
    }
  }

  void openShards() {
    std::string index = join("model.safetensors.index.json");
    json content = readJsonFile(index);
    auto map = content.find("weight_map");
    if (map == content.end() || !map->is_object())
      throw Error("field 'weight_map' is missing", index);
    std::set<std::string> shards;
    for (auto &[tensor, shard] : map->items()) {
      if (!shard.is_string())
        throw Error("weight_map['" + tensor + "'] is no file name", index);
      auto name = shard.get<std::string>();
      // A shard lies beside its index: no way out of the folder.
      if (name.empty() || name != fs::path(name).filename().string())
        throw Error("weight_map['" + tensor + "'] is '" + name +
                        "', not a name of a file in this folder",
                    index);
      shards.insert(name);
    }
    for (const std::string &shard : shards) {
      if (!fs::exists(join(shard)))
        throw Error("shard '" + shard + "' is missing", index);
      openFile(shard);
    }
    for (auto &[tensor, shard] : map->items())
      if (!find(tensor))
        throw Error("tensor '" + tensor + "' is not in its shard '" +
                        shard.get<std::string>() + "'",
                    index);
  }

  void openFile(const std::string &name) {
    std::string path = join(name);
    files.emplace_back(path);
    std::span<const uint8_t> bytes = files.back().bytes();
    uint64_t headerSize = 0;
    if (bytes.size() < 8)
      throw Error("the file is " + std::to_string(bytes.size()) +
                      " bytes, too short for safetensors",
                  path);
    std::memcpy(&headerSize, bytes.data(), 8);
    if (headerSize > bytes.size() - 8 || headerSize > (uint64_t(100) << 20))
      throw Error("the header length is " + std::to_string(headerSize) +
                      " in a file of " + std::to_string(bytes.size()) +
                      " bytes",
                  path);
    json header = parseHeader(bytes.subspan(8, headerSize), path);
    uint64_t data = 8 + headerSize;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    for (auto &[tensor, entry] : header.items())
      if (tensor != "__metadata__")
        ranges.push_back(addTensor(tensor, entry, data, path));
    std::ranges::sort(ranges);
    uint64_t end = data;
    for (auto [from, to] : ranges) {
      if (from < end)
        throw Error("tensors overlap at byte " + std::to_string(from), path);
      if (from > end)
        throw Error("bytes " + std::to_string(end) + " to " +
                        std::to_string(from) + " belong to no tensor",
                    path);
      end = to;
    }
    if (end != bytes.size())
      throw Error("the tensors end at byte " + std::to_string(end) +
                      " of a file of " + std::to_string(bytes.size()) +
                      " bytes",
                  path);
  }

  static json parseHeader(std::span<const uint8_t> text,
                          const std::string &path) {
    // Tensors are objects of arrays: anything deeper is no header. Names may
    // not repeat.
    std::set<std::string> names;
    auto check = [&](int depth, json::parse_event_t event, json &value) {
      if (depth > 8)
        throw Error("the header is nested too deeply", path);
      if (depth == 1 && event == json::parse_event_t::key &&
          !names.insert(value.get<std::string>()).second)
        throw Error("tensor '" + value.get<std::string>() + "' is there twice",
                    path);
      return true;
    };
    try {
      json header = json::parse(text.begin(), text.end(), check);
      if (!header.is_object())
        throw Error("the header is no JSON object", path);
      return header;
    } catch (const json::exception &) {
      throw Error("the header is no valid JSON", path);
    }
  }

  std::pair<uint64_t, uint64_t> addTensor(const std::string &name,
                                          const json &entry, uint64_t data,
                                          const std::string &path) {
    std::string what = "tensor '" + name + "'";
    auto field = [&](const char *key) -> const json & {
      auto it = entry.find(key);
      if (!entry.is_object() || it == entry.end())
        throw Error(what + " has no field '" + key + "'", path);
      return *it;
    };
    TensorInfo info;
    info.name = name;
    info.file = files.size() - 1;
    const json &dtype = field("dtype"), &shape = field("shape"),
               &offsets = field("data_offsets");
    if (!dtype.is_string() || !shape.is_array() || !offsets.is_array() ||
        offsets.size() != 2)
      throw Error(what + " has a malformed header entry", path);
    info.type = parseType(dtype.get<std::string>(), name, path);
    for (const json &size : shape)
      info.shape.push_back(int64_t(parseUnsigned(size, what + ".shape", path)));
    uint64_t begin = parseUnsigned(offsets[0], what + ".data_offsets", path);
    uint64_t end = parseUnsigned(offsets[1], what + ".data_offsets", path);
    int64_t elements = info.elements();
    if (end < begin || elements < 0 ||
        uint64_t(elements) > (uint64_t(1) << 62) / 8 ||
        uint64_t(elements) * uint64_t(traits(info.type).bytes) != end - begin)
      throw Error(what + " has " + std::to_string(end - begin) +
                      " bytes where its shape and dtype ask for another size",
                  path);
    info.offset = data + begin;
    info.bytes = end - begin;
    add(info);
    return {info.offset, info.offset + info.bytes};
  }
};

} // namespace

std::unique_ptr<Checkpoint> openSafetensorsFolder(const std::string &path) {
  auto folder = std::make_unique<SafetensorsFolder>(path);
  folder->open();
  return folder;
}

} // namespace qcc
