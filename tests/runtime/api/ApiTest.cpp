//===- ApiTest.cpp - The C API as a program sees it -----------------------===//

#include "qrt/qrt.hpp"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

using namespace qrt;
using namespace qrt::test;

extern "C" size_t qrtTestSizeInC(int which);

namespace {
class ApiTest : public testing::Test {
protected:
  void SetUp() override {
    writeFakeModel(folder / "model.qbin");
    api::ModelOptions options;
    options.threads = 2;
    model.emplace(folder / "model.qbin", options);
    greedy.sampling.temperature = 0;
    greedy.max_new_tokens = 8;
  }
  TemporaryFolder folder;
  std::optional<api::Model> model;
  api::GenerateOptions greedy;
};
} // namespace

TEST_F(ApiTest, isTheSameInC) {
  EXPECT_EQ(qrtTestSizeInC(0), sizeof(qrt_model_options));
  EXPECT_EQ(qrtTestSizeInC(1), sizeof(qrt_model_info));
  EXPECT_EQ(qrtTestSizeInC(2), sizeof(qrt_generate_options));
  EXPECT_EQ(qrtTestSizeInC(3), sizeof(qrt_generate_result));
  EXPECT_EQ(qrtTestSizeInC(4), sizeof(qrt_step_item));
  EXPECT_EQ(qrtTestSizeInC(5), sizeof(qrt_status));
  EXPECT_EQ(qrt_api_version(), QRT_API_VERSION);
}

TEST_F(ApiTest, describesTheModel) {
  qrt_model_info info = model->info();
  EXPECT_STREQ(info.architecture, "fake");
  EXPECT_EQ(info.vocabulary, kFakeVocabulary);
  EXPECT_EQ(info.context_limit, 64u);
  EXPECT_EQ(info.default_context, 64u);
  EXPECT_EQ(info.threads, 2u);
  EXPECT_EQ(info.bos_id, kFakeBos);
  EXPECT_EQ(info.has_tokenizer, 1);
  EXPECT_TRUE(model->isEos(kFakeEos));
  EXPECT_FALSE(model->isEos(kFakeBos));
  EXPECT_NO_THROW(model->verify());
}

TEST_F(ApiTest, failsWithoutTouchingOutParameters) {
  auto *untouched = reinterpret_cast<qrt_model *>(0x10);
  qrt_model *loaded = untouched;
  std::string missing = folder / "missing.qbin";
  EXPECT_EQ(qrt_model_load(missing.c_str(), nullptr, &loaded), QRT_ERROR);
  EXPECT_EQ(loaded, untouched);
  EXPECT_NE(std::strstr(qrt_error_message(), "missing.qbin"), nullptr);
  EXPECT_EQ(qrt_model_load(nullptr, nullptr, &loaded), QRT_USAGE);
  api::ModelOptions options;
  options.device = "gpu";
  std::string path = folder / "model.qbin";
  EXPECT_EQ(qrt_model_load(path.c_str(), &options, &loaded), QRT_USAGE);
  options.device = "cuda:0";
  EXPECT_EQ(qrt_model_load(path.c_str(), &options, &loaded), QRT_ERROR);
  options.struct_size = 3;
  EXPECT_EQ(qrt_model_load(path.c_str(), &options, &loaded), QRT_USAGE);
  EXPECT_EQ(loaded, untouched);
}

TEST_F(ApiTest, takesStructsOfOlderPrograms) {
  // A program whose struct ended before `threads`.
  qrt_model_options options;
  qrt_model_options_init(&options);
  options.struct_size = offsetof(qrt_model_options, threads);
  options.threads = 100000;
  qrt_model *loaded = nullptr;
  std::string path = folder / "model.qbin";
  ASSERT_EQ(qrt_model_load(path.c_str(), &options, &loaded), QRT_OK)
      << qrt_error_message();
  qrt_model_info info;
  std::memset(&info, 0x5a, sizeof(info));
  info.struct_size = offsetof(qrt_model_info, vocabulary);
  EXPECT_EQ(qrt_model_get_info(loaded, &info), QRT_OK);
  EXPECT_EQ(info.kv_bytes_per_token, 64u);
  EXPECT_EQ(info.vocabulary, 0x5a5a5a5au);
  qrt_model_free(loaded);
}

