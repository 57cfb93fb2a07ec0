//===- GgufMetadata.cpp - Typed access to GGUF's metadata -----------------===//

#include "frontends/checkpoint/Gguf.h"

#include "runtime/support/Error.h"

using qrt::Error;

namespace qcc {

/// The value of `key`, or null if there is none.
template <typename T>
static const T *valueOf(const GgufMetadata &meta, const std::string &key,
                        const char *kind) {
  auto it = meta.values.find(key);
  if (it == meta.values.end())
    return nullptr;
  const T *value = std::get_if<T>(&it->second);
  if (!value)
    throw Error("metadata " + quoteText(key) + " is not " + kind, meta.file);
  return value;
}

template <typename T>
static std::optional<T> optionalOf(const GgufMetadata &meta,
                                   const std::string &key, const char *kind) {
  const T *value = valueOf<T>(meta, key, kind);
  return value ? std::optional(*value) : std::nullopt;
}

template <typename T>
static std::vector<T> arrayOf(const GgufMetadata &meta, const std::string &key,
                              const char *kind) {
  const auto *value = valueOf<std::vector<T>>(meta, key, kind);
  return value ? *value : std::vector<T>();
}

std::optional<int64_t> GgufMetadata::integer(const std::string &key) const {
  auto it = values.find(key);
  if (it == values.end())
    return std::nullopt;
  if (const auto *value = std::get_if<uint64_t>(&it->second);
      value && *value <= uint64_t(INT64_MAX))
    return int64_t(*value);
  if (const auto *value = std::get_if<int64_t>(&it->second))
    return *value;
  throw Error("metadata " + quoteText(key) + " is not an integer", file);
}

std::optional<double> GgufMetadata::number(const std::string &key) const {
  auto it = values.find(key);
  if (it == values.end())
    return std::nullopt;
  if (const auto *value = std::get_if<double>(&it->second))
    return *value;
  if (const auto *value = std::get_if<uint64_t>(&it->second))
    return double(*value);
  if (const auto *value = std::get_if<int64_t>(&it->second))
    return double(*value);
  throw Error("metadata " + quoteText(key) + " is not a number", file);
}

std::optional<bool> GgufMetadata::boolean(const std::string &key) const {
  return optionalOf<bool>(*this, key, "a boolean");
}

std::optional<std::string> GgufMetadata::string(const std::string &key) const {
  return optionalOf<std::string>(*this, key, "a string");
}

std::vector<std::string> GgufMetadata::strings(const std::string &key) const {
  return arrayOf<std::string>(*this, key, "an array of strings");
}

std::vector<double> GgufMetadata::numbers(const std::string &key) const {
  return arrayOf<double>(*this, key, "an array of floats");
}

std::vector<int64_t> GgufMetadata::integers(const std::string &key) const {
  return arrayOf<int64_t>(*this, key, "an array of integers");
}

template <typename T>
static T require(std::optional<T> value, const std::string &key,
                 const std::string &file) {
  if (!value)
    throw Error("metadata " + quoteText(key) + " is missing", file);
  return *value;
}

int64_t GgufMetadata::required(const std::string &key) const {
  return require(integer(key), key, file);
}

double GgufMetadata::requiredNumber(const std::string &key) const {
  return require(number(key), key, file);
}

} // namespace qcc
