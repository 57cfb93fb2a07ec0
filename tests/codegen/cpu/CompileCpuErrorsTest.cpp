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

/// The error of compiling Inputs/tiny.mlir with the first `from` replaced.
std::string errorWith(const std::string &from, const std::string &to,
                      const CompileCpuOptions &options = {}) {
  std::string text = tiny();
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  mlir::MLIRContext context;
  context.loadDialect<krn::KRNDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  EXPECT_TRUE(module) << to;
  if (!module)
    return "";
  try {
    compileCpu(*module->getOps<krn::ProgramOp>().begin(), options);
  } catch (const qrt::Error &error) {
    return error.what();
  }
  return "none";
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
            "'krn.gemm' op needs kernel krn_gemv_int4_i16 or "
            "krn_gemm_int4_i16, not krn_gemv_int3_i16");
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
            "'krn.stage' op needs a norm's weight as 1 by 64 f32 in layout "
            "\"rows\", not '!qnt.packed<1 by 64, <bf16>, layout = \"rows\">'");
}

TEST(CompileCpuErrors, tableIsQuantized) {
  EXPECT_EQ(errorWith("!table = !qnt.packed<48 by 64, <f32>",
                      "!table = !qnt.packed<48 by 64, <int8, row>"),
            "'krn.embed' op needs a table of f32, f16 or bf16 in layout "
            "\"rows\" or \"t16\", not '!qnt.packed<48 by 64, <int8, row>, "
            "layout = \"rows\">'");
}

TEST(CompileCpuErrors, attentionHasWrongColumns) {
  EXPECT_EQ(errorWith("heads 4 scale", "heads 8 scale"),
            "'krn.attention' op needs 128 columns as its query, not "
            "'!krn.buffer<64, stride = 128>'");
}

TEST(CompileCpuErrors, headsDoNotDivide) {
  EXPECT_EQ(errorWith("heads 4 scale", "heads 3 scale"),
            "'krn.attention' op has 3 heads over '!tfm.cache<2 by 16 by "
            "f32>'");
}

TEST(CompileCpuErrors, rotationIsOdd) {
  EXPECT_EQ(errorWith("rotary 16", "rotary 15"),
            "'krn.rope_append' op rotates 15 dimensions of heads of 16");
}

TEST(CompileCpuErrors, rotationHasNoTable) {
  std::string text = errorWith(
      "%q, %k, %v table %rope into !tfm.cache<2 by 16 by f32> heads 4 rotary "
      "16 : !q, !kv, !kv, !rope",
      "%q, %k, %v into !tfm.cache<2 by 16 by f32> heads 4 rotary 16 : !q, "
      "!kv, !kv");
  EXPECT_EQ(text, "'krn.rope_append' op rotates 16 dimensions without a table");
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

TEST(CompileCpuErrors, variantIsNamedTwice) {
  EXPECT_EQ(errorWith("decode", "decode",
                      {.variants = {QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V3}}),
            "cpu variant x86_64_v3 is named twice");
  EXPECT_EQ(errorWith("decode", "decode", {.variants = {}}),
            "no cpu variant is to be compiled");
}

} // namespace
