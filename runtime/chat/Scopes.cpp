//===- Scopes.cpp - What the names of a template mean ---------------------===//

#include "runtime/chat/Scopes.h"

#include "runtime/chat/Builtins.h"

#include <algorithm>
#include <map>
#include <set>

namespace qrt::chat {

namespace {

/// The variables of one scope, as far as it has been read.
class Variables {
public:
  explicit Variables(const Variables *parent) : parent(parent) {}

  void load(Symbol name) {
    if (!knows(name))
      origins[name] = Origin::Outside;
  }
  void store(Symbol name) {
    stores.insert(name);
    if (!origins.contains(name))
      origins[name] =
          parent && parent->knows(name) ? Origin::Outside : Origin::Unset;
  }
  void declare(Symbol name) {
    stores.insert(name);
    origins[name] = Origin::Parameter;
  }

  /// Takes over what branches, copies of this, have read: what only they assign
  /// may not have been assigned.
  void merge(const std::vector<Variables> &branches) {
    std::set<Symbol> before = stores;
    for (const Variables &branch : branches) {
      for (auto [name, origin] : branch.origins)
        origins[name] = origin;
      stores.insert(branch.stores.begin(), branch.stores.end());
    }
    for (Symbol name : stores)
      if (!before.contains(name))
        origins[name] = Origin::Outside;
  }

  std::vector<Symbol> unset() const {
    std::vector<Symbol> names;
    for (auto [name, origin] : origins)
      if (origin == Origin::Unset)
        names.push_back(name);
    return names;
  }

private:
  /// Where a variable's first value comes from.
  enum class Origin { Parameter, Outside, Unset };
  bool knows(Symbol name) const {
    return origins.contains(name) || (parent && parent->knows(name));
  }

  const Variables *parent;
  std::map<Symbol, Origin> origins;
  std::set<Symbol> stores;
};

class Resolver {
public:
  Resolver(Ast &ast, const Source &source) : ast(ast), source(source) {}

  void run() {
    Variables variables(nullptr);
    enter(ast.body, variables);
  }

private:
  Symbol find(std::string_view name) const {
    return Symbol(std::ranges::find(ast.names, name) - ast.names.begin());
  }

  // What a scope's own statements do to its variables; nested scopes only with
  // what they evaluate outside of themselves.
  void read(const Expr *expr, Variables &variables);
  void read(const Target &target, Variables &variables);
  void read(const Body &body, Variables &variables);
  void read(const Stmt &stmt, Variables &variables);
  void declare(const Target &target, Variables &variables);

  // Nested scopes, filters and tests. `soft`: inside of a condition.
  void enter(ScopedBody &scope, Variables &variables);
  void visit(Body &body, const Variables &variables, bool soft);
  void visit(Stmt &stmt, const Variables &variables, bool soft);
  void visit(ForStmt &loop, const Variables &variables, bool soft);
  void visit(MacroDefinition &macro, const Variables &variables,
             uint32_t offset);
  void resolve(Expr *expr, bool soft);
  void refuseLoopVariable(const Target &target);

