//===- qrt/qrt.hpp - Runs compiled models: C++ over the C API ---*- C++ -*-===//
//
// Owners for the handles of qrt.h, and exceptions instead of status codes.
// Header-only and C++17; what each function does is said in qrt.h.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_QRT_HPP
#define QRT_QRT_HPP

#include "qrt/qrt.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qrt::api {

/// A call that failed; what() is qrt_error_message().
class Failure : public std::runtime_error {
public:
  explicit Failure(qrt_status status)
      : std::runtime_error(qrt_error_message()), code(status) {}
  qrt_status status() const { return code; }

private:
  qrt_status code;
};

inline void check(qrt_status status) {
  if (status != QRT_OK)
    throw Failure(status);
}

/// Options with their defaults.
struct ModelOptions : qrt_model_options {
  ModelOptions() { qrt_model_options_init(this); }
};
struct SessionOptions : qrt_session_options {
  SessionOptions() { qrt_session_options_init(this); }
};
struct SamplerOptions : qrt_sampler_options {
  SamplerOptions() { qrt_sampler_options_init(this); }
};
struct ChatOptions : qrt_chat_options {
  ChatOptions() { qrt_chat_options_init(this); }
};
struct GenerateOptions : qrt_generate_options {
  GenerateOptions() { qrt_generate_options_init(this); }
};

class Model {
public:
  explicit Model(const std::string &path,
                 const ModelOptions &options = ModelOptions()) {
    qrt_model *model = nullptr;
    check(qrt_model_load(path.c_str(), &options, &model));
    handle.reset(model);
  }

  qrt_model_info info() const {
    qrt_model_info info;
    qrt_model_info_init(&info);
    check(qrt_model_get_info(get(), &info));
    return info;
  }
  bool isEos(int32_t token) const { return qrt_model_is_eos(get(), token); }
  void verify() const { check(qrt_model_verify(get())); }

  /// `flags`: QRT_TEXT_...
  std::vector<int32_t> encode(std::string_view text, uint32_t flags = 0) const {
    std::vector<int32_t> ids(text.size() + 16);
    size_t count = 0;
    auto run = [&] {
      return qrt_model_encode(get(), text.data(), text.size(), flags,
                              ids.data(), ids.size(), &count);
    };
    qrt_status status = run();
    if (status == QRT_TOO_SMALL) {
      ids.resize(count);
      status = run();
    }
    check(status);
    ids.resize(count);
    return ids;
  }
  std::string decode(const std::vector<int32_t> &ids,
                     uint32_t flags = 0) const {
    return readText(ids.size() * 8 + 1, [&](std::string &text, size_t *length) {
      return qrt_model_decode(get(), ids.data(), ids.size(), flags, text.data(),
                              text.size(), length);
    });
  }
  /// A conversation (JSON) in the model's chat template.
  std::string renderChat(const std::string &messages,
                         const ChatOptions &options = ChatOptions()) const {
    return readText(messages.size() + 1024,
                    [&](std::string &text, size_t *length) {
                      return qrt_model_render_chat(get(), messages.c_str(),
                                                   &options, text.data(),
                                                   text.size(), length);
                    });
  }
  void step(const std::vector<qrt_step_item> &items) {
    check(qrt_model_step(get(), items.data(), items.size()));
  }

  qrt_model *get() const { return handle.get(); }

private:
  /// Calls `read` with a buffer, and again with one that is large enough.
  template <typename Read>
  static std::string readText(size_t size, Read read) {
    std::string text(size, '\0');
    size_t length = 0;
    qrt_status status = read(text, &length);
    if (status == QRT_TOO_SMALL) {
      text.resize(length + 1);
      status = read(text, &length);
    }
    check(status);
    text.resize(length);
    return text;
  }

  struct Free {
    void operator()(qrt_model *model) const { qrt_model_free(model); }
  };
  std::unique_ptr<qrt_model, Free> handle;
};

/// Must be destroyed before its model.
class Session {
public:
  /// Called with a token (-1 at the end) and text; returns whether to go on.
  /// What it throws ends the generation and comes out of generate().
  using Callback = std::function<bool(int32_t token, std::string_view text)>;

  explicit Session(Model &model,
                   const SessionOptions &options = SessionOptions()) {
    qrt_session *session = nullptr;
    check(qrt_session_create(model.get(), &options, &session));
    handle.reset(session);
  }

