//===- Passes.td - Passes of the lower phase ---------------*- tablegen -*-===//

#ifndef QCC_PASSES_LOWER_PASSES_TD
#define QCC_PASSES_LOWER_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerToKRNPass : Pass<"lower-to-krn", "::mlir::ModuleOp"> {
  let summary = "Makes the phases of one target out of the program";
  let description = [{
    Replaces `@model` and its blocks by a `krn.program` with one entry for
    each bucket of tokens. Runs of calls to one block become a `krn.repeat`
    with a table of the layers' weights; every operation becomes a phase over
    buffers that are not planned yet. `@weights` stays; the index of a weight
    is that of its `tfm.define`. For several targets the pass runs once for
    each, with `keep` for all but the last.

    Input:
    ```mlir
    %1 = call @block_0(%step, %c0, %0, %w0) : ...
    %2 = call @block_0(%step, %c1, %1, %w1) : ...
    ```
    Output:
    ```mlir
    krn.repeat layers 2 from 0 weights [3, 4] kv_offset 0 kv_stride 256 {
    ^bb0(%w: !qnt.packed<64 by 64, <int4, group = 32>, layout = "t16">):
      %s = krn.staged_buffer private : !krn.staged<"i16", 64, group = 32, bits = 4>
      krn.stage %x to %s : ...
      krn.gemm "krn_gemv_int4_i16" %s, %w residual %x to %x because "..." : ...
    }
    ```
  }];
  let options = [
    Option<"target", "target", "std::string", "\"cpu\"", "Name of the target">,
    Option<"activations", "activations", "std::string", "\"i16\"",
           "What GEMMs over int codes read on the CPU: f32 or i16">,
    Option<"keep", "keep", "bool", "false",
           "Leave @model and its blocks for another target">,
    Option<"tokenEntry", "token", "bool", "false",
           "Also entries for steps of one token: persistent, and a list of phases">,
    Option<"onlyPrefill", "only-prefill", "bool", "false",
           "The prefill entry alone, for programs that see many tokens">,
    Option<"decodeTokens", "decode", "int64_t", "8", "Tokens of the decode bucket">,
    Option<"batchTokens", "batch", "int64_t", "64", "Tokens of the batch bucket">,
    Option<"prefillTokens", "prefill", "int64_t", "512", "Tokens of the prefill bucket">,
  ];
  let dependentDialects = ["::qcc::krn::KRNDialect"];
}

def SchedulePhasesPass : Pass<"krn-schedule", "::qcc::krn::ProgramOp"> {
  let summary = "Orders the phases of persistent entries for few barriers";
  let description = [{
    A phase that needs no barrier goes before one that does; GEMMs over the
    same staged activations follow each other, and what is staged is staged
    again where other activations came in between. Of two GEMMs that add to one
    row in turn, the one whose input is there first goes first (the sum of a
    parallel block's attention and MLP). Fused `krn.rope_append` and
    `krn.attention` stay together.

    Input:
    ```mlir
    krn.gemm "gemv_int4" %s, %qkv to %y because "..." : ...
    krn.rope_append fused %q, %k, %v table %t into ... : ...
    krn.attention %q over ... to %z : ...
    krn.gemm "gemv_int4" %s, %up to %u because "..." : ...
    ```
    Output:
    ```mlir
    krn.gemm "gemv_int4" %s, %qkv to %y because "..." : ...
    krn.gemm "gemv_int4" %s, %up to %u because "..." : ...
    krn.rope_append fused %q, %k, %v table %t into ... : ...
    krn.attention %q over ... to %z : ...
    ```
  }];
  let statistics = [Statistic<"moved", "moved", "Phases that changed places">];
}

def PairGemmsPass : Pass<"krn-pair-gemms", "::qcc::krn::ProgramOp"> {
  let summary = "Brings GEMMs of one input together for one launch";
  let description = [{
    In CUDA's graphs for few tokens a phase is a launch, and two GEMMs over the
    same staged activations can be one (a parallel block's QKV and the first of
    its MLP) if the weights' formats are the same, without nested scales and
    without split outliers. The second goes behind the first, unless a phase in
    between touches what it does. All else stays where it is: small phases are
    best in front of the GEMM that waits for them, whose weights come in
    meanwhile.

    Input:
    ```mlir
    krn.gemm "gemm_int4" %s, %qkv to %y because "..." : ...
    krn.attention %q over ... to %z : ...
    krn.gemm "gemm_int4" %s, %up to %u because "..." : ...
    ```
    Output:
    ```mlir
    krn.gemm "gemm_int4" %s, %qkv to %y because "..." : ...
    krn.gemm "gemm_int4" %s, %up to %u because "..." : ...
    krn.attention %q over ... to %z : ...
    ```
  }];
  let statistics = [Statistic<"moved", "moved", "GEMMs that changed places">];
}

def InsertBarriersPass : Pass<"krn-insert-barriers", "::qcc::krn::ProgramOp"> {
  let summary = "Separates phases that hand data to each other";
  let description = [{
    A phase that reads or overwrites what another phase touched since the last
    barrier gets a `krn.barrier` in front. What a thread keeps to itself
    (private staged buffers) needs none.

    Input:
    ```mlir
    krn.stage %x to %s : ...   // %s is shared
    krn.gemm "krn_gemm_int4_i16" %s, %w to %y because "..." : ...
    ```
    Output:
    ```mlir
    krn.stage %x to %s : ...
    krn.barrier
    krn.gemm "krn_gemm_int4_i16" %s, %w to %y because "..." : ...
    ```
  }];
  let statistics = [Statistic<"inserted", "barriers", "Barriers inserted">];
}

def PlanBuffersPass : Pass<"krn-plan-buffers", "::qcc::krn::ProgramOp"> {
  let summary = "Gives every buffer its place in the arena";
  let description = [{
    A buffer lives from the barrier before its first use to the barrier after
    its last; buffers whose lives do not meet share bytes (first fit, largest
    first). Sets `arena` and `scratch` of each entry.

    Input:  `%x = krn.buffer : !krn.buffer<64>`
    Output: `%x = krn.buffer at 2048 : !krn.buffer<64>`
  }];
  let statistics = [Statistic<"arenaBytes", "arena-bytes", "Bytes of all arenas">];
}

def VerifyProgramPass : Pass<"krn-verify", "::qcc::krn::ProgramOp"> {
  let summary = "Checks that a program is ready for code generation";
  let description = [{
    Every buffer is planned, inside the arena or the scratch, and aligned to
    64 bytes; the program is left as it is.
  }];
}

#endif // QCC_PASSES_LOWER_PASSES_TD
