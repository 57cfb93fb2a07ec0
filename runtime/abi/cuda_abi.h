/*===- cuda_abi.h - What CUDA kernels and the runtime agree on
---------------===*\
|*                                                                            *|
|* The device-side structs of a step. Read by the runtime and, as text, by    *|
|* NVRTC, so it needs no header there. Any change of a struct's meaning or    *|
|* size raises QRT_CUDA_ABI_VERSION.                                          *|
|*                                                                            *|
|* Every kernel is `extern "C" void f(const qrt_cuda_step *, qrt_cuda_args)`: *|
|* the step says what changes from call to call and lies in device memory, so *|
|* that a captured graph replays for any step; the arguments are the launch's *|
|* operands (runtime/schema/qbin.fbs), resolved when the model is loaded.     *|
|* A cooperative kernel, which is a whole step, is `f(qrt_cuda_inline_step,   *|
|* qrt_cuda_args)`: its step comes with the launch. The kernel that chooses    *|
|* tokens is `f(qrt_cuda_samplings)`.                                         *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef QRT_ABI_CUDA_ABI_H
#define QRT_ABI_CUDA_ABI_H

#ifdef __CUDACC_RTC__
typedef unsigned int uint32_t;
typedef int int32_t;
typedef unsigned long long uint64_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef signed char int8_t;
typedef unsigned short uint16_t;
#else
#include <stdint.h>
#endif

#define QRT_CUDA_ABI_VERSION 9u

/* The tokens of one sequence in a step. */
typedef struct qrt_cuda_sequence {
  uint32_t first_token; /* index of its first token in the step */
  uint32_t tokens;
  uint32_t past;     /* positions already in its cache */
  uint32_t capacity; /* a multiple of QRT_CUDA_KV_MULTIPLE */
  uint64_t kv;       /* device address of its cache, 256-byte aligned. The cache
                        of layer l begins capacity * (bytes a token of the
                        layers before l) bytes into it: K [kv head][capacity]
                        [dim], then V in transposed tiles, [kv head]
                        [capacity / QRT_CUDA_KV_TILE][dim][QRT_CUDA_KV_TILE] */
  uint32_t length;   /* positions it has once all tokens that the caller gave at
                        once are in (rotary scaling by length); a kernel that
                        adds tokens by itself takes past + tokens where that is
                        more */
  uint32_t reserved;
} qrt_cuda_sequence;
#define QRT_CUDA_KV_MULTIPLE 64u
#define QRT_CUDA_KV_TILE 32

/* A step that is one kernel runs with so many blocks, one a multiprocessor, at
   most: all of them have a part of every weight whose rows need no barrier. */
#define QRT_CUDA_MOST_BLOCKS 192

/* One call of an entry. Pointers are device addresses. */
typedef struct qrt_cuda_step {
  uint32_t tokens;
  uint32_t sequence_count;
  uint32_t logit_count; /* rows that want logits, 0 .. tokens */
  uint32_t reserved;
  uint64_t token_ids;      /* int32 [tokens] */
  uint64_t positions;      /* int32 [tokens] */
  uint64_t token_sequence; /* uint32 [tokens]: which sequence a token is of */
  uint64_t sequences;      /* qrt_cuda_sequence [sequence_count] */
  uint64_t logit_rows;     /* int32 [logit_count], ascending token indices */
  uint64_t logits;         /* float [logit_count][vocabulary]; pinned memory of
                              the host, too, in an inline step */
  uint64_t outlier_statistics; /* uint64 [2]: LLM.int8 adds the linears that it
                                  computed, and the columns of their inputs
                                  that had outliers */
} qrt_cuda_step;

/* A step of few tokens by value. Of the pointers in `step`, those to the arrays
   that are here are null; token_ids may be another array's address. */
#define QRT_CUDA_INLINE_TOKENS 8
typedef struct qrt_cuda_inline_step {
  qrt_cuda_step step;
  qrt_cuda_sequence sequences[QRT_CUDA_INLINE_TOKENS];
  int32_t token_ids[QRT_CUDA_INLINE_TOKENS];
  int32_t positions[QRT_CUDA_INLINE_TOKENS];
  uint32_t token_sequence[QRT_CUDA_INLINE_TOKENS];
  int32_t logit_rows[QRT_CUDA_INLINE_TOKENS];
} qrt_cuda_inline_step;

/* The operands of a launch. */
#define QRT_CUDA_ARGS 16
typedef struct qrt_cuda_args {
  uint64_t v[QRT_CUDA_ARGS];
} qrt_cuda_args;

/* How a token is chosen from logits: what the kernel does with each of these is
   in runtime/abi/sampling.h. Pointers are device addresses. */
typedef struct qrt_cuda_sampling {
  uint64_t logits; /* float [vocabulary] */
  uint64_t seen;   /* uint32 [vocabulary / 32, rounded up]: a bit for each token
                      that stands in the text, to which the choice is added; read
                      where penalty is not 1 */
  uint64_t state;  /* qrt_cuda_sampling_state; zeros before the first launch */
  uint64_t lists;  /* uint64 [2][vocabulary]; not used where temperature is 0 */
  uint64_t token;  /* int32: gets the choice, 0 if no logit is a number */
  uint64_t result; /* uint64 in the host's memory: gets ticket << 32 | choice,
                      whose low half is all ones if no logit is a number */
  uint64_t seed, draw; /* of the random number */
  uint32_t ticket;
  uint32_t turn; /* 0 and 1 in turn, of the launches with this state */
  uint32_t top_k;
  float temperature; /* 0: the likeliest token */
  float top_p;
  float least_scaled;
  float penalty;
  uint32_t reserved;
} qrt_cuda_sampling;

/* What a launch chooses: a token from each of up to so many rows of logits, by
   blocks of its own, blockIdx.y the row. */
#define QRT_CUDA_SAMPLING_ROWS 32
typedef struct qrt_cuda_samplings {
  qrt_cuda_sampling rows[QRT_CUDA_SAMPLING_ROWS];
} qrt_cuda_samplings;

/* What the blocks that choose a token of a row share. */
#define QRT_CUDA_SAMPLING_BINS 1024
typedef struct qrt_cuda_sampling_state {
  uint64_t arrivals; /* at the row's barriers, in all launches */
  uint64_t best[2];  /* of each turn */
  uint32_t listed[2][4];
  uint32_t counts[QRT_CUDA_SAMPLING_BINS];
  uint64_t weights[QRT_CUDA_SAMPLING_BINS];
} qrt_cuda_sampling_state;

#endif /* QRT_ABI_CUDA_ABI_H */
