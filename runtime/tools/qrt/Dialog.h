//===- Dialog.h - A conversation with a model -------------------*- C++ -*-===//

#ifndef QRT_TOOLS_QRT_DIALOG_H
#define QRT_TOOLS_QRT_DIALOG_H

#include "runtime/api/Generate.h"

namespace qrt::tool {

/// What a model said.
struct Answer {
  std::string text;
  FinishReason reason = FinishReason::Eos;
  bool isInterrupted = false;
  size_t promptTokens = 0; ///< of the whole conversation
  size_t keptTokens = 0;   ///< of them, those that the session held already
  size_t newTokens = 0;
};

/// Turns of a user and a model. Each is rendered with all before it; the
/// session keeps what the rendered text has in common with the last one.
class Dialog {
public:
  /// `system` may be empty: no such message. The session must outlive this.
  /// Throws qrt::Error if the model has no tokenizer or no chat template.
  Dialog(Session &session, std::string system);

  /// Says `text` and answers, `callback` getting the answer as it comes.
  /// options.stopTokens and before are filled in. Throws qrt::Error if the
  /// template refuses the conversation or it leaves no room for an answer; then
  /// `text` has not been said. A cancelled session interrupts the answer, and
  /// what there is of it stays.
  Answer say(const std::string &text, GenerateOptions options,
             const TokenCallback &callback);

  /// Begins anew.
  void reset();

private:
  std::vector<int32_t> encode(const chat::Values &conversation) const;

  Session &session;
  std::string system;
  chat::Values messages;
  std::vector<int32_t> held; ///< the tokens in the session
};

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_DIALOG_H
