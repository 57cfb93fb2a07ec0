//===- Operators.h - Python's operators on values ---------------*- C++ -*-===//
//
// All throw qrt::Error where Python raises, and for integers that do not fit
// 64 bits.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_OPERATORS_H
#define QRT_CHAT_OPERATORS_H

#include "runtime/chat/Ast.h"

namespace qrt::chat {

/// Any but `and` and `or`, which need not evaluate both operands.
Value applyBinary(BinaryOp op, const Value &left, const Value &right);
Value applyUnary(UnaryOp op, const Value &operand);
bool applyCompare(CompareOp op, const Value &left, const Value &right);

/// int(value) of a float. Throws qrt::Error outside of 64 bits.
int64_t toInteger(double value);

} // namespace qrt::chat

#endif // QRT_CHAT_OPERATORS_H