TEST_F(ApiTest, encodesAndDecodes) {
  EXPECT_EQ(model->encode("ab. </s>"),
            (std::vector<int32_t>{0, 1, 27, 26, kFakeEos}));
  EXPECT_EQ(model->decode({0, 1, kFakeEos, 30, 31}), "ab</s>é");
  EXPECT_EQ(model->decode({0, kFakeEos, 1}, QRT_TEXT_NO_SPECIAL), "ab");
  size_t count = 0;
  int32_t ids[2] = {-7, -7};
  EXPECT_EQ(qrt_model_encode(model->get(), "abc", 3, 0, ids, 2, &count),
            QRT_TOO_SMALL);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(ids[0], -7);
  char text[3];
  const int32_t three[] = {0, 1, 2};
  EXPECT_EQ(qrt_model_decode(model->get(), three, 3, 0, text, 3, &count),
            QRT_TOO_SMALL); // no room for the zero
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(model->decode({}), "");
  EXPECT_TRUE(model->encode("").empty());
}

TEST_F(ApiTest, rendersChats) {
  FakeModelOptions fake;
  fake.chatTemplate = "{{ bos_token }}{% for m in messages %}{{ m.content }}"
                      "{% endfor %}{{ tools|tojson }}{{ x }}"
                      "{% if add_generation_prompt %}>{% endif %}"
                      "{{ strftime_now('%Y') }}";
  writeFakeModel(folder / "chat.qbin", fake);
  api::Model chat(folder / "chat.qbin");
  EXPECT_EQ(chat.info().has_chat_template, 1);
  EXPECT_EQ(model->info().has_chat_template, 0);
  api::ChatOptions options;
  options.date = "2020-01-31";
  const char *messages = R"([{"role":"user","content":"hi"}])";
  EXPECT_EQ(chat.renderChat(messages, options), "<s>hinull>2020");
  options.tools = R"([{"a":1}])";
  options.variables = R"({"x":"y"})";
  options.add_generation_prompt = 0;
  EXPECT_EQ(chat.renderChat(messages, options), "<s>hi[{\"a\": 1}]y2020");

  char text[4];
  size_t length = 0;
  EXPECT_EQ(qrt_model_render_chat(chat.get(), messages, &options, text, 4,
                                  &length),
            QRT_TOO_SMALL);
  EXPECT_EQ(length, 20u);
  for (const char *wrong : {"", "{}", "[]", "[1]"})
    EXPECT_EQ(qrt_model_render_chat(chat.get(), wrong, nullptr, text, 4,
                                    &length),
              QRT_ERROR)
        << wrong;
  EXPECT_EQ(qrt_model_render_chat(model->get(), messages, nullptr, text, 4,
                                  &length),
            QRT_ERROR);
  EXPECT_NE(std::strstr(qrt_error_message(), "no chat template"), nullptr);
  options.date = "tomorrow";
  EXPECT_EQ(qrt_model_render_chat(chat.get(), messages, &options, text, 4,
                                  &length),
            QRT_USAGE);
  EXPECT_EQ(length, 20u);
}

TEST_F(ApiTest, generates) {
  api::Session session(*model);
  std::vector<int32_t> ids;
  std::string text;
  qrt_generate_result result = session.generate(
      "hello",
      [&](int32_t token, std::string_view piece) {
        if (token >= 0)
          ids.push_back(token);
        text += piece;
        return true;
      },
      greedy);
  EXPECT_EQ(ids, fakeGreedy({7, 4, 11, 11, 14}, 8));
  EXPECT_EQ(text, model->decode(ids));
  EXPECT_EQ(result.finish, QRT_FINISH_LENGTH);
  EXPECT_EQ(result.prompt_tokens, 5u);
  EXPECT_EQ(result.new_tokens, 8u);
  // Without callback and result, from nothing.
  session.truncate(0);
  EXPECT_EQ(qrt_session_generate_text(session.get(), "", &greedy, nullptr,
                                      nullptr, nullptr),
            QRT_OK);
  EXPECT_EQ(session.length(), 8u);
}

