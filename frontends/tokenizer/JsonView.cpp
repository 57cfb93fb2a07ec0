//===- JsonView.cpp - Reads JSON that is not trusted ----------------------===//

#include "frontends/tokenizer/JsonView.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace qcc {

nlohmann::json parseJson(std::string_view text, const std::string &file) {
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error &error) {
    throw qrt::Error("no JSON: the parser stops at byte " +
                         std::to_string(error.byte) + " of " +
                         std::to_string(text.size()),
                     file);
  } catch (const nlohmann::json::exception &) {
    // E.g. a number out of range.
    throw qrt::Error("no JSON that can be read", file);
  }
}

void JsonView::fail(const std::string &what) const {
  throw qrt::Error(path.empty() ? what : "'" + path + "' " + what, *file);
}

JsonView JsonView::find(const char *key) const {
  if (!value->is_object())
    fail("is not an object");
  std::string inner = path.empty() ? key : path + "." + key;
  static const nlohmann::json nullValue;
  auto it = value->find(key);
  return {it == value->end() ? nullValue : *it, std::move(inner), *file};
}

JsonView JsonView::at(const char *key) const {
  JsonView member = find(key);
  if (member.isNull())
    member.fail("is missing");
  return member;
}

size_t JsonView::size() const {
  if (!value->is_array())
    fail("is not an array");
  return value->size();
}

JsonView JsonView::operator[](size_t index) const {
  if (index >= size())
    fail("has only " + std::to_string(size()) + " elements");
  return {(*value)[index], path + "[" + std::to_string(index) + "]", *file};
}

const std::string &JsonView::string() const {
  if (!value->is_string())
    fail("is not a string");
  return value->get_ref<const std::string &>();
}

int64_t JsonView::integer(int64_t min, int64_t max) const {
  if (!value->is_number_integer())
    fail("is not an integer");
  bool isHuge = value->is_number_unsigned() &&
                value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  int64_t number = isHuge ? INT64_MAX : value->get<int64_t>();
  if (isHuge || number < min || number > max)
    fail("is not between " + std::to_string(min) + " and " +
         std::to_string(max));
  return number;
}

bool JsonView::boolean() const {
  if (!value->is_boolean())
    fail("is not true or false");
  return value->get<bool>();
}

bool JsonView::boolean(const char *key, bool otherwise) const {
  JsonView member = find(key);
  return member.isNull() ? otherwise : member.boolean();
}

std::string JsonView::string(const char *key,
                             const std::string &otherwise) const {
  JsonView member = find(key);
  return member.isNull() ? otherwise : member.string();
}

void JsonView::allowOnly(std::initializer_list<std::string_view> known) const {
  if (!value->is_object())
    fail("is not an object");
  for (const auto &[key, member] : value->items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail("has the member '" + key.substr(0, 64) +
           "', which is not understood");
}

} // namespace qcc
