//===- LineReader.h - Lines that a user types -------------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_LINEREADER_H
#define QRT_TOOLS_QRT_LINEREADER_H

#include <memory>
#include <optional>
#include <string>

namespace qrt::tool {

/// Reads lines from standard input: on a terminal with a prompt, editing and
/// history (by libedit, where it was there at build time), else as they come.
class LineReader {
public:
  explicit LineReader(std::string prompt);
  ~LineReader();
  LineReader(const LineReader &) = delete;
  LineReader &operator=(const LineReader &) = delete;

  bool isTerminal() const { return terminal; }
  /// The next line, without its end; nothing at the end of the input. A line
  /// that ends with a backslash goes on in the next one.
  std::optional<std::string> read();

private:
  std::optional<std::string> readOne();

  struct Editor;
  std::string prompt;
  bool terminal;
  std::unique_ptr<Editor> editor; ///< null: no editing
};

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_LINEREADER_H
