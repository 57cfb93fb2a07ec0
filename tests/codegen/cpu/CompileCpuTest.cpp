//===- CompileCpuTest.cpp - What compileCpu() returns ---------------------===//

#include "LoadedKernels.h"

#include "codegen/cpu/CompileCpu.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace qcc;
using namespace qcc::test;

namespace {

class CompileCpu : public testing::Test {
protected:
  void SetUp() override {
    context.loadDialect<krn::KRNDialect>();
    module = mlir::parseSourceFile<mlir::ModuleOp>(QCC_KRN_INPUTS "/tiny.mlir",
                                                   &context);
    ASSERT_TRUE(module);
  }
  krn::ProgramOp program() { return *module->getOps<krn::ProgramOp>().begin(); }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

TEST_F(CompileCpu, tableSaysWhatTheProgramSays) {
  LoadedKernels kernels(compileCpu(program(), {.optLevel = 0}));
  const qrt_kernel_table_t &table = kernels.table();
  EXPECT_EQ(table.abi_version, QRT_KERNEL_ABI_VERSION);
  EXPECT_EQ(table.kv_bytes_per_token, 512U);
  EXPECT_EQ(table.vocabulary, 48U);
  EXPECT_EQ(table.weight_count, 18U);
  ASSERT_EQ(table.variant_count, 3U);
  const uint32_t levels[] = {QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V4,
                             QRT_CPU_X86_64_AMX};
  for (uint32_t v = 0; v < 3; ++v) {
    const qrt_variant &variant = table.variants[v];
    EXPECT_EQ(variant.cpu_level, levels[v]);
    ASSERT_EQ(variant.entry_count, 2U);
    EXPECT_STREQ(variant.entries[0].name, "decode");
    EXPECT_EQ(variant.entries[0].arena_bytes, 11776U);
    EXPECT_EQ(variant.entries[0].scratch_bytes, 527360U);
    EXPECT_EQ(variant.entries[0].max_tokens, 8U);
    EXPECT_STREQ(variant.entries[1].name, "batch");
    EXPECT_EQ(variant.entries[1].max_tokens, 24U);
    EXPECT_NE(variant.entries[0].run, variant.entries[1].run);
  }
}

TEST_F(CompileCpu, variantsAreSortedAndOptional) {
  LoadedKernels kernels(
      compileCpu(program(), {.variants = {QRT_CPU_X86_64_V4, QRT_CPU_X86_64_V3},
                             .optLevel = 0}));
  ASSERT_EQ(kernels.table().variant_count, 2U);
  EXPECT_EQ(kernels.table().variants[0].cpu_level, QRT_CPU_X86_64_V3);
  EXPECT_EQ(kernels.table().variants[1].cpu_level, QRT_CPU_X86_64_V4);
}

TEST_F(CompileCpu, sameInputSameBytes) {
  std::vector<char> one =
      compileCpu(program(), {.variants = {QRT_CPU_X86_64_V3}, .threads = 1});
  std::vector<char> two =
      compileCpu(program(), {.variants = {QRT_CPU_X86_64_V3}, .threads = 3});
  EXPECT_TRUE(one == two);
}

TEST_F(CompileCpu, savesIntermediateFiles) {
  namespace fs = std::filesystem;
  fs::path folder = fs::path(testing::TempDir()) / "qcc-save-temps";
  fs::remove_all(folder);
  CompileCpuOptions options = {.variants = {QRT_CPU_X86_64_V3}, .optLevel = 0};
  options.saveTemps = folder / "inner";
  std::vector<char> object = compileCpu(program(), options);
  for (const char *name :
       {"entries_x86_64_v3.ll", "entries_x86_64_v3.opt.ll",
        "krn_attention_x86_64_v3.ll", "krn_attention_x86_64_v3.opt.ll"})
    EXPECT_TRUE(fs::exists(folder / "inner" / name)) << name;
  EXPECT_EQ(fs::file_size(folder / "inner" / "kernels.so"), object.size());
  fs::remove_all(folder);
}

/// Shapes and formats are constants only in what is inlined into the caller
/// that knows them: no helper of a kernel may stay a function.
TEST_F(CompileCpu, inlinesAllOfAKernel) {
  namespace fs = std::filesystem;
  fs::path folder = fs::path(testing::TempDir()) / "qcc-inlined";
  fs::remove_all(folder);
  CompileCpuOptions options = {.variants = {QRT_CPU_X86_64_V3}};
  options.saveTemps = folder;
  compileCpu(program(), options);
  for (const auto &file : fs::directory_iterator(folder)) {
    if (!file.path().string().ends_with(".opt.ll"))
      continue;
    std::ifstream stream(file.path());
    for (std::string line; std::getline(stream, line);)
      EXPECT_FALSE(line.starts_with("define internal"))
          << file.path() << ": " << line;
  }
  fs::remove_all(folder);
}

TEST_F(CompileCpu, oneSpecialisationForEqualConfigs) {
  std::string text = emitLLVM(program(), {.variants = {QRT_CPU_X86_64_V3}});
  auto count = [&](const std::string &needle) {
    size_t found = 0;
    for (size_t at = text.find(needle); at != std::string::npos;
         at = text.find(needle, at + 1))
      ++found;
    return found;
  };
  // Both layers of both entries call one attention.
  EXPECT_EQ(count("define hidden void @decode_x86_64_v3(ptr"), 1U);
  EXPECT_EQ(count("define hidden void @batch_x86_64_v3(ptr"), 1U);
  EXPECT_EQ(count("define hidden void @krn_attention."), 1U);
  EXPECT_EQ(count("call void @krn_attention.0.x86_64_v3("), 2U);
  EXPECT_EQ(count("define hidden void @krn_gemv_int4_i16."), 1U);
  // Layers are a loop over the table of weights.
  EXPECT_EQ(count("call void @krn_gemv_int4_i16.0.x86_64_v3("), 1U);
  EXPECT_EQ(count("@decode_x86_64_v3.weights.0 = private constant [14 x i32]"),
            1U);
}

} // namespace