TEST_F(ApiTest, carriesExceptionsOfCallbacks) {
  api::Session session(*model);
  auto throws = [](int32_t, std::string_view) -> bool {
    throw std::logic_error("mine");
  };
  EXPECT_THROW(session.generate("hello", throws, greedy), std::logic_error);
}

TEST_F(ApiTest, stepsSeveralSessions) {
  api::Session first(*model), second(*model);
  std::vector<int32_t> a = {1, 2, 3}, b(20, 9);
  model->step({{first.get(), a.data(), a.size(), QRT_ROWS_ALL},
               {second.get(), b.data(), b.size(), QRT_ROWS_LAST}});
  auto likeliest = [](const float *row) {
    return int32_t(std::max_element(row, row + kFakeVocabulary) - row);
  };
  auto [rowsOfFirst, firstCount] = first.logits();
  EXPECT_EQ(firstCount, 3u);
  EXPECT_EQ(likeliest(rowsOfFirst), fakeGreedy({1}, 1)[0]);
  EXPECT_EQ(likeliest(rowsOfFirst + 2 * kFakeVocabulary), fakeGreedy(a, 1)[0]);
  auto [rowsOfSecond, secondCount] = second.logits();
  EXPECT_EQ(secondCount, 1u);
  EXPECT_EQ(likeliest(rowsOfSecond), fakeGreedy(b, 1)[0]);

  api::SamplerOptions options;
  options.temperature = 0;
  api::Sampler sampler(*model, options);
  EXPECT_EQ(sampler.sample(rowsOfSecond), fakeGreedy(b, 1)[0]);
  // The same session twice: nothing happens to either.
  qrt_step_item item = {first.get(), a.data(), 1, QRT_ROWS_LAST};
  EXPECT_THROW(model->step({item, item}), api::Failure);
  EXPECT_EQ(first.length(), 3u);
}

TEST_F(ApiTest, goesOnWithABatch) {
  api::SamplerOptions options;
  options.temperature = 0;
  api::Session first(*model), second(*model), third(*model);
  api::Sampler a(*model, options), b(*model, options), c(*model, options);
  const std::vector<int32_t> prompts[] = {{1, 2, 3}, {9}, {4, 5, 6, 7}};
  model->step({{first.get(), prompts[0].data(), 2, QRT_ROWS_NONE}});
  api::Batch batch(*model);
  batch.add(first, a, prompts[0].back(), 8);
  batch.add(second, b, prompts[1].back(), 3);
  std::vector<std::vector<int32_t>> made(3);
  auto step = [&](std::vector<size_t> texts) {
    const std::vector<int32_t> tokens = batch.next();
    ASSERT_EQ(tokens.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i)
      made[texts[i]].push_back(tokens[i]);
  };
  step({0, 1});
  // One joins, whose logits are there; one leaves.
  model->step({{third.get(), prompts[2].data(), 4, QRT_ROWS_LAST}});
  batch.add(third, c, -1, 8);
  step({0, 1, 2});
  step({0, 1, 2});
  batch.remove(second);
  step({0, 2});
  // The one that is cancelled stops all once, and nothing is lost.
  third.cancel();
  EXPECT_THROW(batch.next(), api::Failure);
  step({0, 2});
  EXPECT_EQ(made[0], fakeGreedy(prompts[0], 5));
  EXPECT_EQ(made[1], fakeGreedy(prompts[1], 3));
  EXPECT_EQ(made[2], fakeGreedy(prompts[2], 4));
  EXPECT_EQ(first.length(), 7u);
  EXPECT_EQ(second.length(), 3u);
  EXPECT_EQ(third.length(), 7u);
}

