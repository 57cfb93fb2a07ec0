//===- ArchitectureTest.cpp - Every architecture against transformers -----===//
//
// tests/Inputs/architectures/generate.py writes the configurations and the
// logits; the weights are made here from the same formula.
//
//===----------------------------------------------------------------------===//

#include "tests/e2e/Tools.h"

#include <cstring>

using namespace qcc::test;
using nlohmann::json;

namespace {

std::filesystem::path inputs() {
  return std::filesystem::path(QCC_INPUTS) / "architectures";
}

/// Numbers in [-1, 1): splitmix64 of the index and a hash (FNV-1a) of the name.
std::vector<float> uniform(const std::string &name, size_t count) {
  uint64_t seed = 14695981039346656037u;
  for (unsigned char byte : name)
    seed = (seed ^ byte) * 1099511628211u;
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    uint64_t x = seed + (i + 1) * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    values.push_back(float(double(x >> 40) / double(1 << 23) - 1));
  }
  return values;
}

/// Writes the checkpoint that `model` describes as a Hugging Face folder.
void writeCheckpoint(const std::filesystem::path &folder, const json &model) {
  json header;
  std::string data;
  for (const json &tensor : model["tensors"]) {
    size_t count = 1;
    for (size_t size : tensor[1])
      count *= size;
    std::vector<float> values = uniform(tensor[0].get<std::string>(), count);
    float centre = tensor[2], width = tensor[3];
    for (float &value : values)
      value = centre + width * value;
    size_t begin = data.size();
    data.append(reinterpret_cast<const char *>(values.data()), count * 4);
    header[tensor[0].get<std::string>()] = {
        {"dtype", "F32"},
        {"shape", tensor[1]},
        {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  std::string prefix(reinterpret_cast<const char *>(&length), 8);
  writeFile(folder / "model.safetensors", prefix + text + data);
  writeFile(folder / "config.json", model["config"].dump());
}

class Architecture : public testing::TestWithParam<std::string> {};

/// Compiles what `model` describes and compares its logits.
void expectLogits(const json &model) {
  TemporaryFolder folder;
  writeCheckpoint(folder.folder, model);
  Outcome compiled =
      qcc::test::qcc({"compile", folder.folder, "--target", "cpu",
                      "--cpu-variants", "x86-64-v3", "--dtype", "f32",
                      "--quiet", "-o", folder.path("model.qbin")});
  ASSERT_EQ(compiled.status, 0) << compiled.err;
  Outcome ran = qrt({"logits", folder.path("model.qbin"), "--token-ids",
                     joinIds(model["input_ids"].get<std::vector<double>>()),
                     "-o", folder.path("out.safetensors")});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_LE(relativeError(readTensor(folder.path("out.safetensors"), "logits"),
                          model["logits"].get<std::vector<double>>()),
            2e-5);
}

TEST_P(Architecture, LogitsInF32) {
  expectLogits(json::parse(readFile(inputs() / (GetParam() + ".json"))));
}

/// transformers 5 does not tie a head that the checkpoint has and that differs.
TEST(TiedHead, IsTheCheckpointsIfThatDiffers) {
  json model = json::parse(readFile(inputs() / "olmo2.json"));
  model["config"]["tie_word_embeddings"] = true;
  expectLogits(model);
}

/// The names of all files.
std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(inputs()))
    if (entry.path().extension() == ".json")
      names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, Architecture, testing::ValuesIn(names()),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

/// Fields of published configurations that no code of transformers reads.
TEST(PublishedConfig, MaySayWhatChangesNothing) {
  const std::pair<const char *, json> cases[] = {
      {"gemma2",
       {{"cache_implementation", "hybrid"}, {"sliding_window_size", 4096}}},
      {"gptj", {{"rotary", true}, {"scale_attn_weights", true}}},
      {"cohere2",
       {{"layer_switch", 4},
        {"order_of_interleaved_layers", "local_attn_first"},
        {"position_embedding_type", "rope_gptj"},
        {"rotary_pct", 1.0},
        {"use_embedding_sharing", true},
        {"use_gated_activation", true},
        {"use_parallel_block", true},
        {"use_parallel_embedding", true}}},
      {"smollm3", {{"max_window_layers", 28}}},
      {"nemotron", {{"rope_percent", 0.5}}},
      {"phi3-longrope", {{"full_attn_mod", 1}, {"interpolate_factor", 1}}},
      {"gpt-bigcode-mha",
       {{"pad_key_length", true}, {"validate_runner_input", true}}},
  };
  for (const auto &[name, fields] : cases) {
    json model =
        json::parse(readFile(inputs() / (std::string(name) + ".json")));
    model["config"].update(fields);
    TemporaryFolder folder;
    writeFile(folder.folder / "config.json", model["config"].dump());
    Outcome outcome = qcc::test::qcc(
        {"compile", folder.folder, "--random-weights", "1", "--emit", "tfm"});
    EXPECT_EQ(outcome.status, 0) << name << ": " << outcome.err;
  }
}

//===----------------------------------------------------------------------===//
// Configurations that are refused
//===----------------------------------------------------------------------===//

struct BadConfig {
  const char *name;
  const char *base; ///< a file of Inputs/architectures
  json changes;
  const char *message; ///< a part of the error
};

void PrintTo(const BadConfig &bad, std::ostream *out) { *out << bad.name; }

class RefusedConfig : public testing::TestWithParam<BadConfig> {};

TEST_P(RefusedConfig, IsNamed) {
  json model = json::parse(
      readFile(inputs() / (std::string(GetParam().base) + ".json")));
  model["config"].merge_patch(GetParam().changes);
  TemporaryFolder folder;
  writeCheckpoint(folder.folder, model);
  Outcome outcome = qcc::test::qcc({"compile", folder.folder, "--target", "cpu",
                                    "--quiet", "-o", folder.path("out.qbin")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(outcome.err.starts_with("qcc: error: ")) << outcome.err;
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(GetParam().message), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.qbin")));
}

const BadConfig badConfigs[] = {
    {"UnknownType",
     "olmo2",
     {{"model_type", "olmo9"}},
     "architecture 'olmo9' is not supported"},
    {"RemoteCode",
     "olmo2",
     {{"model_type", "mine"}, {"auto_map", {{"AutoModel", "mine.Mine"}}}},
     "defined by code in the checkpoint (auto_map)"},
    {"Experts",
     "olmo2",
     {{"model_type", "mixtral"}, {"num_local_experts", 8}},
     "is a mixture of experts (field 'num_local_experts')"},
    {"Vision",
     "olmo2",
     {{"model_type", "llava"}, {"vision_config", {{"hidden_size", 8}}}},
     "reads more than text (field 'vision_config')"},
    {"Encoder",
     "olmo2",
     {{"is_encoder_decoder", true}},
     "field 'is_encoder_decoder' is true"},
    {"MaskedModel",
     "olmo2",
     {{"architectures", {"BertForMaskedLM"}}},
     "is BertForMaskedLM, no causal language model"},
    {"UnknownField",
     "olmo2",
     {{"logit_twist", 0.5}},
     "field 'logit_twist' (0.5) is not known"},
    {"UnknownRope",
     "llama-yarn",
     {{"rope_parameters", {{"rope_type", "spin"}}}},
     "field 'rope_type' is 'spin'"},
    {"UnknownRopeField",
     "llama-yarn",
     {{"rope_parameters", {{"twist", 2}}}},
     "field 'twist' (2) is not known"},
    {"PartialWithoutUse",
     "olmo2",
     {{"partial_rotary_factor", 0.5}},
     "which this architecture has no use for"},
    {"FewFactors",
     "phi3-longrope",
     {{"rope_parameters", {{"long_factor", {1.0}}}}},
     "field 'long_factor' is no list of 2 positive numbers"},
    {"MissingFactor",
     "llama-dynamic",
     {{"rope_parameters", {{"factor", nullptr}}}},
     "field 'factor' is missing"},
    {"LayerType",
     "olmo3",
     {{"layer_types",
       {"a", "full_attention", "full_attention", "full_attention"}}},
     "field 'layer_types' holds \"a\""},
    {"LayerTypesCount",
     "olmo3",
     {{"layer_types", {"full_attention"}}},
     "does not name a type for each of the 4 layers"},
    {"FewerLayers",
     "olmo2",
     {{"num_hidden_layers", 1}},
     "no part of the model that its configuration describes"},
    {"MoreLayers",
     "olmo2",
     {{"num_hidden_layers", 3}},
     "tensor 'model.layers.2.self_attn.q_proj.weight' is missing"},
    {"OtherHeads", "olmo2", {{"num_key_value_heads", 4}}, "k_proj.weight"},
    {"MissingBias",
     "olmo2",
     {{"attention_bias", true}},
     "q_proj.bias' is missing"},
    {"ExtraBias", "llama-bias", {{"attention_bias", false}}, "k_proj.bias'"},
    {"UntiedHead",
     "cohere2",
     {{"tie_word_embeddings", false}},
     "tensor 'lm_head.weight' is missing"},
    {"WindowCount", "gemma2", {{"sliding_window", -1}}, "sliding_window"},
    {"RotaryDim", "gptj", {{"rotary_dim", 10}}, "field 'rotary_dim' is 10"},
};

INSTANTIATE_TEST_SUITE_P(All, RefusedConfig, testing::ValuesIn(badConfigs),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

} // namespace
