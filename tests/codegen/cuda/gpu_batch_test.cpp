//===- gpu_batch_test.cpp - Tokens of batches, chosen on a GPU ------------===//
//
// Usage: gpu_batch_test MODEL.qbin [SEQUENCES,...]
//
// Goes on from texts in batches of several sizes, once with tokens that the GPU
// chooses and once with those that the host chooses from the same steps'
// logits: all must be the same, twice. Then sessions come and go. The exit
// status is 1 if something differs.
//
//===----------------------------------------------------------------------===//

#include "runtime/api/TokenSource.h"
#include "runtime/support/Error.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

using namespace qrt;

namespace {

/// An even number: in a step that is one kernel, the lowest bits of rows say
/// whether it is an even or an odd one (codegen/cuda/PersistentTags.h), which
/// moves logits a little.
constexpr uint32_t kTokens = 12;

//                        temperature, top-k, top-p, min-p, penalty
const SamplerOptions kOptions[] = {{0, 50, 1, 0, 1},
                                   {0.8f, 50, 1, 0, 1},
                                   {1, 0, 0.9f, 0, 1},
                                   {0, 50, 1, 0, 1.3f},
                                   {1.5f, 0, 1, 0.05f, 1.2f}};

/// A text in the making.
struct Text {
  Text(Model &model, uint32_t number, SamplerOptions options)
      : session(model, 256),
        sampler((options.seed = number, options), model.vocabulary()) {
    // Not of two tokens, of which one were a step of its own (see kTokens).
    const uint32_t length = number % 7 == 1 ? 8 : 1 + number % 7;
    for (uint32_t i = 0; i < length; ++i)
      prompt.push_back(
          int32_t((number * 7919 + i * 104729 + 3) % model.vocabulary()));
    for (int32_t token : prompt)
      sampler.accept(token);
    if (prompt.size() > 1)
      session.feed(std::span(prompt).first(prompt.size() - 1), LogitRows::None);
  }
  Session session;
  Sampler sampler;
  std::vector<int32_t> prompt, made;
};

using Texts = std::vector<std::unique_ptr<Text>>;

/// Every text has options of its own if `mixed`, else all have the same.
Texts makeTexts(Model &model, uint32_t count, size_t option, bool mixed) {
  Texts texts;
  for (uint32_t i = 0; i < count; ++i)
    texts.push_back(std::make_unique<Text>(
        model, i, kOptions[(option + (mixed ? i : 0)) % std::size(kOptions)]));
  return texts;
}

std::vector<std::vector<int32_t>> madeBy(const Texts &texts) {
  std::vector<std::vector<int32_t>> made;
  for (const auto &text : texts)
    made.push_back(text->made);
  return made;
}

std::vector<std::vector<int32_t>> run(Model &model, Texts texts,
                                      bool shouldBeOnDevice) {
  TokenSource source(model);
  for (const auto &text : texts)
    source.add(text->session, text->sampler, kTokens, text->prompt.back());
  for (uint32_t i = 0; i < kTokens; ++i) {
    const auto tokens = source.next();
    for (size_t t = 0; t < texts.size(); ++t)
      texts[t]->made.push_back(tokens[t]);
  }
  if (source.isOnDevice() != shouldBeOnDevice)
    throw Error("tokens were chosen on the wrong side");
  return madeBy(texts);
}

/// Sessions come and go: every one gets as many tokens as it was there for.
bool comeAndGo(Model &model, uint32_t count) {
  Texts texts = makeTexts(model, count, 0, true);
  TokenSource source(model);
  std::vector<Text *> there;
  size_t next = 0;
  for (uint32_t turn = 0; next < texts.size() || !there.empty(); ++turn) {
    for (int i = 0; i < 3 && turn % 2 == 0 && next < texts.size(); ++i) {
      Text &text = *texts[next++];
      there.push_back(&text);
      if (next % 3) {
        source.add(text.session, text.sampler, kTokens, text.prompt.back());
        continue;
      }
      text.session.feed({&text.prompt.back(), 1});
      source.add(text.session, text.sampler, kTokens);
    }
    const auto tokens = source.next();
    for (size_t i = 0; i < there.size(); ++i)
      there[i]->made.push_back(tokens[i]);
    std::erase_if(there, [&](Text *text) {
      if (text->made.size() < kTokens - text->prompt.size() % 4)
        return false;
      source.remove(text->session);
      return true;
    });
  }
  for (const auto &text : texts)
    if (text->session.length() != text->prompt.size() + text->made.size() - 1)
      return false;
  return true;
}

int runAll(const std::string &path, const std::vector<uint32_t> &counts) {
  // Two copies of the model: what chooses is settled when one is loaded.
  Model gpu(path, ModelOptions{"cuda"});
  ::setenv("QRT_CUDA_SAMPLING", "0", 1);
  Model host(path, ModelOptions{"cuda"});
  int failures = 0;
  auto report = [&](uint32_t count, const std::string &what, bool good) {
    std::printf("%u sequences, %s: %s\n", count, what.c_str(),
                good ? "the same" : "DIFFERENT");
    failures += !good;
  };
  for (uint32_t count : counts) {
    for (size_t option = 0; option <= std::size(kOptions); ++option) {
      const bool mixed = option == std::size(kOptions);
      const auto first = run(gpu, makeTexts(gpu, count, option, mixed), true);
      const auto again = run(gpu, makeTexts(gpu, count, option, mixed), true);
      const auto expected =
          run(host, makeTexts(host, count, option, mixed), false);
      report(count, mixed ? "mixed" : "options " + std::to_string(option),
             first == expected && again == expected);
    }
  }
  // Last, since these may take any number of steps of one token.
  for (uint32_t count : counts)
    report(count, "coming and going", comeAndGo(gpu, count));
  return failures != 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) {
    std::fputs("usage: gpu_batch_test MODEL.qbin [SEQUENCES,...]\n", stderr);
    return 2;
  }
  std::vector<uint32_t> counts;
  std::istringstream list(argc > 2 ? argv[2] : "1,2,5,8,16,17,33,70");
  for (std::string number; std::getline(list, number, ',');)
    counts.push_back(uint32_t(std::strtoul(number.c_str(), nullptr, 10)));
  try {
    return runAll(argv[1], counts);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gpu_batch_test: error: %s\n", error.what());
    return 1;
  }
}
