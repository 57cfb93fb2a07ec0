//===- Api.cpp - The C API ------------------------------------------------===//

#include "qrt/qrt.h"

#include "runtime/api/Generate.h"
#include "runtime/api/Model.h"
#include "runtime/api/Sampler.h"
#include "runtime/api/TokenSource.h"
#include "runtime/chat/Json.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>

using namespace qrt;

struct qrt_model {
  Model model;
};
struct qrt_session {
  Session session;
};
struct qrt_sampler {
  Sampler sampler;
  size_t vocabulary;
};
struct qrt_batch {
  TokenSource tokens;
};

/// The last failure on this thread. A fixed size, so that noting a failed
/// allocation needs none; long messages are cut.
static thread_local char lastError[1024];

static qrt_status fail(qrt_status status, const char *message) {
  std::snprintf(lastError, sizeof(lastError), "%s", message);
  return status;
}

/// Runs `body`, which returns nothing, and turns what it throws into a status.
template <typename Body>
static qrt_status guarded(Body body) noexcept {
  try {
    body();
    return QRT_OK;
  } catch (const Error &error) {
    qrt_status status = error.kind() == ErrorKind::Usage       ? QRT_USAGE
                        : error.kind() == ErrorKind::Cancelled ? QRT_CANCELLED
                                                               : QRT_ERROR;
    if (std::string_view(error.what()).starts_with("not enough memory"))
      status = QRT_NO_MEMORY;
    return fail(status, error.what());
  } catch (const std::bad_alloc &) {
    return fail(QRT_NO_MEMORY, "not enough memory");
  } catch (const std::exception &error) {
    return fail(QRT_ERROR, error.what());
  } catch (...) {
    return fail(QRT_ERROR, "unknown failure");
  }
}

static void require(bool holds, const char *what) {
  if (!holds)
    throw UsageError(what);
}

/// The caller's struct as this version knows it: what an older program's lacks
/// has its default.
template <typename T>
static T optionsOf(const T *given, void (*init)(T *)) {
  T options;
  init(&options);
  if (!given)
    return options;
  require(given->struct_size >= sizeof(size_t) &&
              given->struct_size <= 4 * sizeof(T),
          "an options struct has no sensible struct_size; call its _init "
          "function first");
  std::memcpy(&options, given, std::min(given->struct_size, sizeof(T)));
  options.struct_size = sizeof(T);
  return options;
}

/// Stores as much of `value` as the caller's struct has room for.
template <typename T>
static void storeResult(T value, T *out) {
  size_t room = out->struct_size;
  std::memcpy(out, &value, std::min(room, sizeof(T)));
  out->struct_size = room;
}

template <typename T>
static void checkResult(const T *out) {
  require(out->struct_size >= sizeof(size_t),
          "a result struct has no struct_size; call its _init function first");
}

/// Only size and defaults; padding too, since structs are copied whole.
template <typename T>
static T *clear(T *value) {
  std::memset(static_cast<void *>(value), 0, sizeof(T));
  value->struct_size = sizeof(T);
  return value;
}

uint32_t qrt_api_version(void) { return QRT_API_VERSION; }
const char *qrt_version(void) { return QRT_VERSION; }
const char *qrt_error_message(void) { return lastError; }

//===- Models -------------------------------------------------------------===//

void qrt_model_options_init(qrt_model_options *options) {
  clear(options)->device = "auto";
}

qrt_status qrt_model_load(const char *path, const qrt_model_options *given,
                          qrt_model **model) {
  return guarded([&] {
    require(path && model, "path and model must not be NULL");
    auto options = optionsOf(given, qrt_model_options_init);
    ModelOptions wanted;
    if (options.device)
      wanted.device = options.device;
    wanted.threads = options.threads;
    *model = new qrt_model{Model(path, wanted)};
  });
}

void qrt_model_free(qrt_model *model) { delete model; }

void qrt_model_info_init(qrt_model_info *info) { clear(info); }

