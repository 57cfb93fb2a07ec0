//===- GgufReader.cpp - Parses GGUF files ---------------------------------===//

#include "frontends/checkpoint/Gguf.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

using qrt::Error;

namespace qcc {
namespace {

/// The format's numbers of value types (gguf_metadata_value_type).
enum ValueKind : uint32_t {
  KindU8,
  KindI8,
  KindU16,
  KindI16,
  KindU32,
  KindI32,
  KindF32,
  KindBool,
  KindString,
  KindArray,
  KindU64,
  KindI64,
  KindF64,
};

/// Limits beyond any model's, so that a hostile file cannot take many times its
/// own size of memory.
constexpr uint64_t kMaxTensors = 1 << 20, kMaxValues = 1 << 20,
                   kMaxArray = 1 << 24;

/// Reads forward through a file; every read is checked.
class GgufReader {
public:
  GgufReader(std::span<const uint8_t> bytes, const std::string &file)
      : bytes(bytes), file(file) {}

  GgufContents read() {
    GgufContents contents;
    contents.metadata.file = file;
    readVersion();
    uint64_t tensors = count(24, kMaxTensors, "the number of tensors");
    uint64_t values = count(13, kMaxValues, "the number of metadata values");
    for (uint64_t i = 0; i < values; ++i)
      readValue(contents.metadata);
    uint64_t align = alignment(contents.metadata);
    for (uint64_t i = 0; i < tensors; ++i)
      contents.tensors.push_back(readTensor(align));
    uint64_t data = (at + align - 1) / align * align;
    for (TensorInfo &info : contents.tensors)
      info.offset += data;
    sortByPlace(contents.tensors, bytes.size(), file);
    return contents;
  }

private:
  void need(uint64_t size, const char *what) const {
    if (size > bytes.size() - at)
      throw Error("the file ends at byte " + std::to_string(bytes.size()) +
                      " inside " + what + " at byte " + std::to_string(at),
                  file, "the file may be truncated");
  }

  template <typename T>
  T number(const char *what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    at += sizeof(T);
    return value;
  }

  std::string string(const char *what) {
    auto length = number<uint64_t>(what);
    need(length, what);
    std::string text(reinterpret_cast<const char *>(bytes.data()) + at,
                     size_t(length));
    at += length;
    return text;
  }

  /// A count of things of at least `size` bytes each: what cannot be is refused
  /// before anything is allocated.
  uint64_t count(uint64_t size, uint64_t limit, const char *what) {
    auto value = number<uint64_t>(what);
    if (value > (bytes.size() - at) / size)
      throw Error(std::string(what) + " is " + std::to_string(value) +
                      ", more than fits into the file (" +
                      std::to_string(bytes.size()) + " bytes)",
                  file);
    if (value > limit)
      throw Error(std::string(what) + " is " + std::to_string(value) +
                      ", more than " + std::to_string(limit),
                  file);
    return value;
  }

  void readVersion() {
    if (bytes.size() < 8 || std::memcmp(bytes.data(), "GGUF", 4) != 0)
      throw Error("not a GGUF file", file);
    at = 4;
    auto version = number<uint32_t>("the version");
    if (version == 2 || version == 3)
      return;
    if (uint32_t swapped = __builtin_bswap32(version);
        swapped >= 1 && swapped <= 3)
      throw Error("the file is big-endian", file,
                  "convert it to little-endian");
    throw Error("GGUF version " + std::to_string(version) +
                    " is not supported; versions 2 and 3 are",
                file);
  }

  void readValue(GgufMetadata &metadata) {
    std::string key = string("a metadata key");
    auto kind = number<uint32_t>("a metadata type");
    GgufValue read = kind == KindArray ? array(key) : value(kind, key);
    auto [it, isNew] = metadata.values.emplace(key, read);
    // Some writers repeat themselves; what differs has no meaning.
    if (!isNew && it->second != read)
      throw Error("metadata " + quoteText(key) +
                      " is there twice, with two values",
                  file);
  }

  GgufValue value(uint32_t kind, const std::string &key) {
    constexpr const char *what = "a metadata value";
    switch (kind) {
    case KindU8:
      return uint64_t(number<uint8_t>(what));
    case KindU16:
      return uint64_t(number<uint16_t>(what));
    case KindU32:
      return uint64_t(number<uint32_t>(what));
    case KindU64:
      return number<uint64_t>(what);
    case KindI8:
      return int64_t(number<int8_t>(what));
    case KindI16:
      return int64_t(number<int16_t>(what));
    case KindI32:
      return int64_t(number<int32_t>(what));
    case KindI64:
      return number<int64_t>(what);
    case KindF32:
      return double(number<float>(what));
    case KindF64:
      return number<double>(what);
    case KindBool:
      return number<uint8_t>(what) != 0;
    case KindString:
      return string(what);
    default:
      throw Error("metadata " + quoteText(key) + " has the unknown type " +
                      std::to_string(kind),
                  file);
    }
  }

  template <typename T, typename Widened>
  GgufValue numbers() {
    constexpr const char *what = "the length of a metadata array";
    uint64_t size = count(sizeof(T), kMaxArray, what);
    std::vector<Widened> out(size);
    for (Widened &element : out)
      element = Widened(number<T>(what));
    return out;
  }

