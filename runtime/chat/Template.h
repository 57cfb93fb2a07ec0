//===- Template.h - Jinja templates -----------------------------*- C++ -*-===//
//
// A small interpreter of Jinja 3.1 as transformers sets it up for chat
// templates: an immutable sandbox, trim_blocks, lstrip_blocks, loop controls,
// its own tojson, raise_exception, strftime_now and `generation`.
// docs/chat.md says what it covers.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_TEMPLATE_H
#define QRT_CHAT_TEMPLATE_H

#include "runtime/chat/Interpreter.h"

#include <memory>
#include <string>
#include <string_view>

namespace qrt::chat {

/// A parsed template. Rendering changes nothing, so several threads may render
/// at once, each with values of its own.
class Template {
public:
  /// Throws qrt::Error that shows line, column and the line itself where the
  /// text is no Jinja or uses what is not supported.
  explicit Template(std::string_view text);
  ~Template();
  Template(Template &&) noexcept;
  Template &operator=(Template &&) noexcept;

  /// The text. Throws qrt::Error that names the line: what the template raises,
  /// what Python would, and what passes the limits of Budget.h.
  std::string render(const RenderContext &context) const;

private:
  struct Parsed;
  std::unique_ptr<const Parsed> parsed;
};

} // namespace qrt::chat

#endif // QRT_CHAT_TEMPLATE_H
