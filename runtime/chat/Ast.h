//===- Ast.h - A template, parsed -------------------------------*- C++ -*-===//

#ifndef QRT_CHAT_AST_H
#define QRT_CHAT_AST_H

#include "runtime/chat/Value.h"

#include <memory>
#include <string>
#include <vector>

namespace qrt::chat {

struct Filter;
struct Test;

/// A name in a template: an index into Ast::names.
using Symbol = uint32_t;

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

enum class ExprKind : uint8_t {
  Constant,
  Name,
  List,
  Tuple,
  Dict,
  Unary,
  Binary,
  Concat,
  Compare,
  Conditional,
  Attribute,
  Item,
  Slice,
  Call,
  Filter,
  Test,
};

struct Expr {
  Expr(ExprKind kind, uint32_t offset) : kind(kind), offset(offset) {}
  virtual ~Expr() = default;

  const ExprKind kind;
  const uint32_t offset; ///< into the source
  uint32_t height = 1;   ///< levels of operands, itself included
};
using ExprPtr = std::unique_ptr<Expr>;

/// Gives an expression its kind.
template <ExprKind K>
struct ExprOf : Expr {
  static constexpr ExprKind classKind = K;
  explicit ExprOf(uint32_t offset) : Expr(K, offset) {}
};

struct ConstantExpr : ExprOf<ExprKind::Constant> {
  using ExprOf::ExprOf;
  Value value;
};
struct NameExpr : ExprOf<ExprKind::Name> {
  using ExprOf::ExprOf;
  Symbol name = 0;
};
struct ListExpr : ExprOf<ExprKind::List> {
  using ExprOf::ExprOf;
  std::vector<ExprPtr> items;
};
struct TupleExpr : ExprOf<ExprKind::Tuple> {
  using ExprOf::ExprOf;
  std::vector<ExprPtr> items;
};
struct DictExpr : ExprOf<ExprKind::Dict> {
  using ExprOf::ExprOf;
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};

enum class UnaryOp : uint8_t { Not, Minus, Plus };
struct UnaryExpr : ExprOf<ExprKind::Unary> {
  using ExprOf::ExprOf;
  UnaryOp op = UnaryOp::Not;
  ExprPtr operand;
};

enum class BinaryOp : uint8_t {
  And,
  Or,
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
};
struct BinaryExpr : ExprOf<ExprKind::Binary> {
  using ExprOf::ExprOf;
  BinaryOp op = BinaryOp::And;
  ExprPtr left, right;
};
/// a ~ b ~ c
struct ConcatExpr : ExprOf<ExprKind::Concat> {
  using ExprOf::ExprOf;
  std::vector<ExprPtr> parts;
};

enum class CompareOp : uint8_t {
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  In,
  NotIn,
};
/// a < b <= c
struct CompareExpr : ExprOf<ExprKind::Compare> {
  using ExprOf::ExprOf;
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
/// `then` if `test` else `otherwise`, which may be missing
struct ConditionalExpr : ExprOf<ExprKind::Conditional> {
  using ExprOf::ExprOf;
  ExprPtr test, then, otherwise;
};
struct AttributeExpr : ExprOf<ExprKind::Attribute> {
  using ExprOf::ExprOf;
  ExprPtr object;
  std::string name;
};
struct ItemExpr : ExprOf<ExprKind::Item> {
  using ExprOf::ExprOf;
  ExprPtr object, index;
};
/// object[start:stop:step]; each bound may be missing
struct SliceExpr : ExprOf<ExprKind::Slice> {
  using ExprOf::ExprOf;
  ExprPtr object, start, stop, step;
};

/// What stands in the brackets of a call.
struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr spread, spreadNamed; ///< *a, **b
};
struct CallExpr : ExprOf<ExprKind::Call> {
  using ExprOf::ExprOf;
  ExprPtr callee;
  CallArguments arguments;
};
struct FilterExpr : ExprOf<ExprKind::Filter> {
  using ExprOf::ExprOf;
  ExprPtr operand; ///< null: the text of the block that is filtered
  std::string name;
  const Filter *filter = nullptr; ///< null: there is none of that name
  CallArguments arguments;
};
struct TestExpr : ExprOf<ExprKind::Test> {
  using ExprOf::ExprOf;
  ExprPtr operand;
  std::string name;
  const Test *test = nullptr; ///< null: there is none of that name
  CallArguments arguments;
};

/// `node` as a T, whose kind it must have.
template <typename T, typename Node>
const T &cast(const Node &node) {
  return static_cast<const T &>(node);
}

/// Calls `use` with each operand of an expression, null where one is missing.
template <typename Use>
void forEachOperand(const CallArguments &arguments, Use use) {
  for (const ExprPtr &value : arguments.positional)
    use(value.get());
  for (const auto &[name, value] : arguments.named)
    use(value.get());
  use(arguments.spread.get());
  use(arguments.spreadNamed.get());
}

template <typename Use>
void forEachOperand(const Expr &expr, Use use) {
  auto each = [&](const std::vector<ExprPtr> &exprs) {
    for (const ExprPtr &operand : exprs)
      use(operand.get());
  };
  switch (expr.kind) {
  case ExprKind::Constant:
  case ExprKind::Name:
    return;
  case ExprKind::List:
    return each(cast<ListExpr>(expr).items);
  case ExprKind::Tuple:
    return each(cast<TupleExpr>(expr).items);
  case ExprKind::Dict:
    for (const auto &[key, value] : cast<DictExpr>(expr).entries) {
      use(key.get());
      use(value.get());
    }
    return;
  case ExprKind::Unary:
    return use(cast<UnaryExpr>(expr).operand.get());
  case ExprKind::Binary:
    use(cast<BinaryExpr>(expr).left.get());
    return use(cast<BinaryExpr>(expr).right.get());
  case ExprKind::Concat:
    return each(cast<ConcatExpr>(expr).parts);
  case ExprKind::Compare:
    use(cast<CompareExpr>(expr).first.get());
    for (const auto &[op, operand] : cast<CompareExpr>(expr).rest)
      use(operand.get());
    return;
  case ExprKind::Conditional:
    use(cast<ConditionalExpr>(expr).test.get());
    use(cast<ConditionalExpr>(expr).then.get());
    return use(cast<ConditionalExpr>(expr).otherwise.get());
  case ExprKind::Attribute:
    return use(cast<AttributeExpr>(expr).object.get());
  case ExprKind::Item:
    use(cast<ItemExpr>(expr).object.get());
    return use(cast<ItemExpr>(expr).index.get());
  case ExprKind::Slice:
    use(cast<SliceExpr>(expr).object.get());
    use(cast<SliceExpr>(expr).start.get());
    use(cast<SliceExpr>(expr).stop.get());
    return use(cast<SliceExpr>(expr).step.get());
  case ExprKind::Call:
    use(cast<CallExpr>(expr).callee.get());
    return forEachOperand(cast<CallExpr>(expr).arguments, use);
  case ExprKind::Filter:
    use(cast<FilterExpr>(expr).operand.get());
    return forEachOperand(cast<FilterExpr>(expr).arguments, use);
  case ExprKind::Test:
    use(cast<TestExpr>(expr).operand.get());
    return forEachOperand(cast<TestExpr>(expr).arguments, use);
  }
}

/// What a value is assigned to: a name, an attribute of a namespace, or a tuple
/// of targets.
struct Target {
  uint32_t offset = 0;
  Symbol name = 0;
  std::string attribute;       ///< empty: the name itself
  std::vector<Target> targets; ///< of a tuple
  bool isTuple = false;
};

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

enum class StmtKind : uint8_t {
  Data,
  Print,
  If,
  For,
  Set,
  SetBlock,
  Macro,
  CallBlock,
  FilterBlock,
  With,
  Generation,
  Break,
  Continue,
};

struct Stmt {
  Stmt(StmtKind kind, uint32_t offset) : kind(kind), offset(offset) {}
  virtual ~Stmt() = default;

