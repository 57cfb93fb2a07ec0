//===- Model.h - A model ready to run, and its sessions ---------*- C++ -*-===//

#ifndef QRT_API_MODEL_H
#define QRT_API_MODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/chat/ChatTemplates.h"
#include "runtime/executor/Executor.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

struct ModelOptions {
  /// "cpu", "cuda", "cuda:N", "N", or "auto": the first GPU where it can run
  /// the artifact, else the CPU.
  std::string device = "auto";
  uint32_t threads = 0; ///< 0: one for each physical core
};

/// An artifact with its executor and tokenizer. All functions may be called by
/// several threads at once; steps run one after the other.
class Model {
public:
  /// Throws qrt::Error if the artifact is damaged, has no code for the device,
  /// or there is not enough memory; qrt::UsageError for an unknown device.
  explicit Model(const std::string &path, const ModelOptions &options = {});
  /// On the executor that `make` returns for the artifact.
  Model(const std::string &path,
        const std::function<std::unique_ptr<Executor>(const Artifact &)> &make);

  const Artifact &artifact() const { return file; }
  Executor &executor() const { return *device; }
  uint32_t vocabulary() const { return device->vocabulary(); }
  /// Null if the artifact carries none.
  const Tokenizer *tokenizer() const { return text ? &*text : nullptr; }
  /// The tokenizer; throws qrt::Error if the artifact carries none.
  const Tokenizer &requireTokenizer() const;
  /// -1: has none.
  int32_t bosId() const { return file.model().bos_id(); }
  bool isEos(int32_t token) const;
  /// The positions that the model was trained for; 0: not known. A longer
  /// session works, though its text degrades.
  uint32_t contextLimit() const { return file.model().context(); }
  /// The rows of a learned position table, which no session can pass; 0: the
  /// model has none.
  uint32_t positions() const { return file.model().positions(); }
  /// What a session holds by default: the limit, at most 4096.
  uint32_t defaultContext() const;
  /// The ids of a prompt: special tokens in and around the text count, and an
  /// empty text becomes the token that begins texts. Throws qrt::UsageError if
  /// there is no such token.
  std::vector<int32_t> encodePrompt(std::string_view prompt) const;

  /// The chat templates; throws qrt::Error if the artifact carries none, or
  /// one that cannot be compiled.
  const chat::ChatTemplates &requireChatTemplates() const;
  bool hasChatTemplates() const { return chatTemplates.has_value(); }
  /// The ids of a rendered conversation, whose special tokens stand in it.
  std::vector<int32_t> encodeChat(std::string_view rendered) const {
    return requireTokenizer().encode(rendered, /*addSpecialTokens=*/false);
  }

  /// Where the time of loading it went.
  const LoadTimes &loadTimes() const { return times; }

private:
  LoadTimes times;
  Artifact file;
  std::unique_ptr<Executor> device;
  std::optional<Tokenizer> text;
  std::optional<chat::ChatTemplates> chatTemplates;
  std::string chatError; ///< why there are no templates
};

/// One sequence: its cache and the logits of its last step. Not for use by two
/// threads at once, except for cancel().
class Session {
public:
  /// `context` 0: the model's default. Throws qrt::UsageError above the
  /// model's limit. The model must outlive the session.
  explicit Session(Model &model, uint32_t context = 0);

  Model &model() const { return owner; }
  KvCache &cache() { return *kv; }
  uint32_t length() const { return kv->length(); }
  uint32_t capacity() const { return kv->capacity(); }
  void truncate(uint32_t length) { kv->truncate(length); }

  /// Appends tokens and keeps the logits of the rows asked for. Throws as
  /// Executor::step does, and then changes nothing.
  void feed(std::span<const int32_t> tokens, LogitRows rows = LogitRows::Last);
  /// [rows of the last feed()][vocabulary]; valid until the next.
  std::span<const float> logits() const {
    return {rowsOfLogits.get(), logitCount};
  }

  /// Makes the step that runs on it, or else the next one, throw an Error of
  /// kind Cancelled. Safe in a signal handler and from any thread.
  void cancel() { cancelled.store(true, std::memory_order_relaxed); }

  /// Takes back a cancel() that no step has seen; whether there was one.
  bool takeCancel() { return cancelled.exchange(false); }
  /// Drops the logits, which are not those of the last token any more.
  void dropLogits() { logitCount = 0; }

private:
  friend void stepSessions(Model &, std::span<Session *const>,
                           std::span<const StepSequence>);
  /// Makes room for the logits of `count` values; keeps the old ones if it
  /// throws.
  void reserveLogits(size_t count);

  Model &owner;
  std::unique_ptr<KvCache> kv;
  LogitMemory rowsOfLogits;
  size_t logitRoom = 0, logitCount = 0;
  std::atomic<bool> cancelled = false;
};

/// One step of several sessions of `model`: sequences[i] is what sessions[i]
/// gets (its cache is filled in). Each session keeps its own logits. Throws as
/// Executor::step does, and then changes nothing.
void stepSessions(Model &model, std::span<Session *const> sessions,
                  std::span<const StepSequence> sequences);

} // namespace qrt

#endif // QRT_API_MODEL_H
