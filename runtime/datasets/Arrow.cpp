//===- Arrow.cpp - The texts of an Arrow file -----------------------------===//
//
// Only a few fields of a few tables are read, each with its bounds checked, so
// neither Arrow's library nor its generated code is needed.
//
//===----------------------------------------------------------------------===//

#include "runtime/datasets/Arrow.h"

#include "runtime/support/Error.h"

#include <cstring>
#include <optional>

namespace qrt {

namespace {

/// Thrown inside; becomes an Error that names the file.
struct Damage {
  const char *what;
};

template <class T>
T load(std::span<const uint8_t> bytes, uint64_t at) {
  if (at > bytes.size() || sizeof(T) > bytes.size() - at)
    throw Damage{"ends early"};
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

/// A table of a flatbuffer.
class Table {
public:
  static Table root(std::span<const uint8_t> bytes) {
    return {bytes, load<uint32_t>(bytes, 0)};
  }
  Table(std::span<const uint8_t> bytes, uint64_t at) : bytes(bytes), at(at) {}

  template <class T>
  T scalar(unsigned id, T otherwise) const {
    uint64_t place = field(id);
    return place ? load<T>(bytes, place) : otherwise;
  }
  std::optional<Table> table(unsigned id) const {
    uint64_t place = field(id);
    if (!place)
      return std::nullopt;
    return Table(bytes, place + load<uint32_t>(bytes, place));
  }
  /// Where the elements of a vector begin, and how many there are.
  struct Vector {
    uint64_t at = 0;
    uint32_t size = 0;
  };
  Vector vector(unsigned id, size_t elementSize) const {
    uint64_t place = field(id);
    if (!place)
      return {};
    uint64_t start = place + load<uint32_t>(bytes, place);
    auto size = load<uint32_t>(bytes, start);
    if (size > (bytes.size() - start - 4) / elementSize)
      throw Damage{"has a vector that ends behind it"};
    return {start + 4, size};
  }
  std::string_view text(unsigned id) const {
    Vector characters = vector(id, 1);
    return {reinterpret_cast<const char *>(bytes.data()) + characters.at,
            characters.size};
  }
  Table element(Vector vector, uint32_t index) const {
    uint64_t place = vector.at + 4 * uint64_t(index);
    return {bytes, place + load<uint32_t>(bytes, place)};
  }
  std::span<const uint8_t> data() const { return bytes; }

private:
  /// Where a field lies; 0 if it is not there.
  uint64_t field(unsigned id) const {
    int64_t vtable = int64_t(at) - load<int32_t>(bytes, at);
    if (vtable < 0)
      throw Damage{"has a table without fields"};
    auto size = load<uint16_t>(bytes, uint64_t(vtable));
    if (4 + 2 * id + 2 > size)
      return 0;
    auto offset = load<uint16_t>(bytes, uint64_t(vtable) + 4 + 2 * id);
    return offset ? at + offset : 0;
  }

  std::span<const uint8_t> bytes;
  uint64_t at;
};

// Message.fbs and Schema.fbs: ids of fields, and of the unions' members.
namespace message {
constexpr unsigned kHeaderType = 1, kHeader = 2, kBodyLength = 3;
constexpr uint8_t kSchema = 1, kRecordBatch = 3;
} // namespace message
namespace schema {
constexpr unsigned kFields = 1;
} // namespace schema
namespace field {
constexpr unsigned kName = 0, kType = 2, kDictionary = 4, kChildren = 5;
} // namespace field
namespace batch {
constexpr unsigned kLength = 0, kNodes = 1, kBuffers = 2, kCompression = 3;
} // namespace batch
enum Type : uint8_t {
  kNull = 1,
  kBinary = 4,
  kUtf8 = 5,
  kList = 12,
  kStruct = 13,
  kUnion = 14,
  kFixedSizeList = 16,
  kMap = 17,
  kLargeBinary = 19,
  kLargeUtf8 = 20,
  kLargeList = 21,
  kRunEndEncoded = 22,
  kFirstUnknown = 23,
};

/// Buffers of a field and its children, in the order that a batch lists them.
/// `left`: so many more fields may be looked at.
uint32_t buffersOf(const Table &one, uint32_t &left, int depth = 0) {
  if (depth > 32 || left-- == 0)
    throw Damage{"nests its columns too deep"};
  if (one.table(field::kDictionary))
    return 2;
  uint32_t count = 2;
  auto type = one.scalar<uint8_t>(field::kType, 0);
  switch (type) {
  case kNull:
    count = 0;
    break;
  case kBinary:
  case kUtf8:
  case kLargeBinary:
  case kLargeUtf8:
    count = 3;
    break;
  case kStruct:
  case kFixedSizeList:
    count = 1;
    break;
  case kUnion:
  case kRunEndEncoded:
    throw Damage{"has a column of a type that is not supported"};
  default:
    if (type >= kFirstUnknown)
      throw Damage{"has a column of a type that is not supported"};
  }
  Table::Vector children = one.vector(field::kChildren, 4);
  for (uint32_t i = 0; i < children.size; ++i)
    count += buffersOf(one.element(children, i), left, depth + 1);
  return count;
}

/// Where the column is among the buffers of a batch.
struct Column {
  uint32_t firstBuffer = 0;
  bool isLarge = false;
};

Column findColumn(const Table &from, std::string_view name) {
  Table::Vector fields = from.vector(schema::kFields, 4);
  Column column;
  uint32_t left = 1 << 16;
  for (uint32_t i = 0; i < fields.size; ++i) {
    Table one = from.element(fields, i);
    if (one.text(field::kName) == name) {
      auto type = one.scalar<uint8_t>(field::kType, 0);
      if ((type != kUtf8 && type != kLargeUtf8) ||
          one.table(field::kDictionary))
        throw Damage{"has a column of that name that is no plain text"};
      column.isLarge = type == kLargeUtf8;
      return column;
    }
    column.firstBuffer += buffersOf(one, left);
  }
  throw Damage{"has no such column"};
}

template <class Offset>
void appendTexts(std::span<const uint8_t> offsets,
                 std::span<const uint8_t> text, int64_t count,
                 std::vector<std::string_view> &out) {
  for (int64_t i = 0; i < count; ++i) {
    auto begin = uint64_t(load<Offset>(offsets, uint64_t(i) * sizeof(Offset)));
    auto end =
        uint64_t(load<Offset>(offsets, uint64_t(i + 1) * sizeof(Offset)));
    if (begin > end || end > text.size())
      throw Damage{"has a text that ends behind its buffer"};
    out.emplace_back(reinterpret_cast<const char *>(text.data()) + begin,
                     end - begin);
  }
}

void readBatch(const Table &header, std::span<const uint8_t> body,
               const Column &column, std::vector<std::string_view> &out) {
  if (header.table(batch::kCompression))
    throw Damage{"is compressed, which is not supported"};
  auto count = header.scalar<int64_t>(batch::kLength, 0);
  Table::Vector buffers = header.vector(batch::kBuffers, 16);
  if (count == 0)
    return;
  if (count < 0 || column.firstBuffer + 3 > buffers.size)
    throw Damage{"has a batch of too few buffers"};
  auto buffer = [&](uint32_t index) {
    uint64_t at = buffers.at + 16 * uint64_t(column.firstBuffer + index);
    auto offset = load<uint64_t>(header.data(), at);
    auto size = load<uint64_t>(header.data(), at + 8);
    if (offset > body.size() || size > body.size() - offset)
      throw Damage{"has a buffer that ends behind its body"};
    return body.subspan(offset, size);
  };
  // A null has an empty text: its offsets are equal.
  if (column.isLarge)
    appendTexts<int64_t>(buffer(1), buffer(2), count, out);
  else
    appendTexts<int32_t>(buffer(1), buffer(2), count, out);
}

std::vector<std::string_view> readMessages(std::span<const uint8_t> file,
                                           std::string_view column) {
  constexpr std::string_view magic = "ARROW1";
  uint64_t at = 0;
  if (file.size() >= 8 &&
      std::memcmp(file.data(), magic.data(), magic.size()) == 0)
    at = 8;
  std::optional<Column> place;
  std::vector<std::string_view> texts;
  while (at < file.size()) {
    auto size = load<uint32_t>(file, at);
    at += 4;
    if (size == 0xffffffff) { // before version 0.15 there was no such mark
      size = load<uint32_t>(file, at);
      at += 4;
    }
    if (size == 0)
      break; // the end; the file format has a footer behind it
    if (size > file.size() - at)
      throw Damage{"ends inside a message"};
    Table message = Table::root(file.subspan(at, size));
    at += size;
    auto length = message.scalar<uint64_t>(message::kBodyLength, 0);
    if (length > file.size() - at)
      throw Damage{"ends inside a body"};
    auto type = message.scalar<uint8_t>(message::kHeaderType, 0);
    std::optional<Table> header = message.table(message::kHeader);
    if (!header)
      throw Damage{"has a message without a header"};
    if (type == message::kSchema)
      place = findColumn(*header, column);
    else if (type == message::kRecordBatch && place)
      readBatch(*header, file.subspan(at, length), *place, texts);
    at += length;
  }
  if (!place)
    throw Damage{"has no schema"};
  return texts;
}

} // namespace

std::vector<std::string_view> readArrowTexts(std::span<const uint8_t> file,
                                             std::string_view column,
                                             const std::string &path) {
  try {
    return readMessages(file, column);
  } catch (const Damage &damage) {
    throw Error("the Arrow file cannot be read for its column '" +
                    std::string(column) + "': it " + damage.what,
                path);
  }
}

} // namespace qrt
