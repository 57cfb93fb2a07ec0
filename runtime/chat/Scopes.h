//===- Scopes.h - What the names of a template mean -------------*- C++ -*-===//
//
// Jinja decides when it compiles a template which variables a scope has. One
// that a scope assigns before it reads it is undefined there until then, in
// nested scopes too, even if the caller passed a variable of that name:
//
//   {% for m in messages %}{{ tools }}{% endfor %}{% set tools = 1 %}
//
// prints nothing, whatever `tools` is. This pass finds such names (the rules
// are those of Jinja's idtracking), and looks up filters and tests.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_SCOPES_H
#define QRT_CHAT_SCOPES_H

#include "runtime/chat/Ast.h"
#include "runtime/chat/Lexer.h"

namespace qrt::chat {

/// Fills in ScopedBody::unset, the filters and the tests.
/// Throws qrt::Error that shows the place of a filter or test that is not
/// supported, or that is unknown outside of conditions (inside of one it is an
/// error only when it runs, as in Jinja).
void resolveNames(Ast &ast, const Source &source);

} // namespace qrt::chat

#endif // QRT_CHAT_SCOPES_H
