/*===- qrt/qrt.h - Runs compiled models: the C API ---------------------------===*\
|*                                                                            *|
|* A model is a .qbin file that qcc made. It holds machine code: loading one  *|
|* from somebody is running a program from somebody.                          *|
|*                                                                            *|
|* Rules that hold for every function:                                        *|
|* - One that can fail returns a qrt_status. Then no out-parameter has        *|
|*   changed, and qrt_error_message() says in one line what went wrong.       *|
|* - No exception, no abort and no output crosses this boundary.              *|
|* - Strings are UTF-8 and end with a zero unless a length goes with them;    *|
|*   what is passed in is not kept after the call.                            *|
|* - Structs begin with struct_size. Fill them with the matching _init        *|
|*   function, which sets it and the defaults, then change what you want;     *|
|*   that way a program goes on working with a newer library.                 *|
|* - Objects may be used by several threads, one at a time; where several at  *|
|*   once are allowed, it says so.                                            *|
|* - A _free function accepts NULL.                                           *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef QRT_QRT_H
#define QRT_QRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QRT_API __attribute__((visibility("default")))
#else
#define QRT_API
#endif

/* Raised when a function is added; a change that breaks programs changes the
   library's soname instead. */
#define QRT_API_VERSION 3u

typedef enum qrt_status {
  QRT_OK = 0,
  QRT_ERROR = 1,     /* the file, the input or the machine is at fault */
  QRT_USAGE = 2,     /* an argument is at fault */
  QRT_NO_MEMORY = 3, /* there is not enough memory */
  QRT_CANCELLED = 4, /* qrt_session_cancel was called */
  QRT_TOO_SMALL = 5  /* the buffer is; the size needed was stored */
} qrt_status;

/* The QRT_API_VERSION of the library in use. */
QRT_API uint32_t qrt_api_version(void);
/* The library's version, "0.1.0". */
QRT_API const char *qrt_version(void);
/* What went wrong in the last call on this thread that failed; "" before the
   first. Valid until the next call on this thread. */
QRT_API const char *qrt_error_message(void);

/*===- Models --------------------------------------------------------------===*/

/* A loaded model. Every function that takes a const qrt_model may be called by
   several threads at once. */
typedef struct qrt_model qrt_model;

typedef struct qrt_model_options {
  size_t struct_size;
  const char *device; /* "auto" (default: a GPU that can run the artifact, else
                         the CPU), "cpu", "cuda", "cuda:N" or "N" */
  uint32_t threads;   /* 0 (default): one for each physical core */
} qrt_model_options;

QRT_API void qrt_model_options_init(qrt_model_options *options);

/* Loads `path`; options may be NULL. The caller frees *model. The file stays
   mapped, so it must not be changed meanwhile (replacing it is fine). */
QRT_API qrt_status qrt_model_load(const char *path,
                                  const qrt_model_options *options,
                                  qrt_model **model);
/* Frees a model whose sessions have all been freed. */
QRT_API void qrt_model_free(qrt_model *model);

typedef struct qrt_model_info {
  size_t struct_size;
  const char *architecture; /* "llama"; lives as long as the model */
  uint64_t parameters;
  uint64_t file_bytes;
  uint64_t kv_bytes_per_token; /* memory that a position of a session takes */
  uint32_t vocabulary;
  uint32_t layers;
  uint32_t context_limit;   /* positions it was trained for; 0: unknown */
  uint32_t default_context; /* what a session holds by default */
  uint32_t threads;
  int32_t bos_id;            /* -1: none */
  int32_t has_tokenizer;     /* 0 or 1 */
  int32_t has_chat_template; /* 0 or 1 */
} qrt_model_info;

QRT_API void qrt_model_info_init(qrt_model_info *info);
/* Fills as much of *info as its struct_size has room for. */
QRT_API qrt_status qrt_model_get_info(const qrt_model *model,
                                      qrt_model_info *info);
/* 1 if `token` ends a text of this model, else 0. */
QRT_API int qrt_model_is_eos(const qrt_model *model, int32_t token);
/* Reads all weights and compares them with their checksums (loading checks
   everything but them). */
QRT_API qrt_status qrt_model_verify(const qrt_model *model);

/*===- Text ----------------------------------------------------------------===*/

enum {
  QRT_TEXT_NO_SPECIAL = 1, /* encode: add none around the text;
                              decode: leave them out */
  QRT_TEXT_LITERAL = 2     /* encode: special tokens in the text are text */
};

/* The ids of `length` bytes of text. Stores how many there are in *count and,
   if they fit into `capacity`, the ids; otherwise QRT_TOO_SMALL. `flags` are of
   the enumeration above. Fails for a model without a tokenizer. */
QRT_API qrt_status qrt_model_encode(const qrt_model *model, const char *text,
                                    size_t length, uint32_t flags,
                                    int32_t *ids, size_t capacity,
                                    size_t *count);