  GgufValue array(const std::string &key) {
    auto kind = number<uint32_t>("a metadata array's type");
    switch (kind) {
    case KindBool:
    case KindU8:
      return numbers<uint8_t, int64_t>();
    case KindI8:
      return numbers<int8_t, int64_t>();
    case KindU16:
      return numbers<uint16_t, int64_t>();
    case KindI16:
      return numbers<int16_t, int64_t>();
    case KindU32:
      return numbers<uint32_t, int64_t>();
    case KindI32:
      return numbers<int32_t, int64_t>();
    case KindU64:
      return numbers<uint64_t, int64_t>();
    case KindI64:
      return numbers<int64_t, int64_t>();
    case KindF32:
      return numbers<float, double>();
    case KindF64:
      return numbers<double, double>();
    case KindString: {
      uint64_t size = count(8, kMaxArray, "the length of a metadata array");
      std::vector<std::string> out(size);
      for (std::string &text : out)
        text = string("a metadata value");
      return out;
    }
    case KindArray:
      throw Error("metadata " + quoteText(key) +
                      " is an array of arrays, which is not supported",
                  file);
    default:
      throw Error("metadata " + quoteText(key) +
                      " is an array of the unknown type " +
                      std::to_string(kind),
                  file);
    }
  }

  uint64_t alignment(const GgufMetadata &metadata) const {
    int64_t value = metadata.integer("general.alignment").value_or(32);
    if (value < 1 || value > (1 << 20) || (value & (value - 1)) != 0)
      throw Error("metadata 'general.alignment' is " + std::to_string(value) +
                      ", no power of two up to 1048576",
                  file);
    return uint64_t(value);
  }

  /// ggml's numbers of types (enum ggml_type).
  TensorType tensorType(uint32_t number, const std::string &what) const {
    static const std::map<uint32_t, TensorType> types = {
        {0, TensorType::F32},     {1, TensorType::F16},
        {2, TensorType::Q4_0},    {3, TensorType::Q4_1},
        {6, TensorType::Q5_0},    {7, TensorType::Q5_1},
        {8, TensorType::Q8_0},    {10, TensorType::Q2_K},
        {11, TensorType::Q3_K},   {12, TensorType::Q4_K},
        {13, TensorType::Q5_K},   {14, TensorType::Q6_K},
        {24, TensorType::I8},     {25, TensorType::I16},
        {26, TensorType::I32},    {20, TensorType::IQ4_NL},
        {23, TensorType::IQ4_XS}, {39, TensorType::MXFP4},
        {27, TensorType::I64},    {28, TensorType::F64},
        {30, TensorType::BF16},
    };
    static const std::map<uint32_t, const char *> others = {
        {9, "Q8_1"},     {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
        {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"},   {22, "IQ2_S"},
        {29, "IQ1_M"},   {34, "TQ1_0"}, {35, "TQ2_0"},   {40, "NVFP4"},
    };
    if (auto it = types.find(number); it != types.end())
      return it->second;
    auto it = others.find(number);
    throw Error(what + " has the ggml type " + std::to_string(number) +
                    (it == others.end()
                         ? std::string()
                         : " (" + std::string(it->second) + ")") +
                    ", which is not supported",
                file);
  }

  /// The next tensor; its offset is still relative to the data.
  TensorInfo readTensor(uint64_t align) {
    TensorInfo info;
    info.name = string("a tensor's name");
    std::string what = "tensor " + quoteText(info.name);
    auto rank = number<uint32_t>("a tensor's rank");
    if (rank > 4)
      throw Error(what + " has rank " + std::to_string(rank) +
                      ", more than GGUF's 4",
                  file);
    for (uint32_t i = 0; i < rank; ++i) {
      auto size = number<uint64_t>("a tensor's shape");
      // elementCount() refuses -1.
      info.shape.push_back(size > uint64_t(INT64_MAX) ? -1 : int64_t(size));
    }
    // GGUF lists the fastest dimension first.
    std::ranges::reverse(info.shape);
    info.type = tensorType(number<uint32_t>("a tensor's type"), what);
    info.offset = number<uint64_t>("a tensor's offset");
    int64_t size = byteCount(info.type, info.shape);
    if (size < 0)
      throw Error(what +
                      " has a shape that is too large, or rows that are no "
                      "multiple of " +
                      std::to_string(traits(info.type).elements) +
                      ", the block of " + std::string(traits(info.type).name),
                  file);
    info.bytes = uint64_t(size);
    if (info.offset % align != 0 || info.offset > bytes.size())
      throw Error(what + " lies at offset " + std::to_string(info.offset) +
                      ", past the end of the file or no multiple of the "
                      "alignment " +
                      std::to_string(align),
                  file);
    return info;
  }

  std::span<const uint8_t> bytes;
  const std::string &file;
  uint64_t at = 0;
};

} // namespace

GgufContents parseGguf(std::span<const uint8_t> bytes,
                       const std::string &file) {
  return GgufReader(bytes, file).read();
}

} // namespace qcc
