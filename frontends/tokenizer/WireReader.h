//===- WireReader.h - Reads Protocol Buffers' wire format -------*- C++ -*-===//
//
// The encoding page of protobuf.dev, as far as SentencePiece's models need it.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_FRONTENDS_TOKENIZER_WIREREADER_H
#define QCC_FRONTENDS_TOKENIZER_WIREREADER_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qcc {

/// One field of a message.
struct WireField {
  enum Type : uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };
  uint32_t number = 0;
  Type type = Varint;
  uint64_t value = 0;     ///< Varint, Fixed64, Fixed32
  std::string_view bytes; ///< Bytes

  bool boolean() const { return value != 0; }
  float asFloat() const; ///< of Fixed32
};

/// Goes through the fields of one message. Every read is checked; what is
/// damaged is a qrt::Error that names \p where and the byte.
class WireReader {
public:
  /// \p where lives as long as this.
  WireReader(std::string_view message, const std::string &where)
      : message(message), where(where) {}

  /// Reads the next field; false at the end.
  bool next(WireField &field);

private:
  uint64_t readVarint();
  uint64_t readFixed(size_t count);
  [[noreturn]] void fail(const std::string &what) const;

  std::string_view message;
  const std::string &where;
  size_t pos = 0;
};

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_WIREREADER_H
