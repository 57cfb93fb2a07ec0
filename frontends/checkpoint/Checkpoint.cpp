//===- Checkpoint.cpp - Tensors and configuration of a model --------------===//

#include "frontends/checkpoint/Checkpoint.h"

#include "frontends/checkpoint/Gguf.h"
#include "frontends/checkpoint/GgufSplit.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace fs = std::filesystem;
using nlohmann::json;
using qrt::Error;

namespace qcc {

json readJsonFile(const std::string &path) {
  qrt::MappedFile file(path);
  auto bytes = file.bytes();
  if (bytes.size() > (size_t(256) << 20))
    throw Error("the file is too large for JSON (" +
                    std::to_string(bytes.size()) + " bytes)",
                path);
  auto bound = [&](int depth, json::parse_event_t, json &) {
    if (depth > 64)
      throw Error("JSON is nested more than 64 levels deep", path);
    return true;
  };
  try {
    return json::parse(bytes.begin(), bytes.end(), bound);
  } catch (const json::parse_error &error) {
    throw Error("invalid JSON at byte " + std::to_string(error.byte), path);
  } catch (const json::exception &) {
    throw Error("invalid JSON", path);
  }
}

const TensorInfo *Checkpoint::find(const std::string &name) const {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &infos[it->second];
}

void Checkpoint::add(TensorInfo info) {
  auto [it, isNew] = byName.emplace(info.name, infos.size());
  if (!isNew) {
    const std::string &first = fileName(infos[it->second]);
    const std::string &second = files[info.file].path();
    throw Error("tensor " + quoteText(info.name) + " is there twice", second,
                first == second ? "" : "it is also in " + first);
  }
  infos.push_back(std::move(info));
}

std::span<const uint8_t> Checkpoint::bytes(const TensorInfo &info) const {
  if (!info.strides.empty())
    throw Error("tensor " + quoteText(info.name) +
                    " is a view with strides, which is supported for float "
                    "weights only",
                fileName(info), "save a contiguous copy of it");
  return range(info);
}

/// Elements [first, first + count) of a tensor with strides. Only plain types
/// have strides.
static void readStrided(const TensorInfo &info, const uint8_t *data,
                        int64_t first, int64_t count, float *out) {
  const int64_t size = traits(info.type).bytes;
  const size_t rank = info.shape.size();
  std::vector<int64_t> index(rank);
  int64_t rest = first, at = 0; // in elements
  for (size_t i = rank; i-- > 0; rest /= info.shape[i]) {
    index[i] = rest % info.shape[i];
    at += index[i] * info.strides[i];
  }
  constexpr int64_t kChunk = 512;
  uint8_t gathered[kChunk * 8];
  while (count > 0) {
    const int64_t taken = std::min(count, kChunk);
    for (int64_t k = 0; k < taken; ++k) {
      std::memcpy(gathered + k * size, data + at * size, size_t(size));
      for (size_t i = rank; i-- > 0;) {
        at += info.strides[i];
        if (++index[i] < info.shape[i])
          break;
        at -= index[i] * info.strides[i];
        index[i] = 0;
      }
    }
    convertToF32(info.type, gathered, taken, out);
    out += taken;
    count -= taken;
  }
}

void Checkpoint::readF32(const TensorInfo &info, int64_t first, int64_t count,
                         float *out) const {
  int64_t elements = info.elements();
  if (first < 0 || count < 0 || first > elements || count > elements - first)
    throw Error("tensor " + quoteText(info.name) + " has " +
                    std::to_string(elements) + " elements, not " +
                    std::to_string(count) + " from element " +
                    std::to_string(first) + " on",
                fileName(info));
  if (!info.strides.empty())
    return readStrided(info, range(info).data(), first, count, out);
  const TypeTraits &type = traits(info.type);
  const uint8_t *data = range(info).data();

  // Whole blocks go straight to the output, the ends through a buffer.
  while (count > 0) {
    const uint8_t *at = data + first / type.elements * type.bytes;
    int64_t skip = first % type.elements, taken;
    if (skip == 0 && count >= type.elements) {
      taken = count / type.elements * type.elements;
      convertToF32(info.type, at, taken, out);
    } else {
      float block[kMaxBlockElements];
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
  // GGUF's strings may hold bytes that are no UTF-8.
  std::string text =
      configuration.dump(-1, ' ', false, json::error_handler_t::replace);
  for (const TensorInfo *info : sorted) {
    text += '\n' + info->name + ' ' + std::string(traits(info->type).name);
    for (int64_t size : info->shape)
      text += ' ' + std::to_string(size);
    for (int64_t stride : info->strides)
      text += " by " + std::to_string(stride);
    text += ' ' + std::to_string(qrt::checksum(range(*info)));
    release(*info);
  }
  return qrt::checksum(
      {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
}

/// The GGUF file of a folder without a configuration, or empty.
static std::string findGguf(const std::string &folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".gguf")
      found.push_back(it->path().string());
  if (found.empty())
    return "";
  std::ranges::sort(found);
  if (found.size() > 1 && found != ggufParts(found[0]))
    throw Error("the folder has " + std::to_string(found.size()) +
                    " GGUF files, from " +
                    fs::path(found.front()).filename().string() + " to " +
                    fs::path(found.back()).filename().string(),
                folder, "name one of them");
  return found[0];
}

/// Whether files of that extension are Hugging Face's safetensors or PyTorch's.
static bool isWeightsName(const fs::path &path) {
  static const char *const extensions[] = {".safetensors", ".bin", ".pt",
                                           ".pth", ".ckpt"};
  return std::ranges::find(extensions, path.extension()) !=
         std::end(extensions);
}

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string &path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (!fs::is_directory(status)) {
    if (!fs::exists(status))
      throw Error("no such file or folder", path);
    // A file of weights beside its configuration.
    fs::path folder = fs::path(path).parent_path();
    if (isWeightsName(path) && fs::exists(folder / "config.json", error))
      return openHuggingFaceFolder(folder.empty() ? "." : folder.string(),
                                   fs::path(path).filename().string());
    return openGguf(path);
  }
  if (!fs::exists(fs::path(path) / "config.json", error))
    if (std::string gguf = findGguf(path); !gguf.empty())
      return openGguf(gguf);
  return openHuggingFaceFolder(path);
}

} // namespace qcc
