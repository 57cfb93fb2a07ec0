//===- Passes.td - Passes of the import phase --------------*- tablegen -*-===//

#ifndef QCC_PASSES_IMPORT_PASSES_TD
#define QCC_PASSES_IMPORT_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyModelPass : Pass<"tfm-verify-model", "::mlir::ModuleOp"> {
  let summary = "Checks that a module is a program that later phases understand";
  let description = [{
    The rules, by the numbers that messages begin with:

    * `program_c1`: there are `@weights` and `@model`, with bodies
    * `program_c2`: a name is defined once
    * `program_c3`: each `tfm.weight` has a definition
    * `program_c4`: calls are of functions with bodies
    * `program_c5`: a `tfm.weight` has the type of its definition
    * `program_c6`: a cache that is passed on is a `tfm.layer_cache`'s
    * `program_c7`: `tfm.weight`, `tfm.layer_cache`, `tfm.logits` and calls stand
      in `@model` only
    * `program_c8`: `tfm.define` stands in `@weights` only

    The program is left as it is.
  }];
}

#endif // QCC_PASSES_IMPORT_PASSES_TD
