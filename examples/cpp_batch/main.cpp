//===- main.cpp - Several texts in one step -------------------------------===//
//
// usage: cpp_batch MODEL.qbin PROMPT...
//
// Goes on from every prompt at once, as a server does: the weights are read
// once a step, however many texts there are. Texts may end at different times;
// the step then goes on with the others.
//
//===----------------------------------------------------------------------===//

#include <qrt/qrt.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace {
struct Text {
  Text(qrt::api::Model &model, const std::string &prompt,
       const qrt::api::SamplerOptions &options)
      : ids(model.encode(prompt)), session(model), sampler(model, options) {
    for (int32_t id : ids)
      sampler.accept(id);
  }

  std::vector<int32_t> ids; ///< the prompt and what was made
  size_t fed = 0;           ///< how many of them the session holds
  qrt::api::Session session;
  qrt::api::Sampler sampler;
  bool isDone = false;
};
} // namespace

/// One step: every text that is not done gets its next token.
static bool step(qrt::api::Model &model, std::vector<Text> &texts) {
  std::vector<qrt_step_item> items;
  std::vector<Text *> stepped;
  for (Text &text : texts) {
    size_t count = text.ids.size() - text.fed;
    if (text.isDone || text.session.length() + count > text.session.capacity())
      continue;
    items.push_back(
        {text.session.get(), text.ids.data() + text.fed, count, QRT_ROWS_LAST});
    stepped.push_back(&text);
  }
  if (items.empty())
    return false;
  model.step(items);
  for (Text *text : stepped) {
    text->fed = text->ids.size();
    int32_t token = text->sampler.sample(text->session.logits().first);
    text->isDone = model.isEos(token);
    if (!text->isDone)
      text->ids.push_back(token);
  }
  return true;
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
    constexpr int newTokens = 32;
    for (int i = 0; i < newTokens && step(model, texts); ++i) {
    }
    for (const Text &text : texts)
      std::cout << model.decode(text.ids, QRT_TEXT_NO_SPECIAL) << "\n---\n";
  } catch (const std::exception &error) {
    std::cerr << "cpp_batch: error: " << error.what() << '\n';
    return 1;
  }
}
