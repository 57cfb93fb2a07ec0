//===- ConfigTest.cpp - What a config.json says, and what it leaves out ---===//
//
// Expectations are transformers 5.24's: the defaults of its configuration
// classes, and which of several spellings of a field its code reads.
//
//===----------------------------------------------------------------------===//

#include "frontends/architectures/Architectures.h"
#include "runtime/support/Error.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace qcc;
using nlohmann::json;

namespace {

/// What every class needs, under the names that most have.
json sizes(const char *type) {
  return {{"model_type", type},
          {"vocab_size", 64},
          {"hidden_size", 64},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 32},
          {"intermediate_size", 96},
          {"max_position_embeddings", 512}};
}

ModelSpec read(const char *type, const json &fields = json::object()) {
  json config = sizes(type);
  config.update(fields);
  return readModelSpec(config);
}

std::string errorOf(const char *type, const json &fields) {
  try {
    read(type, fields);
  } catch (const qrt::Error &error) {
    return error.what();
  }
  return "none";
}

/// Theta, from the second frequency of a full rotation.
double thetaOf(const ModelSpec &spec, size_t rope = 0) {
  const RopeSpec &read = spec.ropes[rope];
  return std::pow(double(read.frequencies[1]), -double(read.rotary) / 2);
}

TEST(Config, DefaultsAreThoseOfTheClass) {
  const struct {
    const char *type;
    int64_t kvHeads, headDim;
    float eps;
    bool tied;
    tfm::Activation activation;
  } cases[] = {
      {"llama", 32, 2, 1e-6f, false, tfm::Activation::Silu},
      {"mistral", 8, 2, 1e-6f, false, tfm::Activation::Silu},
      {"qwen2", 32, 2, 1e-6f, false, tfm::Activation::Silu},
      {"qwen3", 32, 128, 1e-6f, false, tfm::Activation::Silu},
      {"phi", 32, 2, 1e-5f, false, tfm::Activation::GeluTanh},
      {"phi3", 32, 2, 1e-5f, false, tfm::Activation::Silu},
      {"gemma", 16, 256, 1e-6f, true, tfm::Activation::GeluTanh},
      {"gemma2", 4, 256, 1e-6f, true, tfm::Activation::GeluTanh},
      {"gemma3_text", 4, 256, 1e-6f, true, tfm::Activation::GeluTanh},
      {"falcon", 1, 2, 1e-5f, true, tfm::Activation::Gelu},
      {"bloom", 32, 2, 1e-5f, true, tfm::Activation::GeluTanh},
      {"gpt_neox", 32, 2, 1e-5f, false, tfm::Activation::Gelu},
      {"gpt2", 32, 2, 1e-5f, true, tfm::Activation::GeluTanh},
      {"gpt_neo", 32, 2, 1e-5f, true, tfm::Activation::GeluTanh},
      {"gpt_bigcode", 1, 2, 1e-5f, true, tfm::Activation::GeluTanh},
      {"starcoder2", 2, 2, 1e-5f, true, tfm::Activation::GeluTanh},
      {"stablelm", 32, 2, 1e-5f, false, tfm::Activation::Silu},
      {"mpt", 32, 2, 1e-5f, true, tfm::Activation::Gelu},
      {"olmo", 32, 2, 1e-5f, false, tfm::Activation::Silu},
      {"olmo2", 32, 2, 1e-5f, false, tfm::Activation::Silu},
      {"granite", 32, 2, 1e-6f, false, tfm::Activation::Silu},
      {"smollm3", 4, 2, 1e-6f, true, tfm::Activation::Silu},
      {"cohere", 32, 2, 1e-5f, true, tfm::Activation::Silu},
      {"glm", 2, 128, 1.5625e-7f, false, tfm::Activation::Silu},
      {"glm4", 2, 128, 1.5625e-7f, false, tfm::Activation::Silu},
      {"nemotron", 32, 2, 1e-5f, false, tfm::Activation::Relu2},
  };
  for (const auto &each : cases) {
    SCOPED_TRACE(each.type);
    // Two dimensions of a head are too few for a quarter of them to rotate.
    json fields = json::object();
    if (std::string(each.type) == "stablelm" ||
        std::string(each.type) == "gpt_neox")
      fields["partial_rotary_factor"] = 1.0;
    ModelSpec spec = read(each.type, fields);
    EXPECT_EQ(spec.kvHeads, each.kvHeads);
    EXPECT_EQ(spec.headDim, each.headDim);
    EXPECT_EQ(spec.norm.eps, each.eps);
    EXPECT_EQ(spec.tied, each.tied);
    EXPECT_EQ(spec.activation, each.activation);
  }
  // null is not absence.
  EXPECT_EQ(read("mistral", {{"num_key_value_heads", nullptr}}).kvHeads, 32);
}

