//===- ConfigReader.cpp - Typed reading of a config.json ------------------===//

#include "frontends/architectures/ConfigReader.h"

#include "runtime/support/Error.h"

#include <cmath>

using nlohmann::json;
using qrt::Error;

namespace qcc {

ConfigReader::ConfigReader(const json &config, std::string where)
    : config(config), place(std::move(where)) {
  if (!config.is_object())
    throw Error("the configuration is no JSON object", place);
}

const json *ConfigReader::find(Names names) const {
  for (const char *name : names) {
    auto it = config.find(name);
    if (it != config.end() && !it->is_null())
      return &*it;
  }
  return nullptr;
}

int64_t ConfigReader::integer(Names names, int64_t minimum) const {
  const json *field = find(names);
  if (!field)
    throw Error("field '" + std::string(*names.begin()) + "' is missing",
                place);
  // 2^31 bounds every size of a model, so that products of two fit in i64.
  constexpr int64_t limit = int64_t(1) << 31;
  int64_t value = minimum - 1;
  if (field->is_number_integer())
    value =
        field->is_number_unsigned() && field->get<uint64_t>() > uint64_t(limit)
            ? limit
            : field->get<int64_t>();
  if (value < minimum || value >= limit)
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not an integer of at least " +
                    std::to_string(minimum),
                place);
  return value;
}

int64_t ConfigReader::integer(Names names, int64_t minimum,
                              int64_t fallback) const {
  return has(names) ? integer(names, minimum) : fallback;
}

double ConfigReader::number(Names names) const {
  const json *field = find(names);
  if (!field)
    throw Error("field '" + std::string(*names.begin()) + "' is missing",
                place);
  if (!field->is_number() || !std::isfinite(field->get<double>()))
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not a number",
                place);
  return field->get<double>();
}

double ConfigReader::number(Names names, double fallback) const {
  return has(names) ? number(names) : fallback;
}

bool ConfigReader::boolean(Names names, bool fallback) const {
  const json *field = find(names);
  if (!field)
    return fallback;
  if (!field->is_boolean())
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not true or false",
                place);
  return field->get<bool>();
}

std::string ConfigReader::string(Names names,
                                 const std::string &fallback) const {
  const json *field = find(names);
  if (!field)
    return fallback;
  if (!field->is_string())
    throw Error("field '" + std::string(*names.begin()) + "' is " +
                    field->dump() + ", not a string",
                place);
  return field->get<std::string>();
}

std::optional<ConfigReader> ConfigReader::object(Names names) const {
  const json *field = find(names);
  if (!field)
    return std::nullopt;
  return ConfigReader(*field, place + "." + *names.begin());
}

void ConfigReader::refuse(const std::string &field,
                          const std::string &why) const {
  throw Error("field '" + field + "' " + why, place);
}

} // namespace qcc
