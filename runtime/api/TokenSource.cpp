//===- TokenSource.cpp - The next tokens of a session ---------------------===//

#include "runtime/api/TokenSource.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <utility>

namespace qrt {

int32_t TokenSource::next() {
  last = last < 0 ? choose() : after(last);
  left -= left > 0;
  sampler.accept(last);
  return last;
}

int32_t TokenSource::choose() {
  return sampler.sample(session.logits().last(session.model().vocabulary()));
}

int32_t TokenSource::after(int32_t token) {
  const uint32_t room = session.capacity() - session.length();
  if (!std::exchange(isAsked, true) && room > 0)
    steps = session.model().executor().tokenSteps(
        session.cache(), sampler.state(), token, std::min(left, room));
  if (!steps) {
    session.feed({&token, 1});
    return choose();
  }
  session.dropLogits();
  if (session.takeCancel())
    throw Error("interrupted", "", "", ErrorKind::Cancelled);
  return steps->next();
}

} // namespace qrt