qrt_status qrt_model_get_info(const qrt_model *model, qrt_model_info *out) {
  return guarded([&] {
    require(model && out, "model and info must not be NULL");
    checkResult(out);
    const Model &self = model->model;
    const fb::Model &facts = self.artifact().model();
    qrt_model_info info;
    qrt_model_info_init(&info);
    info.architecture =
        facts.architecture() ? facts.architecture()->c_str() : "";
    info.parameters = facts.parameters();
    info.file_bytes = self.artifact().size();
    info.kv_bytes_per_token = self.executor().kvBytesPerToken();
    info.vocabulary = self.vocabulary();
    info.layers = facts.layers();
    info.context_limit = self.contextLimit();
    info.default_context = self.defaultContext();
    info.threads = self.executor().threads();
    info.bos_id = self.bosId();
    info.has_tokenizer = self.tokenizer() != nullptr;
    info.has_chat_template = self.hasChatTemplates();
    storeResult(info, out);
  });
}

int qrt_model_is_eos(const qrt_model *model, int32_t token) {
  return model && model->model.isEos(token);
}

qrt_status qrt_model_verify(const qrt_model *model) {
  return guarded([&] {
    require(model, "model must not be NULL");
    model->model.artifact().verifyTensors();
  });
}

//===- Text ---------------------------------------------------------------===//

qrt_status qrt_model_encode(const qrt_model *model, const char *text,
                            size_t length, uint32_t flags, int32_t *ids,
                            size_t capacity, size_t *count) {
  bool fits = true;
  qrt_status status = guarded([&] {
    require(model && (text || !length) && (ids || !capacity) && count,
            "model, text, ids and count must not be NULL");
    std::vector<int32_t> all = model->model.requireTokenizer().encode(
        std::string_view(text ? text : "", length),
        !(flags & QRT_TEXT_NO_SPECIAL), !(flags & QRT_TEXT_LITERAL));
    fits = all.size() <= capacity;
    if (fits)
      std::ranges::copy(all, ids);
    *count = all.size();
  });
  return status == QRT_OK && !fits
             ? fail(QRT_TOO_SMALL, "the buffer for the ids is too small")
             : status;
}

/// Stores the text that `make` returns, and a zero, where there is room.
template <typename Make>
static qrt_status storeText(char *text, size_t capacity, size_t *length,
                            Make make) noexcept {
  bool fits = true;
  qrt_status status = guarded([&] {
    require((text || !capacity) && length, "text and length must not be NULL");
    std::string all = make();
    fits = all.size() < capacity;
    if (fits)
      std::memcpy(text, all.c_str(), all.size() + 1);
    *length = all.size();
  });
  return status == QRT_OK && !fits
             ? fail(QRT_TOO_SMALL, "the buffer for the text is too small")
             : status;
}

qrt_status qrt_model_decode(const qrt_model *model, const int32_t *ids,
                            size_t count, uint32_t flags, char *text,
                            size_t capacity, size_t *length) {
  return storeText(text, capacity, length, [&] {
    require(model && (ids || !count), "model and ids must not be NULL");
    return model->model.requireTokenizer().decode(
        {ids, count}, flags & QRT_TEXT_NO_SPECIAL);
  });
}

//===- Chats --------------------------------------------------------------===//

void qrt_chat_options_init(qrt_chat_options *options) {
  clear(options)->add_generation_prompt = 1;
}

static chat::Conversation conversationOf(const char *messages,
                                         const qrt_chat_options *given) {
  auto options = optionsOf(given, qrt_chat_options_init);
  chat::Conversation conversation;
  conversation.messages = chat::parseListOfDicts(messages, "message");
  conversation.addGenerationPrompt = options.add_generation_prompt != 0;
  if (options.tools)
    conversation.tools = chat::parseListOfDicts(options.tools, "tool");
  if (options.template_name)
    conversation.templateName = options.template_name;
  if (options.date)
    conversation.date = chat::Date::parse(options.date);
  if (!options.variables)
    return conversation;
  chat::Value variables = chat::parseJson(options.variables);
  require(variables.isDict(), "variables must be a JSON object");
  for (const auto &[name, value] : variables.dict().entries())
    conversation.variables.emplace_back(name.string(), value);
  return conversation;
}

qrt_status qrt_model_render_chat(const qrt_model *model, const char *messages,
                                 const qrt_chat_options *options, char *text,
                                 size_t capacity, size_t *length) {
  return storeText(text, capacity, length, [&] {
    require(model && messages, "model and messages must not be NULL");
    return model->model.requireChatTemplates().render(
        conversationOf(messages, options));
  });
}

//===- Sessions -----------------------------------------------------------===//