/* The text of `count` ids: valid UTF-8, *length bytes and a zero after them,
   for which `capacity` must have room too; otherwise QRT_TOO_SMALL. */
QRT_API qrt_status qrt_model_decode(const qrt_model *model, const int32_t *ids,
                                    size_t count, uint32_t flags, char *text,
                                    size_t capacity, size_t *length);

/*===- Chats ---------------------------------------------------------------===*/

typedef struct qrt_chat_options {
  size_t struct_size;
  const char *tools;     /* JSON: a list of schemas; NULL: none */
  const char *variables; /* JSON: an object with further variables of the
                            template ("enable_thinking"); NULL: none */
  const char *template_name; /* of several templates; NULL: "tool_use" where
                                there are tools and it, else "default" */
  const char *date;          /* the day that templates print, "2026-11-23"; NULL:
                                today */
  int32_t add_generation_prompt; /* 1: end with what an answer begins with */
} qrt_chat_options;

QRT_API void qrt_chat_options_init(qrt_chat_options *options);
/* Renders a conversation with the model's chat template, byte for byte as
   transformers does. `messages` is JSON: a list of objects with "role" and
   "content". options may be NULL. Stores `text` as qrt_model_decode does;
   encode it with QRT_TEXT_NO_SPECIAL, since its special tokens stand in it.
   Fails for a model without a template and for what the template refuses. */
QRT_API qrt_status qrt_model_render_chat(const qrt_model *model,
                                         const char *messages,
                                         const qrt_chat_options *options,
                                         char *text, size_t capacity,
                                         size_t *length);

/*===- Sessions ------------------------------------------------------------===*/

/* One text in the making: the model's memory of the tokens so far. Sessions of
   a model may be used by different threads; their steps run one after the
   other, so a qrt_batch, or qrt_model_step, of many of them is faster. */
typedef struct qrt_session qrt_session;

typedef struct qrt_session_options {
  size_t struct_size;
  uint32_t context; /* positions it has room for; 0 (default): the model's
                       limit, at most 4096. More than the limit works, except
                       where positions are learned, but text degrades there */
} qrt_session_options;

QRT_API void qrt_session_options_init(qrt_session_options *options);
/* options may be NULL. The caller frees *session, before the model. */
QRT_API qrt_status qrt_session_create(qrt_model *model,
                                      const qrt_session_options *options,
                                      qrt_session **session);
QRT_API void qrt_session_free(qrt_session *session);
/* Positions in it, and positions it has room for. */
QRT_API uint32_t qrt_session_length(const qrt_session *session);
QRT_API uint32_t qrt_session_capacity(const qrt_session *session);
/* Forgets every position from `length` on; 0 starts a new text. */
QRT_API void qrt_session_truncate(qrt_session *session, uint32_t length);
/* Makes the call that runs on this session, or else its next one, return
   QRT_CANCELLED soon. May be called by any thread at any time, and by a signal
   handler. */
QRT_API void qrt_session_cancel(qrt_session *session);

typedef enum qrt_rows {
  QRT_ROWS_NONE = 0,
  QRT_ROWS_LAST = 1, /* the logits after the last token */
  QRT_ROWS_ALL = 2   /* after every token: count * vocabulary floats */
} qrt_rows;

/* What one session gets in a step. */
typedef struct qrt_step_item {
  qrt_session *session;
  const int32_t *ids; /* `count` >= 1 tokens that are appended to it */
  size_t count;
  qrt_rows rows; /* which logits it keeps */
} qrt_step_item;

/* Appends tokens to `count` different sessions of the model at once. If it
   fails, no session has changed its length. */
QRT_API qrt_status qrt_model_step(qrt_model *model, const qrt_step_item *items,
                                  size_t count);
/* The logits of the session's last step: *rows rows of `vocabulary` floats
   each. They are the session's and valid until its next step. None, *rows 0,
   after a generation or a batch whose tokens the device chose. */
QRT_API qrt_status qrt_session_logits(const qrt_session *session,
                                      const float **logits, size_t *rows);

/*===- Sampling ------------------------------------------------------------===*/

typedef struct qrt_sampler_options {
  size_t struct_size;
  uint64_t seed;     /* 0; same seed, options and logits: same tokens */
  float temperature; /* 0.8; 0: always the likeliest token */
  uint32_t top_k;    /* 50; 0: all */
  float top_p;       /* 1 */
  float min_p;       /* 0 */
  float repetition_penalty; /* 1 */
} qrt_sampler_options;

QRT_API void qrt_sampler_options_init(qrt_sampler_options *options);

/* Chooses tokens from logits, for loops that call qrt_model_step themselves. */
typedef struct qrt_sampler qrt_sampler;

