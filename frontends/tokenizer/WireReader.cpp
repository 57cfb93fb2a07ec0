//===- WireReader.cpp - Reads Protocol Buffers' wire format ---------------===//

#include "frontends/tokenizer/WireReader.h"

#include "runtime/support/Error.h"

#include <bit>

namespace qcc {

float WireField::asFloat() const {
  return std::bit_cast<float>(static_cast<uint32_t>(value));
}

void WireReader::fail(const std::string &what) const {
  throw qrt::Error(what + " at byte " + std::to_string(pos) +
                       " of a message of " + std::to_string(message.size()) +
                       " bytes",
                   where);
}

uint64_t WireReader::readVarint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (pos == message.size())
      fail("the number ends too early");
    auto byte = static_cast<unsigned char>(message[pos++]);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      return value;
  }
  fail("the number has more than ten bytes");
}

uint64_t WireReader::readFixed(size_t count) {
  if (message.size() - pos < count)
    fail("the number ends too early");
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(message[pos++]))
             << i * 8;
  return value;
}

bool WireReader::next(WireField &field) {
  if (pos == message.size())
    return false;
  uint64_t tag = readVarint();
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
    fail("a field has the number " + std::to_string(tag >> 3));
  field.number = static_cast<uint32_t>(tag >> 3);
  field.type = static_cast<WireField::Type>(tag & 7);
  field.bytes = {};
  switch (field.type) {
  case WireField::Varint:
    field.value = readVarint();
    return true;
  case WireField::Fixed64:
    field.value = readFixed(8);
    return true;
  case WireField::Fixed32:
    field.value = readFixed(4);
    return true;
  case WireField::Bytes: {
    uint64_t length = readVarint();
    if (length > message.size() - pos)
      fail("a field of " + std::to_string(length) + " bytes does not fit");
    field.bytes = message.substr(pos, length);
    pos += length;
    return true;
  }
  }
  fail("a field has the unknown wire type " + std::to_string(tag & 7));
}

} // namespace qcc
