//===- Arguments.cpp - What a call is given -------------------------------===//

#include "runtime/chat/Arguments.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

int64_t BoundArguments::integer(size_t i, int64_t otherwise) const {
  if (!values[i])
    return otherwise;
  requireDefined(*values[i]);
  if (!values[i]->isIntegral())
    throw Error("'" + values[i]->typeName() +
                "' object cannot be interpreted as an integer");
  return values[i]->integer();
}

std::string BoundArguments::string(size_t i,
                                   const std::string &otherwise) const {
  if (!values[i])
    return otherwise;
  if (!values[i]->isString())
    throw Error("a str is needed, not '" + values[i]->typeName() + "'");
  return values[i]->string();
}

BoundArguments
Arguments::bind(std::string_view function,
                std::initializer_list<std::string_view> parameters,
                size_t required) const {
  std::string name = std::string(function) + "()";
  std::vector<const Value *> values(parameters.size());
  if (positional.size() > values.size())
    throw Error(name + " takes at most " + std::to_string(values.size()) +
                " arguments (" + std::to_string(positional.size()) + " given)");
  for (size_t i = 0; i < positional.size(); ++i)
    values[i] = &positional[i];
  for (const auto &[key, value] : named) {
    const auto *at = std::ranges::find(parameters, key);
    if (at == parameters.end())
      throw Error(name + " got an unexpected keyword argument '" + key + "'");
    const Value *&place = values[size_t(at - parameters.begin())];
    if (place)
      throw Error(name + " got multiple values for argument '" + key + "'");
    place = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!values[i])
      throw Error(name + " is missing its argument '" +
                  std::string(parameters.begin()[i]) + "'");
  return BoundArguments(std::move(values));
}

} // namespace qrt::chat
