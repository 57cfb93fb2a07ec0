//===- step_parts.cuh - Who attends to what in a step -----------*- C++ -*-===//
//
// The positions that the tokens of a step of up to 64 look at, as parts of
// about equal length. Every block finds its own part from the step's tables,
// which are there before the first kernel begins.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CUDA_KERNELS_STEP_PARTS_CUH
#define QCC_CODEGEN_CUDA_KERNELS_STEP_PARTS_CUH

#include "codegen/cuda/kernels/common.cuh"

namespace qcc::cuda {

constexpr int kBlockPositions = QRT_CUDA_KV_TILE;
/// The fewest blocks of positions that are worth a part.
constexpr int kPartBlocks = 8;

/// Blocks [from, to) of the positions that `token` sees, which is at
/// `position`: part `part` of `parts`, the first of which has `firstSlot`.
struct StepPart {
  int token, position, from, to, part, parts, firstSlot;
};

/// The part that has `slot` of `slots`, which are twice the step's tokens or
/// more; token -1 if none has. All lanes of a warp call it.
template <int Window>
QCC_DEVICE StepPart findPart(const Step *step, int slot, int slots) {
  const int lane = threadIdx.x % 32, tokens = step->tokens;
  const uint32_t *owner = pointer<const uint32_t>(step->token_sequence);
  const Sequence *sequences = pointer<const Sequence>(step->sequences);
  auto firstBlock = [](int position) {
    return Window > 0 ? larger(0, position - Window + 1) / kBlockPositions : 0;
  };
  int position[2] = {}, blocks[2] = {};
#pragma unroll
  for (int i = 0; i < 2; ++i)
    if (const int token = lane + 32 * i; token < tokens) {
      const Sequence &sequence = sequences[owner[token]];
      position[i] = int(sequence.past) + token - int(sequence.first_token);
      blocks[i] = position[i] / kBlockPositions + 1 - firstBlock(position[i]);
    }
  int all = blocks[0] + blocks[1];
#pragma unroll
  for (int o = 16; o; o /= 2)
    all += __shfl_xor_sync(~0U, all, o);
  const int spare = larger(slots - tokens, 1);
  const int each = larger(kPartBlocks, (all + spare - 1) / spare);
  StepPart found = {-1};
  int before = 0;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int parts = (blocks[i] + each - 1) / each;
    int upTo = parts;
#pragma unroll
    for (int o = 1; o < 32; o *= 2) {
      const int other = __shfl_up_sync(~0U, upTo, o);
      upTo += lane >= o ? other : 0;
    }
    const int first = before + upTo - parts;
    const uint32_t mine =
        __ballot_sync(~0U, slot >= first && slot < first + parts);
    if (mine) {
      const int from = __ffs(int(mine)) - 1;
      found.token = from + 32 * i;
      found.position = __shfl_sync(~0U, position[i], from);
      found.parts = __shfl_sync(~0U, parts, from);
      found.firstSlot = __shfl_sync(~0U, first, from);
      found.part = slot - found.firstSlot;
      found.from = firstBlock(found.position) + found.part * each;
      found.to =
          smaller(found.position / kBlockPositions + 1, found.from + each);
    }
    before += __shfl_sync(~0U, upTo, 31);
  }
  return found;
}

} // namespace qcc::cuda

#endif // QCC_CODEGEN_CUDA_KERNELS_STEP_PARTS_CUH
