//===- Options.h - What the options of a compilation mean -------*- C++ -*-===//
//
// All that can be said of options without the model: wrong usage is refused
// before anything is read.
//
//===----------------------------------------------------------------------===//

#ifndef QCC_COMPILER_DRIVER_OPTIONS_H
#define QCC_COMPILER_DRIVER_OPTIONS_H

#include "compiler/driver/Compile.h"
#include "passes/quantize/Pipeline.h"
#include "runtime/abi/kernel_abi.h"

#include <string>
#include <vector>

namespace qcc {

/// Throws qrt::UsageError for the first option that is wrong or contradicts
/// another, whatever the model is.
void checkOptions(const CompileOptions &options);

/// Takes the targets of this machine, "cpu" at least, where none are given.
/// What was taken, and why, as one line; empty if targets are given.
std::string takeDefaultTargets(CompileOptions &options);

/// The targets, sorted, "cpu" first, each once. Throws qrt::UsageError for one
/// that does not exist.
std::vector<std::string> targetsOf(const CompileOptions &options);
/// The CPU variants, sorted, each once. Throws qrt::UsageError for one that
/// does not exist, or without the target cpu.
std::vector<qrt_cpu_level> cpuVariantsOf(const CompileOptions &options);
/// The type of the KV cache.
std::string kvDtypeOf(const CompileOptions &options);
/// The type of activations in GEMMs on the target cpu, where the scheme does
/// not say it: "f32" or "i16".
std::string activationsOf(const CompileOptions &options);
/// The options of the quantize phase. Throws qrt::UsageError.
void fillQuantizeOptions(const CompileOptions &options,
                         QuantizeOptions &quantize);

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_OPTIONS_H
