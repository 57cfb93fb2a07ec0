//===- Format.cpp - The grammar of formats --------------------------------===//
//
// docs/formats.md states the grammar and the constraints format_c1 ... that
// violation() cites.
//
//===----------------------------------------------------------------------===//

#include "runtime/formats/Format.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

namespace qrt {

namespace {

struct CodeInfo {
  Code code;
  std::string_view name;
  int bits;
};

constexpr std::array<CodeInfo, 9> kCodes = {{{Code::F32, "f32", 32},
                                             {Code::F16, "f16", 16},
                                             {Code::BF16, "bf16", 16},
                                             {Code::Int8, "int8", 8},
                                             {Code::Int4, "int4", 4},
                                             {Code::Int3, "int3", 3},
                                             {Code::Int2, "int2", 2},
                                             {Code::NF4, "nf4", 4},
                                             {Code::FP4, "fp4", 4}}};

/// Looks a code up by value. An enumerator that a damaged file made up has
/// no entry.
const CodeInfo *findCode(Code code) {
  for (const CodeInfo &info : kCodes)
    if (info.code == code)
      return &info;
  return nullptr;
}

const CodeInfo &codeInfo(Code code) {
  if (const CodeInfo *info = findCode(code))
    return *info;
  throw Error("unknown element code " + std::to_string(int(code)));
}

bool isUnscaled(Code code) {
  return code == Code::F32 || code == Code::F16 || code == Code::BF16;
}

bool isTableCode(Code code) { return code == Code::NF4 || code == Code::FP4; }

/// Text of a file may be anything: keep messages to one short, printable line.
std::string quoted(std::string_view text) {
  constexpr size_t kMaxShown = 64;
  std::string shown = "'";
  for (char c : text.substr(0, kMaxShown))
    shown += c >= 0x20 && c < 0x7f ? c : '?';
  return shown + (text.size() > kMaxShown ? "...'" : "'");
}

[[noreturn]] void failParse(std::string_view mangled, const std::string &why) {
  throw Error("format " + quoted(mangled) + ": " + why, "",
              "a format is spelled like int4.g128.z, nf4.b64 or bf16");
}

std::vector<std::string_view> splitAtDots(std::string_view text) {
  std::vector<std::string_view> tokens;
  size_t begin = 0;
  for (size_t dot; (dot = text.find('.', begin)) != std::string_view::npos;
       begin = dot + 1)
    tokens.push_back(text.substr(begin, dot - begin));
  tokens.push_back(text.substr(begin));
  return tokens;
}

/// Decimal digits without sign or leading zero, as mangled() prints them.
std::optional<int64_t> parseCount(std::string_view digits) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() ||
      digits[0] == '0' || digits[0] == '-')
    return std::nullopt;
  return value;
}

std::optional<ScaleType> parseScaleType(std::string_view name) {
  for (ScaleType type : {ScaleType::F32, ScaleType::F16, ScaleType::BF16})
    if (name == scaleTypeName(type))
      return type;
  return std::nullopt;
}

} // namespace

std::string_view codeName(Code code) { return codeInfo(code).name; }

std::string_view scaleTypeName(ScaleType type) {
  switch (type) {
  case ScaleType::None:
    return "none";
  case ScaleType::F32:
    return "f32";
  case ScaleType::F16:
    return "f16";
  case ScaleType::BF16:
    return "bf16";
  case ScaleType::U8:
    return "u8";
  }
  throw Error("unknown scale type " + std::to_string(int(type)));
}

ScaleType defaultScaleType(Code code) {
  if (isUnscaled(code))
    return ScaleType::None;
  return isTableCode(code) ? ScaleType::F32 : ScaleType::F16;
}

int64_t scaleTypeBytes(ScaleType type) {
  if (type == ScaleType::None)
    return 0;
  if (type == ScaleType::U8)
    return 1;
  return type == ScaleType::F32 ? 4 : 2;
}

bool isIntCode(Code code) {
  return code == Code::Int8 || code == Code::Int4 || code == Code::Int3 ||
         code == Code::Int2;
}

int32_t defaultZero(Code code) {
  return isIntCode(code) ? 1 << (codeInfo(code).bits - 1) : 0;
}

int Format::codeBits() const { return codeInfo(code).bits; }

int64_t Format::groupsPerRow(int64_t columns) const {
  if (flattened)
    throw Error("format " + mangled() + " has blocks, not groups of a row");
  if (!isQuantized() || columns <= 0)
    return 0;
  return (columns - 1) / groupSize(columns) + 1;
}

int64_t Format::scaleCount(int64_t rows, int64_t columns) const {
  int64_t units = rows;
  int64_t perUnit = 1;
  bool overflow = false;
  if (flattened) {
    verify(); // a group of 0 would divide
    int64_t elements;
    overflow = __builtin_mul_overflow(rows, columns, &elements);
    units = overflow || elements <= 0 ? 0 : (elements - 1) / group + 1;
  } else {
    perUnit = groupsPerRow(columns);
  }
  int64_t count;
  if (overflow || __builtin_mul_overflow(units, perUnit, &count))
    throw Error("a weight of " + std::to_string(rows) + " x " +
                std::to_string(columns) + " elements is too large");
  return count;
}

