//===- TokenSource.h - The next tokens of sessions --------------*- C++ -*-===//

#ifndef QRT_API_TOKENSOURCE_H
#define QRT_API_TOKENSOURCE_H

#include "runtime/api/Model.h"
#include "runtime/api/Sampler.h"

#include <memory>
#include <span>
#include <vector>

namespace qrt {

/// Token after token of some sessions, a step for all of them, each token
/// chosen by a sampler: on the device where it can, so that no step waits for
/// the host and no logits travel, else here. Both choose the same tokens.
/// Sessions may come and go between two steps.
class TokenSource {
public:
  /// The model must outlive this.
  explicit TokenSource(Model &model) : model(model) {}

  /// The session takes part from now on, until it is removed or this ends;
  /// nobody else feeds it or uses the sampler meanwhile, and both live as long.
  /// It goes on from `first`, a token that it lacks, or where that is negative
  /// from its last row of logits. At most `most` tokens are wanted of it.
  /// Throws qrt::UsageError if it takes part already, is another model's, or
  /// has nothing to go on from.
  void add(Session &session, Sampler &sampler, uint32_t most,
           int32_t first = -1);
  /// The session takes part no more. Nothing if it does not.
  void remove(Session &session);
  size_t size() const { return texts.size(); }

  /// Appends the token that it returned last of each session, or the first, to
  /// the session and returns the next of each, in the order in which they were
  /// added; valid until the next call. Throws as stepSessions and
  /// Sampler::sample do, and may be called again then.
  std::span<const int32_t> next();
  /// Whether the device has chosen a token.
  bool isOnDevice() const { return onDevice; }

private:
  struct Text {
    Session *session;
    Sampler *sampler;
    uint32_t left;       ///< tokens that are wanted
    int32_t last;        ///< what the session lacks; negative: nothing
    int32_t ready = -1;  ///< the next, once it is chosen
    int32_t number = -1; ///< among the sequences of `steps`
  };

  void checkCancelled();
  /// Ends `steps`, and takes what the device has chosen already.
  void endSteps();
  /// Makes `steps` for some texts, if the device chooses. With `isAll` they are
  /// all that there are.
  void startSteps(std::span<Text *const> some, bool isAll);
  /// Takes what the device chose by `get(chosen)`.
  template <typename Get>
  void take(Get get);
  /// A step of some texts whose tokens are chosen here.
  void stepHere(std::span<Text *const> some);
  /// Chooses here, from the logits of some texts.
  void choose(std::span<Text *const> some);

  Model &model;
  std::vector<Text> texts;
  std::vector<int32_t> tokens;
  std::unique_ptr<TokenSteps> steps;
  std::vector<int32_t> chosen; ///< by the sequences of `steps`
  uint32_t stepsLeft = 0;      ///< calls of steps->next()
  bool hasChanged = false;     ///< `steps` are not those of all texts
  bool onDevice = false;
};

} // namespace qrt

#endif // QRT_API_TOKENSOURCE_H
