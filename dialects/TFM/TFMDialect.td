//===- TFMDialect.td - The transformer dialect -------------*- tablegen -*-===//

#ifndef TFM_DIALECT_TD
#define TFM_DIALECT_TD

include "mlir/IR/OpBase.td"

def TFM_Dialect : Dialect {
  let name = "tfm";
  let cppNamespace = "::qcc::tfm";
  let summary = "A decoder-only transformer as its paper describes it";
  let description = [{
    Tensor-level operations of a decoder-only transformer. The leading,
    dynamic dimension of every activation is the tokens of this step, of any
    sequences. Everything that an architecture can differ in is an operation,
    an operand or an attribute; nothing about an architecture is known below
    the frontend. Weights are never in the IR: see `tfm.param`.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

#endif // TFM_DIALECT_TD
