//===- Passes.td - Passes of the quantize phase ------------*- tablegen -*-===//

#ifndef QCC_PASSES_QUANTIZE_PASSES_TD
#define QCC_PASSES_QUANTIZE_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectPass : Pass<"qnt-select", "::mlir::ModuleOp"> {
  let summary = "Decides which linears are quantized, and to what";
  let description = [{
    Looks at each weight that a `tfm.linear` or `tfm.logits` reads and puts a
    `qnt.scheme` on its `tfm.define`. The scheme is that of the first rule
    whose regular expression (POSIX extended) is found in the checkpoint's
    name of the module, else the default. The head (what `tfm.logits` reads;
    its module is "lm_head" where it is tied to the embedding) has a default
    of its own. A scheme is `none`, or a method, a format and options:
    `rtn:int4.g128`, `rtn:int4.g128.z:mse`, `bnb:nf4.b64`.

    A head that is tied to the embedding and selected gets a definition of its
    own first: the embedding stays as it is.

    Example: `--qnt-select="default=rtn:int4.g128 rules=down_proj=none"`

    Input:
    ```mlir
    tfm.define "layers.0.q" = %0 of "model.layers.0.self_attn.q_proj" : tensor<64x64xbf16>
    ```
    Output:
    ```mlir
    tfm.define "layers.0.q" = %0 of "model.layers.0.self_attn.q_proj"
        {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 128>>} : tensor<64x64xbf16>
    ```
  }];
  let options = [
    ListOption<"rules", "rules", "std::string",
               "REGEX=SCHEME of modules, the first that matches counts">,
    Option<"defaultScheme", "default", "std::string", "\"none\"",
           "Scheme of linears that no rule matches">,
    Option<"lmHead", "lm-head", "std::string", "\"\"",
           "Scheme of the head, before all rules">,
  ];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [
    Statistic<"selected", "selected", "Weights selected">,
    Statistic<"kept", "kept", "Weights of linears that are kept as they are">,
  ];
}

