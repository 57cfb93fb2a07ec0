//===- AllocationTest.cpp - Every allocation may fail ---------------------===//
//
// Loads a model and generates, over and over, with the first, second, third ...
// allocation failing, until one run needs fewer. Each run must end in a status.
//
//===----------------------------------------------------------------------===//

#include "qrt/qrt.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

#include <atomic>

/// How many allocations still succeed; negative: all (FailingNew.cpp).
extern std::atomic<long> allocationBudget;

/// Some steps of a batch of one session.
static qrt_status runBatch(qrt_model *model, qrt_session *session) {
  qrt_sampler *sampler = nullptr;
  qrt_batch *batch = nullptr;
  qrt_status status = qrt_sampler_create(model, nullptr, &sampler);
  if (status == QRT_OK)
    status = qrt_batch_create(model, &batch);
  if (status == QRT_OK)
    status = qrt_batch_add(batch, session, sampler, 1, 3);
  for (int i = 0; status == QRT_OK && i < 3; ++i) {
    int32_t token = -1;
    size_t count = 0;
    status = qrt_batch_next(batch, &token, 1, &count);
  }
  qrt_batch_free(batch);
  qrt_sampler_free(sampler);
  return status;
}

static qrt_status loadAndRun(const char *path) {
  qrt_model_options options;
  qrt_model_options_init(&options);
  options.threads = 2;
  qrt_model *model = nullptr;
  qrt_status status = qrt_model_load(path, &options, &model);
  qrt_session *session = nullptr;
  if (status == QRT_OK)
    status = qrt_session_create(model, nullptr, &session);
  if (status == QRT_OK) {
    qrt_generate_options generate;
    qrt_generate_options_init(&generate);
    const char *stop = "zzzz";
    generate.stop = &stop;
    generate.stop_count = 1;
    generate.max_new_tokens = 8;
    status = qrt_session_generate_text(session, "hello", &generate, nullptr,
                                       nullptr, nullptr);
  }
  if (status == QRT_OK)
    status = runBatch(model, session);
  qrt_session_free(session);
  qrt_model_free(model);
  return status;
}

TEST(AllocationTest, everyFailureIsAStatus) {
  qrt::test::TemporaryFolder folder;
  std::string path = folder / "model.qbin";
  qrt::test::writeFakeModel(path);
  constexpr long most = 100000;
  long n = 0;
  for (; n < most; ++n) {
    allocationBudget = n;
    qrt_status status = loadAndRun(path.c_str());
    bool failed = allocationBudget == -1;
    allocationBudget = -1;
    if (!failed)
      break;
    EXPECT_NE(status, QRT_OK) << "allocation " << n;
    EXPECT_STRNE(qrt_error_message(), "");
  }
  EXPECT_GT(n, 20);
  EXPECT_LT(n, most);
  EXPECT_EQ(loadAndRun(path.c_str()), QRT_OK);
}
