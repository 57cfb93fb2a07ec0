//===- LowerToKRN.cpp - Makes the phases of one target --------------------===//
//
// The same program is lowered once for each bucket of tokens: the buckets
// differ in kernels and in who stages activations.
//
//===----------------------------------------------------------------------===//

#include "passes/lower/EntryBuilder.h"
#include "passes/lower/Passes.h"

namespace qcc {

#define GEN_PASS_DEF_LOWERTOKRNPASS
#include "passes/lower/Passes.h.inc"

} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {

/// Bytes that a token takes in a layer's cache.
int64_t cacheBytes(tfm::CacheType cache) {
  return 2 * cache.getHeads() * cache.getDim() *
         (cache.getElement().getIntOrFloatBitWidth() / 8);
}

struct LowerToKRN : qcc::impl::LowerToKRNPassBase<LowerToKRN> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto model = module.lookupSymbol<func::FuncOp>("model");
    auto weights = module.lookupSymbol<func::FuncOp>("weights");
    if (!model || !weights) {
      module.emitError("has no @model or no @weights");
      return signalPassFailure();
    }
    if (activations != "f32" && activations != "i16") {
      module.emitError("activations '")
          << activations << "' are neither f32 nor i16";
      return signalPassFailure();
    }

    llvm::StringMap<int64_t> weightIndex;
    for (auto define : weights.getOps<tfm::DefineOp>())
      weightIndex.try_emplace(define.getName(), weightIndex.size());
    SmallVector<int64_t> kvOffsets = {0};
    Type kvElement = Float32Type::get(&getContext());
    for (auto cache : model.getOps<tfm::LayerCacheOp>()) {
      if (int64_t(cache.getLayer()) + 1 != int64_t(kvOffsets.size())) {
        cache.emitOpError("stands out of order: layers are numbered from 0 on");
        return signalPassFailure();
      }
      kvOffsets.push_back(kvOffsets.back() + cacheBytes(cache.getType()));
      kvElement = cache.getType().getElement();
    }
    int64_t kvBytes = kvOffsets.back();

    std::string kv;
    llvm::raw_string_ostream(kv) << kvElement;
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    auto program = krn::ProgramOp::create(
        b, model.getLoc(), target.getValue(),
        krn::TargetAttr::get(&getContext(), target, activations, kv), kvBytes);
    b.createBlock(&program.getBody());
    Bucket buckets[] = {{"persistent", 1, true},
                        {"token", 1},
                        {"decode", decodeTokens},
                        {"batch", batchTokens},
                        {"prefill", prefillTokens}};
    // The persistent kernel does not read split rows yet.
    bool isPersistable = true;
    module.walk([&](qnt::FusedGemmOp gemm) {
      isPersistable &= !gemm.getOutlierThresholdAttr();
    });
    ArrayRef<Bucket> wanted = ArrayRef(buckets).drop_front(!tokenEntry     ? 2
                                                           : isPersistable ? 0
                                                                           : 1);
    if (onlyPrefill)
      wanted = wanted.take_back();
    for (const Bucket &bucket : wanted) {
      b.setInsertionPointToEnd(&program.getBody().front());
      auto entry =
          krn::EntryOp::create(b, model.getLoc(), bucket.name, bucket.maxTokens,
                               bucket.isPersistent, int64_t(0), int64_t(0));
      b.createBlock(&entry.getBody());
      if (failed(EntryBuilder(module, entry, bucket, target == "cuda",
                              activations, weightIndex, kvOffsets)
                     .lower(model)))
        return signalPassFailure();
    }
    if (keep)
      return;
    for (auto function :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (function != weights)
        function.erase();
  }
};

} // namespace
