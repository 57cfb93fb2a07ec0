//===- CpuExecutorTest.cpp - Steps of one and of many sequences -----------===//

#include "runtime/executor/CpuExecutor.h"

#include "runtime/executor/Threads.h"
#include "runtime/support/Error.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

using namespace qrt;
using namespace qrt::test;

namespace {
class CpuExecutorTest : public testing::TestWithParam<uint32_t> {
protected:
  void SetUp() override {
    writeFakeModel(folder / "model.qbin");
    artifact.emplace(folder / "model.qbin");
    executor.emplace(*artifact, GetParam());
  }

  std::vector<float> step(const std::vector<StepSequence> &sequences) {
    size_t rows = 0;
    for (const StepSequence &sequence : sequences)
      rows += sequence.rowCount();
    std::vector<float> logits(rows * kFakeVocabulary);
    executor->step(sequences, logits);
    return logits;
  }
  static int32_t likeliest(std::span<const float> row) {
    return int32_t(std::ranges::max_element(row) - row.begin());
  }
  static std::vector<int32_t> likeliestOfRows(std::span<const float> logits) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < logits.size(); i += kFakeVocabulary)
      ids.push_back(likeliest(logits.subspan(i, kFakeVocabulary)));
    return ids;
  }
  static std::vector<int32_t> tokens(size_t count, int32_t first) {
    std::vector<int32_t> ids(count);
    for (size_t i = 0; i < count; ++i)
      ids[i] = int32_t((size_t(first) + 5 * i) % 28);
    return ids;
  }

  TemporaryFolder folder;
  std::optional<Artifact> artifact;
  std::optional<CpuExecutor> executor;
};
} // namespace

INSTANTIATE_TEST_SUITE_P(Threads, CpuExecutorTest, testing::Values(1, 2, 5));

TEST_P(CpuExecutorTest, saysWhatItRuns) {
  EXPECT_EQ(executor->threads(), GetParam());
  EXPECT_EQ(executor->vocabulary(), kFakeVocabulary);
  EXPECT_EQ(executor->maxTokens(), 16u);
  EXPECT_EQ(executor->kvBytesPerToken(), 64u);
}

/// Prompts that fit into the small bucket, the large one, and several calls.
TEST_P(CpuExecutorTest, cutsPromptsIntoCalls) {
  for (size_t count : {1, 4, 5, 16, 17, 32, 50}) {
    auto cache = executor->createCache(64);
    std::vector<int32_t> prompt = tokens(count, 3);
    auto logits = step({{cache.get(), prompt, LogitRows::Last}});
    EXPECT_EQ(cache->length(), count);
    EXPECT_EQ(likeliestOfRows(logits), fakeGreedy(prompt, 1)) << count;
  }
}

TEST_P(CpuExecutorTest, givesLogitsOfAllRows) {
  auto cache = executor->createCache(64);
  std::vector<int32_t> prompt = tokens(37, 1), expected;
  for (size_t i = 1; i <= prompt.size(); ++i)
    expected.push_back(
        fakeGreedy({prompt.begin(), prompt.begin() + std::ptrdiff_t(i)}, 1)[0]);
  EXPECT_EQ(likeliestOfRows(step({{cache.get(), prompt, LogitRows::All}})),
            expected);
}

TEST_P(CpuExecutorTest, runsSeveralSequencesInOneStep) {
  constexpr size_t count = 7;
  std::vector<std::unique_ptr<KvCache>> caches;
  std::vector<std::vector<int32_t>> texts;
  std::vector<StepSequence> prompts;
  for (size_t i = 0; i < count; ++i) {
    caches.push_back(executor->createCache(64));
    texts.push_back(tokens(1 + 4 * i, int32_t(i)));
  }
  for (size_t i = 0; i < count; ++i)
    prompts.push_back({caches[i].get(), texts[i], LogitRows::Last});
  std::vector<int32_t> next = likeliestOfRows(step(prompts));
  // Token after token, all sequences together, each as if it were alone.
  std::vector<std::vector<int32_t>> made(count);
  for (int round = 0; round < 10; ++round) {
    std::vector<StepSequence> sequences;
    for (size_t i = 0; i < count; ++i) {
      made[i].push_back(next[i]);
      sequences.push_back({caches[i].get(), {&next[i], 1}, LogitRows::Last});
    }
    next = likeliestOfRows(step(sequences));
  }
  for (size_t i = 0; i < count; ++i)
    EXPECT_EQ(made[i], fakeGreedy(texts[i], 10)) << "sequence " << i;
}

TEST_P(CpuExecutorTest, mixesRowsWanted) {
  auto first = executor->createCache(32), second = executor->createCache(32),
       third = executor->createCache(32);
  std::vector<int32_t> a = tokens(20, 0), b = tokens(3, 9), c = tokens(5, 4);
  auto logits = step({{first.get(), a, LogitRows::None},
                      {second.get(), b, LogitRows::All},
                      {third.get(), c, LogitRows::Last}});
  std::vector<int32_t> expected = {fakeGreedy({b[0]}, 1)[0],
                                   fakeGreedy({b[0], b[1]}, 1)[0],
                                   fakeGreedy(b, 1)[0], fakeGreedy(c, 1)[0]};
  EXPECT_EQ(likeliestOfRows(logits), expected);
}

