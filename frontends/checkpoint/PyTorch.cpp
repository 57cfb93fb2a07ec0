//===- PyTorch.cpp - Weights as torch.save writes them --------------------===//

#include "frontends/checkpoint/PyTorch.h"

#include "frontends/checkpoint/Pickle.h"
#include "frontends/checkpoint/ZipDirectory.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

using qrt::Error;

namespace qcc {
namespace {

/// How files of the older format begin: a pickle of torch/serialization.py's
/// MAGIC_NUMBER, 0x1950a86a20f9469cfc6c.
constexpr std::string_view
    kLegacyMagic("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19.", 15);

/// Bytes [offset, offset + bytes) of the file.
struct Range {
  uint64_t offset = 0, bytes = 0;
};

/// Whether the elements of a tensor that is not empty follow one another.
bool isDense(const std::vector<int64_t> &shape,
             const std::vector<int64_t> &strides) {
  int64_t dense = 1;
  for (size_t i = shape.size(); i-- > 0; dense *= shape[i])
    if (shape[i] > 1 && strides[i] != dense)
      return false;
  return true;
}

/// Where a view of a storage lies. `data` are the storage's bytes.
TensorInfo locate(const PickledTensor &tensor, Range data,
                  const std::string &file) {
  const std::string what = "tensor " + quoteText(tensor.name);
  TensorInfo info;
  info.name = tensor.name;
  info.type = tensor.type;
  info.shape = tensor.shape;
  const int64_t count = elementCount(info.shape);
  if (count < 0)
    throw Error(what + " has a shape that is too large", file);

  // The view's last element, in a storage of at most 2^63 bytes.
  const uint64_t size = uint64_t(traits(info.type).bytes);
  const uint64_t available = data.bytes / size;
  auto refuse = [&] {
    throw Error(what + " lies past the end of its storage " +
                    quoteText(tensor.storage.key) + " of " +
                    std::to_string(available) + " elements",
                file);
  };
  uint64_t first = uint64_t(tensor.offset), span = 0;
  if (__builtin_add_overflow(first, uint64_t(tensor.storage.viewOffset),
                             &first) ||
      first > available)
    refuse();
  for (size_t i = 0; count > 0 && i < info.shape.size(); ++i) {
    uint64_t reach;
    if (__builtin_mul_overflow(uint64_t(info.shape[i] - 1),
                               uint64_t(tensor.strides[i]), &reach) ||
        __builtin_add_overflow(span, reach, &span))
      refuse();
  }
  if (count > 0 && span >= available - first)
    refuse();
  info.offset = data.offset + first * size;
  info.bytes = count > 0 ? (span + 1) * size : 0;

  // Strides of dimensions of one element say nothing.
  if (count > 0 && !isDense(info.shape, tensor.strides)) {
    info.strides = tensor.strides;
    for (size_t i = 0; i < info.shape.size(); ++i)
      if (info.shape[i] == 1)
        info.strides[i] = 0;
  }
  return info;
}

void checkPickle(const Pickled &pickled, const std::string &file) {
  if (!pickled.isDictionary || pickled.tensors.empty())
    throw Error("the pickle is no dictionary of tensors", file,
                "save the model's state_dict()");
}

//===----------------------------------------------------------------------===//
// The zip archive
//===----------------------------------------------------------------------===//

std::vector<TensorInfo> parseArchive(std::span<const uint8_t> bytes,
                                     const std::string &file) {
  std::map<std::string, ZipEntry> entries = readZipDirectory(bytes, file);
  // All lies in one folder, whose name is free.
  constexpr std::string_view pickleName = "data.pkl";
  auto pickle = std::ranges::find_if(entries, [&](const auto &entry) {
    const std::string &name = entry.first;
    size_t slash = name.find('/');
    return name.substr(slash == std::string::npos ? 0 : slash + 1) ==
           pickleName;
  });
  if (pickle == entries.end())
    throw Error("the zip archive has no data.pkl", file,
                "torch.save writes one");
  const std::string folder =
      pickle->first.substr(0, pickle->first.size() - pickleName.size());
  if (entries.contains(folder + "constants.pkl"))
    throw Error("the file is a TorchScript program", file,
                "save the model's state_dict() with torch.save");
  if (auto order = entries.find(folder + "byteorder"); order != entries.end()) {
    auto [offset, size] = order->second;
    std::string_view text(reinterpret_cast<const char *>(bytes.data()) + offset,
                          size);
    if (text != "little")
      throw Error("the byte order is " + quoteText(text) + ", not 'little'",
                  file);
  }

  // The pickle ends where its file in the archive does.
  auto [offset, size] = pickle->second;
  Pickled pickled = readPickle(bytes.first(offset + size), offset, file);
  checkPickle(pickled, file);
  std::vector<TensorInfo> infos;
  for (const PickledTensor &tensor : pickled.tensors) {
    const PickledStorage &storage = tensor.storage;
    auto entry = entries.find(folder + "data/" + std::string(storage.key));
    if (entry == entries.end())
      throw Error("storage " + quoteText(storage.key) + " of tensor " +
                      quoteText(tensor.name) + " is missing",
                  file);
    uint64_t declared;
    if (__builtin_mul_overflow(uint64_t(storage.elements),
                               uint64_t(traits(storage.type).bytes),
                               &declared) ||
        declared != entry->second.bytes)
      throw Error("storage " + quoteText(storage.key) + " has " +
                      std::to_string(entry->second.bytes) + " bytes, not " +
                      std::to_string(storage.elements) + " elements of " +
                      std::string(traits(storage.type).name),
                  file);
    infos.push_back(
        locate(tensor, {entry->second.offset, entry->second.bytes}, file));
  }
  return infos;
}

//===----------------------------------------------------------------------===//
// The older format
//===----------------------------------------------------------------------===//

/// Pickles in a row: the magic number, the protocol's version, the machine's
/// properties, the state dictionary, the storages' keys; then for every key the
/// number of elements (i64) and the elements.
std::vector<TensorInfo> parseLegacy(std::span<const uint8_t> bytes,
                                    const std::string &file) {
  uint64_t at = kLegacyMagic.size();
  auto next = [&] {
    Pickled pickled = readPickle(bytes, at, file);
    at += pickled.bytes;
    return pickled;
  };
  next();
  if (!next().isLittleEndian)
    throw Error("the byte order is big-endian", file);
  Pickled pickled = next();
  checkPickle(pickled, file);

  std::unordered_map<std::string_view, TensorType> types;
  for (const PickledStorage &storage : pickled.storages) {
    auto [it, isNew] = types.emplace(storage.key, storage.type);
    if (!isNew && it->second != storage.type)
      throw Error("storage " + quoteText(storage.key) + " has two types", file);
  }
  std::unordered_map<std::string_view, Range> storages;
  for (std::string_view key : next().strings) {
    uint64_t elements = 0;
    if (bytes.size() - at < sizeof(elements))
      throw Error("the file ends before storage " + quoteText(key), file,
                  "the file may be truncated");
    std::memcpy(&elements, bytes.data() + at, sizeof(elements));
    at += sizeof(elements);
    auto type = types.find(key);
    if (type == types.end())
      throw Error("storage " + quoteText(key) + " is not named by the pickle",
                  file);
    uint64_t size = uint64_t(traits(type->second).bytes);
    if (elements > (bytes.size() - at) / size)
      throw Error("storage " + quoteText(key) + " has " +
                      std::to_string(elements) +
                      " elements, past the end of the file (" +
                      std::to_string(bytes.size()) + " bytes)",
                  file, "the file may be truncated");
    storages[key] = {at, elements * size};
    at += elements * size;
  }

  std::vector<TensorInfo> infos;
  for (const PickledTensor &tensor : pickled.tensors) {
    auto storage = storages.find(tensor.storage.key);
    if (storage == storages.end())
      throw Error("storage " + quoteText(tensor.storage.key) + " of tensor " +
                      quoteText(tensor.name) + " is missing",
                  file);
    infos.push_back(locate(tensor, storage->second, file));
  }
  return infos;
}

bool isLegacy(std::span<const uint8_t> bytes) {
  return bytes.size() >= kLegacyMagic.size() &&
         std::memcmp(bytes.data(), kLegacyMagic.data(), kLegacyMagic.size()) ==
             0;
}

} // namespace

std::vector<TensorInfo> parsePyTorch(std::span<const uint8_t> bytes,
                                     const std::string &file) {
  if (isZip(bytes))
    return parseArchive(bytes, file);
  if (isLegacy(bytes))
    return parseLegacy(bytes, file);
  throw Error("the file is none that torch.save writes: neither a zip archive "
              "nor PyTorch's older format",
              file);
}

} // namespace qcc