  Ast &ast;
  const Source &source;
};

//===----------------------------------------------------------------------===//
// Variables
//===----------------------------------------------------------------------===//

void Resolver::read(const Expr *expr, Variables &variables) {
  if (!expr)
    return;
  if (expr->kind == ExprKind::Name)
    variables.load(cast<NameExpr>(*expr).name);
  forEachOperand(*expr, [&](const Expr *operand) { read(operand, variables); });
}

void Resolver::read(const Target &target, Variables &variables) {
  for (const Target &part : target.targets)
    read(part, variables);
  if (target.isTuple)
    return;
  if (target.attribute.empty())
    variables.store(target.name);
  else
    variables.load(target.name);
}

void Resolver::declare(const Target &target, Variables &variables) {
  for (const Target &part : target.targets)
    declare(part, variables);
  if (!target.isTuple)
    variables.declare(target.name);
}

void Resolver::read(const Body &body, Variables &variables) {
  for (const StmtPtr &stmt : body)
    read(*stmt, variables);
}

void Resolver::read(const Stmt &stmt, Variables &variables) {
  switch (stmt.kind) {
  case StmtKind::Print:
    for (const ExprPtr &value : cast<PrintStmt>(stmt).values)
      read(value.get(), variables);
    return;
  case StmtKind::If: {
    const auto &node = cast<IfStmt>(stmt);
    read(node.branches[0].test.get(), variables);
    std::vector<Variables> branches(3, variables); // if, all elifs, else
    read(node.branches[0].body, branches[0]);
    for (size_t i = 1; i < node.branches.size(); ++i) {
      read(node.branches[i].test.get(), branches[1]);
      Variables body = branches[1];
      read(node.branches[i].body, body);
      branches[1].merge({body});
    }
    read(node.otherwise, branches[2]);
    variables.merge(branches);
    return;
  }
  case StmtKind::For:
    return read(cast<ForStmt>(stmt).iterable.get(), variables);
  case StmtKind::Set:
    read(cast<SetStmt>(stmt).value.get(), variables);
    return read(cast<SetStmt>(stmt).target, variables);
  case StmtKind::SetBlock:
    return read(cast<SetBlockStmt>(stmt).target, variables);
  case StmtKind::Macro:
    return variables.store(cast<MacroStmt>(stmt).name);
  case StmtKind::CallBlock:
    return read(cast<CallBlockStmt>(stmt).call.get(), variables);
  case StmtKind::FilterBlock:
    return read(cast<FilterBlockStmt>(stmt).filter.get(), variables);
  case StmtKind::With:
    for (const auto &[target, value] : cast<WithStmt>(stmt).values)
      read(value.get(), variables);
    return;
  case StmtKind::Data:
  case StmtKind::Generation:
  case StmtKind::Break:
  case StmtKind::Continue:
    return;
  }
}

//===----------------------------------------------------------------------===//
// Nested scopes
//===----------------------------------------------------------------------===//

/// `variables` holds the parameters of the scope.
void Resolver::enter(ScopedBody &scope, Variables &variables) {
  read(scope.body, variables);
  scope.unset = variables.unset();
  visit(scope.body, variables, /*soft=*/false);
}

void Resolver::visit(Body &body, const Variables &variables, bool soft) {
  for (StmtPtr &stmt : body)
    visit(*stmt, variables, soft);
}

void Resolver::visit(Stmt &stmt, const Variables &variables, bool soft) {
  Variables inner(&variables);
  switch (stmt.kind) {
  case StmtKind::Print:
    for (ExprPtr &value : static_cast<PrintStmt &>(stmt).values)
      resolve(value.get(), soft);
    return;
  case StmtKind::If:
    for (auto &[test, body] : static_cast<IfStmt &>(stmt).branches) {
      resolve(test.get(), /*soft=*/true);
      visit(body, variables, /*soft=*/true);
    }
    return visit(static_cast<IfStmt &>(stmt).otherwise, variables,
                 /*soft=*/true);
  case StmtKind::For:
    return visit(static_cast<ForStmt &>(stmt), variables, soft);
  case StmtKind::Set:
    return resolve(static_cast<SetStmt &>(stmt).value.get(), soft);
  case StmtKind::SetBlock: {
    auto &node = static_cast<SetBlockStmt &>(stmt);
    resolve(node.filter.get(), /*soft=*/false);
    return enter(node.body, inner);
  }
  case StmtKind::Macro:
    return visit(static_cast<MacroStmt &>(stmt).macro, variables, stmt.offset);
  case StmtKind::CallBlock: {
    auto &node = static_cast<CallBlockStmt &>(stmt);
    resolve(node.call.get(), soft);
    return visit(node.macro, variables, stmt.offset);
  }
  case StmtKind::FilterBlock: {
    auto &node = static_cast<FilterBlockStmt &>(stmt);
    resolve(node.filter.get(), /*soft=*/false);
    return enter(node.body, inner);
  }
  case StmtKind::With: {
    auto &node = static_cast<WithStmt &>(stmt);
    for (auto &[target, value] : node.values) {
      resolve(value.get(), soft);
      declare(target, inner);
    }
    return enter(node.body, inner);
  }
  case StmtKind::Generation:
    return enter(static_cast<GenerationStmt &>(stmt).body, inner);
  case StmtKind::Data:
  case StmtKind::Break:
  case StmtKind::Continue:
    return;
  }
}

void Resolver::refuseLoopVariable(const Target &target) {
  for (const Target &part : target.targets)
    refuseLoopVariable(part);
  if (!target.isTuple && target.name == find("loop"))
    source.fail("the special variable 'loop' cannot be assigned to",
                target.offset);
}

void Resolver::visit(ForStmt &loop, const Variables &variables, bool soft) {
  resolve(loop.iterable.get(), soft);
  resolve(loop.test.get(), /*soft=*/false);
  refuseLoopVariable(loop.target);
  Variables body(&variables), otherwise(&variables);
  body.declare(find("loop"));
  declare(loop.target, body);
  enter(loop.body, body);
  enter(loop.otherwise, otherwise);
}

void Resolver::visit(MacroDefinition &macro, const Variables &variables,
                     uint32_t offset) {
  Symbol caller = find("caller");
  size_t required = macro.parameters.size() - macro.defaults.size();
  for (size_t i = 0; i < required; ++i)
    if (macro.usesCaller && macro.parameters[i] == caller)
      source.fail("the parameter 'caller' needs a default", offset);

  Variables inner(&variables);
  for (Symbol name : macro.parameters)
    inner.declare(name);
  if (macro.usesCaller)
    inner.declare(caller);
  if (macro.usesKwargs)
    inner.declare(find("kwargs"));
  if (macro.usesVarargs)
    inner.declare(find("varargs"));
  for (ExprPtr &value : macro.defaults) {
    read(value.get(), inner);
    resolve(value.get(), /*soft=*/false);
  }
  enter(macro.body, inner);
}

//===----------------------------------------------------------------------===//
// Filters and tests
//===----------------------------------------------------------------------===//

void Resolver::resolve(Expr *expr, bool soft) {
  if (!expr)
    return;
  soft |= expr->kind == ExprKind::Conditional;
  auto check = [&](const auto *found, const std::string &what,
                   const std::string &name) {
    if (found && !found->apply)
      source.fail("the " + what + " '" + name + "' is not supported",
                  expr->offset);
    if (!found && !soft)
      source.fail("no " + what + " named '" + name + "'", expr->offset);
  };
  if (expr->kind == ExprKind::Filter) {
    auto &node = static_cast<FilterExpr &>(*expr);
    node.filter = findFilter(node.name);
    check(node.filter, "filter", node.name);
  } else if (expr->kind == ExprKind::Test) {
    auto &node = static_cast<TestExpr &>(*expr);
    node.test = findTest(node.name);
    check(node.test, "test", node.name);
  }
  forEachOperand(*expr, [&](const Expr *operand) {
    resolve(const_cast<Expr *>(operand), soft);
  });
}

} // namespace

void resolveNames(Ast &ast, const Source &source) {
  Resolver(ast, source).run();
}

} // namespace qrt::chat
