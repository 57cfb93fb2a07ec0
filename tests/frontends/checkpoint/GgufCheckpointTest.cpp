//===- GgufCheckpointTest.cpp - Tests of GGUF files as models -------------===//

#include "frontends/checkpoint/Gguf.h"
#include "frontends/checkpoint/GgufArchitecture.h"
#include "frontends/checkpoint/GgufTokenizerFields.h"
#include "tests/frontends/checkpoint/TestFiles.h"

#include <cmath>

using namespace qcc;
using namespace qcc::test;
using nlohmann::json;

namespace {

constexpr uint32_t typeF32 = 0, typeF16 = 1, typeQ8 = 8;

/// The metadata of a llama with 2 heads of 4 dimensions.
GgufWriter llamaMetadata() {
  GgufWriter writer;
  writer.text("general.architecture", "llama")
      .u32("llama.embedding_length", 8)
      .u32("llama.block_count", 1)
      .u32("llama.feed_forward_length", 16)
      .u32("llama.context_length", 64)
      .u32("llama.attention.head_count", 2)
      .f32("llama.attention.layer_norm_rms_epsilon", 0.25f);
  return writer;
}

GgufWriter &addEmbedding(GgufWriter &writer) {
  return writer.tensor("token_embd.weight", {8, 5}, typeF32,
                       rawBytes(std::vector<float>(40, 0.5f)));
}

class GgufCheckpointTest : public testing::Test {
protected:
  TempFolder folder;

  std::unique_ptr<Checkpoint> open(const GgufWriter &writer) {
    return Checkpoint::open(folder.write("m.gguf", writer.finish()));
  }
  std::string error(const GgufWriter &writer) {
    return errorOf([&] { open(writer); }, folder.path());
  }
  json config(GgufWriter writer) {
    return open(addEmbedding(writer))->config();
  }
};

TEST(GgufNames, AreThoseOfTransformers) {
  const GgufArchitecture &llama = *findGgufArchitecture("llama");
  const std::string layer = "model.layers.12.";
  std::pair<const char *, std::string> names[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"blk.12.attn_norm.weight", layer + "input_layernorm.weight"},
      {"blk.12.attn_q.weight", layer + "self_attn.q_proj.weight"},
      {"blk.12.attn_k.bias", layer + "self_attn.k_proj.bias"},
      {"blk.12.attn_v.weight", layer + "self_attn.v_proj.weight"},
      {"blk.12.attn_output.weight", layer + "self_attn.o_proj.weight"},
      {"blk.12.ffn_norm.weight", layer + "post_attention_layernorm.weight"},
      {"blk.12.ffn_gate.weight", layer + "mlp.gate_proj.weight"},
      {"blk.12.ffn_up.weight", layer + "mlp.up_proj.weight"},
      {"blk.12.ffn_down.weight", layer + "mlp.down_proj.weight"},
  };
  for (auto &[gguf, huggingFace] : names)
    EXPECT_EQ(huggingFaceName(llama, gguf), huggingFace);
  for (const char *name : {"rope_freqs.weight", "blk.0.other.weight", "blk.",
                           "blk.0", "blk.0.weight", "blk..attn", "", "."})
    EXPECT_EQ(huggingFaceName(llama, name), name);
}

TEST(GgufNames, DependOnTheArchitecture) {
  std::tuple<const char *, const char *, const char *> names[] = {
      {"gemma2", "blk.3.ffn_norm.weight",
       "model.layers.3.pre_feedforward_layernorm.weight"},
      {"gpt2", "blk.3.attn_qkv.bias", "transformer.h.3.attn.c_attn.bias"},
      {"gptneox", "output.weight", "embed_out.weight"},
      {"phi2", "output.bias", "lm_head.bias"},
      {"mpt", "blk.0.ffn_up.weight", "transformer.blocks.0.ffn.up_proj.weight"},
      {"glm4", "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj.weight"},
  };
  for (auto &[architecture, gguf, huggingFace] : names)
    EXPECT_EQ(huggingFaceName(*findGgufArchitecture(architecture), gguf),
              huggingFace);
  EXPECT_EQ(findGgufArchitecture("clip"), nullptr);
}