void qrt_session_options_init(qrt_session_options *options) { clear(options); }

qrt_status qrt_session_create(qrt_model *model,
                              const qrt_session_options *given,
                              qrt_session **session) {
  return guarded([&] {
    require(model && session, "model and session must not be NULL");
    auto options = optionsOf(given, qrt_session_options_init);
    *session = new qrt_session{Session(model->model, options.context)};
  });
}

void qrt_session_free(qrt_session *session) { delete session; }

uint32_t qrt_session_length(const qrt_session *session) {
  return session ? session->session.length() : 0;
}

uint32_t qrt_session_capacity(const qrt_session *session) {
  return session ? session->session.capacity() : 0;
}

void qrt_session_truncate(qrt_session *session, uint32_t length) {
  if (session)
    session->session.truncate(length);
}

void qrt_session_cancel(qrt_session *session) {
  if (session)
    session->session.cancel();
}

qrt_status qrt_model_step(qrt_model *model, const qrt_step_item *items,
                          size_t count) {
  return guarded([&] {
    require(model && items && count, "model and items must not be NULL");
    std::vector<Session *> sessions;
    std::vector<StepSequence> sequences;
    for (size_t i = 0; i < count; ++i) {
      const qrt_step_item &item = items[i];
      require(item.session && item.ids, "an item lacks its session or ids");
      require(item.rows >= QRT_ROWS_NONE && item.rows <= QRT_ROWS_ALL,
              "an item's rows is no qrt_rows");
      require(&item.session->session.model() == &model->model,
              "a session of the step belongs to another model");
      sessions.push_back(&item.session->session);
      sequences.push_back(
          {nullptr, {item.ids, item.count}, LogitRows(item.rows)});
    }
    stepSessions(model->model, sessions, sequences);
  });
}

qrt_status qrt_session_logits(const qrt_session *session, const float **logits,
                              size_t *rows) {
  return guarded([&] {
    require(session && logits && rows,
            "session, logits and rows must not be NULL");
    std::span<const float> values = session->session.logits();
    *logits = values.data();
    *rows = values.size() / session->session.model().vocabulary();
  });
}

//===- Sampling -----------------------------------------------------------===//

void qrt_sampler_options_init(qrt_sampler_options *options) {
  const SamplerOptions defaults;
  clear(options);
  options->seed = defaults.seed;
  options->temperature = defaults.temperature;
  options->top_k = defaults.topK;
  options->top_p = defaults.topP;
  options->min_p = defaults.minP;
  options->repetition_penalty = defaults.repetitionPenalty;
}

static SamplerOptions samplerOptions(const qrt_sampler_options *given) {
  auto options = optionsOf(given, qrt_sampler_options_init);
  return {
      options.temperature,        options.top_k, options.top_p, options.min_p,
      options.repetition_penalty, options.seed};
}

qrt_status qrt_sampler_create(const qrt_model *model,
                              const qrt_sampler_options *given,
                              qrt_sampler **sampler) {
  return guarded([&] {
    require(model && sampler, "model and sampler must not be NULL");
    uint32_t vocabulary = model->model.vocabulary();
    *sampler =
        new qrt_sampler{Sampler(samplerOptions(given), vocabulary), vocabulary};
  });
}

void qrt_sampler_free(qrt_sampler *sampler) { delete sampler; }

qrt_status qrt_sampler_sample(qrt_sampler *sampler, const float *logits,
                              int32_t *token) {
  return guarded([&] {
    require(sampler && logits && token,
            "sampler, logits and token must not be NULL");
    int32_t choice = sampler->sampler.sample({logits, sampler->vocabulary});
    sampler->sampler.accept(choice);
    *token = choice;
  });
}

void qrt_sampler_accept(qrt_sampler *sampler, int32_t token) {
  if (sampler)
    sampler->sampler.accept(token);
}

//===- Batches ------------------------------------------------------------===//

qrt_status qrt_batch_create(qrt_model *model, qrt_batch **batch) {
  return guarded([&] {
    require(model && batch, "model and batch must not be NULL");
    *batch = new qrt_batch{TokenSource(model->model)};
  });
}

void qrt_batch_free(qrt_batch *batch) { delete batch; }