int64_t Format::nestedCount(int64_t rows, int64_t columns) const {
  int64_t scales = nested > 0 ? scaleCount(rows, columns) : 0;
  return scales > 0 ? (scales - 1) / nested + 1 : 0;
}

double Format::bitsPerWeight(int64_t rows, int64_t columns) const {
  double bits = codeBits();
  if (!isQuantized() || rows <= 0 || columns <= 0)
    return bits;
  double scaleBits = 8.0 * double(scaleTypeBytes(scale)) + (zero ? 8.0 : 0.0);
  return bits + (scaleBits * double(scaleCount(rows, columns)) +
                 32.0 * double(nestedCount(rows, columns))) /
                    (double(rows) * double(columns));
}

std::string Format::mangled() const {
  std::string text(codeName(code));
  if (isQuantized()) {
    if (group == -1)
      text += ".row";
    else
      text += (flattened ? ".b" : ".g") + std::to_string(group);
  }
  if (zero)
    text += ".z";
  if (nested)
    text += ".d" + std::to_string(nested);
  else if (scale != defaultScaleType(code))
    text += ".s" + std::string(scaleTypeName(scale));
  return text;
}

Format Format::parse(std::string_view mangled) {
  std::vector<std::string_view> tokens = splitAtDots(mangled);
  const auto *info =
      std::find_if(kCodes.begin(), kCodes.end(), [&](const CodeInfo &entry) {
        return entry.name == tokens[0];
      });
  if (info == kCodes.end())
    failParse(mangled, "unknown code " + quoted(tokens[0]));

  Format format;
  format.code = info->code;
  format.scale = defaultScaleType(info->code);
  // The parts have a fixed order; `stage` is the first one still allowed.
  enum { GroupPart, ZeroPart, ScalePart, End } stage = GroupPart;
  for (size_t i = 1; i < tokens.size(); ++i) {
    std::string_view token = tokens[i];
    char kind = token.empty() ? '\0' : token[0];
    if (stage <= GroupPart && token == "row") {
      format.group = -1;
      stage = ZeroPart;
    } else if (stage <= GroupPart && (kind == 'g' || kind == 'b')) {
      std::optional<int64_t> count = parseCount(token.substr(1));
      if (!count)
        failParse(mangled, "bad group " + quoted(token));
      format.group = *count;
      format.flattened = kind == 'b';
      stage = ZeroPart;
    } else if (stage <= ZeroPart && token == "z") {
      format.zero = true;
      stage = ScalePart;
    } else if (stage <= ScalePart && kind == 's') {
      std::optional<ScaleType> type = parseScaleType(token.substr(1));
      if (!type)
        failParse(mangled, "unknown scale type " + quoted(token.substr(1)));
      format.scale = *type;
      stage = End;
    } else if (stage <= ScalePart && kind == 'd') {
      std::optional<int64_t> count = parseCount(token.substr(1));
      if (!count)
        failParse(mangled, "bad count of nested scales " + quoted(token));
      format.nested = *count;
      format.scale = ScaleType::U8;
      stage = End;
    } else {
      failParse(mangled, "unexpected part " + quoted(token));
    }
  }
  if (std::string broken = format.violation(); !broken.empty())
    failParse(mangled, broken);
  return format;
}

std::string Format::violation() const {
  const CodeInfo *info = findCode(code);
  if (!info)
    return "format_c1: unknown element code " + std::to_string(int(code));
  std::string name(info->name);
  if (isUnscaled(code)) {
    if (group != 0 || flattened)
      return "format_c2: " + name + " has no groups, but a group of " +
             std::to_string(group) + " is given";
  } else if (group < -1 || group == 0 ||
             group > std::numeric_limits<int32_t>::max()) {
    return "format_c2: " + name +
           " needs a group of 1 to 2147483647 elements " +
           "or -1 for the whole row, not " + std::to_string(group);
  }
  if (flattened && (!isTableCode(code) || group < 1))
    return "format_c3: only nf4 and fp4 have flattened blocks, of 1 or more " +
           ("elements; not " + name) + " with " + std::to_string(group);
  if (zero && !isIntCode(code))
    return "format_c4: " + name + " has no zero points";
  if (scale > ScaleType::U8)
    return "format_c5: unknown scale type " + std::to_string(int(scale));
  if (isUnscaled(code) != (scale == ScaleType::None))
    return "format_c5: " + name +
           (isUnscaled(code) ? " has no scales, not " : " needs scales, not ") +
           std::string(scaleTypeName(scale));
  if (nested && !isTableCode(code))
    return "format_c6: only nf4 and fp4 have nested scales, not " + name;
  if (nested < 0 || nested > std::numeric_limits<int32_t>::max() ||
      (nested != 0) != (scale == ScaleType::U8))
    return "format_c6: scales of type " + std::string(scaleTypeName(scale)) +
           " in nested blocks of " + std::to_string(nested) +
           "; u8 has blocks of 1 to 2147483647, no other type has them";
  return "";
}

void Format::verify() const {
  if (std::string broken = violation(); !broken.empty())
    throw Error(broken);
}

} // namespace qrt
