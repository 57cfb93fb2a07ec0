//===- CudaExecutor.h - Runs a model on an NVIDIA GPU -----------*- C++ -*-===//

#ifndef QRT_EXECUTOR_CUDA_CUDAEXECUTOR_H
#define QRT_EXECUTOR_CUDA_CUDAEXECUTOR_H

#include "runtime/abi/cuda_abi.h"
#include "runtime/artifact/Artifact.h"
#include "runtime/executor/Executor.h"
#include "runtime/executor/cuda/CublasLt.h"
#include "runtime/executor/cuda/Device.h"
#include "runtime/executor/cuda/Launches.h"
#include "runtime/executor/cuda/PanelStream.h"
#include "runtime/executor/cuda/TokenSampler.h"

#include <optional>
#include <vector>

namespace qrt {

/// Launches the compiled kernels of the artifact's best target for the GPU.
/// Weights, working memory and tables lie in one block of device memory that is
/// sized before it is taken; entries of many tokens have working memory of
/// their own, taken with the first long prompt. Steps of one token are one
/// persistent kernel where the GPU has one, unless QRT_CUDA_PERSISTENT is 0;
/// other entries of few tokens are captured graphs. Tokens are chosen on the
/// GPU unless QRT_CUDA_SAMPLING is 0. Long prompts are multiplied by cuBLASLt,
/// opened with the first of them, where it is present and the artifact says
/// that it is faster (QRT_CUBLASLT: CublasLt.h; QRT_CUBLASLT_FROM=N: from N
/// tokens on, whatever the artifact says).
class CudaExecutor : public Executor {
public:
  /// `artifact` must outlive this. Throws qrt::Error if there is no driver, no
  /// such GPU, no code for it, or not enough memory (with the numbers).
  CudaExecutor(const Artifact &artifact, int ordinal);
  ~CudaExecutor() override;

  /// True if `artifact` has code for some GPU.
  static bool hasCode(const Artifact &artifact);
  /// Why GPU 0 cannot run `artifact`, or empty.
  static std::string unfit(const Artifact &artifact);

  uint32_t vocabulary() const override { return words; }
  uint32_t threads() const override { return 1; }
  uint32_t maxTokens() const override;
  uint64_t kvBytesPerToken() const override { return kvBytes; }
  OutlierStatistics outlierStatistics() const override;
  std::unique_ptr<KvCache> createCache(uint32_t capacity) override;
  LogitMemory allocateLogits(size_t count) override;
  std::unique_ptr<TokenSteps>
  tokenSteps(std::span<const SampledSequence> sequences,
             uint32_t most) override;

  /// The target of the artifact in use: "sm_90".
  const std::string &target() const { return targetName; }
  const cuda::Device &gpu() const { return device; }
  /// What multiplied long prompts: "cuBLASLt 13.1.0", or why it is not used;
  /// empty before the first of them.
  const std::string &promptLibrary() const { return libraryText; }

protected:
  void runParts(std::span<const Part> parts) override;
  void runTeam(const std::function<void(uint32_t)> &work) override { work(0); }

private:
  struct Launch : cuda::Launch {
    uint64_t arena = 0; ///< the address of its entry's working memory
    /// Of a persistent kernel: offsets of its table and its cuts.
    uint64_t tableAt = 0, cutsAt = 0;
  };
  /// An entry's launches for up to so many tokens.
  struct CapturedGraph {
    uint32_t tokens;
    cuda::GraphExec graph;
  };
  struct Entry {
    uint32_t maxTokens;
    bool isPersistent = false;
    std::vector<Launch> launches;
    std::vector<CapturedGraph> graphs; ///< of ascending sizes, or none
  };

