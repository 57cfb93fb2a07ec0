//===- Error.h - The one error type of qrt and qcc --------------*- C++ -*-===//
//
// Inside the runtime and the tools, failures travel as exceptions (so that a
// failed allocation is a failure like any other); at the C boundary and in
// main() they become a status code and one line of text (docs/adr/0001).
//
//===----------------------------------------------------------------------===//

#ifndef QRT_SUPPORT_ERROR_H
#define QRT_SUPPORT_ERROR_H

#include <stdexcept>
#include <string>

namespace qrt {

/// What kind of failure this is; decides the exit code of the tools.
enum class ErrorKind {
  Failed,    ///< exit 1: the input, the file or the machine is at fault
  Usage,     ///< exit 2: the command line or an argument is at fault
  Cancelled, ///< exit 130: interrupted by the user
};

/// A failure with one line of text: `<what> [in <where>][; <hint>]`, lower
/// case, without a final period, with the numbers in it.
class Error : public std::runtime_error {
public:
  explicit Error(const std::string &what, const std::string &where = "",
                 const std::string &hint = "",
                 ErrorKind kind = ErrorKind::Failed)
      : std::runtime_error(what + (where.empty() ? "" : " in " + where) +
                           (hint.empty() ? "" : "; " + hint)),
        errorKind(kind) {}

  ErrorKind kind() const { return errorKind; }

private:
  ErrorKind errorKind;
};

/// Wrong usage of a command or an API (exit code 2).
class UsageError : public Error {
public:
  explicit UsageError(const std::string &what, const std::string &hint = "")
      : Error(what, "", hint, ErrorKind::Usage) {}
};

} // namespace qrt

#endif // QRT_SUPPORT_ERROR_H
