//===- PhaseConfigs.h - From phases of KRN to kernel configs ----*- C++ -*-===//
//
// One function a phase: checks that the CPU's kernels can do what the op says
// and returns the config that they take (codegen/cpu/kernels/kernels.h). Where
// they cannot, an error is emitted at the op. What KRN's verifiers guarantee is
// taken for granted.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_CPU_PHASECONFIGS_H
#define QCC_CODEGEN_CPU_PHASECONFIGS_H

#include "codegen/cpu/kernels/kernels.h"
#include "dialects/KRN/KRN.h"

namespace qcc::cpu {

/// Rows, columns and tokens up to here are compiled; sizes in bytes then fit
/// into 64 bits with room to spare.
constexpr int64_t kMaxExtent = int64_t(1) << 28;

/// Checks that an entry's tokens, arena and scratch are fit for code: the
/// sizes planned and multiples of 64 bytes.
mlir::LogicalResult checkEntry(krn::EntryOp entry);

/// The byte at which a buffer lies in the arena, or in the thread's scratch if
/// it is private. Fails unless the buffer is planned, aligned and inside.
mlir::FailureOr<int64_t> bufferOffset(krn::BufferOp op, krn::EntryOp entry);
mlir::FailureOr<int64_t> bufferOffset(krn::StagedBufferOp op,
                                      krn::EntryOp entry);

/// Bytes at the end of each thread's scratch that kernels use.
int64_t kernelScratchBytes();

mlir::FailureOr<krn::EmbedConfig> embedConfig(krn::EmbedOp op);
mlir::FailureOr<krn::RopeTableConfig> ropeTableConfig(krn::RopeTableOp op);
mlir::FailureOr<krn::StageConfig> stageConfig(krn::StageOp op);
mlir::FailureOr<krn::StageConfig> findOutliersConfig(krn::FindOutliersOp op);
mlir::FailureOr<krn::GemmConfig> gemmConfig(krn::GemmOp op, int64_t maxTokens);
mlir::FailureOr<krn::RopeAppendConfig> ropeAppendConfig(krn::RopeAppendOp op);
mlir::FailureOr<krn::AttentionConfig> attentionConfig(krn::AttentionOp op);
mlir::FailureOr<krn::StageConfig> normConfig(krn::NormOp op);
mlir::FailureOr<krn::RopeAppendConfig> ropeConfig(krn::RopeOp op);
krn::ElementwiseConfig activationConfig(krn::ActivationOp op);
krn::ElementwiseConfig mapConfig(krn::MapOp op);
krn::ElementwiseConfig mulConfig(krn::MulOp op);
krn::ElementwiseConfig addConfig(krn::AddOp op);

} // namespace qcc::cpu

#endif // QCC_CODEGEN_CPU_PHASECONFIGS_H
