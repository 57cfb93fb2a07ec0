//===- FormatNumber.h - Numbers as Python formats them ----------*- C++ -*-===//

#ifndef QRT_CHAT_FORMATNUMBER_H
#define QRT_CHAT_FORMATNUMBER_H

#include <cstdint>
#include <string>

namespace qrt::chat {

/// How a value is put into its field, of either kind of format.
struct Field {
  std::string fill = " ";
  char align = '\0'; ///< '<', '>', '^', '=' or none
  char sign = '\0';  ///< '+', ' ' or none
  bool alternate = false;
  char grouping = '\0'; ///< ',', '_' or none
  int64_t width = 0, precision = -1;
  char type = '\0';
};

/// `field.width` columns. `align` is the field's, or what its kind of value has
/// by default; '=' pads between sign and body.
std::string pad(const std::string &sign, const std::string &body,
                const Field &field, char align);

/// The types e, f, g, %, in either case, or none.
std::string formatFloat(double value, const Field &field, char align);
/// The types d, b, o, x, in either case, or none.
std::string formatInteger(int64_t value, const Field &field, char align);

} // namespace qrt::chat

#endif // QRT_CHAT_FORMATNUMBER_H
