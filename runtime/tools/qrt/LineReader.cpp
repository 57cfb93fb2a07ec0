//===- LineReader.cpp - Lines that a user types ---------------------------===//

#include "runtime/tools/qrt/LineReader.h"

#include <clocale>
#include <cstdio>
#include <iostream>
#include <unistd.h>

#ifdef QRT_HAS_LIBEDIT
#include <histedit.h>
#endif

namespace qrt::tool {

#ifdef QRT_HAS_LIBEDIT

struct LineReader::Editor {
  explicit Editor(const std::string &prompt)
      : edit(::el_init("qrt", stdin, stdout, stderr)), past(::history_init()) {
    HistEvent event;
    constexpr int lines = 1000;
    ::history(past, &event, H_SETSIZE, lines);
    ::el_set(edit, EL_CLIENTDATA, const_cast<char *>(prompt.c_str()));
    ::el_set(edit, EL_PROMPT, promptOf);
    ::el_set(edit, EL_EDITOR, "emacs");
    ::el_set(edit, EL_SIGNAL, 1); // gives the terminal back on Ctrl-C
    ::el_set(edit, EL_HIST, ::history, past);
  }
  ~Editor() {
    ::el_end(edit);
    ::history_end(past);
  }

  std::optional<std::string> read() {
    int count = 0;
    const char *line = ::el_gets(edit, &count);
    if (!line || count <= 0)
      return std::nullopt;
    HistEvent event;
    if (count > 1)
      ::history(past, &event, H_ENTER, line);
    return std::string(line, size_t(count));
  }

  static char *promptOf(EditLine *edit) {
    char *prompt = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &prompt);
    return prompt;
  }

  EditLine *edit;
  History *past;
};

#else

struct LineReader::Editor {
  std::optional<std::string> read() { return std::nullopt; }
};

#endif

LineReader::LineReader(std::string prompt)
    : prompt(std::move(prompt)),
      terminal(::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO)) {
#ifdef QRT_HAS_LIBEDIT
  if (!terminal)
    return;
  std::setlocale(LC_CTYPE, ""); // how the terminal writes characters
  editor = std::make_unique<Editor>(this->prompt);
#endif
}

LineReader::~LineReader() = default;

std::optional<std::string> LineReader::readOne() {
  std::string line;
  if (editor) {
    std::optional<std::string> typed = editor->read();
    if (!typed)
      return std::nullopt;
    line = std::move(*typed);
  } else {
    if (terminal) {
      std::fputs(prompt.c_str(), stdout);
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line))
      return std::nullopt;
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
    line.pop_back();
  return line;
}

std::optional<std::string> LineReader::read() {
  std::optional<std::string> line = readOne();
  while (line && line->ends_with('\\')) {
    line->back() = '\n';
    std::optional<std::string> more = readOne();
    if (!more)
      break;
    *line += *more;
  }
  return line;
}

} // namespace qrt::tool