/// As sessions have them: each its own memory, neighbours or not.
TEST_P(CpuExecutorTest, leavesLogitsWhereSequencesWantThem) {
  auto first = executor->createCache(32), second = executor->createCache(32),
       third = executor->createCache(32);
  std::vector<int32_t> a = tokens(20, 0), b = tokens(3, 9), c = tokens(5, 4);
  auto own = executor->allocateLogits(kFakeVocabulary),
       other = executor->allocateLogits(3 * kFakeVocabulary);
  std::vector<float> logits(kFakeVocabulary);
  executor->step({{{first.get(), a, LogitRows::Last, own.get()},
                   {second.get(), b, LogitRows::All, other.get()},
                   {third.get(), c, LogitRows::Last}}},
                 logits);
  EXPECT_EQ(likeliest({own.get(), kFakeVocabulary}), fakeGreedy(a, 1)[0]);
  std::vector<int32_t> expected = {fakeGreedy({b[0]}, 1)[0],
                                   fakeGreedy({b[0], b[1]}, 1)[0],
                                   fakeGreedy(b, 1)[0]};
  EXPECT_EQ(likeliestOfRows({other.get(), 3 * kFakeVocabulary}), expected);
  EXPECT_EQ(likeliest(logits), fakeGreedy(c, 1)[0]);
}

TEST_P(CpuExecutorTest, forgetsWhatIsTruncated) {
  auto cache = executor->createCache(64);
  std::vector<int32_t> prompt = tokens(12, 2), other = tokens(6, 20);
  step({{cache.get(), prompt, LogitRows::None}});
  cache->truncate(20);
  EXPECT_EQ(cache->length(), 12u);
  cache->truncate(4);
  auto logits = step({{cache.get(), other, LogitRows::Last}});
  std::vector<int32_t> text(prompt.begin(), prompt.begin() + 4);
  text.insert(text.end(), other.begin(), other.end());
  EXPECT_EQ(likeliestOfRows(logits), fakeGreedy(text, 1));
}

TEST_P(CpuExecutorTest, refusesWrongStepsAndChangesNothing) {
  auto cache = executor->createCache(10), other = executor->createCache(10);
  std::vector<int32_t> fits = tokens(10, 0), tooLong = tokens(11, 0);
  std::vector<int32_t> outside = {0, 32}, negative = {-1};
  std::vector<float> logits(11 * kFakeVocabulary);
  auto refuses = [&](const std::vector<StepSequence> &sequences) {
    EXPECT_THROW(executor->step(sequences, logits), UsageError);
    EXPECT_EQ(cache->length(), 0u);
    EXPECT_EQ(other->length(), 0u);
  };
  refuses({{cache.get(), tooLong}});
  refuses({{cache.get(), outside}});
  refuses({{other.get(), fits}, {cache.get(), negative}});
  refuses({{cache.get(), {}}});
  refuses({{nullptr, fits}});
  refuses({{cache.get(), fits}, {cache.get(), fits}});
  refuses({{cache.get(), fits, LogitRows::All},
           {other.get(), fits, LogitRows::All}});
  EXPECT_NO_THROW(step({{cache.get(), fits}}));
}

TEST_P(CpuExecutorTest, stopsWhenCancelled) {
  auto cache = executor->createCache(64), other = executor->createCache(64);
  std::vector<int32_t> prompt = tokens(40, 0);
  std::atomic<bool> cancelled = true;
  std::vector<StepSequence> sequences = {
      {cache.get(), prompt, LogitRows::None},
      {other.get(), prompt, LogitRows::None, nullptr, &cancelled}};
  try {
    executor->step(sequences, {});
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::Cancelled);
  }
  EXPECT_EQ(cache->length(), 0u);
  EXPECT_EQ(other->length(), 0u);
}

TEST_P(CpuExecutorTest, refusesWhatDoesNotFitInMemory) {
  EXPECT_THROW(executor->createCache(0), UsageError);
  EXPECT_THROW(executor->createCache(~0u), UsageError);
  EXPECT_THROW(CpuExecutor(*artifact, kMaxThreads + 1), UsageError);
  try {
    Memory memory(uint64_t(1) << 60, "the test", false);
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(std::string(error.what()),
              "not enough memory: the test needs 1099511627777 MiB");
  }
}

TEST(ThreadsTest, hasAtLeastOne) {
  EXPECT_GE(defaultThreads(), 1u);
  EXPECT_LE(defaultThreads(), kMaxThreads);
}

TEST(MemoryTest, isZeroedAlignedAndMovable) {
  Memory memory(uint64_t(5) << 20, "the test", true);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % (2 << 20), 0u);
  EXPECT_EQ(std::accumulate(memory.data(), memory.data() + memory.size(), 0),
            0);
  char *data = memory.data();
  Memory other = std::move(memory);
  EXPECT_EQ(other.data(), data);
  EXPECT_EQ(memory.data(), nullptr);
}
