//===- QNTDialect.td - Formats and what is done to weights -*- tablegen -*-===//

#ifndef QNT_DIALECT_TD
#define QNT_DIALECT_TD

include "mlir/IR/OpBase.td"

def QNT_Dialect : Dialect {
  let name = "qnt";
  let cppNamespace = "::qcc::qnt";
  let summary = "Formats of packed weights and what is done to weights";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::qcc::tfm::TFMDialect"];
}

#endif // QNT_DIALECT_TD
