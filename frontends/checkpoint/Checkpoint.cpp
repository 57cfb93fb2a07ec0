//===- Checkpoint.cpp - Tensors and configuration of a model --------------===//

#include "frontends/checkpoint/Checkpoint.h"

#include "frontends/checkpoint/Gguf.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fs = std::filesystem;
using qrt::Error;

namespace qcc {

int64_t elementCount(const std::vector<int64_t> &shape) {
  constexpr int64_t limit = int64_t(1) << 62;
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || (size > 0 && count > limit / size))
      return -1;
    count *= size;
  }
  return count;
}

int64_t TensorInfo::elements() const { return elementCount(shape); }

nlohmann::json readJsonFile(const std::string &path) {
  qrt::MappedFile file(path);
  auto bytes = file.bytes();
  if (bytes.size() > (size_t(256) << 20))
    throw Error("the file is too large for JSON (" +
                    std::to_string(bytes.size()) + " bytes)",
                path);
  try {
    // The callback bounds nesting: the parser's own recursion has no limit
    // when values are destroyed.
    return nlohmann::json::parse(
        bytes.begin(), bytes.end(),
        [&](int depth, nlohmann::json::parse_event_t, nlohmann::json &) {
          if (depth > 64)
            throw Error("JSON is nested more than 64 levels deep", path);
          return true;
        });
  } catch (const nlohmann::json::parse_error &error) {
    throw Error("invalid JSON at byte " + std::to_string(error.byte), path);
  } catch (const nlohmann::json::exception &error) {
    throw Error("invalid JSON", path);
  }
}

const TensorInfo *Checkpoint::find(const std::string &name) const {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &infos[it->second];
}

void Checkpoint::add(TensorInfo info) {
  const std::string &file = files[info.file].path();
  uint64_t size = files[info.file].bytes().size();
  if (info.offset > size || info.bytes > size - info.offset)
    throw Error("tensor '" + info.name + "' ends at byte " +
                    std::to_string(info.offset + info.bytes) +
                    ", past the end of the file (" + std::to_string(size) +
                    " bytes)",
                file, "the file may be truncated");
  if (!byName.emplace(info.name, infos.size()).second)
    throw Error("tensor '" + info.name + "' is there twice", file);
  infos.push_back(std::move(info));
}

void Checkpoint::readF32(const TensorInfo &info, int64_t first, int64_t count,
                         float *out) const {
  const TypeTraits &type = traits(info.type);
  if (!type.isFloat)
    throw Error("tensor '" + info.name + "' holds " + std::string(type.name) +
                    ", not floats",
                fileName(info));
  const uint8_t *data = bytes(info).data();
  if (type.elements == 1)
    return convertToF32(info.type, data + first * type.bytes, count, out);

  // Whole blocks go straight to the output, the ends through a buffer.
  float block[256];
  while (count > 0) {
    const uint8_t *at = data + first / type.elements * type.bytes;
    int64_t skip = first % type.elements, taken;
    if (skip == 0 && count >= type.elements) {
      taken = count / type.elements * type.elements;
      convertToF32(info.type, at, taken, out);
    } else {
      taken = std::min(count, type.elements - skip);
      convertToF32(info.type, at, type.elements, block);
      std::copy_n(block + skip, taken, out);
    }
    first += taken;
    out += taken;
    count -= taken;
  }
}

uint64_t Checkpoint::contentHash() const {
  std::vector<const TensorInfo *> sorted;
  for (const TensorInfo &info : infos)
    sorted.push_back(&info);
  std::ranges::sort(sorted, {}, [](const TensorInfo *i) { return i->name; });
  std::ostringstream text;
  text << configuration.dump();
  for (const TensorInfo *info : sorted) {
    text << '\n' << info->name << ' ' << traits(info->type).name;
    for (int64_t size : info->shape)
      text << ' ' << size;
    text << ' ' << qrt::checksum(bytes(*info));
    release(*info);
  }
  std::string all = text.str();
  return qrt::checksum(
      {reinterpret_cast<const uint8_t *>(all.data()), all.size()});
}

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string &path) {
  std::error_code error;
  if (fs::is_directory(path, error))
    return openSafetensorsFolder(path);
  if (!fs::exists(path, error))
    throw Error("no such file or folder", path);
  return openGguf(path);
}

} // namespace qcc
