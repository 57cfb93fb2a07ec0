//===- Pipeline.h - The fuse phase ------------------------------*- C++ -*-===//

#ifndef QCC_PASSES_FUSE_PIPELINE_H
#define QCC_PASSES_FUSE_PIPELINE_H

#include "passes/fuse/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace qcc {

/// What `--qcc-fuse` takes.
struct FuseOptions : mlir::PassPipelineOptions<FuseOptions> {
  Option<std::string> dtype{
      *this, "dtype",
      llvm::cl::desc("Type of unquantized matrices: f32, f16, bf16; empty for "
                     "the stored one")};
};

/// From a quantized program to one of fused GEMMs and attention.
void buildFusePipeline(mlir::OpPassManager &pm, const FuseOptions &options);

/// Registers `--qcc-fuse`.
void registerFusePipeline();

} // namespace qcc

#endif // QCC_PASSES_FUSE_PIPELINE_H
