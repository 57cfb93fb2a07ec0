//===- TokenSource.h - The next tokens of a session -------------*- C++ -*-===//

#ifndef QRT_API_TOKENSOURCE_H
#define QRT_API_TOKENSOURCE_H

#include "runtime/api/Model.h"
#include "runtime/api/Sampler.h"

#include <memory>

namespace qrt {

/// Token after token of a session, each chosen by a sampler: on the device
/// where it can, so that no step waits for the host, else here. Both choose the
/// same tokens.
class TokenSource {
public:
  /// Goes on from the last row of logits of the session, which nobody else
  /// feeds meanwhile. next() is called at most `most` times.
  TokenSource(Session &session, Sampler &sampler, uint32_t most)
      : session(session), sampler(sampler), left(most) {}

  /// Appends the token that it returned last to the session, if there is one,
  /// and returns the next. Throws as Session::feed and Sampler::sample do.
  int32_t next();
  /// Whether the device has chosen a token.
  bool isOnDevice() const { return steps != nullptr; }

private:
  /// The token after what the session has logits of.
  int32_t choose();
  /// The token after `token`, which the session lacks.
  int32_t after(int32_t token);

  Session &session;
  Sampler &sampler;
  uint32_t left; ///< calls of next() to come
  int32_t last = -1;
  bool isAsked = false; ///< whether the executor was
  std::unique_ptr<TokenSteps> steps;
};

} // namespace qrt

#endif // QRT_API_TOKENSOURCE_H
