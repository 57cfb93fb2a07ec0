//===- Date.h - The day that templates print --------------------*- C++ -*-===//

#ifndef QRT_CHAT_DATE_H
#define QRT_CHAT_DATE_H

#include <ctime>
#include <string>
#include <string_view>

namespace qrt::chat {

/// A day and a time, for strftime_now().
class Date {
public:
  /// Here and now.
  static Date now();
  /// Midnight of a day, "2026-11-23". Throws qrt::UsageError for anything else.
  static Date parse(std::string_view text);

  /// datetime.strftime, in English whatever the program's locale is; directives
  /// that glibc does not know stay as they are.
  std::string format(std::string_view format) const;

private:
  std::tm fields = {};
  int microseconds = 0;
};

} // namespace qrt::chat

#endif // QRT_CHAT_DATE_H
