//===- Select.cpp - Decides which linears are quantized -------------------===//
//
// Selection sees the checkpoint's own modules: it runs before weights are
// stacked, so that rules and logs speak of what the user knows.
//
//===----------------------------------------------------------------------===//

#include "passes/quantize/Passes.h"
#include "passes/quantize/Utils.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/Regex.h"

namespace qcc {

#define GEN_PASS_DEF_SELECTPASS
#include "passes/quantize/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// The options of the pass, parsed.
class Selection {
public:
  /// Emits an error at `loc` for what is no rule or no scheme.
  LogicalResult parse(Location loc, ArrayRef<std::string> rules,
                      StringRef defaultScheme, StringRef lmHead);
  /// The scheme of a module, null if it is kept; `why` says what decided.
  qnt::SchemeAttr schemeFor(StringRef module, bool isHead, std::string &why);
  LogicalResult verifyRulesMatched(Location loc) const;

private:
  struct Rule {
    Rule(StringRef text, llvm::Regex &&regex, qnt::SchemeAttr scheme)
        : text(text), regex(std::move(regex)), scheme(scheme) {}

    std::string text;
    llvm::Regex regex;
    qnt::SchemeAttr scheme;
    /// Matched a module; was the first rule that did.
    bool matched = false, counted = false;
  };
  std::vector<Rule> table;
  qnt::SchemeAttr otherwise;
  /// Unset without the option; null for `none`.
  std::optional<qnt::SchemeAttr> head;
};

LogicalResult Selection::parse(Location loc, ArrayRef<std::string> rules,
                               StringRef defaultScheme, StringRef lmHead) {
  for (const std::string &text : rules) {
    // Formats have no '=', regular expressions may.
    auto [pattern, scheme] = StringRef(text).rsplit('=');
    if (pattern.empty() || scheme.empty())
      return emitError(loc)
             << "select_c1: rule '" << text << "' is not spelled REGEX=SCHEME";
    llvm::Regex regex(pattern);
    std::string problem;
    if (!regex.isValid(problem))
      return emitError(loc) << "select_c2: '" << pattern
                            << "' is no regular expression: " << problem;
    FailureOr<qnt::SchemeAttr> parsed = parseScheme(loc, scheme);
    if (failed(parsed))
      return failure();
    table.emplace_back(pattern, std::move(regex), *parsed);
  }
  FailureOr<qnt::SchemeAttr> parsed = parseScheme(loc, defaultScheme);
  if (failed(parsed))
    return failure();
  otherwise = *parsed;
  if (lmHead.empty())
    return success();
  parsed = parseScheme(loc, lmHead);
  if (failed(parsed))
    return failure();
  head = *parsed;
  return success();
}

qnt::SchemeAttr Selection::schemeFor(StringRef module, bool isHead,
                                     std::string &why) {
  if (isHead && head) {
    why = "lm-head says none";
    return *head;
  }
  Rule *first = nullptr;
  for (Rule &rule : table) {
    if (!rule.regex.match(module))
      continue;
    rule.matched = true;
    if (!first)
      first = &rule;
  }
  if (first) {
    first->counted = true;
    why = "rule '" + first->text + "' says none";
    return first->scheme;
  }
  if (isHead) {
    why = "the head is kept unless lm-head or a rule selects it";
    return {};
  }
  why = "no rule matches it and the default is none";
  return otherwise;
}

LogicalResult Selection::verifyRulesMatched(Location loc) const {
  for (const Rule &rule : table) {
    if (!rule.matched)
      return emitError(loc) << "select_c4: rule '" << rule.text
                            << "' matches no module";
    if (!rule.counted)
      emitWarning(loc) << "rule '" << rule.text
                       << "' matches no module before another rule does";
  }
  return success();
}

/// What reads a weight.
struct Readers {
  bool linear = false;
  bool logits = false;
  bool others = false;
};

struct Select : qcc::impl::SelectPassBase<Select> {
  using Base::Base;

  void runOnOperation() override;

private:
  Readers readersOf(tfm::WeightOp weight, const SymbolTable &symbols);
  /// Gives the head a definition apart from the embedding's.
  LogicalResult split(tfm::WeightOp weight, Program &program);
};

Readers Select::readersOf(tfm::WeightOp weight, const SymbolTable &symbols) {
  Readers readers;
  walkWeightUses(weight, symbols, [&](OpOperand &use) {
    auto linear = dyn_cast<tfm::LinearOp>(use.getOwner());
    auto logits = dyn_cast<tfm::LogitsOp>(use.getOwner());
    if (linear && use.get() == linear.getWeight())
      readers.linear = true;
    else if (logits && use.get() == logits.getWeight())
      readers.logits = true;
    else
      readers.others = true;
  });
  return readers;
}

LogicalResult Select::split(tfm::WeightOp weight, Program &program) {
  OpBuilder b(&getContext());
  StringAttr name = b.getStringAttr("lm_head");
  tfm::DefineOp define = program.defines.lookup(weight.getNameAttr());
  if (program.defines.contains(name))
    return weight.emitOpError("select_c3: '")
           << weight.getName()
           << "' is also the head, but 'lm_head' is defined already";
  b.setInsertionPoint(program.weights.getBody().front().getTerminator());
  program.defines[name] =
      tfm::DefineOp::create(b, define.getLoc(), name, define.getValue(), name);
  b.setInsertionPointAfter(weight);
  auto apart =
      tfm::WeightOp::create(b, weight.getLoc(), weight.getType(), name);
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : weight->getUses())
    if (auto logits = dyn_cast<tfm::LogitsOp>(use.getOwner());
        logits && logits.getWeight() == use.get())
      uses.push_back(&use);
  for (OpOperand *use : uses)
    use->set(apart);
  return success();
}

void Select::runOnOperation() {
  FailureOr<Program> program = Program::of(getOperation());
  Selection selection;
  Location loc = getOperation().getLoc();
  if (failed(program) ||
      failed(selection.parse(loc, rules, defaultScheme, lmHead)))
    return signalPassFailure();
  SymbolTable symbols(getOperation());
  SmallVector<tfm::WeightOp> weights(program->model.getOps<tfm::WeightOp>());
  for (tfm::WeightOp weight : weights) {
    Readers readers = readersOf(weight, symbols);
    if (!readers.linear && !readers.logits)
      continue;
    tfm::DefineOp define = program->defines.lookup(weight.getNameAttr());
    if (!define) {
      weight.emitOpError("program_c3: '")
          << weight.getName() << "' is not defined in @weights";
      return signalPassFailure();
    }
    bool isTied = readers.logits && readers.others;
    StringRef module = isTied               ? "lm_head"
                       : define.getModule() ? *define.getModule()
                                            : define.getName();
    std::string why;
    qnt::SchemeAttr scheme =
        selection.schemeFor(module, readers.logits && !readers.linear, why);
    if (!scheme) {
      ++kept;
      remark::missed(define.getLoc(),
                     remark::RemarkOpts::name("kept").category("qnt-select"))
          << "keeps '" + module.str() + "': " + why;
      continue;
    }
    if (isTied) {
      if (failed(split(weight, *program)))
        return signalPassFailure();
      define = program->defines.back().second;
    }
    define->setAttr(qnt::kSchemeAttrName, scheme);
    ++selected;
  }
  if (failed(selection.verifyRulesMatched(loc)))
    signalPassFailure();
}

} // namespace
