//===- Regex.cpp - Regular expressions of pre-tokenizers ------------------===//

#include "runtime/tokenizer/Regex.h"

#include "runtime/support/Error.h"
#include "runtime/tokenizer/Unicode.h"

#include <new>
#include <pcre2.h>
#include <vector>

namespace qrt {

//===----------------------------------------------------------------------===//
// From Oniguruma's syntax to PCRE2's
//===----------------------------------------------------------------------===//

namespace {

/// Oniguruma's \w: letters, marks, decimal and letter numbers, connectors, some
/// of Latin-1's numbers, and the circled and squared letters.
constexpr std::string_view wordClass =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"
    "\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}"
    "\\x{1F170}-\\x{1F189}";

/// What stands for [:name:] in a class.
constexpr std::pair<std::string_view, std::string_view> posixClasses[] = {
    {"alpha", "\\p{Alphabetic}"}, {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"digit", "\\p{Nd}"},         {"lower", "\\p{Lowercase}"},
    {"punct", "\\p{P}\\p{S}"},    {"space", "\\p{White_Space}"},
    {"upper", "\\p{Uppercase}"},  {"word", wordClass},
    {"xdigit", "0-9a-fA-F"}};

/// Properties of Oniguruma that PCRE2 knows by other names, in lower case and
/// without underscores.
constexpr std::pair<std::string_view, std::string_view> longProperties[] = {
    {"letter", "L"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"digit", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"punct", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"cntrl", "Cc"},
    {"format", "Cf"},
    {"surrogate", "Cs"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
    {"alpha", "Alphabetic"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
    {"space", "White_Space"}};

/// Rewrites a pattern, character by character; see the header. What is not
/// known to mean the same in both is refused.
class Translator {
public:
  Translator(std::string_view pattern, const std::string &where)
      : in(pattern), where(where) {}

  std::string run() {
    while (pos < in.size())
      translateOne();
    return std::move(out);
  }

private:
  [[noreturn]] void refuse(const std::string &what) {
    throw Error("the regular expression has " + what + " at byte " +
                    std::to_string(pos) + ", which is not supported",
                where);
  }

  void copy(size_t count) {
    out.append(in.substr(pos, count));
    pos += count;
  }

  void translateOne() {
    switch (in[pos]) {
    case '\\':
      atomStart = out.size();
      return translateEscape(/*inClass=*/false);
    case '[':
      atomStart = out.size();
      return translateClass();
    case '(':
      checkGroup();
      groupStarts.push_back(out.size());
      return copy(1);
    case ')':
      if (!groupStarts.empty()) {
        atomStart = groupStarts.back();
        groupStarts.pop_back();
      }
      return copy(1);
    case '{':
      return translateInterval();
    case '?':
    case '*':
    case '+':
      return copy(1);
    default:
      atomStart = out.size();
      return copy(1);
    }
  }

  void checkGroup() {
    std::string_view rest = in.substr(pos);
    if (!rest.starts_with("(?")) {
      if (rest.starts_with("(*"))
        refuse("(*");
      return;
    }
    for (std::string_view known :
         {"(?:", "(?=", "(?!", "(?<", "(?>", "(?i:", "(?-i:", "(?x:"})
      if (rest.starts_with(known))
        return;
    // In the middle, Ruby and Perl apply it to different alternatives.
    if (pos == 0 && rest.starts_with("(?i)"))
      return;
    refuse("a group '" + std::string(rest.substr(0, 3)) + "'");
  }

  void translateEscape(bool inClass) {
    if (pos + 1 == in.size())
      refuse("a single backslash");
    auto wrap = [&](std::string_view set, bool isNegated) {
      if (!inClass)
        out += isNegated ? "[^" : "[";
      out += set;
      if (!inClass)
        out += ']';
    };
    char c = in[pos + 1];
    switch (c) {
    case 's':
      out += "\\p{White_Space}";
      break;
    case 'S':
      out += "\\P{White_Space}";
      break;
    case 'h':
    case 'H':
      wrap("0-9a-fA-F", c == 'H');
      break;
    case 'w':
    case 'W':
      wrap(wordClass, c == 'W');
      break;
    case 'v':
      out += "\\x0b";
      break;
    case 'b':
    case 'B':
      if (inClass)
        return copy(2); // Backspace.
      translateBoundary(/*isNegated=*/c == 'B');
      break;
    case 'u':
      if (in.size() - pos < 6)
        refuse("an incomplete \\u");
      out += "\\x{" + std::string(in.substr(pos + 2, 4)) + "}";
      pos += 4;
      break;
    case 'p':
    case 'P':
      return translateProperty();
    default:
      bool isLetter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (isLetter &&
          std::string_view("dDAzZnrtfaexk").find(c) == std::string_view::npos)
        refuse(std::string(in.substr(pos, 2)));
      return copy(2);
    }
    pos += 2;
  }

  /// Oniguruma knows general categories by their long names too, POSIX's
  /// classes, and scripts by the property Script; PCRE2's scripts are those of
  /// Script_Extensions unless it is told otherwise.
  void translateProperty() {
    const bool isNegated = in[pos + 1] == 'P';
    const size_t end = in.find('}', pos);
    if (in.substr(pos + 2, 1) != "{" || end == in.npos)
      refuse("\\p without {}");
    std::string_view name = in.substr(pos + 3, end - pos - 3);
    pos = end + 1;
    const bool isInverted = name.starts_with('^');
    name.remove_prefix(isInverted);
    out += isNegated != isInverted ? "\\P{" : "\\p{";
    out += propertyName(name);
    out += '}';
  }

  static std::string propertyName(std::string_view name) {
    std::string folded;
    for (char c : name)
      if (c != '_' && c != ' ' && c != '-')
        folded += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    for (const auto &[known, ours] : longProperties)
      if (folded == known)
        return std::string(ours);
    std::string script = "sc:" + std::string(name);
    return folded.size() > 2 && isProperty(script) ? script : std::string(name);
  }

  static bool isProperty(const std::string &name) {
    std::string pattern = "\\p{" + name + "}";
    int code = 0;
    size_t offset = 0;
    pcre2_code *compiled = pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
        PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
    pcre2_code_free(compiled);
    return compiled != nullptr;
  }

  void translateBoundary(bool isNegated) {
    const std::string word = "[" + std::string(wordClass) + "]";
    const char *yes = isNegated ? "(?=" : "(?!",
               *no = isNegated ? "(?!" : "(?=";
    out += "(?:(?<=" + word + ")" + yes + word + ")|(?<!" + word + ")" + no +
           word + "))";
  }

  /// A class as it is read: the characters of `set`, or whatever one of
  /// `others` (whole expressions of one character each) matches.
  struct ClassUnion {
    std::string set;
    std::vector<std::string> others;

    std::string expression() const {
      std::vector<std::string> all = others;
      if (!set.empty()) // only a class's own ^ negates
        all.insert(all.begin(), (set[0] == '^' ? "[\\" : "[") + set + "]");
      if (all.empty())
        return "(?!)";
      std::string text = all[0];
      for (size_t i = 1; i < all.size(); ++i)
        text.append("|").append(all[i]);
      return all.size() == 1 ? text : "(?:" + text + ")";
    }
  };

  void translateClass() { out += classExpression(/*depth=*/0); }

  /// Reads a class; PCRE2 has neither classes within classes nor
  /// intersections, so what needs them becomes alternatives and lookaheads.
  std::string classExpression(int depth) {
    if (depth == 16)
      refuse("classes within classes");
    ++pos;
    const bool isNegated = in.substr(pos, 1) == "^";
    pos += isNegated;
    std::vector<ClassUnion> operands(1); // of &&
    for (bool isFirst = true;; isFirst = false) {
      if (pos >= in.size())
        refuse("a class without an end");
      ClassUnion &last = operands.back();
      if (in[pos] == ']' && !isFirst)
        break;
      if (in.substr(pos, 2) == "&&") {
        pos += 2;
        operands.emplace_back();
      } else if (in[pos] == '[') {
        addInnerClass(last, depth);
      } else if (in[pos] == '\\') {
        addClassEscape(last);
      } else {
        last.set += in[pos] == ']' ? "\\]" : std::string(1, in[pos]);
        ++pos;
      }
    }
    ++pos;
    if (operands.size() == 1 && operands[0].others.empty() &&
        !operands[0].set.empty())
      return (isNegated ? "[^" : "[") + operands[0].set + "]";
    std::string text;
    for (size_t i = 1; i < operands.size(); ++i)
      text += "(?=" + operands[i].expression() + ")";
    text = "(?:" + text + operands[0].expression() + ")";
    return isNegated ? "(?:(?!" + text + ")[\\s\\S])" : text;
  }

  void addClassEscape(ClassUnion &target) {
    // translateEscape() writes to `out`.
    std::string before = std::move(out);
    out.clear();
    const char c = pos + 1 < in.size() ? in[pos + 1] : ' ';
    const bool isComplement = c == 'W' || c == 'H';
    translateEscape(/*inClass=*/!isComplement);
    if (isComplement)
      target.others.push_back(out);
    else
      target.set += out;
    out = std::move(before);
  }

  void addInnerClass(ClassUnion &target, int depth) {
    for (const auto &[name, set] : posixClasses) {
      std::string text = "[:" + std::string(name) + ":]";
      if (in.substr(pos, text.size()) == text) {
        target.set += set;
        pos += text.size();
        return;
      }
    }
    if (in.substr(pos, 2) == "[:")
      refuse("such a class within a class");
    if (target.set.ends_with('-')) // a hyphen, not a range
      target.set.insert(target.set.size() - 1, "\\");
    std::string inner = classExpression(depth + 1);
    if (inner.starts_with("[") && !inner.starts_with("[^"))
      target.set += inner.substr(1, inner.size() - 2);
    else
      target.others.push_back(std::move(inner));
  }

  void translateInterval() {
    size_t end = pos + 1;
    while (end < in.size() &&
           ((in[end] >= '0' && in[end] <= '9') || in[end] == ','))
      ++end;
    bool isInterval = end > pos + 1 && end < in.size() && in[end] == '}';
    if (!isInterval) {
      atomStart = out.size();
      return copy(1);
    }
    if (in[pos + 1] == ',') {
      // Oniguruma's {,m} is {0,m}; PCRE2 10.42 reads it as plain text.
      out += "{0";
      ++pos;
    }
    copy(end + 1 - pos);
    if (pos < in.size() && in[pos] == '+') {
      out.insert(atomStart, "(?:");
      out += ")+";
      ++pos;
    }
  }

  std::string_view in;
  const std::string &where;
  std::string out;
  size_t pos = 0;
  size_t atomStart = 0;            ///< in `out`: where the last atom begins
  std::vector<size_t> groupStarts; ///< in `out`: of the groups that are open
};

} // namespace

//===----------------------------------------------------------------------===//
// PCRE2
//===----------------------------------------------------------------------===//

struct RegexScratch::Impl {
  pcre2_match_data *data = nullptr;
  pcre2_match_context *context = nullptr;
  pcre2_jit_stack *stack = nullptr;

  Impl() {
    // One pair of offsets: only the whole match is asked for.
    data = pcre2_match_data_create(1, nullptr);
    context = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr);
    if (!data || !context || !stack) {
      release();
      throw std::bad_alloc();
    }
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Impl() { release(); }
  Impl(const Impl &) = delete;
  Impl &operator=(const Impl &) = delete;

  void release() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

RegexScratch::RegexScratch() : impl(std::make_unique<Impl>()) {}
RegexScratch::~RegexScratch() = default;
RegexScratch::RegexScratch(RegexScratch &&) noexcept = default;
RegexScratch &RegexScratch::operator=(RegexScratch &&) noexcept = default;

struct Regex::Impl {
  pcre2_code *code = nullptr;
  bool isJit = false;

  Impl() = default;
  ~Impl() { pcre2_code_free(code); }
  Impl(const Impl &) = delete;
  Impl &operator=(const Impl &) = delete;
};

Regex::Regex(std::string_view pattern, const std::string &where)
    : impl(std::make_unique<Impl>()) {
  std::string translated = Translator(pattern, where).run();
  int code = 0;
  size_t offset = 0;
  impl->code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code,
      &offset, nullptr);
  if (!impl->code) {
    PCRE2_UCHAR message[256] = {0};
    pcre2_get_error_message(code, message, sizeof message);
    throw Error("the regular expression does not compile: " +
                    std::string(reinterpret_cast<char *>(message)) +
                    " (at byte " + std::to_string(offset) + " of " +
                    std::to_string(translated.size()) + ")",
                where);
  }
  // Where there is no JIT compiler, the interpreter runs the expression.
  impl->isJit = pcre2_jit_compile(impl->code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex &&) noexcept = default;
Regex &Regex::operator=(Regex &&) noexcept = default;

std::string Regex::escape(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}#-&~ ").find(c) !=
        std::string_view::npos)
      result += '\\';
    result += c;
  }
  return result;
}

bool Regex::find(std::string_view text, size_t from, RegexScratch &scratch,
                 size_t &begin, size_t &end) const {
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  RegexScratch::Impl &state = *scratch.impl;
  int result = impl->isJit
                   ? pcre2_jit_match(impl->code, subject, text.size(), from, 0,
                                     state.data, state.context)
                   : pcre2_match(impl->code, subject, text.size(), from,
                                 PCRE2_NO_UTF_CHECK, state.data, state.context);
  if (result == PCRE2_ERROR_NOMATCH)
    return false;
  if (result < 0) {
    PCRE2_UCHAR message[256] = {0};
    pcre2_get_error_message(result, message, sizeof message);
    throw Error("a regular expression of the tokenizer gave up at byte " +
                std::to_string(from) + " of a text of " +
                std::to_string(text.size()) + ": " +
                reinterpret_cast<char *>(message));
  }
  const size_t *offsets = pcre2_get_ovector_pointer(state.data);
  begin = offsets[0];
  end = offsets[1];
  // \K can put a match's start anywhere.
  if (begin < from || end < begin)
    throw Error("a regular expression of the tokenizer matches backwards at "
                "byte " +
                std::to_string(from));
  return true;
}

bool RegexMatches::next(size_t &begin, size_t &end) {
  while (from <= text.size() && regex.find(text, from, scratch, begin, end)) {
    from = end;
    if (begin == end) {
      from += end < text.size() ? unicode::charLength(text[end]) : 1;
      if (begin == lastEnd)
        continue;
    }
    lastEnd = end;
    return true;
  }
  return false;
}

} // namespace qrt
