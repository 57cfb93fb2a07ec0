/*===- FakeKernels.c - Kernels whose results are easy to foresee
-------------===*\
|*                                                                            *|
|* A kernel object as qcc makes them, imports nothing. The cache keeps the    *|
|* token of each position; the likeliest next token is                        *|
|*   (3 * sum of all tokens so far + position) mod 28,                        *|
|* so that a wrong cache, position or order shows. Ids from 28 on (special    *|
|* ones) only come by tensor 0, f32 [32], which is added to the logits.       *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "runtime/abi/kernel_abi.h"

enum {
  Vocabulary = 32,
  Ordinary = 28,
  KvBytes = 64,
  ArenaBytes = 1024,
  ScratchBytes = 128
};

static int32_t *slot(const qrt_sequence *sequence, uint32_t position) {
  return (int32_t *)((char *)sequence->kv + (uint64_t)position * KvBytes);
}

static void run(const qrt_step *step, uint32_t thread) {
  /* All of the arena and of this thread's scratch may be written. */
  for (uint32_t i = thread; i < ArenaBytes; i += step->threads)
    step->arena[i] = (char)i;
  char *scratch = step->arena + ArenaBytes + thread * ScratchBytes;
  for (uint32_t i = 0; i < ScratchBytes; ++i)
    scratch[i] = (char)thread;

  for (uint32_t s = 0; s < step->sequence_count; ++s) {
    const qrt_sequence *sequence = &step->sequences[s];
    for (uint32_t i = thread; i < sequence->tokens; i += step->threads)
      *slot(sequence, sequence->past + i) =
          step->token_ids[sequence->first_token + i];
  }
  step->barrier(step->barrier_context, thread);

  const float *bias = (const float *)step->weights[0];
  for (uint32_t row = thread; row < step->logit_count; row += step->threads) {
    uint32_t token = (uint32_t)step->logit_rows[row], s = 0;
    while (token >= step->sequences[s].first_token + step->sequences[s].tokens)
      ++s;
    int32_t position = step->positions[token], sum = position;
    for (int32_t i = 0; i <= position; ++i)
      sum += 3 * *slot(&step->sequences[s], (uint32_t)i);
    float *logits = step->logits + (uint64_t)row * Vocabulary;
    for (int32_t v = 0; v < Vocabulary; ++v) {
      int32_t distance = v - sum % Ordinary;
      logits[v] = bias[v] - (float)(distance < 0 ? -distance : distance);
    }
  }
}

static const qrt_entry entries[] = {
    {"decode", run, ArenaBytes, ScratchBytes, 4, 0},
    {"prefill", run, ArenaBytes, ScratchBytes, 16, 0},
};
static const qrt_variant variants[] = {{0, 2, entries}};

__attribute__((visibility("default")))
const qrt_kernel_table_t qrt_kernel_table = {
    QRT_KERNEL_ABI_VERSION, 1, variants, KvBytes, Vocabulary, 1};
