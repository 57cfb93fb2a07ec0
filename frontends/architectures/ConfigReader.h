//===- ConfigReader.h - Typed reading of a config.json ----------*- C++ -*-===//

#ifndef QCC_FRONTENDS_ARCHITECTURES_CONFIGREADER_H
#define QCC_FRONTENDS_ARCHITECTURES_CONFIGREADER_H

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qcc {

/// Reads fields of a model's configuration. A missing field or one of the
/// wrong type or range is a qrt::Error that names it. Fields may have several
/// spellings (transformers 4 and 5, older model code); the first that is
/// there and not null counts. Which fields were asked for is remembered, so
/// that one that nothing understands can be refused.
class ConfigReader {
public:
  using Names = std::initializer_list<const char *>;

  explicit ConfigReader(const nlohmann::json &config,
                        std::string where = "config.json");

  bool has(Names names) const { return find(names) != nullptr; }
  /// An integer in [minimum, 2^31).
  int64_t integer(Names names, int64_t minimum = 1) const;
  int64_t integer(Names names, int64_t minimum, int64_t fallback) const;
  double number(Names names) const;
  double number(Names names, double fallback) const;
  bool boolean(Names names, bool fallback) const;
  std::string string(Names names, const std::string &fallback = "") const;
  /// The field as it is, or null.
  const nlohmann::json *find(Names names) const;
  /// A nested object, for instance rope_parameters.
  std::optional<ConfigReader> object(Names names) const;

  /// Refuses the model for a field whose meaning is not implemented.
  [[noreturn]] void refuse(const std::string &field,
                           const std::string &why) const;
  /// Refuses fields that nothing asked for, here and in objects that were read,
  /// unless they are known to change no logits (dropout, token ids, ...) or say
  /// that something is off (null, false, 0, empty).
  void refuseUnknown() const;
  const std::string &where() const { return place; }
  /// All fields, for those that tell null from a field that is not there.
  const nlohmann::json &fields() const { return *config; }

private:
  struct Seen {
    std::set<std::string> names;
    std::vector<ConfigReader> objects;
  };
  const nlohmann::json *config;
  std::string place;
  std::shared_ptr<Seen> seen = std::make_shared<Seen>();
};

} // namespace qcc

#endif // QCC_FRONTENDS_ARCHITECTURES_CONFIGREADER_H
