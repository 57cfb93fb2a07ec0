//===- TFMInterfaces.td - What stored weights have in common -*- tablegen -*-===//

#ifndef TFM_INTERFACES_TD
#define TFM_INTERFACES_TD

include "mlir/IR/OpBase.td"

def TFM_StoredTypeInterface : TypeInterface<"StoredTypeInterface"> {
  let cppNamespace = "::qcc::tfm";
  let description = [{
    A type of weights that this dialect does not know: a later phase has
    packed them. It still is a matrix; a vector is a matrix of one row.
  }];
  let methods = [
    InterfaceMethod<"The number of rows (outputs).", "int64_t", "getRows">,
    InterfaceMethod<"The number of columns (inputs).", "int64_t", "getColumns">,
  ];
}

#endif // TFM_INTERFACES_TD