TEST(GgufNames, TellWhatIsPermuted) {
  const GgufArchitecture &llama = *findGgufArchitecture("llama");
  EXPECT_FALSE(
      isRotaryPermuted(*findGgufArchitecture("qwen2"), "blk.0.attn_q.weight"));
  EXPECT_TRUE(isRotaryPermuted(llama, "blk.0.attn_q.weight"));
  EXPECT_TRUE(isRotaryPermuted(llama, "blk.31.attn_k.bias"));
  for (const char *name :
       {"blk.0.attn_v.weight", "blk.0.attn_qkv.weight",
        "blk.0.attn_q_norm.weight", "attn_q.weight", "output.weight"})
    EXPECT_FALSE(isRotaryPermuted(llama, name)) << name;
}

TEST_F(GgufCheckpointTest, MakesAConfiguration) {
  EXPECT_EQ(config(llamaMetadata()), json({{"model_type", "llama"},
                                           {"hidden_size", 8},
                                           {"num_hidden_layers", 1},
                                           {"num_attention_heads", 2},
                                           {"num_key_value_heads", 2},
                                           {"head_dim", 4},
                                           {"intermediate_size", 16},
                                           {"max_position_embeddings", 64},
                                           {"rms_norm_eps", 0.25},
                                           {"rope_theta", 10000.0},
                                           {"torch_dtype", "float32"},
                                           {"rope_dtype", "float32"},
                                           {"vocab_size", 5},
                                           {"tie_word_embeddings", true},
                                           {"attention_bias", false},
                                           {"mlp_bias", false}}));
}

TEST_F(GgufCheckpointTest, TakesWhatTheFileSays) {
  GgufWriter writer = llamaMetadata();
  writer.u32("llama.attention.head_count_kv", 1)
      .u32("llama.attention.key_length", 16)
      .u32("llama.attention.value_length", 16)
      .f32("llama.rope.freq_base", 500000)
      .u32("tokenizer.ggml.bos_token_id", 3)
      .u32("tokenizer.ggml.eos_token_id", 4)
      .u32("tokenizer.ggml.eot_token_id", 4)
      .u32("tokenizer.ggml.eom_token_id", 2)
      .text("tokenizer.chat_template", "{{ x }}")
      .text("tokenizer.chat_template.rag", "{{ y }}")
      .strings("tokenizer.ggml.tokens", {"a", "b", "c", "d", "e"})
      .tensor("output.weight", {32, 5}, typeQ8, std::string(170, '\0'))
      .tensor("blk.0.attn_q.bias", {4}, typeF32, std::string(16, '\0'))
      .tensor("blk.0.ffn_up.bias", {4}, typeF32, std::string(16, '\0'));
  auto checkpoint = open(addEmbedding(writer));
  const json &config = checkpoint->config();
  EXPECT_EQ(config["num_key_value_heads"], 1);
  EXPECT_EQ(config["head_dim"], 16);
  EXPECT_EQ(config["rope_theta"], 500000.0);
  EXPECT_EQ(config["bos_token_id"], 3);
  EXPECT_EQ(config["eos_token_id"], 4);
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config["mlp_bias"], true);
  EXPECT_EQ(config["torch_dtype"], "bfloat16"); // most is Q8_0
  EXPECT_EQ(checkpoint->generationConfig(), json({{"eos_token_id", {4, 2}}}));
  qrt::chat::ChatSource chat =
      readGgufChat(static_cast<GgufCheckpoint &>(*checkpoint).metadata());
  EXPECT_EQ(chat.templates, (qrt::chat::NamedTexts{{"default", "{{ x }}"},
                                                   {"rag", "{{ y }}"}}));
  EXPECT_EQ(chat.specialTokens,
            (qrt::chat::NamedTexts{{"bos_token", "d"}, {"eos_token", "e"}}));
  EXPECT_TRUE(checkpoint->isGguf());
  EXPECT_TRUE(static_cast<GgufCheckpoint &>(*checkpoint).isQuantized());
  EXPECT_TRUE(
      checkpoint->find("model.layers.0.self_attn.q_proj.bias")->rotaryPermuted);
  EXPECT_FALSE(checkpoint->find("lm_head.weight")->rotaryPermuted);
}