TEST_F(ApiTest, refusesWrongBatches) {
  api::Session session(*model), empty(*model);
  api::Sampler sampler(*model);
  api::Batch batch(*model);
  int32_t token = 5;
  size_t count = 7;
  EXPECT_EQ(qrt_batch_next(batch.get(), &token, 1, &count), QRT_USAGE);
  auto add = [&](api::Session &one, int32_t from) {
    return qrt_batch_add(batch.get(), one.get(), sampler.get(), from, 8);
  };
  EXPECT_EQ(add(session, -2), QRT_USAGE);
  EXPECT_EQ(add(session, int32_t(kFakeVocabulary)), QRT_USAGE);
  EXPECT_EQ(add(empty, -1), QRT_USAGE); // no logits
  EXPECT_EQ(add(session, 3), QRT_OK);
  EXPECT_EQ(add(session, 3), QRT_USAGE); // twice
  api::Model other(folder / "model.qbin");
  api::Session foreign(other);
  EXPECT_EQ(add(foreign, 3), QRT_USAGE);
  EXPECT_EQ(qrt_batch_next(batch.get(), &token, 0, &count), QRT_TOO_SMALL);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(token, 5);
  EXPECT_EQ(session.length(), 0u);
  EXPECT_EQ(qrt_batch_next(batch.get(), &token, 1, &count), QRT_OK);
  EXPECT_EQ(session.length(), 1u);
}

TEST_F(ApiTest, refusesSessionsOfOtherModels) {
  api::Model other(folder / "model.qbin");
  api::Session session(other);
  int32_t id = 1;
  qrt_step_item item = {session.get(), &id, 1, QRT_ROWS_LAST};
  EXPECT_EQ(qrt_model_step(model->get(), &item, 1), QRT_USAGE);
}

TEST_F(ApiTest, cancels) {
  api::Session session(*model);
  session.cancel();
  try {
    session.generate("a", nullptr, greedy);
    FAIL();
  } catch (const api::Failure &failure) {
    EXPECT_EQ(failure.status(), QRT_CANCELLED);
  }
}

TEST_F(ApiTest, cancelsStepsOfSeveralSessions) {
  api::Session first(*model), second(*model);
  int32_t id = 1;
  const qrt_step_item items[] = {{first.get(), &id, 1, QRT_ROWS_LAST},
                                 {second.get(), &id, 1, QRT_ROWS_LAST}};
  for (api::Session *cancelled : {&first, &second}) {
    cancelled->cancel();
    EXPECT_EQ(qrt_model_step(model->get(), items, 2), QRT_CANCELLED);
    EXPECT_EQ(first.length(), 0u);
    EXPECT_EQ(second.length(), 0u);
  }
  // Each cancel ends one call.
  EXPECT_EQ(qrt_model_step(model->get(), items, 2), QRT_OK);
  EXPECT_EQ(second.length(), 1u);
}

TEST_F(ApiTest, servesThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::vector<int32_t>> made(4);
  for (size_t i = 0; i < made.size(); ++i)
    threads.emplace_back([&, i] {
      api::Session session(*model);
      session.generate(
          std::vector<int32_t>{int32_t(i), 5},
          [&, i](int32_t token, std::string_view) {
            made[i].push_back(token);
            return true;
          },
          greedy);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (size_t i = 0; i < made.size(); ++i) {
    if (!made[i].empty() && made[i].back() == -1)
      made[i].pop_back();
    EXPECT_EQ(made[i], fakeGreedy({int32_t(i), 5}, 8)) << i;
  }
}

TEST_F(ApiTest, acceptsNothing) {
  qrt_model_free(nullptr);
  qrt_session_free(nullptr);
  qrt_sampler_free(nullptr);
  qrt_session_cancel(nullptr);
  qrt_session_truncate(nullptr, 0);
  qrt_sampler_accept(nullptr, 0);
  qrt_batch_free(nullptr);
  qrt_batch_remove(nullptr, nullptr);
  EXPECT_EQ(qrt_batch_next(nullptr, nullptr, 0, nullptr), QRT_USAGE);
  EXPECT_EQ(qrt_session_length(nullptr), 0u);
  EXPECT_EQ(qrt_model_is_eos(nullptr, 0), 0);
  EXPECT_EQ(qrt_session_generate(nullptr, nullptr, 0, nullptr, nullptr, nullptr,
                                 nullptr),
            QRT_USAGE);
  EXPECT_EQ(qrt_model_step(nullptr, nullptr, 0), QRT_USAGE);
  EXPECT_EQ(qrt_session_logits(nullptr, nullptr, nullptr), QRT_USAGE);
}
