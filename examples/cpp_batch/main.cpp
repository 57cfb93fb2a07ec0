//===- main.cpp - Several texts in one step -------------------------------===//
//
// usage: cpp_batch MODEL.qbin PROMPT...
//
// Goes on from every prompt at once, as a server does: the weights are read
// once a step, however many texts there are, and the tokens are chosen where
// the model runs. Texts may end at different times; the batch then goes on with
// the others.
//
//===----------------------------------------------------------------------===//

#include <qrt/qrt.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace {
constexpr uint32_t newTokens = 32;

struct Text {
  Text(qrt::api::Model &model, const std::string &prompt,
       const qrt::api::SamplerOptions &options)
      : ids(model.encode(prompt)), session(model), sampler(model, options) {
    for (int32_t id : ids)
      sampler.accept(id);
  }

  std::vector<int32_t> ids; ///< the prompt and what was made
  qrt::api::Session session;
  qrt::api::Sampler sampler;
  uint32_t made = 0;
};
} // namespace

/// Puts all prompts but their last tokens, from which the batch goes on, into
/// the sessions, in one step.
static void begin(qrt::api::Model &model, std::vector<Text> &texts,
                  qrt::api::Batch &batch) {
  std::vector<qrt_step_item> items;
  for (Text &text : texts)
    if (text.ids.size() > 1)
      items.push_back({text.session.get(), text.ids.data(), text.ids.size() - 1,
                       QRT_ROWS_NONE});
  if (!items.empty())
    model.step(items);
  for (Text &text : texts)
    batch.add(text.session, text.sampler, text.ids.back(), newTokens);
}

/// Every text that is not done gets its next token.
static void step(qrt::api::Model &model, std::vector<Text *> &texts,
                 qrt::api::Batch &batch) {
  const std::vector<int32_t> tokens = batch.next();
  std::vector<Text *> goOn;
  for (size_t i = 0; i < texts.size(); ++i) {
    Text &text = *texts[i];
    const bool isEnd = model.isEos(tokens[i]);
    if (!isEnd)
      text.ids.push_back(tokens[i]);
    if (!isEnd && ++text.made < newTokens &&
        text.session.length() < text.session.capacity())
      goOn.push_back(&text);
    else
      batch.remove(text.session);
  }
  texts = std::move(goOn);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    std::cerr << "usage: cpp_batch MODEL.qbin PROMPT...\n";
    return 2;
  }
  try {
    qrt::api::Model model(argv[1]);
    std::vector<Text> texts;
    for (int i = 2; i < argc; ++i) {
      qrt::api::SamplerOptions options;
      options.seed = uint64_t(i);
      texts.emplace_back(model, argv[i], options);
      if (texts.back().ids.empty())
        throw std::runtime_error("prompt " + std::to_string(i - 1) +
                                 " has no tokens");
    }
    qrt::api::Batch batch(model);
    begin(model, texts, batch);
    std::vector<Text *> running;
    for (Text &text : texts)
      running.push_back(&text);
    while (!running.empty())
      step(model, running, batch);
    for (const Text &text : texts)
      std::cout << model.decode(text.ids, QRT_TEXT_NO_SPECIAL) << "\n---\n";
  } catch (const std::exception &error) {
    std::cerr << "cpp_batch: error: " << error.what() << '\n';
    return 1;
  }
}
