//===- Passes.td - Passes of the import phase --------------*- tablegen -*-===//

#ifndef QCC_PASSES_IMPORT_PASSES_TD
#define QCC_PASSES_IMPORT_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyModelPass : Pass<"tfm-verify-model", "::mlir::ModuleOp"> {
  let summary = "Checks that a module is a program that later phases understand";
  let description = [{
    There are `@weights` and `@model`; a name is defined once; each
    `tfm.weight` has a definition of its type; blocks are called by `@model`
    only, each with a layer's cache; heads are in `@model`. The program is left
    as it is.
  }];
}

#endif // QCC_PASSES_IMPORT_PASSES_TD