  void loadKernels(const Artifact &artifact, const fb::Kernels &kernels);
  void layOutMemory(const Artifact &artifact);
  void resolveOperands();
  cuda::OperandPlaces placesOf(const Launch &launch) const;
  /// Parts of the block of memory begin at multiples of this.
  static constexpr uint64_t kAlignment = 256;
  static uint64_t aligned(uint64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  /// Entries of so few tokens are captured as graphs: one for up to 16 tokens,
  /// one for 32, and so on, since launching blocks that have nothing to do
  /// takes time.
  static constexpr uint32_t kMostGraphTokens = 64, kLeastGraphTokens = 16;

  /// Sends the shares that the GPU's blocks have of a launch's weights.
  void sendCuts(const Launch &launch);
  void sendTable(const Launch &launch);
  /// Makes room for what entries of many tokens work on.
  void reservePromptArena();
  /// Takes the library that long prompts can use, if there is memory for what
  /// it needs and it can compute every product, in a step of so many tokens;
  /// once.
  void takeLibrary(uint32_t tokens);
  /// Makes room for the logits of so many rows.
  void reserveLogits(uint32_t rows);
  void uploadWeights(const Artifact &artifact);
  /// Puts the entry's launches for so many tokens and logits on the stream.
  void enqueue(const Entry &entry, uint32_t tokens, uint32_t logitRows) const;
  cuda::GraphExec capture(const Entry &entry, uint32_t tokens) const;
  void captureAll(Entry &entry) const;
  void destroyGraphs(Entry &entry) const;
  /// Of what a step of so many tokens says.
  static uint64_t stepBytes(uint64_t tokens) {
    return sizeof(qrt_cuda_step) + kAlignment +
           tokens * (4 * sizeof(int32_t) + sizeof(qrt_cuda_sequence));
  }
  /// Where a step's tables are filled.
  struct StepTables;
  static void fillTables(std::span<const Part> parts, const StepTables &to);
  /// What a step says of itself, but for where its tables are.
  qrt_cuda_step describe(std::span<const Part> parts, uint32_t tokens,
                         uint32_t rows) const;
  /// Fills the step's tables in pinned memory, `image`, and sends them. Its
  /// tokens are those at `ids`, where that is not null.
  void sendStep(std::span<const Part> parts, uint32_t tokens, uint32_t rows,
                const cuda::PinnedBuffer &image, cuda::DevicePointer ids = 0);
  /// The same for a kernel that is given them with the launch. Leaves logits
  /// where the caller wants them if that is pinned memory, and says so.
  bool setInlineStep(std::span<const Part> parts, uint32_t tokens,
                     uint32_t rows);
  /// The entry for a step, with the memory that it needs.
  const Entry &entryFor(uint32_t tokens, uint32_t logitRows);
  /// Puts the step's kernels on the stream.
  void launchStep(const Entry &entry, uint32_t tokens,
                  uint32_t logitRows) const;
  class Steps;
  /// Makes `sampler`, if the artifact has a kernel for it that fits.
  void loadSampler(const fb::Kernels &kernels);
  /// What steps that are put on the stream ahead use.
  struct Ahead {
    cuda::Choices choices;
    cuda::PinnedBuffer images[2]; ///< of steps, in turn
  };
  /// Something for steps of so many texts that nothing uses.
  Ahead takeAhead(uint32_t texts);
  /// Puts a step of a token a sequence and the choice of the next ones on the
  /// stream; the choice's ticket. The tokens are those at `tokens`, if that is
  /// not null. `image` is one of `ahead`.
  uint32_t putSampledStep(std::span<const Part> parts,
                          cuda::DevicePointer tokens,
                          const cuda::PinnedBuffer &image, Ahead &ahead);
  /// Frees graphs; everything else frees itself.
  void release();

  cuda::Device device;
  const cuda::Driver &driver;
  std::string targetName;
  uint32_t words;
  uint64_t kvBytes;
  cuda::Images images;
  std::vector<Entry> entries;

  cuda::Buffer memory;
  /// Offsets into it.
  std::vector<uint64_t> tensorAt;
  uint64_t arenaAt = 0, persistentArenaAt = 0, countersAt = 0, partialsAt = 0,
           stepAt = 0, syncAt = 0, statisticsAt = 0;
  uint64_t counterBytes = 0, partialBytes = 0;
  uint64_t promptArenaBytes = 0;
  cuda::Buffer logitRows, promptArena;
  /// What launches for a library need, and the least tokens of their steps, the
  /// former 0 once it was tried to open it.
  uint64_t libraryBytes = 0;
  uint32_t leastLibraryTokens = UINT32_MAX;
  /// Not 0: tokens from which on it is used, whatever launches say.
  uint32_t libraryFrom = 0;
  std::unique_ptr<cuda::CublasLt> library;
  cuda::Buffer libraryArena;
  std::unique_ptr<cuda::PanelStream> panels; ///< with the library
  std::string libraryText;
  cuda::PinnedBuffer stepImage;
  std::optional<cuda::TokenSampler> sampler;
  std::vector<Ahead> idle; ///< of no texts
  qrt_cuda_inline_step inlineStep = {};
};

} // namespace qrt

#endif // QRT_EXECUTOR_CUDA_CUDAEXECUTOR_H
