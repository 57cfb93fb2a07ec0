//===- FakeGpu.h - Tests on a machine whose GPU is none ---------*- C++ -*-===//

#ifndef QCC_TESTS_E2E_FAKEGPU_H
#define QCC_TESTS_E2E_FAKEGPU_H

#include "tests/e2e/Tools.h"

namespace qcc::test {

/// Has a library that stands for the driver and for NVRTC (FakeCuda.c), and a
/// folder with a tiny model's configuration.
class FakeGpu : public testing::Test {
protected:
  void SetUp() override {
    if (!std::filesystem::exists(FAKE_CUDA))
      GTEST_SKIP() << "the stand-in for the driver is not there";
    writeFile(folder.folder / "config.json", R"({
      "architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
      "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 320,
      "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
      "rope_theta": 10000.0, "tie_word_embeddings": false,
      "torch_dtype": "bfloat16", "hidden_act": "silu"})");
  }

  /// What has a program find it as the driver.
  static std::string libraryPath() {
    return "LD_LIBRARY_PATH=" +
           std::filesystem::path(FAKE_CUDA).parent_path().string();
  }

  TemporaryFolder folder;
};

} // namespace qcc::test

#endif // QCC_TESTS_E2E_FAKEGPU_H
