//===- Interpreter.cpp - Runs the statements of a template ----------------===//

#include "runtime/chat/Interpreter.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace qrt::chat {

//===----------------------------------------------------------------------===//
// Macros and loops
//===----------------------------------------------------------------------===//

class Macro : public Object {
public:
  Macro(Interpreter &interpreter, const MacroDefinition &definition,
        ScopePtr outer)
      : interpreter(interpreter), definition(definition),
        outer(std::move(outer)) {}
  std::string typeName() const override { return "Macro"; }
  std::string repr() const override {
    return definition.name.empty() ? "<Macro anonymous>"
                                   : "<Macro '" + definition.name + "'>";
  }
  bool isCallable() const override { return true; }
  Value call(const Arguments &arguments) override {
    return interpreter.callMacro(definition, outer, arguments);
  }
  std::optional<Value> attribute(std::string_view name) override {
    if (name == "name")
      return definition.name.empty() ? Value() : Value(definition.name);
    if (name == "caller")
      return definition.usesCaller;
    if (name == "catch_kwargs")
      return definition.usesKwargs;
    if (name == "catch_varargs")
      return definition.usesVarargs;
    if (name != "arguments")
      return std::nullopt;
    Values names;
    for (Symbol parameter : definition.parameters)
      names.emplace_back(interpreter.ast.names[parameter]);
    return Value::tuple(std::move(names));
  }

private:
  Interpreter &interpreter;
  const MacroDefinition &definition;
  ScopePtr outer; ///< where it was defined
};

/// What `loop` stands for. Items are taken one by one, since a body may change
/// what those to come depend on.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
public:
  Loop(Interpreter &interpreter, const ForStmt &stmt, ScopePtr outer,
       Generator::Next items, std::optional<int64_t> size, int depth)
      : interpreter(interpreter), stmt(stmt), outer(std::move(outer)),
        items(std::move(items)), size(size), depth(depth) {}

  /// Moves to the next item; false at the end.
  bool advance(Value &item) {
    if (ahead) {
      item = *ahead;
      ahead.reset();
    } else if (!items(item)) {
      return false;
    }
    ++index0;
    before = std::exchange(now, item);
    return true;
  }

  std::string typeName() const override { return "LoopContext"; }
  std::string repr() const override { return "<LoopContext>"; }
  bool isCallable() const override { return true; }

  Value call(const Arguments &arguments) override {
    if (!stmt.isRecursive)
      throw Error("the loop must have the 'recursive' marker to be called "
                  "recursively");
    BoundArguments bound = arguments.bind("loop", {"iterable"}, 1);
    std::string saved = std::exchange(interpreter.out, {});
    interpreter.runLoop(stmt, bound[0], outer, depth + 1);
    return std::exchange(interpreter.out, std::move(saved));
  }

  std::optional<int64_t> length() override {
    if (size)
      return size;
    Values rest;
    for (Value item; items(item);)
      rest.push_back(item);
    size = int64_t(rest.size()) + index0 + 1 + ahead.has_value();
    items = iterate(Value(std::move(rest)));
    return size;
  }

  std::optional<Value> attribute(std::string_view name) override {
    if (name == "index0")
      return index0;
    if (name == "index")
      return index0 + 1;
    if (name == "first")
      return index0 == 0;
    if (name == "last")
      return !peek();
    if (name == "length")
      return *length();
    if (name == "revindex")
      return *length() - index0;
    if (name == "revindex0")
      return *length() - index0 - 1;
    if (name == "depth")
      return depth + 1;
    if (name == "depth0")
      return depth;
    if (name == "previtem")
      return index0 == 0 ? Value::undefined("there is no previous item")
                         : before;
    if (name == "nextitem")
      return peek() ? *ahead : Value::undefined("there is no next item");
    auto method = [&](Value (Loop::*body)(const Arguments &)) {
      return makeFunction(std::string(name), [self = shared_from_this(), body](
                                                 const Arguments &arguments) {
        return (*self.*body)(arguments);
      });
    };
    if (name == "cycle")
      return method(&Loop::cycle);
    if (name == "changed")
      return method(&Loop::changed);
    return std::nullopt;
  }