TEST_F(GgufCheckpointTest, TakesAlibiAsANumber) {
  GgufWriter writer;
  writer.text("general.architecture", "mpt")
      .u32("mpt.embedding_length", 8)
      .u32("mpt.block_count", 1)
      .u32("mpt.feed_forward_length", 32)
      .u32("mpt.context_length", 64)
      .u32("mpt.attention.head_count", 2)
      .f32("mpt.attention.layer_norm_epsilon", 1e-5f)
      .f32("mpt.attention.max_alibi_bias", 16);
  EXPECT_EQ(config(writer)["attn_config"]["alibi_bias_max"], 16);
}

TEST_F(GgufCheckpointTest, MayHaveNoTokenizer) {
  for (const char *none : {"none", "no_vocab"}) {
    GgufWriter writer = llamaMetadata();
    writer.text("tokenizer.ggml.model", none);
    auto checkpoint = open(addEmbedding(writer));
    EXPECT_FALSE(readGgufTokenizerFields(
        static_cast<GgufCheckpoint &>(*checkpoint).metadata()));
  }
}

TEST_F(GgufCheckpointTest, SaysTheStoredType) {
  GgufWriter writer = llamaMetadata();
  writer.tensor("token_embd.weight", {8, 5}, typeF16, std::string(80, '\0'))
      .tensor("output_norm.weight", {8}, typeF32, std::string(32, '\0'));
  auto checkpoint = open(writer);
  EXPECT_EQ(checkpoint->config()["torch_dtype"], "float16");
  EXPECT_FALSE(static_cast<GgufCheckpoint &>(*checkpoint).isQuantized());
}

TEST_F(GgufCheckpointTest, SaysTheRopeScaling) {
  auto scaling = [&](const GgufWriter &writer) {
    return config(writer).value("rope_scaling", json());
  };
  EXPECT_EQ(scaling(llamaMetadata().text("llama.rope.scaling.type", "none")),
            json());
  EXPECT_EQ(scaling(llamaMetadata()
                        .text("llama.rope.scaling.type", "linear")
                        .f32("llama.rope.scaling.factor", 4)),
            json({{"rope_type", "linear"}, {"factor", 4.0}}));
  EXPECT_EQ(scaling(llamaMetadata().f32("llama.rope.scale_linear", 2)),
            json({{"rope_type", "linear"}, {"factor", 2.0}}));
  EXPECT_EQ(scaling(llamaMetadata().f32("llama.rope.scale_linear", 1)), json());
  EXPECT_EQ(scaling(llamaMetadata()
                        .text("llama.rope.scaling.type", "yarn")
                        .f32("llama.rope.scaling.factor", 8)
                        .f32("llama.rope.scaling.attn_factor", 0.5f)
                        .u32("llama.rope.scaling.original_context_length", 99)),
            json({{"rope_type", "yarn"},
                  {"factor", 8.0},
                  {"attention_factor", (0.1 * std::log(8.0) + 1) * 0.5},
                  {"original_max_position_embeddings", 99}}));
  EXPECT_EQ(scaling(llamaMetadata()
                        .text("llama.rope.scaling.type", "yarn")
                        .f32("llama.rope.scaling.factor", 8)
                        .f32("llama.rope.scaling.yarn_attn_factor", 0.75f)),
            json({{"rope_type", "yarn"},
                  {"factor", 8.0},
                  {"attention_factor", 0.75}}));
  EXPECT_EQ(scaling(llamaMetadata().tensor("rope_freqs.weight", {2}, typeF32,
                                           rawBytes(std::vector<float>{1, 8}))),
            json({{"rope_type", "factors"}, {"factors", {1.0f, 8.0f}}}));
}

TEST_F(GgufCheckpointTest, RefusesBrokenRopeFactors) {
  for (float factor : {0.0f, -1.0f, NAN, INFINITY}) {
    GgufWriter writer = llamaMetadata();
    writer.tensor("rope_freqs.weight", {1}, typeF32, rawBytes(factor));
    EXPECT_EQ(error(addEmbedding(writer)), "tensor 'rope_freqs.weight' holds " +
                                               std::to_string(factor) +
                                               ", no factor in @/m.gguf");
  }
  GgufWriter writer = llamaMetadata();
  writer.tensor("rope_freqs.weight", {0}, typeF32, "");
  EXPECT_EQ(error(addEmbedding(writer)),
            "tensor 'rope_freqs.weight' has 0 elements in @/m.gguf");
}

