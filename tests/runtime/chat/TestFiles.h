//===- TestFiles.h - JSON files of chat tests -------------------*- C++ -*-===//

#ifndef QRT_TESTS_RUNTIME_CHAT_TESTFILES_H
#define QRT_TESTS_RUNTIME_CHAT_TESTFILES_H

#include "runtime/chat/Json.h"
#include "runtime/chat/Template.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace qrt::chat::test {

inline Value readJson(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return parseJson(std::string(std::istreambuf_iterator<char>(file), {}));
}

/// A member of an object, which must be there.
inline const Value &at(const Value &object, std::string_view name) {
  return *object.dict().find(name);
}

/// Every member of an object as a variable.
inline std::vector<std::pair<std::string, Value>>
toVariables(const Value &object) {
  std::vector<std::pair<std::string, Value>> variables;
  for (const auto &[name, value] : object.dict().entries())
    variables.emplace_back(name.string(), value);
  return variables;
}

} // namespace qrt::chat::test

#endif // QRT_TESTS_RUNTIME_CHAT_TESTFILES_H
