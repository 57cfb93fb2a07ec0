// Writes several texts on at once: cpp_generate FILE.qbin PROMPT...
//
// One step takes the next token of every text, which costs little more than
// that of one: the weights are read once.

#include <qrt/qrt.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

struct Text {
  std::vector<int32_t> ids, next;
  qrt::api::Session session;
  qrt::api::Sampler sampler;
};

static std::vector<Text> start(qrt::api::Model &model, int count,
                               char **prompts) {
  qrt::api::SamplerOptions options;
  options.temperature = 0;
  std::vector<Text> texts;
  for (int i = 0; i < count; ++i) {
    std::vector<int32_t> ids = model.encode(prompts[i]);
    texts.push_back({ids, ids, qrt::api::Session(model),
                     qrt::api::Sampler(model, options)});
  }
  return texts;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: cpp_generate FILE.qbin PROMPT...\n");
    return 2;
  }
  try {
    qrt::api::Model model(argv[1]);
    std::vector<Text> texts = start(model, argc - 2, argv + 2);
    constexpr int newTokens = 32;
    for (int i = 0; i < newTokens; ++i) {
      std::vector<qrt_step_item> items;
      for (Text &text : texts)
        items.push_back({text.session.get(), text.next.data(), text.next.size(),
                         QRT_ROWS_LAST});
      model.step(items);
      for (Text &text : texts) {
        text.next = {text.sampler.sample(text.session.logits().first)};
        text.ids.push_back(text.next[0]);
      }
    }
    for (const Text &text : texts)
      std::printf("%s\n", model.decode(text.ids, QRT_TEXT_NO_SPECIAL).c_str());
  } catch (const std::exception &error) {
    std::fprintf(stderr, "cpp_generate: error: %s\n", error.what());
    return 1;
  }
}
