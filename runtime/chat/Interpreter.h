//===- Interpreter.h - Renders a template -----------------------*- C++ -*-===//

#ifndef QRT_CHAT_INTERPRETER_H
#define QRT_CHAT_INTERPRETER_H

#include "runtime/chat/Ast.h"
#include "runtime/chat/Builtins.h"
#include "runtime/chat/Date.h"
#include "runtime/chat/Lexer.h"

#include <optional>

namespace qrt::chat {

/// What a template is rendered with.
struct RenderContext {
  std::vector<std::pair<std::string, Value>> variables;
  std::optional<Date> date; ///< for strftime_now(); nothing: now
  uint64_t maxSteps = Budget::maxSteps;
};

/// Variables of one run of a ScopedBody.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : outer(std::move(outer)) {}

  const Value *find(Symbol name) const;
  void set(Symbol name, Value value);

  std::shared_ptr<Scope> outer;
  std::vector<std::pair<Symbol, Value>> variables;
};
using ScopePtr = std::shared_ptr<Scope>;

/// Renders a template once.
class Interpreter {
public:
  Interpreter(const Ast &ast, const Source &source,
              const RenderContext &context);
  ~Interpreter();
  Interpreter(const Interpreter &) = delete;
  Interpreter &operator=(const Interpreter &) = delete;

  /// The text. Throws qrt::Error that names the line.
  std::string run();

  // For filters and functions.
  Date now() const { return context.date ? *context.date : Date::now(); }
  Value makeNamespace(Dict attributes);
  /// A filter by a name that the template computes. Throws qrt::Error for one
  /// that there is not.
  Value callFilter(std::string_view name, const Value &operand,
                   const Arguments &arguments);

private:
  friend class Macro;
  friend class Loop;
  enum class Flow { Normal, Break, Continue };

  /// What makes a scope the current one, until it ends.
  class Entered {
  public:
    Entered(Interpreter &interpreter, const ScopedBody &body, ScopePtr outer);
    ~Entered();
    Scope &scope() { return *interpreter.current; }

  private:
    Interpreter &interpreter;
    ScopePtr before;
  };

  // Statements.
  Flow execute(const Body &body);
  Flow execute(const Stmt &stmt);
  Flow executeIf(const IfStmt &stmt);
  Flow executeFor(const ForStmt &stmt);
  Flow runLoop(const ForStmt &stmt, const Value &items, const ScopePtr &outer,
               int depth);
  Flow executeSetBlock(const SetBlockStmt &stmt);
  Flow executeFilterBlock(const FilterBlockStmt &stmt);
  Flow executeWith(const WithStmt &stmt);
  void executeCallBlock(const CallBlockStmt &stmt);
  /// Runs a body for its text. Nothing comes of the text if a jump leaves it.
  Flow capture(const Body &body, std::string &text);
  Generator::Next filtered(const ForStmt &stmt, Generator::Next items,
                           const ScopePtr &outer);
  void assign(const Target &target, const Value &value, Scope &scope);
  void write(std::string_view text);

  // Expressions.
  Value evaluate(const Expr &expr);
  Value evaluateName(const NameExpr &expr);
  Value evaluateDict(const DictExpr &expr);
  Value evaluateBinary(const BinaryExpr &expr);
  Value evaluateConcat(const ConcatExpr &expr);
  Value evaluateCompare(const CompareExpr &expr);
  Value evaluateConditional(const ConditionalExpr &expr);
  Value evaluateSlice(const SliceExpr &expr);
  Value evaluateCall(const CallExpr &expr, const Value *caller = nullptr);
  Value evaluateFilter(const FilterExpr &expr, const Value *blockText);
  Value evaluateTest(const TestExpr &expr);
  Values evaluateAll(const std::vector<ExprPtr> &exprs);
  Arguments evaluateArguments(const CallArguments &arguments);

  Value makeMacro(const MacroDefinition &definition);
  std::string callMacro(const MacroDefinition &definition,
                        const ScopePtr &outer, const Arguments &arguments);
  void bindParameters(const MacroDefinition &definition, Scope &scope,
                      const Arguments &arguments);
  Symbol symbolOf(std::string_view name) const;

  const Ast &ast;
  const Source &source;
  const RenderContext &context;
  Budget budget;
  std::vector<const Value *> globals; ///< the context's, by symbol
  ScopePtr current;
  std::string out;    ///< of the innermost capture()
  size_t written = 0; ///< bytes in all captures
  uint32_t place = 0; ///< where an error is, if one comes now

  // What may refer to each other in circles, taken apart at the end.
  std::vector<ScopePtr> captured;
  std::vector<std::shared_ptr<Namespace>> namespaces;
};

} // namespace qrt::chat

#endif // QRT_CHAT_INTERPRETER_H
