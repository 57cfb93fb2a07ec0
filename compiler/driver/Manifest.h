//===- Manifest.h - What an artifact says about itself ----------*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_MANIFEST_H
#define QCC_COMPILER_DRIVER_MANIFEST_H

#include "compiler/driver/Compile.h"
#include "compiler/driver/LoadModel.h"
#include "compiler/weights/WeightStream.h"
#include "dialects/KRN/KRN.h"
#include "runtime/abi/kernel_abi.h"
#include "runtime/schema/qbin_generated.h"

namespace qcc {

/// The entry of a tensor that lies at `data`.
std::unique_ptr<qrt::fb::TensorT> describeTensor(const StreamedTensor &tensor,
                                                 const qrt::fb::Range &data);

/// Entries, phases and text of a program for the CPU; code and checksum are
/// the caller's.
std::unique_ptr<qrt::fb::KernelsT>
describeKernels(krn::ProgramOp program, llvm::ArrayRef<qrt_cpu_level> variants);

/// The same for what compileCuda() made: fills in all but code and checksum.
void describeCudaKernels(krn::ProgramOp program, qrt::fb::KernelsT &kernels);

/// Model facts, tokenizer and provenance.
void fillManifest(qrt::fb::ManifestT &manifest, const LoadedModel &loaded,
                  const CompileOptions &options, uint64_t sourceHash);

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_MANIFEST_H
