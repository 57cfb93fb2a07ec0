//===- Date.cpp - The day that templates print ----------------------------===//

#include "runtime/chat/Date.h"

#include "runtime/support/Error.h"

#include <charconv>
#include <chrono>
#include <locale.h>

namespace qrt::chat {

Date Date::now() {
  using namespace std::chrono;
  auto time = system_clock::now();
  std::time_t seconds = system_clock::to_time_t(time);
  Date date;
  ::localtime_r(&seconds, &date.fields);
  date.microseconds =
      int(duration_cast<std::chrono::microseconds>(time.time_since_epoch())
              .count() %
          1'000'000);
  return date;
}

Date Date::parse(std::string_view text) {
  int year = 0;
  unsigned month = 0, day = 0;
  auto read = [&](size_t from, size_t count, auto &number) {
    const char *begin = text.data() + from;
    return std::from_chars(begin, begin + count, number).ptr == begin + count;
  };
  bool isWritten = text.size() == 10 && text[4] == '-' && text[7] == '-' &&
                   read(0, 4, year) && read(5, 2, month) && read(8, 2, day);
  std::chrono::year_month_day date{std::chrono::year(year),
                                   std::chrono::month(month),
                                   std::chrono::day(day)};
  if (!isWritten || !date.ok() || year < 1)
    throw UsageError("'" + std::string(text) + "' is no date",
                     "write it as 2026-11-23");
  Date result;
  result.fields.tm_year = year - 1900;
  result.fields.tm_mon = int(month) - 1;
  result.fields.tm_mday = int(day);
  std::chrono::sys_days days(date);
  std::chrono::weekday weekday(days);
  result.fields.tm_wday = int(weekday.c_encoding());
  result.fields.tm_yday =
      int((days - std::chrono::sys_days(date.year() / 1 / 1)).count());
  return result;
}

std::string Date::format(std::string_view format) const {
  static const locale_t english = ::newlocale(LC_ALL_MASK, "C", nullptr);
  std::string out;
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%' || at + 1 == format.size()) {
      out += format[at++];
      continue;
    }
    // Flags, a width, a modifier, and the letter.
    size_t end = format.find_first_not_of("-_0^#", at + 1);
    end = format.find_first_not_of("0123456789EO", end);
    std::string directive(
        format.substr(at, end == format.npos ? format.npos : end + 1 - at));
    at += directive.size();
    char letter = directive.back();
    if (directive == "%f") {
      std::string digits = std::to_string(1'000'000 + microseconds);
      out += digits.substr(1);
    } else if (directive == "%%") {
      out += '%';
    } else if (letter == 'z' || letter == 'Z') {
      // A datetime without a time zone has no text for it.
    } else if (directive.size() > 8) {
      throw Error("the format of a date has a width that is not supported");
    } else {
      char text[1200];
      size_t size =
          ::strftime_l(text, sizeof(text), directive.c_str(), &fields, english);
      out.append(text, size);
    }
  }
  return out;
}

} // namespace qrt::chat
