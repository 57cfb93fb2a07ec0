//===- Generate.h - Writes a text on ----------------------------*- C++ -*-===//

#ifndef QRT_API_GENERATE_H
#define QRT_API_GENERATE_H

#include "runtime/api/Model.h"
#include "runtime/api/Sampler.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace qrt {

enum class FinishReason : uint8_t {
  Eos,     ///< the model ended the text
  Stop,    ///< a stop text came, or the callback said so
  Length,  ///< maxNewTokens were made
  Context, ///< the session is full
};

/// "eos", "stop", "length", "context".
const char *finishReasonName(FinishReason reason);

struct GenerateOptions {
  uint32_t maxNewTokens = 128;
  SamplerOptions sampling;
  std::vector<std::string> stop; ///< ends the text; not part of it
  bool ignoreEos = false;
  /// Tokens that end the text beside the model's own.
  std::vector<int32_t> stopTokens;
  /// What the session holds already, for the repetition penalty.
  std::span<const int32_t> before;
};

struct GenerateResult {
  std::vector<int32_t> ids; ///< new tokens, without the one that ends the text
  FinishReason reason = FinishReason::Length;
  double promptSeconds = 0;     ///< until the first token was chosen
  double generateSeconds = 0;   ///< from then on
  bool sampledOnDevice = false; ///< tokens but the first (TokenSource.h)
};

/// Called for each new token with the text that became final with it (whole
/// characters, often none), and once at the end with id -1 if text was left.
/// Returns whether to go on.
using TokenCallback = std::function<bool(int32_t token, std::string_view text)>;

/// Appends `prompt` to the session and then token after token. Afterwards the
/// session holds the prompt and all new tokens, except the last one chosen, and
/// no logits if the device chose.
/// Throws qrt::UsageError for an empty prompt or one that does not fit.
GenerateResult generate(Session &session, std::span<const int32_t> prompt,
                        const GenerateOptions &options,
                        const TokenCallback &callback);

/// Holds back the end of a text as long as it may become a stop text.
class StopFilter {
public:
  explicit StopFilter(const std::vector<std::string> &stops) : stops(stops) {}

  /// The text that is final after `text` came. Sets stopped() once a stop text
  /// stands in it; what follows is dropped.
  std::string push(std::string_view text);
  /// What was held back.
  std::string flush() { return std::exchange(held, {}); }
  bool stopped() const { return found; }

private:
  const std::vector<std::string> &stops;
  std::string held;
  bool found = false;
};

} // namespace qrt

#endif // QRT_API_GENERATE_H