def QuantizeRtnPass : Pass<"qnt-quantize-rtn", "::mlir::ModuleOp"> {
  let summary = "Quantizes what is selected for rtn, round to nearest";
  let description = [{
    Inserts the quantization into `@weights` and brings the types of weights
    up to date in `@model` and its blocks; linears of quantized weights become
    `qnt.dequant_gemm`. A block whose layers now differ is cloned for each
    kind. What round to nearest does with the numbers stands in
    docs/formats.md.

    Input:
    ```mlir
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"rtn", <int4, group = 32>>} : tensor<64x64xf32>
    ...
    %y = tfm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    ```
    Output:
    ```mlir
    %codes, %scales = qnt.quantize "rtn" %0 to <int4, group = 32>
        : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
    %1 = qnt.pack %codes, %scales : tensor<64x64xi8>, tensor<64x2xf16>
        -> !qnt.packed<64 by 64, <int4, group = 32>>
    tfm.define "w" = %1 {...} : !qnt.packed<64 by 64, <int4, group = 32>>
    ...
    %y = qnt.dequant_gemm %x, %w : tensor<?x64xf32>, !qnt.packed<64 by 64, <int4, group = 32>>
        -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"quantized", "quantized", "Weights quantized">];
}

def QuantizeBnbPass : Pass<"qnt-quantize-bnb", "::mlir::ModuleOp"> {
  let summary = "Quantizes what is selected for bnb, bitsandbytes' nf4 and fp4";
  let description = [{
    As `qnt-quantize-rtn`, with the recipe of bitsandbytes (docs/formats.md).

    Input:
    ```mlir
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"bnb", <nf4, block = 64>>} : tensor<64x64xf32>
    ```
    Output:
    ```mlir
    %codes, %scales = qnt.quantize "bnb" %0 to <nf4, block = 64>
        : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64xf32>
    %1 = qnt.pack %codes, %scales : tensor<64x64xi8>, tensor<64xf32>
        -> !qnt.packed<64 by 64, <nf4, block = 64>>
    tfm.define "w" = %1 {...} : !qnt.packed<64 by 64, <nf4, block = 64>>
    ```
  }];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"quantized", "quantized", "Weights quantized">];
}

def QuantizeGptqPass : Pass<"qnt-quantize-gptq", "::mlir::ModuleOp"> {
  let summary = "Quantizes what is selected for gptq, with calibration data";
  let description = [{
    As `qnt-quantize-rtn`, by GPTQ (docs/formats.md). The pass says what is to
    be done; the numbers come from the calibrator, which runs the program on
    the calibration data before the weight stream executes `@weights`.

    Example: `--qnt-quantize-gptq="order=group-aware damp=0.05 true-sequential"`

    Input:
    ```mlir
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"gptq", <int4, group = 32>>} : tensor<64x64xf32>
    ```
    Output:
    ```mlir
    %codes, %scales = qnt.gptq "w" %0 to <int4, group = 32> order "group-aware" damp 5.000000e-02 {true_sequential}
        : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x2xf16>
    %1 = qnt.pack %codes, %scales : tensor<64x64xi8>, tensor<64x2xf16>
        -> !qnt.packed<64 by 64, <int4, group = 32>>
    tfm.define "w" = %1 {...} : !qnt.packed<64 by 64, <int4, group = 32>>
    ```
  }];
  let options = [
    Option<"order", "order", "std::string", "\"natural\"",
           "Order of the columns: natural, activation, group-aware">,
    Option<"staticGroups", "static-groups", "bool", "false",
           "Find scales before the first column is quantized">,
    Option<"damp", "damp", "double", "0.01",
           "Added to the Hessian's diagonal, in units of its mean">,
    Option<"trueSequential", "true-sequential", "bool", "false",
           "Modules see those before them in their layer quantized">,
    Option<"refine", "refine", "int64_t", "0",
           "Sweeps of coordinate descent over codes and scales afterwards">,
  ];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"quantized", "quantized", "Weights quantized">];
}

def QuantizeInt8Pass : Pass<"qnt-quantize-int8", "::mlir::ModuleOp"> {
  let summary = "Quantizes what is selected for int8: LLM.int8";
  let description = [{
    As `qnt-quantize-rtn`, with LLM.int8's rows of int8 (docs/formats.md);
    linears become `qnt.outlier_gemm`, and a `tfm.logits` whose weight is
    quantized carries the threshold as `qnt.outlier_threshold`.

    Example: `--qnt-quantize-int8="threshold=6"`

    Input:
    ```mlir
    tfm.define "w" = %0 {qnt.scheme = #qnt.scheme<"int8", <int8, row, scale = f32>>} : tensor<64x64xf32>
    ...
    %y = tfm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
    ```
    Output:
    ```mlir
    %codes, %scales = qnt.quantize "int8" %0 to <int8, row, scale = f32>
        : tensor<64x64xf32> -> tensor<64x64xi8>, tensor<64x1xf32>
    %1 = qnt.pack %codes, %scales : tensor<64x64xi8>, tensor<64x1xf32>
        -> !qnt.packed<64 by 64, <int8, row, scale = f32>>
    tfm.define "w" = %1 {...} : !qnt.packed<64 by 64, <int8, row, scale = f32>>
    ...
    %y = qnt.outlier_gemm %x, %w threshold 6.000000e+00
        : tensor<?x64xf32>, !qnt.packed<64 by 64, <int8, row, scale = f32>> -> tensor<?x64xf32>
    ```
  }];
  let options = [
    Option<"threshold", "threshold", "double", "6.0",
           "Columns with such a magnitude multiply in float; 0: none">,
  ];
  let dependentDialects = ["::qcc::qnt::QNTDialect"];
  let statistics = [Statistic<"quantized", "quantized", "Weights quantized">];
}

def VerifyQuantizedPass : Pass<"qnt-verify", "::mlir::ModuleOp"> {
  let summary = "Checks that all that was selected is quantized";
  let description = [{
    The rules, by the numbers that messages begin with:

    * `quantized_c1`: a definition with a `qnt.scheme` is packed
    * `quantized_c2`: it is packed in the scheme's format
    * `quantized_c3`: a `tfm.weight` has the type of its definition
    * `quantized_c4`: no `tfm.linear` reads a packed weight
    * `quantized_c5`: no embedding reads a quantized table

    The program is left as it is.
  }];
}

#endif // QCC_PASSES_QUANTIZE_PASSES_TD