TEST(Config, ThetaIsThatOfTheClass) {
  json heads = {{"head_dim", 64}};
  EXPECT_NEAR(thetaOf(read("llama", heads)), 1e4, 1);
  EXPECT_NEAR(thetaOf(read("cohere", heads)), 5e5, 50);
  EXPECT_NEAR(thetaOf(read("cohere2", heads)), 1e4, 1);
  EXPECT_NEAR(thetaOf(read("smollm3", heads)), 2e6, 200);
  EXPECT_NEAR(thetaOf(read("gemma3_text", heads), 0), 1e6, 100);
  EXPECT_NEAR(thetaOf(read("gemma3_text", heads), 1), 1e4, 1);
  EXPECT_NEAR(thetaOf(read("olmo3", heads), 1), 5e5, 50);
}

TEST(Config, ReadsItsOwnSpelling) {
  ModelSpec spec = read("starcoder2", {{"norm_epsilon", 0.25},
                                       {"layer_norm_epsilon", 0.5},
                                       {"activation_function", "relu"},
                                       {"hidden_act", "gelu"}});
  EXPECT_EQ(spec.norm.eps, 0.25f);
  EXPECT_EQ(spec.activation, tfm::Activation::Gelu);
  EXPECT_EQ(read("nemotron", {{"norm_eps", 0.25}}).norm.eps, 0.25f);
  // Another spelling alone would be ignored by transformers; nobody means that.
  EXPECT_EQ(errorOf("llama", {{"layer_norm_eps", 0.25}}),
            "field 'layer_norm_eps' (0.25) is not known for this architecture "
            "and may change the result in config.json; remove it if it does "
            "not");
  EXPECT_NE(errorOf("gpt2", {{"hidden_act", "relu"}}).find("'hidden_act'"),
            std::string::npos);
}

TEST(Config, GemmasFieldsMeanWhatItsCodeDoes) {
  json gelu = {{"hidden_act", "gelu"}};
  EXPECT_EQ(read("gemma", gelu).activation, tfm::Activation::GeluTanh);
  gelu["rope_parameters"] = {{"rope_type", "default"}};
  EXPECT_EQ(read("gemma", gelu).activation, tfm::Activation::Gelu);
  json cap = {{"attn_logit_softcapping", 4.0}};
  EXPECT_EQ(read("gemma2", cap).attentionSoftCap, 4);
  EXPECT_EQ(read("gemma3_text", cap).attentionSoftCap, 0);
}

TEST(Config, MptsFieldsCountForItsOwnCode) {
  auto fields = [](const char *name, const json &attention) {
    json config = {{"attn_config", attention}};
    if (*name)
      config["architectures"] = {name};
    return config;
  };
  json slopes = {{"alibi_bias_max", 16}};
  float own = read("mpt", fields("MPTForCausalLM", slopes)).slopes[1];
  float transformers = read("mpt", fields("MptForCausalLM", slopes)).slopes[1];
  EXPECT_EQ(own, 0.5f);                    // 2^(-2 * 16 / 32)
  EXPECT_EQ(transformers, std::sqrt(own)); // with 8
  EXPECT_EQ(read("mpt", fields("", slopes)).slopes[1], own);
  json norms = {{"qk_ln", true}};
  EXPECT_NE(errorOf("mpt", fields("MPTForCausalLM", norms)).find("'qk_ln'"),
            std::string::npos);
  EXPECT_EQ(errorOf("mpt", fields("MptForCausalLM", norms)), "none");
}

TEST(Config, Phi3ReadsTheTrainedLengthOutsideOfTheScaling) {
  json fields = {{"max_position_embeddings", 8192},
                 {"rope_scaling",
                  {{"type", "longrope"},
                   {"original_max_position_embeddings", 1024},
                   {"short_factor", {1.0}},
                   {"long_factor", {2.0}}}}};
  EXPECT_EQ(read("phi3", fields).ropes[0].original, 4096);
  EXPECT_EQ(read("llama", fields).ropes[0].original, 1024);
  fields["original_max_position_embeddings"] = 2048;
  EXPECT_EQ(read("phi3", fields).ropes[0].original, 2048);
}

} // namespace
