//===- JsonView.h - Reads JSON that is not trusted --------------*- C++ -*-===//

#ifndef QCC_FRONTENDS_TOKENIZER_JSONVIEW_H
#define QCC_FRONTENDS_TOKENIZER_JSONVIEW_H

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace qcc {

/// Parses \p text; throws qrt::Error that names \p file.
nlohmann::json parseJson(std::string_view text, const std::string &file);

/// A value in a document, with its path; refers to the document and to the
/// file's name, which must outlive it. What does not have the type that is
/// asked for is a qrt::Error that names path and file.
class JsonView {
public:
  JsonView(const nlohmann::json &value, std::string path,
           const std::string &file)
      : value(&value), path(std::move(path)), file(&file) {}

  const nlohmann::json &json() const { return *value; }
  bool isNull() const { return value->is_null(); }
  bool isString() const { return value->is_string(); }
  bool isArray() const { return value->is_array(); }
  bool isObject() const { return value->is_object(); }

  /// A member of an object; missing or null is an error in the first, a null
  /// value in the second.
  JsonView at(const char *key) const;
  JsonView find(const char *key) const;

  size_t size() const; ///< of an array
  JsonView operator[](size_t index) const;

  const std::string &string() const;
  int64_t integer(int64_t min, int64_t max) const;
  bool boolean() const;

  /// Members that may be missing or null.
  bool boolean(const char *key, bool otherwise) const;
  std::string string(const char *key, const std::string &otherwise) const;

  /// Throws if the object has a member that is not in \p known.
  void allowOnly(std::initializer_list<std::string_view> known) const;

  [[noreturn]] void fail(const std::string &what) const;
  const std::string &fileName() const { return *file; }
  const std::string &pathName() const { return path; }

private:
  const nlohmann::json *value;
  std::string path;
  const std::string *file;
};

} // namespace qcc

#endif // QCC_FRONTENDS_TOKENIZER_JSONVIEW_H
