//===- CompileCpuErrorsTest.cpp - What code generation refuses ------------===//

#include "codegen/cpu/CompileCpu.h"
#include "runtime/support/Error.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

using namespace qcc;

namespace {

std::string tiny() {
  std::ifstream file(QCC_KRN_INPUTS "/tiny.mlir");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The error of compiling `text`; "none" if there is none.
std::string errorOf(const std::string &text,
                    const CompileCpuOptions &options = {}) {
  mlir::MLIRContext context;
  context.loadDialect<krn::KRNDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  EXPECT_TRUE(module) << text;
  if (!module)
    return "";
  try {
    compileCpu(*module->getOps<krn::ProgramOp>().begin(), options);
  } catch (const qrt::Error &error) {
    return error.what();
  }
  return "none";
}

/// The error of compiling an entry with `body`, for which %x and %y are whole
/// buffers and %view is some columns of %y.
std::string errorIn(const std::string &body) {
  return errorOf(R"(
    !x = !krn.buffer<64>
    !view = !krn.buffer<64, stride = 128>
    !vector = !qnt.packed<1 by 64, <f32>, layout = "rows">
    !matrix = !qnt.packed<64 by 64, <f32>, layout = "t16">
    !staged = !krn.staged<"f32", 64, group = 0, bits = 32>
    !cache = !tfm.cache<4 by 16 by f32>
    krn.program @cpu target <"cpu", activations = "f32", kv = "f32"> kv_bytes 512 {
      krn.entry @decode max_tokens 1 arena 16448 scratch 524544 {
        %x = krn.buffer at 0 : !x
        %y = krn.buffer at 256 : !krn.buffer<128>
        %view = krn.view %y[0] : !krn.buffer<128> -> !view
        %staged = krn.staged_buffer private at 0 : !staged
        %logits = krn.logits_buffer : !x
        %vector = krn.weight 0 "vector" : !vector
        %matrix = krn.weight 1 "matrix" : !matrix
)" + body + "}}");
}

/// The error of compiling Inputs/tiny.mlir with the first `from` replaced.
std::string errorWith(const std::string &from, const std::string &to,
                      const CompileCpuOptions &options = {}) {
  std::string text = tiny();
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return errorOf(text, options);
}

TEST(CompileCpuErrors, bufferIsNotPlanned) {
  EXPECT_EQ(errorWith("krn.buffer at 2048", "krn.buffer"),
            "'krn.buffer' op is not planned: run krn-plan-buffers first");
}

TEST(CompileCpuErrors, bufferIsOutside) {
  EXPECT_EQ(errorWith("krn.buffer at 8704", "krn.buffer at 8768"),
            "'krn.buffer' op of 3072 bytes at byte 8768 is not inside 11776 "
            "bytes");
}

TEST(CompileCpuErrors, bufferIsNotAligned) {
  EXPECT_EQ(errorWith("krn.buffer at 2048", "krn.buffer at 2052"),
            "'krn.buffer' op lies at byte 2052, which is no multiple of 64");
}

TEST(CompileCpuErrors, privateBufferReachesIntoKernelScratch) {
  EXPECT_EQ(errorWith("%s3 = krn.staged_buffer private at 0",
                      "%s3 = krn.staged_buffer private at 64"),
            "'krn.staged_buffer' op of 3072 bytes at byte 64 is not inside "
            "3072 bytes");
}

TEST(CompileCpuErrors, scratchIsTooSmall) {
  EXPECT_EQ(errorWith("scratch 527360", "scratch 64"),
            "'krn.entry' op has 64 bytes of scratch; kernels alone need "
            "524288");
}

TEST(CompileCpuErrors, arenaIsNotAligned) {
  EXPECT_EQ(errorWith("arena 11776", "arena 11777"),
            "'krn.entry' op has an arena of 11777 and a scratch of 527360 "
            "bytes; both must be multiples of 64");
}

TEST(CompileCpuErrors, kernelDoesNotFitTheWeight) {
  EXPECT_EQ(errorWith("krn_gemv_int4_i16", "krn_gemv_int3_i16"),
            "'krn.gemm' op needs kernel krn_gemv_int4_i16 for up to 8 tokens, "
            "not krn_gemv_int3_i16");
}

TEST(CompileCpuErrors, stagedDoesNotFitTheWeight) {
  EXPECT_EQ(errorWith("<\"i16\", 64, group = 32, bits = 4>",
                      "<\"i16\", 64, group = 16, bits = 4>"),
            "'krn.gemm' op reads '!krn.staged<\"i16\", 64, group = 16, bits = "
            "4>' with a weight of '!qnt.packed<128 by 64, <int4, group = 32>, "
            "layout = \"t16\">'");
}

TEST(CompileCpuErrors, weightHasNoLayout) {
  EXPECT_EQ(
      errorWith("<int4, group = 32>, layout = \"t16\">", "<int4, group = 32>>"),
      "'krn.gemm' op needs a weight in layout \"t16\", not "
      "'!qnt.packed<128 by 64, <int4, group = 32>>'");
}

TEST(CompileCpuErrors, weightIsFlattened) {
  EXPECT_EQ(errorWith("<nf4, group = 32>", "<nf4, block = 32>"),
            "'krn.gemm' op needs groups along rows, not '!qnt.packed<64 by "
            "96, <nf4, block = 32>, layout = \"t16\">'");
}

TEST(CompileCpuErrors, vectorIsNotPlain) {
  EXPECT_EQ(errorWith("!norm = !qnt.packed<1 by 64, <f32>",
                      "!norm = !qnt.packed<1 by 64, <bf16>"),
            "'krn.stage' op needs vectors of f32 in layout \"rows\", not "
            "'!qnt.packed<1 by 64, <bf16>, layout = \"rows\">'");
}

TEST(CompileCpuErrors, tableIsQuantized) {
  EXPECT_EQ(errorWith("!table = !qnt.packed<48 by 64, <f32>",
                      "!table = !qnt.packed<48 by 64, <int8, row>"),
            "'krn.embed' op needs a table of f32, f16 or bf16 in layout "
            "\"rows\" or \"t16\", not '!qnt.packed<48 by 64, <int8, row>, "
            "layout = \"rows\">'");
}

TEST(CompileCpuErrors, targetIsNotCpu) {
  EXPECT_EQ(errorWith("target <\"cpu\"", "target <\"sm_90\""),
            "the program is for target 'sm_90', not cpu");
}

TEST(CompileCpuErrors, gatheredRowsMustBeLogits) {
  EXPECT_EQ(errorWith("%head to %logits because \"f32\" {gather}",
                      "%head to %logits because \"f32\""),
            "'krn.gemm' op must write the caller's logits if it gathers rows, "
            "and only then");
}

TEST(CompileCpuErrors, onlyGemmsWriteLogits) {
  EXPECT_EQ(errorIn("krn.add %x, %x to %logits : !x, !x, !x"),
            "'krn.add' op uses the caller's logits; only a krn.gemm may");
}

TEST(CompileCpuErrors, gatheredRowsHaveNoResidual) {
  EXPECT_EQ(errorIn("krn.gemm \"krn_gemv_f32_f32\" %staged, %matrix residual "
                    "%x to %logits because \"\" {gather} : !staged, !matrix, "
                    "!x, !x"),
            "'krn.gemm' op adds a residual of other rows than it works on");
}

TEST(CompileCpuErrors, stagedRowsAreTheGemms) {
  EXPECT_EQ(errorIn("krn.stage %x to %staged {gather} : !x, !staged\n"
                    "krn.gemm \"krn_gemv_f32_f32\" %staged, %matrix to %x "
                    "because \"\" : !staged, !matrix, !x"),
            "'krn.gemm' op does not read the rows that its input's stage "
            "wrote: only one of them gathers");
}

TEST(CompileCpuErrors, embeddingNeedsWholeRows) {
  EXPECT_EQ(errorIn("krn.embed %matrix to %view : !matrix, !view"),
            "'krn.embed' op needs whole rows as its output, not "
            "'!krn.buffer<64, stride = 128>'");
}

TEST(CompileCpuErrors, ropeKeepsTheStride) {
  EXPECT_EQ(errorIn("krn.rope %x table %x heads 1 rotary 64 to %view : !x, "
                    "!x, !view"),
            "'krn.rope' op reads rows 64 elements apart and writes them 128 "
            "apart");
}

TEST(CompileCpuErrors, attentionStandsInARepeat) {
  EXPECT_EQ(errorIn("krn.attention %x over !cache heads 4 scale 1.0 to %x : "
                    "!x, !x"),
            "'krn.attention' op stands in no krn.repeat, which says where the "
            "layer's cache lies");
  EXPECT_EQ(errorIn("krn.rope_append %x, %x, %x into !cache heads 4 : !x, !x, "
                    "!x"),
            "'krn.rope_append' op stands in no krn.repeat, which says where "
            "the layer's cache lies");
}

TEST(CompileCpuErrors, headsAreTooLong) {
  const std::string why =
      "' op has heads of 2056 dimensions; up to 2048 can be compiled";
  auto inRepeat = [](const std::string &op) {
    return "%long = krn.buffer at 0 : !krn.buffer<2056>\n"
           "krn.repeat layers 1 from 0 weights [] kv_offset 0 kv_stride 0 { " +
           op + " }";
  };
  EXPECT_EQ(errorIn(inRepeat("krn.attention %long over !tfm.cache<1 by 2056 by "
                             "f32> heads 1 scale 1.0 to %long : "
                             "!krn.buffer<2056>, !krn.buffer<2056>")),
            "'krn.attention" + why);
  EXPECT_EQ(errorIn(inRepeat("krn.rope_append %long, %long, %long into "
                             "!tfm.cache<1 by 2056 by f32> heads 1 : "
                             "!krn.buffer<2056>, !krn.buffer<2056>, "
                             "!krn.buffer<2056>")),
            "'krn.rope_append" + why);
}

TEST(CompileCpuErrors, repeatInARepeat) {
  EXPECT_EQ(errorIn("krn.repeat layers 1 from 0 weights [] kv_offset 0 "
                    "kv_stride 0 { krn.repeat layers 1 from 0 weights [] "
                    "kv_offset 0 kv_stride 0 { krn.barrier } }"),
            "'krn.repeat' op stands inside another repeat");
}

TEST(CompileCpuErrors, weightIndex) {
  EXPECT_EQ(errorIn("%w = krn.weight 300000000 \"w\" : !vector"),
            "'krn.weight' op has index 300000000");
}

TEST(CompileCpuErrors, otherOperations) {
  EXPECT_EQ(errorIn("builtin.module {}"),
            "'builtin.module' op is nothing that code is generated for");
}

TEST(CompileCpuErrors, programIsEmpty) {
  EXPECT_EQ(errorOf("krn.program @cpu target <\"cpu\", activations = \"f32\", "
                    "kv = \"f32\"> kv_bytes 512 {}"),
            "the program has no entry");
}

TEST(CompileCpuErrors, variantIsNamedTwice) {
  EXPECT_EQ(errorWith("decode", "decode",
                      {.variants = {QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V3}}),
            "cpu variant x86_64_v3 is named twice");
  EXPECT_EQ(errorWith("decode", "decode", {.variants = {}}),
            "no cpu variant is to be compiled");
}

} // namespace
