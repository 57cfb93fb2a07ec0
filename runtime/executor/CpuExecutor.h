//===- CpuExecutor.h - Runs a model on the CPU ------------------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CPUEXECUTOR_H
#define QRT_EXECUTOR_CPUEXECUTOR_H

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/KernelLibrary.h"
#include "runtime/executor/Executor.h"
#include "runtime/executor/Memory.h"
#include "runtime/support/ThreadTeam.h"

#include <vector>

namespace qrt {

/// Calls the compiled entries of the best variant that this CPU runs, on a
/// team of threads. Weights are read where the artifact is mapped.
class CpuExecutor : public Executor {
public:
  /// `artifact` must outlive this; `threads` 0 means defaultThreads(). Throws
  /// qrt::Error if the artifact has no kernels for this CPU or there is not
  /// enough memory, qrt::UsageError for too many threads.
  CpuExecutor(const Artifact &artifact, uint32_t threads);
  ~CpuExecutor() override;

  uint32_t vocabulary() const override { return kernels.table().vocabulary; }
  uint32_t threads() const override { return team.size(); }
  uint32_t maxTokens() const override;
  uint64_t kvBytesPerToken() const override {
    return kernels.table().kv_bytes_per_token;
  }
  OutlierStatistics outlierStatistics() const override {
    return {outliers[0], outliers[1]};
  }
  std::unique_ptr<KvCache> createCache(uint32_t capacity) override;

  /// The CPU level that the kernels in use were compiled for.
  uint32_t level() const { return variant.cpu_level; }

protected:
  void runParts(std::span<const Part> parts) override;
  void runTeam(const std::function<void(uint32_t)> &work) override {
    team.run(work);
  }

private:
  KernelLibrary kernels;
  const qrt_variant &variant;
  ThreadTeam team;
  Memory arena;
  std::vector<const void *> weights;
  /// qrt_step::outlier_statistics.
  uint64_t outliers[2] = {};
  // The tables of a step; kept, so that a step of a token allocates nothing.
  std::vector<int32_t> ids, positions, rows;
  std::vector<qrt_sequence> sequences;
  /// Where the kernels leave logits that go to several places.
  std::vector<float> together;
};

} // namespace qrt

#endif // QRT_EXECUTOR_CPUEXECUTOR_H