qrt_status qrt_batch_add(qrt_batch *batch, qrt_session *session,
                         qrt_sampler *sampler, int32_t token,
                         uint32_t max_new_tokens) {
  return guarded([&] {
    require(batch && session && sampler,
            "batch, session and sampler must not be NULL");
    require(token >= -1, "token is neither an id nor -1");
    batch->tokens.add(session->session, sampler->sampler, max_new_tokens,
                      token);
  });
}

void qrt_batch_remove(qrt_batch *batch, qrt_session *session) {
  if (batch && session)
    batch->tokens.remove(session->session);
}

qrt_status qrt_batch_next(qrt_batch *batch, int32_t *tokens, size_t capacity,
                          size_t *count) {
  bool fits = true;
  qrt_status status = guarded([&] {
    require(batch && tokens && count, "batch, tokens and count must not be "
                                      "NULL");
    require(batch->tokens.size() > 0, "the batch has no session");
    fits = batch->tokens.size() <= capacity;
    if (fits)
      std::ranges::copy(batch->tokens.next(), tokens);
    *count = batch->tokens.size();
  });
  return status == QRT_OK && !fits
             ? fail(QRT_TOO_SMALL, "the buffer for the tokens is too small")
             : status;
}

//===- Generation ---------------------------------------------------------===//

void qrt_generate_options_init(qrt_generate_options *options) {
  const GenerateOptions defaults;
  clear(options)->max_new_tokens = defaults.maxNewTokens;
  qrt_sampler_options_init(&options->sampling);
}

void qrt_generate_result_init(qrt_generate_result *result) { clear(result); }

static GenerateOptions generateOptions(const qrt_generate_options *given) {
  auto options = optionsOf(given, qrt_generate_options_init);
  GenerateOptions wanted;
  wanted.maxNewTokens = options.max_new_tokens;
  wanted.ignoreEos = options.ignore_eos != 0;
  wanted.sampling = samplerOptions(&options.sampling);
  require(options.stop || !options.stop_count, "stop must not be NULL");
  for (size_t i = 0; i < options.stop_count; ++i) {
    require(options.stop[i], "a stop text must not be NULL");
    wanted.stop.emplace_back(options.stop[i]);
  }
  return wanted;
}

static void runGenerate(Session &session, std::span<const int32_t> ids,
                        const qrt_generate_options *given,
                        qrt_token_callback callback, void *user,
                        qrt_generate_result *out) {
  if (out)
    checkResult(out);
  auto onToken = [&](int32_t token, std::string_view text) {
    return !callback || callback(user, token, text.data(), text.size()) == 0;
  };
  GenerateResult result =
      generate(session, ids, generateOptions(given), onToken);
  if (!out)
    return;
  qrt_generate_result stored;
  qrt_generate_result_init(&stored);
  stored.finish = qrt_finish(result.reason);
  stored.prompt_tokens = uint32_t(ids.size());
  stored.new_tokens = uint32_t(result.ids.size());
  stored.prompt_seconds = result.promptSeconds;
  stored.generate_seconds = result.generateSeconds;
  storeResult(stored, out);
}

static_assert(int(FinishReason::Eos) == QRT_FINISH_EOS &&
              int(FinishReason::Stop) == QRT_FINISH_STOP &&
              int(FinishReason::Length) == QRT_FINISH_LENGTH &&
              int(FinishReason::Context) == QRT_FINISH_CONTEXT);
static_assert(int(LogitRows::None) == QRT_ROWS_NONE &&
              int(LogitRows::Last) == QRT_ROWS_LAST &&
              int(LogitRows::All) == QRT_ROWS_ALL);

qrt_status qrt_session_generate(qrt_session *session, const int32_t *ids,
                                size_t count,
                                const qrt_generate_options *options,
                                qrt_token_callback callback, void *user,
                                qrt_generate_result *result) {
  return guarded([&] {
    require(session && ids && count, "session and ids must not be NULL");
    runGenerate(session->session, {ids, count}, options, callback, user,
                result);
  });
}

qrt_status qrt_session_generate_text(qrt_session *session, const char *prompt,
                                     const qrt_generate_options *options,
                                     qrt_token_callback callback, void *user,
                                     qrt_generate_result *result) {
  return guarded([&] {
    require(session && prompt, "session and prompt must not be NULL");
    Session &self = session->session;
    runGenerate(self, self.model().encodePrompt(prompt), options, callback,
                user, result);
  });
}
