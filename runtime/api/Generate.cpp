//===- Generate.cpp - Writes a text on ------------------------------------===//

#include "runtime/api/Generate.h"

#include "runtime/api/TokenSource.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace qrt {

const char *finishReasonName(FinishReason reason) {
  switch (reason) {
  case FinishReason::Eos:
    return "eos";
  case FinishReason::Stop:
    return "stop";
  case FinishReason::Length:
    return "length";
  case FinishReason::Context:
    return "context";
  }
  return "unknown";
}

std::string StopFilter::push(std::string_view text) {
  held += text;
  size_t first = std::string::npos;
  for (const std::string &stop : stops)
    if (!stop.empty())
      first = std::min(first, held.find(stop));
  if (first != std::string::npos) {
    found = true;
    std::string done = held.substr(0, first);
    held.clear();
    return done;
  }
  size_t keep = 0;
  for (const std::string &stop : stops)
    for (size_t n = std::min(stop.empty() ? 0 : stop.size() - 1, held.size());
         n > keep; --n)
      if (held.ends_with(std::string_view(stop).substr(0, n)))
        keep = n;
  std::string done = held.substr(0, held.size() - keep);
  held.erase(0, done.size());
  return done;
}

namespace {
/// Turns new tokens into text. Without a tokenizer there is none.
class TextStream {
public:
  TextStream(const Tokenizer *tokenizer, std::span<const int32_t> prompt,
             const std::vector<std::string> &stops)
      : filter(stops) {
    if (!tokenizer)
      return;
    decoder.emplace(*tokenizer, /*skipSpecial=*/true);
    // The text of a token may depend on those before it.
    for (int32_t token : prompt)
      decoder->push(token);
  }

  std::string push(int32_t token) {
    return decoder ? filter.push(decoder->push(token)) : std::string();
  }
  std::string flush() {
    if (!decoder || filter.stopped())
      return "";
    std::string text = filter.push(decoder->flush());
    return filter.stopped() ? text : text + filter.flush();
  }
  bool stopped() const { return filter.stopped(); }

private:
  std::optional<StreamDecoder> decoder;
  StopFilter filter;
};
} // namespace

GenerateResult generate(Session &session, std::span<const int32_t> prompt,
                        const GenerateOptions &options,
                        const TokenCallback &callback) {
  using Clock = std::chrono::steady_clock;
  auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  Model &model = session.model();
  if (prompt.empty())
    throw UsageError("the prompt is empty");
  if (!options.stop.empty())
    model.requireTokenizer();
  auto ends = [&](int32_t token) {
    return !options.ignoreEos &&
           (model.isEos(token) ||
            std::ranges::find(options.stopTokens, token) !=
                options.stopTokens.end());
  };
  Sampler sampler(options.sampling, model.vocabulary());
  for (int32_t token : options.before)
    sampler.accept(token);
  for (int32_t token : prompt)
    sampler.accept(token);
  TextStream text(model.tokenizer(), prompt, options.stop);
  GenerateResult result;
  auto start = Clock::now();
  session.feed(prompt);
  auto afterPrompt = start;
  TokenSource tokens(model);
  tokens.add(session, sampler, options.maxNewTokens);
  while (true) {
    if (result.ids.size() == options.maxNewTokens) {
      result.reason = FinishReason::Length;
      break;
    }
    int32_t token = tokens.next()[0];
    if (afterPrompt == start) {
      result.promptSeconds = seconds(start);
      afterPrompt = Clock::now();
    }
    if (ends(token)) {
      result.reason = FinishReason::Eos;
      break;
    }
    result.ids.push_back(token);
    bool goOn = callback(token, text.push(token));
    if (!goOn || text.stopped()) {
      result.reason = FinishReason::Stop;
      break;
    }
    if (result.ids.size() == options.maxNewTokens)
      continue;
    if (session.length() == session.capacity()) {
      result.reason = FinishReason::Context;
      break;
    }
  }
  if (std::string rest = text.flush(); !rest.empty())
    callback(-1, rest);
  if (afterPrompt == start)
    result.promptSeconds = seconds(start);
  else
    result.generateSeconds = seconds(afterPrompt);
  result.sampledOnDevice = tokens.isOnDevice();
  return result;
}

} // namespace qrt
