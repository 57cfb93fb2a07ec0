//===- Manifest.cpp - What an artifact says about itself ------------------===//

#include "compiler/driver/Manifest.h"

#include "codegen/cuda/KernelUnits.h"
#include "compiler/driver/Options.h"
#include "compiler/driver/Version.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Cpu.h"

#include <algorithm>
#include <cstdio>

using namespace mlir;

namespace qcc {

std::unique_ptr<qrt::fb::TensorT> describeTensor(const StreamedTensor &tensor,
                                                 const qrt::fb::Range &data) {
  auto entry = std::make_unique<qrt::fb::TensorT>();
  auto range = [](int64_t offset, int64_t length) {
    return std::make_unique<qrt::fb::Range>(offset, length);
  };
  const PackedLayout &planes = tensor.planes;
  entry->name = tensor.name;
  entry->modules = tensor.modules;
  entry->format = tensor.format.mangled();
  entry->layout = tensor.layout;
  entry->rows = uint64_t(tensor.rows);
  entry->columns = uint64_t(tensor.columns);
  entry->data = std::make_unique<qrt::fb::Range>(data);
  entry->codes = range(planes.codesOffset, planes.codesBytes);
  if (planes.scalesBytes)
    entry->scales = range(planes.scalesOffset, planes.scalesBytes);
  if (planes.zerosBytes)
    entry->zeros = range(planes.zerosOffset, planes.zerosBytes);
  entry->checksum = qrt::checksum(tensor.data);
  QuantizeStatistics sum;
  for (const QuantizeStatistics &part : tensor.statistics)
    sum += part;
  entry->quantization_error = sum.relativeError();
  return entry;
}

/// Phases in the order in which they run; those of a repeat once.
static void describePhases(Block &block, qrt::fb::EntryT &entry) {
  for (Operation &op : block) {
    if (auto repeat = dyn_cast<krn::RepeatOp>(op)) {
      describePhases(repeat.getBody().front(), entry);
      continue;
    }
    bool isData = op.getNumResults() > 0;
    if (isData || isa<krn::BarrierOp>(op))
      continue;
    auto phase = std::make_unique<qrt::fb::PhaseT>();
    phase->name = op.getName().stripDialect().str();
    if (auto gemm = dyn_cast<krn::GemmOp>(op)) {
      phase->kernel = gemm.getKernel().str();
      phase->reason = gemm.getReason().str();
    }
    entry.phases.push_back(std::move(phase));
  }
}

static void describeEntry(krn::EntryOp op, qrt::fb::EntryT &entry) {
  entry.name = op.getSymName().str();
  entry.max_tokens = uint32_t(op.getMaxTokens());
  entry.arena_bytes = uint64_t(op.getArena());
  entry.scratch_bytes = uint64_t(op.getScratch());
  describePhases(op.getBody().front(), entry);
}

std::unique_ptr<qrt::fb::KernelsT>
describeKernels(krn::ProgramOp program,
                llvm::ArrayRef<qrt_cpu_level> variants) {
  auto kernels = std::make_unique<qrt::fb::KernelsT>();
  kernels->target = program.getTarget().getName().str();
  kernels->abi_version = QRT_KERNEL_ABI_VERSION;
  for (qrt_cpu_level level : variants)
    kernels->variants.emplace_back(qrt::cpuLevelName(level));
  for (auto op : program.getOps<krn::EntryOp>()) {
    auto entry = std::make_unique<qrt::fb::EntryT>();
    describeEntry(op, *entry);
    kernels->entries.push_back(std::move(entry));
  }
  llvm::raw_string_ostream(kernels->krn) << program;
  return kernels;
}

void describeCudaKernels(krn::ProgramOp program, qrt::fb::KernelsT &kernels) {
  for (auto &entry : kernels.entries)
    for (auto op : program.getOps<krn::EntryOp>())
      if (op.getSymName() == entry->name) {
        uint64_t needed = entry->arena_bytes;
        describeEntry(op, *entry);
        entry->arena_bytes = std::max(entry->arena_bytes, needed);
      }
  llvm::raw_string_ostream(kernels.krn) << program;
}

static std::string targetsText(const CompileOptions &options) {
  std::string text;
  for (const std::string &target : targetsOf(options))
    text.append(text.empty() ? "" : ",").append(target);
  return text;
}

/// Options that say which passes run.
static void addPassOptions(std::vector<std::string> &options,
                           const LoadedModel &loaded, const CompileOptions &o) {
  options.push_back("dtype=" + (o.dtype.empty() ? loaded.dtype : o.dtype));
  options.push_back("quantize=" + parseScheme(o.scheme, o.schemeOptions));
  if (!o.activations.empty())
    options.push_back("activations=" + o.activations);
  if (!o.lmHead.empty())
    options.push_back("lm-head=" + o.lmHead);
  if (o.outlierThreshold)
    options.push_back("outlier-threshold=" +
                      std::to_string(*o.outlierThreshold));
  for (size_t i = 0; i < o.modules.size(); ++i)
    options.push_back("modules." + std::to_string(i) + "=" + o.modules[i]);
}

/// Options that change the artifact, in one spelling, sorted.
static std::vector<std::string> normalizedOptions(const LoadedModel &loaded,
                                                  const CompileOptions &o) {
  std::vector<std::string> options = {
      "kv-dtype=" + kvDtypeOf(o),
      "target=" + targetsText(o),
  };
  if (o.pipeline.empty())
    addPassOptions(options, loaded, o);
  else
    options.push_back("pipeline=" + o.pipeline);
  if (!o.cpuVariants.empty()) {
    std::string names;
    for (qrt_cpu_level level : cpuVariantsOf(o))
      names.append(names.empty() ? "" : ",").append(qrt::cpuLevelName(level));
    options.push_back("cpu-variants=" + names);
  }
  if (o.randomSeed)
    options.push_back("random-weights=" + std::to_string(*o.randomSeed));
  std::ranges::sort(options);
  return options;
}

void fillManifest(qrt::fb::ManifestT &manifest, const LoadedModel &loaded,
                  const CompileOptions &options, uint64_t sourceHash) {
  const ModelSpec &spec = loaded.spec;
  auto model = std::make_unique<qrt::fb::ModelT>();
  model->architecture = spec.architecture;
  model->vocabulary = uint32_t(spec.vocabulary);
  model->hidden = uint32_t(spec.hidden);
  model->layers = uint32_t(spec.layerCount());
  model->heads = uint32_t(spec.heads);
  model->kv_heads = uint32_t(spec.kvHeads);
  model->head_dim = uint32_t(spec.headDim);
  model->intermediate = uint32_t(spec.intermediate);
  model->context = uint32_t(spec.context);
  if (!spec.positions.empty()) // a table's rows: no session can be longer
    model->positions = uint32_t(spec.context);
  model->bos_id = loaded.bosId;
  model->eos_ids = loaded.eosIds;
  for (const auto &tensor : manifest.tensors)
    if (!loaded.imported.constants.contains(tensor->name))
      model->parameters += tensor->rows * tensor->columns;
  manifest.model = std::move(model);
  manifest.required_features = {"t16"};
  if (loaded.tokenizer)
    manifest.tokenizer = qrt::serialize(*loaded.tokenizer);
  auto named = [](const std::string &name, const std::string &text) {
    auto entry = std::make_unique<qrt::fb::NamedTextT>();
    entry->name = name;
    entry->text = text;
    return entry;
  };
  for (const auto &[name, text] : loaded.chat.templates) {
    if (name == "default")
      manifest.chat_template = text;
    else
      manifest.chat_templates.push_back(named(name, text));
  }
  for (const auto &[name, text] : loaded.chat.specialTokens)
    manifest.special_tokens.push_back(named(name, text));
  auto provenance = std::make_unique<qrt::fb::ProvenanceT>();
  provenance->qcc_version = kVersion;
  char hash[17];
  std::snprintf(hash, sizeof(hash), "%016llx",
                static_cast<unsigned long long>(sourceHash));
  provenance->source_hash = hash;
  provenance->options = normalizedOptions(loaded, options);
  manifest.provenance = std::move(provenance);
}

} // namespace qcc
