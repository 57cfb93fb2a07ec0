//===- Format.h - Python's ways to format text ------------------*- C++ -*-===//

#ifndef QRT_CHAT_FORMAT_H
#define QRT_CHAT_FORMAT_H

#include "runtime/chat/Arguments.h"

namespace qrt::chat {

/// `format % values` (printf-style), `values` being a tuple, a dict or one
/// value. In Markup what is put in is escaped.
std::string formatPercent(const Value &format, const Value &values);

/// format.format(...); the same for Markup.
std::string formatBraces(const Value &format, const Arguments &arguments);

/// round(value, digits) of a float, as Python rounds: exactly, half to even.
double roundDecimal(double value, int64_t digits);

} // namespace qrt::chat

#endif // QRT_CHAT_FORMAT_H
