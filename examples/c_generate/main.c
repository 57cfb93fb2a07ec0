/* Writes a text on: c_generate FILE.qbin [PROMPT] */

#include <qrt/qrt.h>

#include <stdio.h>

static int printToken(void *user, int32_t token, const char *text,
                      size_t length) {
  (void)user;
  (void)token;
  fwrite(text, 1, length, stdout);
  fflush(stdout);
  return 0;
}

static int fail(void) {
  fprintf(stderr, "c_generate: error: %s\n", qrt_error_message());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: c_generate FILE.qbin [PROMPT]\n");
    return 2;
  }
  const char *prompt = argc > 2 ? argv[2] : "Hello, my name is";

  qrt_model *model = NULL;
  if (qrt_model_load(argv[1], NULL, &model) != QRT_OK)
    return fail();
  qrt_session *session = NULL;
  if (qrt_session_create(model, NULL, &session) != QRT_OK) {
    qrt_model_free(model);
    return fail();
  }

  qrt_generate_options options;
  qrt_generate_options_init(&options);
  options.max_new_tokens = 32;
  options.sampling.temperature = 0;
  qrt_generate_result result;
  qrt_generate_result_init(&result);
  fputs(prompt, stdout);
  qrt_status status = qrt_session_generate_text(session, prompt, &options,
                                                printToken, NULL, &result);
  putchar('\n');
  int code = status == QRT_OK ? 0 : fail();
  if (code == 0)
    fprintf(stderr, "%u tokens in %.2f s\n", (unsigned)result.new_tokens,
            result.prompt_seconds + result.generate_seconds);

  qrt_session_free(session);
  qrt_model_free(model);
  return code;
}
