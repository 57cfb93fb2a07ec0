//===- gptq.cuh - The kernels of GPTQ by name -------------------*- C++ -*-===//
//
// The unit that NVRTC compiles includes this file alone; CudaGptq.cpp finds
// the kernels by these names.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_QUANTIZE_CUDA_KERNELS_GPTQ_CUH
#define QCC_COMPILER_QUANTIZE_CUDA_KERNELS_GPTQ_CUH

#include "compiler/quantize/cuda/kernels/factor.cuh"

#define QCC_GPTQ_KERNEL(name, threads, Arguments, body)                        \
  extern "C" __global__ void __launch_bounds__(threads)                        \
      gptq_##name(const qcc::cuda::Arguments a) {                              \
    qcc::cuda::body(a);                                                        \
  }

QCC_GPTQ_KERNEL(quantize, qcc::cuda::kTileThreads, QuantizeArguments,
                quantizeTile)
QCC_GPTQ_KERNEL(refine, qcc::cuda::kTileThreads, RefineArguments, refineTile)
QCC_GPTQ_KERNEL(solve, qcc::cuda::kTileThreads, SolveArguments, solveTile)
QCC_GPTQ_KERNEL(groups, qcc::cuda::kThreads, GroupArguments, findGroups)
QCC_GPTQ_KERNEL(permute, qcc::cuda::kThreads, PermuteArguments, permuteColumns)
QCC_GPTQ_KERNEL(store, qcc::cuda::kThreads, StoreArguments, storeCodes)
QCC_GPTQ_KERNEL(steps, qcc::cuda::kThreads, StepsArguments, expandSteps)
QCC_GPTQ_KERNEL(errors, qcc::cuda::kThreads, ErrorArguments, findErrors)
QCC_GPTQ_KERNEL(fit, qcc::cuda::kThreads, FitArguments, fitScales)
QCC_GPTQ_KERNEL(wide_fit, qcc::cuda::kThreads, WideFitArguments, fitWideScales)
QCC_GPTQ_KERNEL(sums, qcc::cuda::kThreads, SumArguments, sumRows)
QCC_GPTQ_KERNEL(squares, qcc::cuda::kThreads, SquareArguments, addSquares)
QCC_GPTQ_KERNEL(gather_f32, qcc::cuda::kThreads, GatherArguments,
                gatherReversed<float>)
QCC_GPTQ_KERNEL(gather_f64, qcc::cuda::kThreads, GatherArguments,
                gatherReversed<double>)
QCC_GPTQ_KERNEL(reverse, qcc::cuda::kThreads, SquareMatrixArguments,
                reverseInPlace)
QCC_GPTQ_KERNEL(reverse_f64, qcc::cuda::kThreads, SquareMatrixArguments,
                reverseRounded)
QCC_GPTQ_KERNEL(round, qcc::cuda::kThreads, RoundArguments, roundToBfloats)
QCC_GPTQ_KERNEL(scale, qcc::cuda::kThreads, SquareMatrixArguments, scaleMatrix)
QCC_GPTQ_KERNEL(diagonal, qcc::cuda::kThreads, SquareMatrixArguments,
                copyDiagonal)
QCC_GPTQ_KERNEL(off_diagonal, qcc::cuda::kThreads, SquareMatrixArguments,
                sumOffDiagonal)

#endif // QCC_COMPILER_QUANTIZE_CUDA_KERNELS_GPTQ_CUH
