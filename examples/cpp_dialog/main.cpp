//===- main.cpp - A text written in turns, with the C++ wrapper -----------===//
//
// usage: cpp_dialog MODEL.qbin
//
// You write a line, the model goes on until the end of its line, you write the
// next. The session remembers everything, so that a turn costs only its own
// tokens. "/undo" takes the last turn back, "/exit" or the end of the input
// ends.
//
//===----------------------------------------------------------------------===//

#include <qrt/qrt.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace {
class Dialog {
public:
  explicit Dialog(const std::string &path) : model(path), session(model) {
    options.max_new_tokens = 128;
    options.stop = &endOfLine;
    options.stop_count = 1;
  }

  void turn(const std::string &line) {
    // Only a text's beginning gets the token that begins texts.
    uint32_t flags = session.length() ? QRT_TEXT_NO_SPECIAL : 0;
    std::vector<int32_t> ids = model.encode(line, flags);
    if (pending >= 0)
      ids.insert(ids.begin(), pending);
    if (ids.empty())
      return;
    begins.push_back({session.length(), pending});
    auto print = [this](int32_t token, std::string_view text) {
      if (token >= 0)
        last = token;
      std::cout << text << std::flush;
      return bool(std::cout);
    };
    last = -1;
    qrt_generate_result result = session.generate(ids, print, options);
    // The session lacks the token chosen last. Where that one ended the text,
    // it was not printed, and the dialog goes on without it.
    pending = result.finish == QRT_FINISH_EOS ? -1 : last;
    std::cout << '\n';
    if (result.finish == QRT_FINISH_CONTEXT)
      throw std::runtime_error("the context of " +
                               std::to_string(session.capacity()) +
                               " tokens is full");
  }

  void undo() {
    if (begins.empty())
      return;
    session.truncate(begins.back().length);
    pending = begins.back().pending;
    begins.pop_back();
  }

private:
  /// Where a turn began.
  struct Begin {
    uint32_t length;
    int32_t pending;
  };

  const char *endOfLine = "\n";
  qrt::api::Model model;
  qrt::api::Session session;
  qrt::api::GenerateOptions options;
  std::vector<Begin> begins;
  int32_t last = -1;
  int32_t pending = -1; ///< chosen, but not in the session yet; -1: none
};
} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::cerr << "usage: cpp_dialog MODEL.qbin\n";
    return 2;
  }
  try {
    Dialog dialog(argv[1]);
    std::string line;
    while (std::cout << "> " << std::flush, std::getline(std::cin, line)) {
      if (line == "/exit")
        break;
      if (line == "/undo")
        dialog.undo();
      else
        dialog.turn(line);
    }
  } catch (const std::exception &error) {
    std::cerr << "cpp_dialog: error: " << error.what() << '\n';
    return 1;
  }
}
