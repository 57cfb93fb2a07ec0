//===- Arguments.h - What a call is given -----------------------*- C++ -*-===//

#ifndef QRT_CHAT_ARGUMENTS_H
#define QRT_CHAT_ARGUMENTS_H

#include "runtime/chat/Value.h"

#include <initializer_list>

namespace qrt::chat {

/// Arguments spread over the parameters of a function; refers to them.
class BoundArguments {
public:
  explicit BoundArguments(std::vector<const Value *> values)
      : values(std::move(values)) {}

  /// Null if the parameter was not given.
  const Value *find(size_t i) const { return values[i]; }
  bool has(size_t i) const { return values[i]; }
  /// A parameter that is required.
  const Value &operator[](size_t i) const { return *values[i]; }

  // What a parameter was given, or `otherwise`. Throw qrt::Error for a value of
  // another type.
  bool truth(size_t i, bool otherwise) const {
    return values[i] ? values[i]->truth() : otherwise;
  }
  int64_t integer(size_t i, int64_t otherwise) const;
  std::string string(size_t i, const std::string &otherwise) const;
  /// Whether it was given and is not None.
  bool isGiven(size_t i) const { return values[i] && !values[i]->isNone(); }

private:
  std::vector<const Value *> values;
};

/// The arguments of a call of a macro, method, filter, test or function.
class Arguments {
public:
  Values positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Spreads them over `parameters`, of which the first `required` must be
  /// given. Throws qrt::Error, naming `function`, for missing and surplus
  /// arguments.
  BoundArguments bind(std::string_view function,
                      std::initializer_list<std::string_view> parameters,
                      size_t required = 0) const;
};

} // namespace qrt::chat

#endif // QRT_CHAT_ARGUMENTS_H