  const StmtKind kind;
  const uint32_t offset;
};
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

template <StmtKind K>
struct StmtOf : Stmt {
  static constexpr StmtKind classKind = K;
  explicit StmtOf(uint32_t offset) : Stmt(K, offset) {}
};

/// Statements with variables of their own.
struct ScopedBody {
  Body body;
  /// Names that are undefined until the body assigns them, although a variable
  /// outside may have that name (see Scopes.h).
  std::vector<Symbol> unset;
};

struct DataStmt : StmtOf<StmtKind::Data> {
  using StmtOf::StmtOf;
  std::string text;
};
struct PrintStmt : StmtOf<StmtKind::Print> {
  using StmtOf::StmtOf;
  std::vector<ExprPtr> values;
};
struct IfStmt : StmtOf<StmtKind::If> {
  using StmtOf::StmtOf;
  struct Branch {
    ExprPtr test;
    Body body;
  };
  std::vector<Branch> branches; ///< if, elif, ...
  Body otherwise;
};
struct ForStmt : StmtOf<StmtKind::For> {
  using StmtOf::StmtOf;
  Target target;
  ExprPtr iterable;
  ExprPtr test; ///< of `for x in y if test`; may be null
  bool isRecursive = false;
  ScopedBody body, otherwise;
};
struct SetStmt : StmtOf<StmtKind::Set> {
  using StmtOf::StmtOf;
  Target target;
  ExprPtr value;
};
struct SetBlockStmt : StmtOf<StmtKind::SetBlock> {
  using StmtOf::StmtOf;
  Target target;
  ExprPtr filter; ///< a chain of FilterExpr; may be null
  ScopedBody body;
};

/// What macros and call blocks have in common.
struct MacroDefinition {
  std::string name; ///< empty for a call block
  std::vector<Symbol> parameters;
  std::vector<ExprPtr> defaults; ///< of the last parameters
  ScopedBody body;
  bool usesCaller = false, usesKwargs = false, usesVarargs = false;
};
struct MacroStmt : StmtOf<StmtKind::Macro> {
  using StmtOf::StmtOf;
  Symbol name = 0;
  MacroDefinition macro;
};
struct CallBlockStmt : StmtOf<StmtKind::CallBlock> {
  using StmtOf::StmtOf;
  MacroDefinition macro;
  std::unique_ptr<CallExpr> call;
};
struct FilterBlockStmt : StmtOf<StmtKind::FilterBlock> {
  using StmtOf::StmtOf;
  ExprPtr filter; ///< a chain of FilterExpr
  ScopedBody body;
};
struct WithStmt : StmtOf<StmtKind::With> {
  using StmtOf::StmtOf;
  std::vector<std::pair<Target, ExprPtr>> values;
  ScopedBody body;
};
/// transformers' own: marks what the model writes; rendered as it is.
struct GenerationStmt : StmtOf<StmtKind::Generation> {
  using StmtOf::StmtOf;
  ScopedBody body;
};
struct BreakStmt : StmtOf<StmtKind::Break> {
  using StmtOf::StmtOf;
};
struct ContinueStmt : StmtOf<StmtKind::Continue> {
  using StmtOf::StmtOf;
};

struct Ast {
  ScopedBody body;
  std::vector<std::string> names; ///< of symbols
};

} // namespace qrt::chat

#endif // QRT_CHAT_AST_H
