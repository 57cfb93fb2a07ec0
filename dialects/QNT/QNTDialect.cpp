//===- QNTDialect.cpp - Types and attributes of QNT -----------------------===//

#include "dialects/QNT/QNT.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc::qnt;
using qrt::Code;
using qrt::Format;
using qrt::ScaleType;

//===----------------------------------------------------------------------===//
// Custom directives
//===----------------------------------------------------------------------===//

/// `, mse` or nothing.
static ParseResult parseMseFlag(AsmParser &parser, bool &mse) {
  mse = succeeded(parser.parseOptionalComma());
  return mse ? parser.parseKeyword("mse") : ParseResult(success());
}

static void printMseFlag(AsmPrinter &printer, bool mse) {
  if (mse)
    printer << ", mse";
}

#include "dialects/QNT/QNTDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/QNT/QNTAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/QNT/QNTTypes.cpp.inc"

void QNTDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/QNT/QNTTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/QNT/QNTAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/QNT/QNTOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

Attribute FormatAttr::parse(AsmParser &parser, Type) {
  StringRef name;
  if (parser.parseLess() || parser.parseKeyword(&name))
    return {};
  Format format;
  bool known = false;
  for (Code code : {Code::F32, Code::F16, Code::BF16, Code::Int8, Code::Int4,
                    Code::Int3, Code::Int2, Code::NF4, Code::FP4}) {
    if (name != StringRef(qrt::codeName(code)))
      continue;
    format.code = code;
    known = true;
  }
  if (!known) {
    parser.emitError(parser.getNameLoc(), "unknown code '") << name << "'";
    return {};
  }
  format.scale = qrt::defaultScaleType(format.code);
  while (succeeded(parser.parseOptionalComma())) {
    SMLoc loc = parser.getCurrentLocation();
    StringRef key;
    if (parser.parseKeyword(&key))
      return {};
    if (key == "row") {
      format.group = -1;
    } else if (key == "zero") {
      format.zero = true;
    } else if (key == "group" || key == "block") {
      format.flattened = key == "block";
      if (parser.parseEqual() || parser.parseInteger(format.group))
        return {};
    } else if (key == "absmax") {
      // absmax = u8/256: codes of 8 bits, 256 of which share a nested scale.
      StringRef type;
      if (parser.parseEqual() || parser.parseKeyword(&type))
        return {};
      if (type != "u8") {
        parser.emitError(loc, "unknown type of nested scales '")
            << type << "' (u8)";
        return {};
      }
      format.scale = ScaleType::U8;
      if (parser.parseSlash() || parser.parseInteger(format.nested))
        return {};
    } else if (key == "scale") {
      StringRef type;
      if (parser.parseEqual() || parser.parseKeyword(&type))
        return {};
      known = false;
      for (ScaleType candidate :
           {ScaleType::F32, ScaleType::F16, ScaleType::BF16}) {
        if (type != StringRef(qrt::scaleTypeName(candidate)))
          continue;
        format.scale = candidate;
        known = true;
      }
      if (!known) {
        parser.emitError(loc, "unknown scale type '") << type << "'";
        return {};
      }
    } else {
      parser.emitError(loc, "unknown part '")
          << key << "' of a format (group, block, row, zero, scale, absmax)";
      return {};
    }
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<FormatAttr>(parser.getContext(), format);
}

void FormatAttr::print(AsmPrinter &printer) const {
  const Format &format = getValue();
  printer << "<" << qrt::codeName(format.code);
  if (format.group == -1)
    printer << ", row";
  else if (format.group)
    printer << (format.flattened ? ", block = " : ", group = ") << format.group;
  if (format.zero)
    printer << ", zero";
  if (format.nested)
    printer << ", absmax = u8/" << format.nested;
  else if (format.scale != qrt::defaultScaleType(format.code))
    printer << ", scale = " << qrt::scaleTypeName(format.scale);
  printer << ">";
}

LogicalResult FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 Format format) {
  if (std::string broken = format.violation(); !broken.empty())
    return emitError() << broken;
  return success();
}

Format qcc::qnt::unscaledFormat(Type element) {
  Format format;
  if (element.isF16())
    format.code = Code::F16;
  else if (element.isBF16())
    format.code = Code::BF16;
  return format;
}

UnpackedTypes qcc::qnt::unpackedTypes(MLIRContext *context,
                                      const Format &format, int64_t rows,
                                      int64_t columns) {
  Type scale = Float32Type::get(context);
  if (format.scale == ScaleType::F16)
    scale = Float16Type::get(context);
  else if (format.scale == ScaleType::BF16)
    scale = BFloat16Type::get(context);
  auto byte = IntegerType::get(context, 8);
  if (format.nested)
    scale = byte;
  SmallVector<int64_t> groups;
  if (format.flattened)
    groups = {format.scaleCount(rows, columns)};
  else
    groups = {rows, format.groupsPerRow(columns)};
  UnpackedTypes types;
  types.codes = RankedTensorType::get({rows, columns}, byte);
  types.scales = RankedTensorType::get(groups, scale);
  if (format.zero)
    types.zeros = RankedTensorType::get(groups, byte);
  else if (format.nested)
    types.zeros = RankedTensorType::get({format.nestedCount(rows, columns) + 1},
                                        Float32Type::get(context));
  return types;
}

//===----------------------------------------------------------------------===//
// Schemes
//===----------------------------------------------------------------------===//

std::string qcc::qnt::schemeViolation(StringRef method, const Format &format,
                                      bool mse) {
  std::string name = format.mangled();
  if (method == "rtn" || method == "gptq") {
    if (!qrt::isIntCode(format.code))
      return "scheme_c2: " + method.str() + " makes int codes, not " + name;
  } else if (method == "bnb") {
    if (format.code != Code::NF4 && format.code != Code::FP4)
      return "scheme_c2: bnb makes nf4 and fp4, not " + name;
    if (mse)
      return "scheme_c3: bnb does not search scales: mse goes with rtn and "
             "gptq";
    if (format.nested && (!format.flattened || format.nested != 256))
      return "scheme_c4: bnb nests the scales of flattened blocks by 256, not "
             "as in " +
             name;
  } else if (method == "int8") {
    if (format != qrt::Format::parse("int8.row.sf32"))
      return "scheme_c2: int8 makes int8.row.sf32, not " + name;
    if (mse)
      return "scheme_c3: int8 does not search scales: mse goes with rtn "
             "and gptq";
  } else {
    return "scheme_c1: unknown method '" + method.str() +
           "' (rtn, gptq, bnb, int8)";
  }
  return "";
}

LogicalResult SchemeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef method, FormatAttr format,
                                 bool mse) {
  std::string broken = schemeViolation(method, format.getValue(), mse);
  if (!broken.empty())
    return emitError() << broken;
  return success();
}

//===----------------------------------------------------------------------===//
// Packed weights
//===----------------------------------------------------------------------===//

LogicalResult PackedType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t rows, int64_t columns,
                                 FormatAttr format, StringAttr layout) {
  int64_t elements;
  if (rows < 1 || columns < 1 || llvm::MulOverflow(rows, columns, elements))
    return emitError() << "packed_c1: a weight of " << rows << " by " << columns
                       << " elements is empty or too large";
  if (layout && layout != "t16" && layout != "rows")
    return emitError() << "packed_c2: unknown layout " << layout
                       << " (t16, rows)";
  return success();
}
