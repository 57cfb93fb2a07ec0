//===- PickleWriter.h - Opcodes of pickles for the tests --------*- C++ -*-===//

#ifndef QCC_TESTS_FRONTENDS_CHECKPOINT_PICKLEWRITER_H
#define QCC_TESTS_FRONTENDS_CHECKPOINT_PICKLEWRITER_H

#include "tests/frontends/checkpoint/TestFiles.h"

#include <initializer_list>
#include <string>

namespace qcc::test::pickle {

// (GCC 12 warns of sums that begin with a plain array of characters.)
inline std::string join(std::initializer_list<std::string> parts) {
  std::string out;
  for (const std::string &part : parts)
    out += part;
  return out;
}
inline std::string text(const std::string &value) {
  return join({"X", rawBytes(uint32_t(value.size())), value});
}
inline std::string number(int32_t value) {
  return join({"J", rawBytes(value)});
}
inline std::string numbers(std::initializer_list<int32_t> values) {
  std::string out = "(";
  for (int32_t value : values)
    out += number(value);
  return out + "t";
}
inline std::string global(const std::string &module, const std::string &name) {
  return join({"c", module, "\n", name, "\n"});
}
inline std::string storage(int32_t elements, const std::string &key = "0",
                           const std::string &type = "FloatStorage") {
  return join({"(", text("storage"), global("torch", type), text(key),
               text("cpu"), number(elements), "tQ"});
}
/// A tensor of f32 that views storage "0".
inline std::string tensor(int32_t elements, int32_t offset,
                          std::initializer_list<int32_t> shape,
                          std::initializer_list<int32_t> strides) {
  return join({global("torch._utils", "_rebuild_tensor_v2"), "(",
               storage(elements), number(offset), numbers(shape),
               numbers(strides), "\x89}tR"});
}
/// A whole pickle that is a dictionary of that content.
inline std::string dict(const std::string &content) {
  return join({"\x80\2}(", content, "u."});
}

} // namespace qcc::test::pickle

#endif // QCC_TESTS_FRONTENDS_CHECKPOINT_PICKLEWRITER_H
