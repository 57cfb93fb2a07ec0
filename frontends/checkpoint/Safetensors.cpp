//===- Safetensors.cpp - The safetensors format ---------------------------===//

#include "frontends/checkpoint/Safetensors.h"

#include "runtime/support/Error.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

using nlohmann::json;
using qrt::Error;

namespace qcc {
namespace {

class SafetensorsReader {
public:
  SafetensorsReader(std::span<const uint8_t> bytes, const std::string &file)
      : bytes(bytes), file(file) {}

  std::vector<TensorInfo> read() {
    json header = readHeader();
    std::vector<TensorInfo> infos;
    for (auto &[name, entry] : header.items())
      if (name != "__metadata__")
        infos.push_back(readTensor(name, entry));

    uint64_t end = data;
    for (const TensorInfo *info : sortByPlace(infos, bytes.size(), file)) {
      refuseHole(end, info->offset);
      end = info->offset + info->bytes;
    }
    refuseHole(end, bytes.size());
    return infos;
  }

private:
  /// The largest header that the format's own implementation accepts.
  static constexpr uint64_t kMaxHeader = 100'000'000;

  void refuseHole(uint64_t from, uint64_t to) const {
    if (from < to)
      throw Error("bytes " + std::to_string(from) + " to " +
                      std::to_string(to) + " belong to no tensor",
                  file);
  }

  json readHeader() {
    if (bytes.size() < 8)
      throw Error("the file is " + std::to_string(bytes.size()) +
                      " bytes, too short for safetensors",
                  file);
    uint64_t size;
    std::memcpy(&size, bytes.data(), sizeof(size));
    if (size > bytes.size() - 8 || size > kMaxHeader)
      throw Error("the header's length is " + std::to_string(size) +
                      " in a file of " + std::to_string(bytes.size()) +
                      " bytes",
                  file);
    data = 8 + size;

    // Tensors are objects of arrays: anything deeper is no header. Keys may not
    // repeat, neither tensors nor fields.
    std::set<std::string> names, fields;
    auto check = [&](int depth, json::parse_event_t event, json &value) {
      if (depth > 4)
        throw Error("the header is nested too deeply", file);
      if (event != json::parse_event_t::key)
        return true;
      const auto &key = value.get_ref<const std::string &>();
      if (depth == 1) {
        fields.clear();
        if (!names.insert(key).second)
          throw Error("tensor " + quoteText(key) + " is there twice", file);
      } else if (!fields.insert(key).second) {
        throw Error("field " + quoteText(key) + " is there twice in one entry",
                    file);
      }
      return true;
    };
    try {
      json header = json::parse(bytes.begin() + 8, bytes.begin() + data, check);
      if (!header.is_object())
        throw Error("the header is no JSON object", file);
      return header;
    } catch (const json::parse_error &error) {
      throw Error("the header is no valid JSON at byte " +
                      std::to_string(8 + error.byte),
                  file);
    } catch (const json::exception &) {
      throw Error("the header is no valid JSON", file);
    }
  }

  TensorInfo readTensor(const std::string &name, const json &entry) const {
    std::string what = "tensor " + quoteText(name);
    if (!entry.is_object())
      throw Error(what + " has an entry that is no object", file);
    auto field = [&](const char *key) -> const json & {
      auto it = entry.find(key);
      if (it == entry.end())
        throw Error(what + " has no field '" + key + "'", file);
      return *it;
    };
    const json &dtype = field("dtype"), &shape = field("shape"),
               &offsets = field("data_offsets");
    TensorInfo info;
    info.name = name;
    info.type = parseType(dtype, what);
    if (!shape.is_array())
      throw Error(what + " has a 'shape' that is no array", file);
    for (const json &size : shape)
      info.shape.push_back(int64_t(parseSize(size, what, "shape")));
    if (!offsets.is_array() || offsets.size() != 2)
      throw Error(what + " has 'data_offsets' that are no two numbers", file);
    uint64_t begin = parseSize(offsets[0], what, "data_offsets");
    uint64_t end = parseSize(offsets[1], what, "data_offsets");
    int64_t expected = byteCount(info.type, info.shape);
    if (expected < 0)
      throw Error(what + " has a shape that is too large", file);
    if (end < begin || end - begin != uint64_t(expected))
      throw Error(what + " has the data_offsets " + std::to_string(begin) +
                      " and " + std::to_string(end) + " but " +
                      std::to_string(expected) +
                      " bytes by its shape and dtype",
                  file);
    info.offset = data + begin;
    info.bytes = end - begin;
    return info;
  }

  TensorType parseType(const json &dtype, const std::string &what) const {
    if (!dtype.is_string())
      throw Error(what + " has a 'dtype' that is no string", file);
    const auto &name = dtype.get_ref<const std::string &>();
    for (int i = 0; i < kNumTensorTypes; ++i)
      if (!isBlockType(TensorType(i)) && traits(TensorType(i)).name == name)
        return TensorType(i);
    throw Error(what + " has the dtype " + quoteText(name) +
                    ", which is not supported",
                file);
  }

  uint64_t parseSize(const json &value, const std::string &what,
                     const char *field) const {
    // Sums of two sizes and a position in a file fit into 64 bits.
    if (!value.is_number_unsigned() ||
        value.get<uint64_t>() > (uint64_t(1) << 62))
      throw Error(what + " has " + quoteText(value.dump()) + " in '" + field +
                      "', not a size",
                  file);
    return value.get<uint64_t>();
  }

  std::span<const uint8_t> bytes;
  const std::string &file;
  uint64_t data = 0; ///< where the tensors' bytes begin
};

} // namespace

std::vector<TensorInfo> parseSafetensors(std::span<const uint8_t> bytes,
                                         const std::string &file) {
  return SafetensorsReader(bytes, file).read();
}

} // namespace qcc