private:
  bool peek() {
    Value item;
    if (!ahead && items(item))
      ahead = item;
    return ahead.has_value();
  }
  Value cycle(const Arguments &arguments) {
    const Values &values = arguments.positional;
    if (values.empty())
      throw Error("no items for cycling given");
    return values[size_t(index0) % values.size()];
  }
  Value changed(const Arguments &arguments) {
    Value values = Value::tuple(arguments.positional);
    bool isNew = !last || !(*last == values);
    last = values;
    return isNew;
  }

  Interpreter &interpreter;
  const ForStmt &stmt;
  ScopePtr outer;
  Generator::Next items;
  std::optional<int64_t> size;
  int depth;
  int64_t index0 = -1;
  Value before, now;
  std::optional<Value> ahead, last;
};

//===----------------------------------------------------------------------===//
// Scopes
//===----------------------------------------------------------------------===//

const Value *Scope::find(Symbol name) const {
  for (const Scope *scope = this; scope; scope = scope->outer.get())
    for (const auto &[symbol, value] : scope->variables)
      if (symbol == name)
        return &value;
  return nullptr;
}

void Scope::set(Symbol name, Value value) {
  for (auto &[symbol, held] : variables)
    if (symbol == name) {
      held = std::move(value);
      return;
    }
  variables.emplace_back(name, std::move(value));
}

Interpreter::Entered::Entered(Interpreter &interpreter, const ScopedBody &body,
                              ScopePtr outer)
    : interpreter(interpreter),
      before(std::exchange(interpreter.current,
                           std::make_shared<Scope>(std::move(outer)))) {
  for (Symbol name : body.unset)
    scope().set(name, Value::undefined("'" + interpreter.ast.names[name] +
                                       "' is undefined"));
}

Interpreter::Entered::~Entered() {
  // A macro that was defined here may live on.
  if (interpreter.current.use_count() > 1)
    interpreter.captured.push_back(interpreter.current);
  interpreter.current = std::move(before);
}

Interpreter::Interpreter(const Ast &ast, const Source &source,
                         const RenderContext &context)
    : ast(ast), source(source), context(context), budget(context.maxSteps),
      globals(ast.names.size()) {
  for (const auto &[name, value] : context.variables)
    if (Symbol symbol = symbolOf(name); symbol < globals.size())
      globals[symbol] = &value;
}

Interpreter::~Interpreter() {
  for (const ScopePtr &scope : captured)
    scope->variables.clear();
  for (const auto &space : namespaces)
    space->clear();
}

Symbol Interpreter::symbolOf(std::string_view name) const {
  return Symbol(std::ranges::find(ast.names, name) - ast.names.begin());
}

Value Interpreter::makeNamespace(Dict attributes) {
  for (const auto &[name, value] : attributes.entries())
    if (!name.isString())
      throw Error("the names of a namespace must be strings");
  namespaces.push_back(std::make_shared<Namespace>(std::move(attributes)));
  return std::shared_ptr<Object>(namespaces.back());
}