TEST_F(GgufCheckpointTest, RefusesOtherModels) {
  EXPECT_EQ(error(GgufWriter()),
            "metadata 'general.architecture' is missing in @/m.gguf");
  EXPECT_EQ(error(GgufWriter().text("general.architecture", "gemma\n")),
            "gguf architecture 'gemma\\x0a' is not supported in @/m.gguf; "
            "supported are " +
                ggufArchitectureNames());
  EXPECT_EQ(error(llamaMetadata().u32("llama.expert_count", 8)),
            "the model has 8 experts a layer, which is not supported yet in "
            "@/m.gguf");
  EXPECT_EQ(error(llamaMetadata().u32("llama.attention.value_length", 2)),
            "metadata 'llama.attention.value_length' is 2 but a head has 4 "
            "dimensions, which is not supported yet in @/m.gguf");
}

/// One tensor a part, the metadata in the first.
class SplitGguf : public testing::Test {
protected:
  TempFolder folder;

  static GgufWriter part(GgufWriter writer, uint32_t number, uint32_t count) {
    return writer.u32("split.no", number)
        .u32("split.count", count)
        .u32("split.tensors.count", 2);
  }
  std::string write(int number, const GgufWriter &writer) const {
    return folder.write("m-0000" + std::to_string(number) + "-of-00002.gguf",
                        writer.finish());
  }
  void SetUp() override {
    write(1, part(llamaMetadata(), 0, 2)
                 .tensor("token_embd.weight", {8, 3}, typeF32,
                         rawBytes(std::vector<float>(24, 1))));
    write(2, part(GgufWriter(), 1, 2)
                 .tensor("output.weight", {8, 3}, typeF32,
                         rawBytes(std::vector<float>(24, 2))));
  }
  std::string error() {
    return errorOf([&] { Checkpoint::open(folder.path()); }, folder.path());
  }
};

TEST_F(SplitGguf, OpensFromAnyPartOrFolder) {
  for (const std::string &path :
       {folder / "m-00001-of-00002.gguf", folder / "m-00002-of-00002.gguf",
        folder.path()}) {
    auto checkpoint = Checkpoint::open(path);
    EXPECT_EQ(checkpoint->config()["vocab_size"], 3);
    EXPECT_EQ(readAll(*checkpoint, "model.embed_tokens.weight")[0], 1);
    EXPECT_EQ(readAll(*checkpoint, "lm_head.weight")[23], 2);
    EXPECT_EQ(checkpoint->fileName(*checkpoint->find("lm_head.weight")),
              folder / "m-00002-of-00002.gguf");
  }
}

TEST_F(SplitGguf, RefusesPartsThatDoNotGoTogether) {
  write(2, part(GgufWriter(), 0, 2));
  EXPECT_EQ(error(), "the file is part 1 of 2, which its name does not say in "
                     "@/m-00002-of-00002.gguf; name parts as in "
                     "model-00001-of-00002.gguf");
  write(2, part(GgufWriter(), 1, 2));
  EXPECT_EQ(error(), "the model has 1 tensors, not 2 in "
                     "@/m-00001-of-00002.gguf");
  std::filesystem::rename(folder / "m-00002-of-00002.gguf", folder / "m.gguf");
  std::filesystem::remove(folder / "m-00001-of-00002.gguf");
  EXPECT_EQ(error(), "the file is part 2 of 2, which its name does not say in "
                     "@/m.gguf; name parts as in model-00001-of-00002.gguf");
  std::filesystem::rename(folder / "m.gguf", folder / "m-00002-of-00002.gguf");
  EXPECT_NE(error().find("m-00001-of-00002.gguf' of 2 is missing"),
            std::string::npos);
}

