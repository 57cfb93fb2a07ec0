//===- Pipeline.h - The quantize phase --------------------------*- C++ -*-===//

#ifndef QCC_PASSES_QUANTIZE_PIPELINE_H
#define QCC_PASSES_QUANTIZE_PIPELINE_H

#include "passes/quantize/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace qcc {

/// What `--qcc-quantize` takes: the options of `qnt-select` and of the methods.
struct QuantizeOptions : mlir::PassPipelineOptions<QuantizeOptions> {
  ListOption<std::string> rules{
      *this, "rules",
      llvm::cl::desc("REGEX=SCHEME of modules, the first that matches counts")};
  Option<std::string> defaultScheme{
      *this, "default",
      llvm::cl::desc("Scheme of linears that no rule matches"),
      llvm::cl::init("none")};
  Option<std::string> lmHead{
      *this, "lm-head", llvm::cl::desc("Scheme of the head, before all rules")};
  Option<std::string> order{*this, "order",
                            llvm::cl::desc("gptq: order of the columns"),
                            llvm::cl::init("natural")};
  Option<bool> staticGroups{*this, "static-groups",
                            llvm::cl::desc("gptq: find scales first"),
                            llvm::cl::init(false)};
  Option<double> damp{*this, "damp",
                      llvm::cl::desc("gptq: damping of the Hessian"),
                      llvm::cl::init(0.01)};
  Option<bool> trueSequential{
      *this, "true-sequential",
      llvm::cl::desc("gptq: modules see earlier ones quantized"),
      llvm::cl::init(false)};
  Option<int64_t> refine{
      *this, "refine",
      llvm::cl::desc("gptq: sweeps over codes and scales afterwards"),
      llvm::cl::init(0)};
  Option<double> outlierThreshold{
      *this, "outlier-threshold",
      llvm::cl::desc("int8: columns with such a magnitude multiply in float"),
      llvm::cl::init(6.0)};
};

/// From a canonical program to one whose selected weights are quantized.
void buildQuantizePipeline(mlir::OpPassManager &pm,
                           const QuantizeOptions &options);

/// Registers `--qcc-quantize`.
void registerQuantizePipeline();

} // namespace qcc

#endif // QCC_PASSES_QUANTIZE_PIPELINE_H