std::string Interpreter::run() {
  try {
    Entered entered(*this, ast.body, nullptr);
    execute(ast.body.body);
    return std::move(out);
  } catch (const Error &error) {
    std::string what = error.what();
    std::ranges::replace(what, '\n', ' '); // the template's own texts
    throw Error("chat template line " + std::to_string(source.line(place)) +
                    ": " + what,
                "", "", error.kind());
  }
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

void Interpreter::write(std::string_view text) {
  Budget::touch(text.size());
  written += text.size();
  Budget::requireRoom(written);
  out += text;
}

Interpreter::Flow Interpreter::capture(const Body &body, std::string &text) {
  std::string saved = std::exchange(out, {});
  Flow flow = execute(body);
  text = std::exchange(out, std::move(saved));
  written -= text.size();
  return flow;
}

Interpreter::Flow Interpreter::execute(const Body &body) {
  Depth depth;
  for (const StmtPtr &stmt : body)
    if (Flow flow = execute(*stmt); flow != Flow::Normal)
      return flow;
  return Flow::Normal;
}

Interpreter::Flow Interpreter::execute(const Stmt &stmt) {
  Budget::step();
  place = stmt.offset;
  switch (stmt.kind) {
  case StmtKind::Data:
    write(cast<DataStmt>(stmt).text);
    return Flow::Normal;
  case StmtKind::Print:
    for (const ExprPtr &value : cast<PrintStmt>(stmt).values)
      write(toText(evaluate(*value)));
    return Flow::Normal;
  case StmtKind::If:
    return executeIf(cast<IfStmt>(stmt));
  case StmtKind::For:
    return executeFor(cast<ForStmt>(stmt));
  case StmtKind::Set:
    assign(cast<SetStmt>(stmt).target, evaluate(*cast<SetStmt>(stmt).value),
           *current);
    return Flow::Normal;
  case StmtKind::SetBlock:
    return executeSetBlock(cast<SetBlockStmt>(stmt));
  case StmtKind::Macro:
    current->set(cast<MacroStmt>(stmt).name,
                 makeMacro(cast<MacroStmt>(stmt).macro));
    return Flow::Normal;
  case StmtKind::CallBlock:
    executeCallBlock(cast<CallBlockStmt>(stmt));
    return Flow::Normal;
  case StmtKind::FilterBlock:
    return executeFilterBlock(cast<FilterBlockStmt>(stmt));
  case StmtKind::With:
    return executeWith(cast<WithStmt>(stmt));
  case StmtKind::Generation: {
    const ScopedBody &body = cast<GenerationStmt>(stmt).body;
    Entered entered(*this, body, current);
    return execute(body.body);
  }
  case StmtKind::Break:
    return Flow::Break;
  case StmtKind::Continue:
    return Flow::Continue;
  }
  return Flow::Normal;
}

Interpreter::Flow Interpreter::executeIf(const IfStmt &stmt) {
  for (const IfStmt::Branch &branch : stmt.branches)
    if (evaluate(*branch.test).truth())
      return execute(branch.body);
  return execute(stmt.otherwise);
}

Interpreter::Flow Interpreter::executeFor(const ForStmt &stmt) {
  Value items = evaluate(*stmt.iterable);
  place = stmt.offset;
  return runLoop(stmt, items, current, /*depth=*/0);
}

Generator::Next Interpreter::filtered(const ForStmt &stmt,
                                      Generator::Next items,
                                      const ScopePtr &outer) {
  return [this, &stmt, items = std::move(items), outer](Value &item) {
    static const ScopedBody none;
    while (items(item)) {
      Entered entered(*this, none, outer);
      assign(stmt.target, item, entered.scope());
      if (evaluate(*stmt.test).truth())
        return true;
    }
    return false;
  };
}

Interpreter::Flow Interpreter::runLoop(const ForStmt &stmt, const Value &items,
                                       const ScopePtr &outer, int depth) {
  Depth guard;
  if (!isIterable(items))
    throw Error("'" + items.typeName() + "' object is not iterable");
  std::optional<int64_t> size;
  Generator::Next next = iterate(items);
  if (stmt.test)
    next = filtered(stmt, std::move(next), outer);
  else if (!items.isObject())
    size = lengthOf(items);
  auto loop =
      std::make_shared<Loop>(*this, stmt, outer, std::move(next), size, depth);
  static constexpr std::string_view loopName = "loop";
  Symbol loopSymbol = symbolOf(loopName);
  // As in Jinja, only a run that reached the body's end counts for `else`.
  bool hasRun = false;
  for (Value item; loop->advance(item);) {
    Budget::step();
    Entered entered(*this, stmt.body, outer);
    if (loopSymbol < ast.names.size())
      entered.scope().set(loopSymbol, Value(std::shared_ptr<Object>(loop)));
    assign(stmt.target, item, entered.scope());
    Flow flow = execute(stmt.body.body);
    if (flow == Flow::Break)
      break;
    hasRun |= flow == Flow::Normal;
  }
  if (hasRun)
    return Flow::Normal;
  Entered entered(*this, stmt.otherwise, outer);
  return execute(stmt.otherwise.body);
}

void Interpreter::assign(const Target &target, const Value &value,
                         Scope &scope) {
  if (target.isTuple) {
    Values items = toItems(value);
    size_t wanted = target.targets.size();
    if (items.size() != wanted)
      throw Error((items.size() < wanted ? "not enough" : "too many") +
                  std::string(" values to unpack (expected ") +
                  std::to_string(wanted) + ", got " +
                  std::to_string(items.size()) + ")");
    for (size_t i = 0; i < wanted; ++i)
      assign(target.targets[i], items[i], scope);
    return;
  }
  if (target.attribute.empty())
    return scope.set(target.name, value);
  const Value *held = scope.find(target.name);
  auto *space = held ? held->as<Namespace>() : nullptr;
  if (!space)
    throw Error("cannot assign attribute on non-namespace object");
  space->set(target.attribute, value);
}

Interpreter::Flow Interpreter::executeSetBlock(const SetBlockStmt &stmt) {
  Value value;
  {
    Entered entered(*this, stmt.body, current);
    std::string text;
    Flow flow = capture(stmt.body.body, text);
    if (flow != Flow::Normal)
      return flow;
    value = std::move(text);
    if (stmt.filter)
      value = evaluateFilter(cast<FilterExpr>(*stmt.filter), &value);
  }
  assign(stmt.target, value, *current);
  return Flow::Normal;
}

Interpreter::Flow Interpreter::executeFilterBlock(const FilterBlockStmt &stmt) {
  Entered entered(*this, stmt.body, current);
  std::string text;
  Flow flow = capture(stmt.body.body, text);
  if (flow != Flow::Normal)
    return flow;
  Value value = std::move(text);
  write(toText(evaluateFilter(cast<FilterExpr>(*stmt.filter), &value)));
  return Flow::Normal;
}

Interpreter::Flow Interpreter::executeWith(const WithStmt &stmt) {
  Values values;
  for (const auto &[target, value] : stmt.values)
    values.push_back(evaluate(*value));
  Entered entered(*this, stmt.body, current);
  for (size_t i = 0; i < values.size(); ++i)
    assign(stmt.values[i].first, values[i], entered.scope());
  return execute(stmt.body.body);
}

void Interpreter::executeCallBlock(const CallBlockStmt &stmt) {
  Value caller = makeMacro(stmt.macro);
  write(toText(evaluateCall(*stmt.call, &caller)));
}

//===----------------------------------------------------------------------===//
// Macros
//===----------------------------------------------------------------------===//

Value Interpreter::makeMacro(const MacroDefinition &definition) {
  return std::shared_ptr<Object>(
      std::make_shared<Macro>(*this, definition, current));
}

void Interpreter::bindParameters(const MacroDefinition &definition,
                                 Scope &scope, const Arguments &arguments) {
  const std::vector<Symbol> &parameters = definition.parameters;
  const Values &positional = arguments.positional;
  std::string name =
      definition.name.empty() ? "None" : "'" + definition.name + "'";
  std::vector<std::optional<Value>> values(parameters.size());
  for (size_t i = 0; i < std::min(values.size(), positional.size()); ++i)
    values[i] = positional[i];
  Dict kwargs;
  Value caller = Value::undefined("No caller defined");
  bool takesCaller = definition.usesCaller;
  for (const auto &[key, value] : arguments.named) {
    Symbol symbol = symbolOf(key);
    auto at = std::ranges::find(parameters, symbol) - parameters.begin();
    if (size_t(at) < parameters.size() && !values[size_t(at)]) {
      values[size_t(at)] = value;
      takesCaller = takesCaller && key != "caller";
    } else if (key == "caller" && takesCaller) {
      caller = value;
    } else if (definition.usesKwargs) {
      kwargs.set(key, value);
    } else {
      throw Error("macro " + name + " takes no keyword argument '" + key + "'");
    }
  }
  if (!definition.usesVarargs && positional.size() > parameters.size())
    throw Error("macro " + name + " takes not more than " +
                std::to_string(parameters.size()) + " argument(s)");

  if (definition.usesCaller)
    scope.set(symbolOf("caller"), caller);
  if (definition.usesKwargs)
    scope.set(symbolOf("kwargs"), Value(std::move(kwargs)));
  if (definition.usesVarargs) {
    size_t used = std::min(positional.size(), parameters.size());
    scope.set(symbolOf("varargs"),
              Value::tuple({positional.begin() + std::ptrdiff_t(used),
                            positional.end()}));
  }
  // All names first: a default sees parameters, never variables outside.
  for (size_t i = 0; i < values.size(); ++i)
    scope.set(parameters[i],
              values[i]
                  ? *values[i]
                  : Value::undefined("parameter '" + ast.names[parameters[i]] +
                                     "' was not provided"));
  size_t firstDefault = parameters.size() - definition.defaults.size();
  for (size_t i = firstDefault; i < values.size(); ++i)
    if (!values[i])
      scope.set(parameters[i],
                evaluate(*definition.defaults[i - firstDefault]));
}

std::string Interpreter::callMacro(const MacroDefinition &definition,
                                   const ScopePtr &outer,
                                   const Arguments &arguments) {
  Depth depth;
  Entered entered(*this, definition.body, outer);
  bindParameters(definition, entered.scope(), arguments);
  std::string text;
  capture(definition.body.body, text);
  return text;
}

} // namespace qrt::chat
