//===- KRNDialect.td - What one target does ----------------*- tablegen -*-===//

#ifndef KRN_DIALECT_TD
#define KRN_DIALECT_TD

include "mlir/IR/OpBase.td"

def KRN_Dialect : Dialect {
  let name = "krn";
  let cppNamespace = "::qcc::krn";
  let summary = "Phases of one target and the data handed between them";
  let description = [{
    A `krn.program` is what one target runs. Its entries are the buckets of
    tokens of a step; an entry is a list of phases, with explicit barriers,
    over buffers with planned offsets. `codegen/` sees this dialect only.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::qcc::qnt::QNTDialect", "::qcc::tfm::TFMDialect"];
}

#endif // KRN_DIALECT_TD