  uint32_t length() const { return qrt_session_length(get()); }
  uint32_t capacity() const { return qrt_session_capacity(get()); }
  void truncate(uint32_t length) { qrt_session_truncate(get(), length); }
  void cancel() { qrt_session_cancel(get()); }

  /// The logits of the last step and how many rows they are.
  std::pair<const float *, size_t> logits() const {
    const float *values = nullptr;
    size_t rows = 0;
    check(qrt_session_logits(get(), &values, &rows));
    return {values, rows};
  }

  qrt_generate_result
  generate(const std::string &prompt, const Callback &callback,
           const GenerateOptions &options = GenerateOptions()) {
    return run(callback, [&](auto *function, void *user, auto *result) {
      return qrt_session_generate_text(get(), prompt.c_str(), &options,
                                       function, user, result);
    });
  }
  qrt_generate_result
  generate(const std::vector<int32_t> &prompt, const Callback &callback,
           const GenerateOptions &options = GenerateOptions()) {
    return run(callback, [&](auto *function, void *user, auto *result) {
      return qrt_session_generate(get(), prompt.data(), prompt.size(), &options,
                                  function, user, result);
    });
  }

  qrt_session *get() const { return handle.get(); }

private:
  /// Carries what the callback throws across the C functions.
  template <typename Call>
  static qrt_generate_result run(const Callback &callback, Call call) {
    struct State {
      const Callback &callback;
      std::exception_ptr error;
    } state = {callback, nullptr};
    auto function = [](void *user, int32_t token, const char *text,
                       size_t length) -> int {
      auto &state = *static_cast<State *>(user);
      try {
        return !state.error && state.callback(token, {text, length}) ? 0 : 1;
      } catch (...) {
        state.error = std::current_exception();
        return 1;
      }
    };
    qrt_generate_result result;
    qrt_generate_result_init(&result);
    qrt_status status =
        call(static_cast<qrt_token_callback>(function), &state, &result);
    if (state.error)
      std::rethrow_exception(state.error);
    check(status);
    return result;
  }

  struct Free {
    void operator()(qrt_session *session) const { qrt_session_free(session); }
  };
  std::unique_ptr<qrt_session, Free> handle;
};

/// Chooses tokens from logits.
class Sampler {
public:
  explicit Sampler(const Model &model,
                   const SamplerOptions &options = SamplerOptions()) {
    qrt_sampler *sampler = nullptr;
    check(qrt_sampler_create(model.get(), &options, &sampler));
    handle.reset(sampler);
  }

  int32_t sample(const float *logits) {
    int32_t token = -1;
    check(qrt_sampler_sample(handle.get(), logits, &token));
    return token;
  }
  void accept(int32_t token) { qrt_sampler_accept(get(), token); }

  qrt_sampler *get() const { return handle.get(); }

private:
  struct Free {
    void operator()(qrt_sampler *sampler) const { qrt_sampler_free(sampler); }
  };
  std::unique_ptr<qrt_sampler, Free> handle;
};

/// Sessions that get a token each in every step. Must be destroyed before its
/// model.
class Batch {
public:
  explicit Batch(Model &model) {
    qrt_batch *batch = nullptr;
    check(qrt_batch_create(model.get(), &batch));
    handle.reset(batch);
  }

  void add(Session &session, Sampler &sampler, int32_t token,
           uint32_t maxNewTokens) {
    check(qrt_batch_add(get(), session.get(), sampler.get(), token,
                        maxNewTokens));
    tokens.resize(tokens.size() + 1);
  }
  void remove(Session &session) { qrt_batch_remove(get(), session.get()); }
  /// The next token of each session, in the order in which they were added.
  std::vector<int32_t> next() {
    size_t count = 0;
    check(qrt_batch_next(get(), tokens.data(), tokens.size(), &count));
    return {tokens.begin(), tokens.begin() + std::ptrdiff_t(count)};
  }

  qrt_batch *get() const { return handle.get(); }

private:
  struct Free {
    void operator()(qrt_batch *batch) const { qrt_batch_free(batch); }
  };
  std::unique_ptr<qrt_batch, Free> handle;
  std::vector<int32_t> tokens; ///< room for all sessions that were added
};

} // namespace qrt::api

#endif // QRT_QRT_HPP
