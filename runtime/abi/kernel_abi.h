/*===- kernel_abi.h - What compiled kernels and the runtime agree on
---------===*\
|*                                                                            *|
|* The contract between `qrt` and the shared object that `qcc` puts into an   *|
|* artifact for CPU targets. Plain C11, no dependency; both sides include it. *|
|* Any change of a struct's meaning or size raises QRT_KERNEL_ABI_VERSION.    *|
|*                                                                            *|
|* The object exports exactly one symbol, `qrt_kernel_table`, and imports     *|
|* none. An entry (one bucket of tokens, one CPU variant) is called by every  *|
|* thread of the team at once, with the same step and its own thread number;  *|
|* phases inside are separated by step->barrier.                              *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef QRT_ABI_KERNEL_ABI_H
#define QRT_ABI_KERNEL_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define QRT_ABI_ASSERT_SIZE(type, size)                                        \
  static_assert(sizeof(type) == (size), "size of " #type " is part of the "    \
                                        "ABI")
extern "C" {
#else
#define QRT_ABI_ASSERT_SIZE(type, size)                                        \
  _Static_assert(sizeof(type) == (size), "size of " #type " is part of the "   \
                                         "ABI")
#endif

#define QRT_KERNEL_ABI_VERSION 2u
#define QRT_KERNEL_TABLE_SYMBOL "qrt_kernel_table"

/* The tokens of one sequence in a step. They are contiguous in the step. */
typedef struct qrt_sequence {
  uint32_t first_token; /* index of its first token in the step */
  uint32_t tokens;      /* how many tokens it has in this step, >= 1 */
  uint32_t past;        /* positions already in its KV cache */
  uint32_t capacity;    /* positions its KV cache has room for: a multiple of
                           16, and past + tokens <= capacity */
  void *kv;             /* its cache, 64-byte aligned, of capacity *
                           table->kv_bytes_per_token bytes. The cache of layer
                           l begins capacity * (bytes a token of the layers
                           before l) bytes into it. */
  uint32_t length;      /* positions it has once all tokens that the caller gave
                           at once are in, >= past + tokens: a prompt may come
                           in several calls (rotary scaling by length) */
  uint32_t reserved;    /* 0 */
} qrt_sequence;
QRT_ABI_ASSERT_SIZE(qrt_sequence, 32);

/* One call of an entry: some tokens of some sequences. Owned by the caller,
   constant during the call except for what the pointers point to. */
typedef struct qrt_step {
  uint32_t struct_size;          /* sizeof(qrt_step) */
  uint32_t threads;              /* size of the team */
  uint32_t tokens;               /* 1 .. the entry's max_tokens */
  uint32_t sequence_count;       /* >= 1 */
  uint32_t logit_count;          /* rows that want logits, 0 .. tokens */
  uint32_t reserved;             /* 0 */
  const int32_t *token_ids;      /* [tokens], each in [0, vocabulary) */
  const int32_t *positions;      /* [tokens] */
  const qrt_sequence *sequences; /* [sequence_count] */
  const int32_t *logit_rows;     /* [logit_count], ascending token indices */
  float *logits;                 /* [logit_count][vocabulary] */
  const void *const *weights;    /* by index in the artifact's tensor table,
                                    each 64-byte aligned */
  char *arena;                   /* 64-byte aligned; the entry's arena_bytes and
                                    then `threads` times its scratch_bytes */
  void (*barrier)(void *context, uint32_t thread); /* all threads meet here */
  void *barrier_context;
  uint64_t *outlier_statistics; /* [2] or null; LLM.int8 adds to them: linears
                                   that were computed, and the columns of their
                                   inputs that had outliers */
} qrt_step;
QRT_ABI_ASSERT_SIZE(qrt_step, 104);

typedef void (*qrt_entry_fn)(const qrt_step *step, uint32_t thread);

/* What a CPU must have for a variant. */
typedef enum qrt_cpu_level {
  QRT_CPU_X86_64_V3 = 3,  /* AVX2, FMA, F16C, BMI2 */
  QRT_CPU_X86_64_V4 = 4,  /* AVX-512 F BW CD DQ VL, and VNNI */
  QRT_CPU_X86_64_AMX = 5, /* the above and AMX-TILE, INT8, BF16 */
} qrt_cpu_level;

/* One bucket of one variant. */
typedef struct qrt_entry {
  const char *name; /* "decode", "batch" or "prefill" */
  qrt_entry_fn run;
  uint64_t arena_bytes;   /* shared by the team, a multiple of 64 */
  uint64_t scratch_bytes; /* for each thread, a multiple of 64 */
  uint32_t max_tokens;
  uint32_t reserved;
} qrt_entry;
QRT_ABI_ASSERT_SIZE(qrt_entry, 40);

typedef struct qrt_variant {
  uint32_t cpu_level;   /* a qrt_cpu_level */
  uint32_t entry_count; /* entries, by ascending max_tokens */
  const qrt_entry *entries;
} qrt_variant;
QRT_ABI_ASSERT_SIZE(qrt_variant, 16);

/* The one exported symbol: `const qrt_kernel_table_t qrt_kernel_table`. */
typedef struct qrt_kernel_table_t {
  uint32_t abi_version;   /* QRT_KERNEL_ABI_VERSION */
  uint32_t variant_count; /* variants, by ascending cpu_level */
  const qrt_variant *variants;
  uint64_t kv_bytes_per_token; /* of one sequence, all layers */
  uint32_t vocabulary;
  uint32_t weight_count; /* entries of step->weights that are read */
} qrt_kernel_table_t;
QRT_ABI_ASSERT_SIZE(qrt_kernel_table_t, 32);

#ifdef __cplusplus
}
#endif

#endif /* QRT_ABI_KERNEL_ABI_H */