TEST_F(GgufCheckpointTest, RefusesIncompleteModels) {
  EXPECT_EQ(error(GgufWriter().text("general.architecture", "llama")),
            "metadata 'llama.embedding_length' is missing in @/m.gguf");
  EXPECT_EQ(error(llamaMetadata()),
            "tensor 'token_embd.weight' is missing or no matrix in @/m.gguf");
  EXPECT_EQ(error(GgufWriter()
                      .text("general.architecture", "llama")
                      .u32("llama.embedding_length", 8)
                      .u32("llama.block_count", 1)
                      .u32("llama.attention.head_count", 0)),
            "metadata 'llama.attention.head_count' is 0 in @/m.gguf");
  GgufWriter twice = llamaMetadata();
  twice.tensor("model.embed_tokens.weight", {1}, typeF32, rawBytes(1.0f));
  EXPECT_EQ(error(addEmbedding(twice)),
            "tensor 'model.embed_tokens.weight' is there twice in @/m.gguf");
}

TEST_F(GgufCheckpointTest, IsFoundInAFolder) {
  GgufWriter writer = llamaMetadata();
  std::string content = addEmbedding(writer).finish();
  folder.write("a.gguf", content);
  auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint->isGguf());
  EXPECT_EQ(checkpoint->path(), folder / "a.gguf");
  folder.write("b.gguf", content);
  EXPECT_EQ(errorOf([&] { Checkpoint::open(folder.path()); }, folder.path()),
            "the folder has 2 GGUF files, from a.gguf to b.gguf in @; name one "
            "of them");
}

/// Block types are read from and to any element.
TEST_F(GgufCheckpointTest, ReadsPartsOfBlocks) {
  auto expected = openSafetensorsFile(ggufInputs() / "types.safetensors");
  qrt::MappedFile types(ggufInputs() / "types.gguf");
  GgufContents contents = parseGguf(types.bytes(), types.path());
  GgufWriter writer = llamaMetadata();
  addEmbedding(writer);
  for (const TensorInfo &info : contents.tensors)
    if (info.name == "Q4_1" || info.name == "Q6_K")
      writer.tensor(
          info.name, {uint64_t(info.shape[1]), uint64_t(info.shape[0])},
          info.name == "Q4_1" ? 3 : 14,
          std::string(reinterpret_cast<const char *>(types.bytes().data()) +
                          info.offset,
                      info.bytes));
  auto checkpoint = open(writer);
  for (const char *name : {"Q4_1", "Q6_K"}) {
    const TensorInfo &info = *checkpoint->find(name);
    std::vector<float> all = readAll(*expected, name);
    auto total = int64_t(all.size());
    for (int64_t first = 0; first < total; first += 13)
      for (int64_t count :
           {int64_t(1), int64_t(31), int64_t(300), total - first}) {
        count = std::min(count, total - first);
        std::vector<float> got(size_t(count) + 1, -1.0f);
        checkpoint->readF32(info, first, count, got.data());
        ASSERT_TRUE(
            std::equal(got.begin(), got.end() - 1, all.begin() + first));
        ASSERT_EQ(got.back(), -1.0f);
      }
  }
}

/// Invalid UTF-8 in metadata reaches neither a JSON error nor the terminal.
TEST_F(GgufCheckpointTest, HashesStringsThatAreNoText) {
  GgufWriter writer = llamaMetadata();
  writer.text("llama.rope.scaling.type", "\xff\xfe");
  EXPECT_NE(open(addEmbedding(writer))->contentHash(), 0u);
}

TEST_F(GgufCheckpointTest, SurvivesChangedBytes) {
  GgufWriter writer = llamaMetadata();
  writer.f32("llama.rope.freq_base", 10000)
      .tensor("rope_freqs.weight", {2}, typeF32,
              rawBytes(std::vector<float>{1, 8}));
  const std::string content = addEmbedding(writer).finish();
  for (size_t at = 0; at < content.size(); ++at)
    for (int change : {0x01, 0x80, 0xff}) {
      std::string changed = content;
      changed[at] = char(changed[at] ^ change);
      std::string path = folder.write("m.gguf", changed);
      try {
        auto checkpoint = Checkpoint::open(path);
        for (const TensorInfo &info : checkpoint->tensors())
          readAll(*checkpoint, info.name);
        checkpoint->contentHash();
      } catch (const qrt::Error &error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      }
    }
}

} // namespace
