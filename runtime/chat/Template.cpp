//===- Template.cpp - Jinja templates -------------------------------------===//

#include "runtime/chat/Template.h"

#include "runtime/chat/Parser.h"

namespace qrt::chat {

struct Template::Parsed {
  explicit Parsed(std::string_view text) : source(text), ast(parse(source)) {}
  Source source;
  Ast ast;
};

Template::Template(std::string_view text)
    : parsed(std::make_unique<const Parsed>(text)) {}
Template::~Template() = default;
Template::Template(Template &&) noexcept = default;
Template &Template::operator=(Template &&) noexcept = default;

std::string Template::render(const RenderContext &context) const {
  return Interpreter(parsed->ast, parsed->source, context).run();
}

} // namespace qrt::chat
