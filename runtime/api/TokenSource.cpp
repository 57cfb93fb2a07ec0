//===- TokenSource.cpp - The next tokens of sessions ----------------------===//

#include "runtime/api/TokenSource.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace qrt {

void TokenSource::add(Session &session, Sampler &sampler, uint32_t most,
                      int32_t first) {
  if (&session.model() != &model)
    throw UsageError("a session of the batch belongs to another model");
  if (std::ranges::any_of(
          texts, [&](const Text &text) { return text.session == &session; }))
    throw UsageError("a session stands twice in the batch");
  if (first < 0 && session.logits().empty())
    throw UsageError("a session of the batch has no logits to go on from");
  if (first >= 0 && uint32_t(first) >= model.vocabulary())
    throw UsageError("token id " + std::to_string(first) +
                     " is outside the vocabulary of " +
                     std::to_string(model.vocabulary()));
  texts.push_back({&session, &sampler, most, first});
  hasChanged = true;
}

void TokenSource::remove(Session &session) {
  const auto text = std::ranges::find(texts, &session, &Text::session);
  if (text == texts.end())
    return;
  if (steps && text->number >= 0)
    steps->leave(size_t(text->number));
  texts.erase(text);
  hasChanged = true;
}

void TokenSource::checkCancelled() {
  bool isCancelled = false;
  for (const Text &text : texts)
    isCancelled |= text.session->takeCancel();
  if (isCancelled)
    throw Error("interrupted", "", "", ErrorKind::Cancelled);
}

template <typename Get>
void TokenSource::take(Get get) {
  try {
    if (!get(std::span<int32_t>(chosen)))
      return;
  } catch (...) {
    steps.reset();
    throw;
  }
  for (Text &text : texts)
    if (text.number >= 0) {
      text.ready = chosen[size_t(text.number)];
      text.sampler->took(text.ready);
    }
}

void TokenSource::endSteps() {
  if (steps)
    take([&](std::span<int32_t> next) { return steps->finish(next); });
  steps.reset();
  stepsLeft = 0;
  hasChanged = false;
}

void TokenSource::startSteps(std::span<Text *const> some, bool isAll) {
  std::vector<SampledSequence> sequences;
  uint32_t most = isAll ? UINT32_MAX : 1;
  for (const Text *text : some) {
    Session &session = *text->session;
    sequences.push_back({&session.cache(), text->sampler->state(), text->last});
    most = std::min({most, text->left, session.capacity() - session.length()});
  }
  for (Text &text : texts)
    text.number = -1;
  steps.reset();
  if (most > 0)
    steps = model.executor().tokenSteps(sequences, most);
  stepsLeft = steps ? most : 0;
  chosen.assign(some.size(), -1);
  for (size_t i = 0; i < some.size(); ++i)
    some[i]->number = int32_t(i);
}

void TokenSource::stepHere(std::span<Text *const> some) {
  std::vector<Session *> sessions;
  std::vector<StepSequence> sequences;
  for (const Text *text : some) {
    sessions.push_back(text->session);
    sequences.push_back({nullptr, {&text->last, 1}});
  }
  stepSessions(model, sessions, sequences);
  try {
    choose(some);
  } catch (...) {
    for (Session *session : sessions)
      session->truncate(session->length() - 1);
    throw;
  }
}

void TokenSource::choose(std::span<Text *const> some) {
  std::vector<int32_t> found(some.size());
  std::vector<std::exception_ptr> errors(some.size());
  const uint32_t threads = model.executor().threads();
  auto work = [&](uint32_t thread) {
    for (size_t i = thread; i < some.size(); i += threads)
      try {
        const Text &text = *some[i];
        found[i] = text.sampler->sample(
            text.session->logits().last(model.vocabulary()));
      } catch (...) {
        errors[i] = std::current_exception();
      }
  };
  if (some.size() > 1)
    model.executor().parallel(work);
  else
    work(0);
  for (const std::exception_ptr &error : errors)
    if (error)
      std::rethrow_exception(error);
  for (size_t i = 0; i < some.size(); ++i) {
    some[i]->ready = found[i];
    some[i]->sampler->accept(found[i]);
  }
}

std::span<const int32_t> TokenSource::next() {
  checkCancelled();
  tokens.reserve(texts.size());
  if (hasChanged || stepsLeft == 0)
    endSteps();
  std::vector<Text *> fresh, old;
  for (Text &text : texts)
    if (text.ready < 0)
      (text.last < 0 ? fresh : old).push_back(&text);
  if (!old.empty()) {
    const bool isAll = old.size() == texts.size();
    if (!steps)
      startSteps(old, isAll);
    if (steps) {
      for (const Text *text : old)
        text->session->dropLogits();
      take([&](std::span<int32_t> next) {
        steps->next(next);
        return true;
      });
      --stepsLeft;
      onDevice = true;
    } else {
      stepHere(old);
    }
    hasChanged = !isAll;
  }
  if (!fresh.empty()) {
    choose(fresh);
    hasChanged = true;
  }
  tokens.clear();
  for (Text &text : texts) {
    text.last = std::exchange(text.ready, -1);
    text.left -= text.left > 0;
    tokens.push_back(text.last);
  }
  return tokens;
}

} // namespace qrt