/* options may be NULL. The caller frees *sampler. */
QRT_API qrt_status qrt_sampler_create(const qrt_model *model,
                                      const qrt_sampler_options *options,
                                      qrt_sampler **sampler);
QRT_API void qrt_sampler_free(qrt_sampler *sampler);
/* Chooses from `logits` [vocabulary] and, for the repetition penalty, takes
   note of the choice. */
QRT_API qrt_status qrt_sampler_sample(qrt_sampler *sampler, const float *logits,
                                      int32_t *token);
/* Takes note of a token of the prompt. */
QRT_API void qrt_sampler_accept(qrt_sampler *sampler, int32_t token);

/*===- Batches -------------------------------------------------------------===*/

/* Sessions that get a token each in every step. A GPU chooses the tokens by
   itself and goes on with them, so that neither logits travel nor a step waits
   for the host: of several texts that is faster than qrt_model_step and
   qrt_sampler_sample, whose tokens are the same. */
typedef struct qrt_batch qrt_batch;

/* The caller frees *batch, before the model. */
QRT_API qrt_status qrt_batch_create(qrt_model *model, qrt_batch **batch);
QRT_API void qrt_batch_free(qrt_batch *batch);
/* The session, which is in no other batch, takes part from now on. It goes on
   from `token`, which it lacks yet: the last of its prompt. -1: from its logits
   of the last row, which joins a batch that is under way without a step of its
   own. At most `max_new_tokens` are wanted. Until the session is removed or
   the batch freed, session and sampler must live and be used by nothing else,
   except for qrt_session_cancel, qrt_session_length and _capacity. */
QRT_API qrt_status qrt_batch_add(qrt_batch *batch, qrt_session *session,
                                 qrt_sampler *sampler, int32_t token,
                                 uint32_t max_new_tokens);
/* The session, which has a text's end or enough, takes part no more; it holds
   all tokens but the last one chosen. No effect if it does not take part. */
QRT_API void qrt_batch_remove(qrt_batch *batch, qrt_session *session);
/* One step: appends the token chosen last of each session, or the one that it
   was added with, to the session, and stores the next of each in the order in
   which they were added. *count is how many that are, at least 1; if `capacity`
   is less, QRT_TOO_SMALL. Samplers take note of the tokens. If it fails,
   nothing is lost: it may be called again, without a session that is full or
   was cancelled if that is why. */
QRT_API qrt_status qrt_batch_next(qrt_batch *batch, int32_t *tokens,
                                  size_t capacity, size_t *count);

/*===- Generation ----------------------------------------------------------===*/

/* Called for every new token with the text that became final with it: `length`
   bytes, whole characters, often none, and no zero after them; once more at the
   end, with token -1, if text was left. Models without a tokenizer have no
   text. Returns 0 to go on, anything else to stop. Must not call functions on
   the same session except qrt_session_cancel. */
typedef int (*qrt_token_callback)(void *user, int32_t token, const char *text,
                                  size_t length);

typedef struct qrt_generate_options {
  size_t struct_size;
  uint32_t max_new_tokens;      /* 128 */
  int32_t ignore_eos;           /* 0 */
  const char *const *stop;      /* texts that end the generation, not part of
                                   it; NULL */
  size_t stop_count;            /* 0 */
  qrt_sampler_options sampling; /* initialized too */
} qrt_generate_options;

QRT_API void qrt_generate_options_init(qrt_generate_options *options);

typedef enum qrt_finish {
  QRT_FINISH_EOS = 0,    /* the model ended the text */
  QRT_FINISH_STOP = 1,   /* a stop text came, or the callback said so */
  QRT_FINISH_LENGTH = 2, /* max_new_tokens were made */
  QRT_FINISH_CONTEXT = 3 /* the session is full */
} qrt_finish;

typedef struct qrt_generate_result {
  size_t struct_size;
  qrt_finish finish;
  uint32_t prompt_tokens;
  uint32_t new_tokens;
  double prompt_seconds; /* until the first token was chosen */
  double generate_seconds;
} qrt_generate_result;

QRT_API void qrt_generate_result_init(qrt_generate_result *result);

/* Appends `count` >= 1 ids to the session and then token after token. options,
   callback and result may be NULL. Afterwards the session holds the prompt and
   all new tokens, except the last one chosen. */
QRT_API qrt_status qrt_session_generate(qrt_session *session,
                                        const int32_t *ids, size_t count,
                                        const qrt_generate_options *options,
                                        qrt_token_callback callback,
                                        void *user,
                                        qrt_generate_result *result);
/* The same for a prompt of text, with the special tokens that the model puts
   around one; "" starts a text from nothing. */
QRT_API qrt_status qrt_session_generate_text(
    qrt_session *session, const char *prompt,
    const qrt_generate_options *options, qrt_token_callback callback,
    void *user, qrt_generate_result *result);

#ifdef __cplusplus
}
#endif

#endif /* QRT_QRT_H */
