//===- Inspect.cpp - qcc inspect ------------------------------------------===//

#include "compiler/qcc/Commands.h"

#include "runtime/artifact/Artifact.h"

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

using nlohmann::ordered_json;
namespace fb = qrt::fb;

namespace qcc {
namespace {

std::string text(const flatbuffers::String *string) {
  return string ? string->str() : "";
}

ordered_json describeTensor(const fb::Tensor &tensor) {
  qrt::Format format = qrt::Format::parse(tensor.format()->string_view());
  ordered_json entry = {
      {"name", text(tensor.name())},
      {"format", text(tensor.format())},
      {"layout", text(tensor.layout())},
      {"shape", {tensor.rows(), tensor.columns()}},
      {"bytes", tensor.data()->length()},
      {"offset", tensor.data()->offset()},
      {"bits_per_weight",
       format.bitsPerWeight(int64_t(tensor.rows()), int64_t(tensor.columns()))},
  };
  if (format.isQuantized())
    entry["error"] = tensor.quantization_error();
  entry["modules"] = ordered_json::array();
  if (tensor.modules())
    for (const auto *module : *tensor.modules())
      entry["modules"].push_back(module->str());
  return entry;
}

/// What launches of an image ask for.
uint32_t dynamicShared(const fb::Kernels &kernels, uint32_t image) {
  for (const fb::Entry *entry : *kernels.entries())
    for (const fb::Launch *launch : *entry->launches())
      if (launch->image() == image && !launch->product())
        return launch->shared_bytes();
  return 0;
}

ordered_json describeKernels(const fb::Kernels &kernels) {
  ordered_json out = {{"target", text(kernels.target())},
                      {"bytes", kernels.code()->length()},
                      {"abi_version", kernels.abi_version()},
                      {"variants", ordered_json::array()},
                      {"entries", ordered_json::array()}};
  if (kernels.variants())
    for (const auto *variant : *kernels.variants())
      out["variants"].push_back(variant->str());
  for (const fb::Entry *entry : *kernels.entries()) {
    ordered_json phases = ordered_json::array();
    if (entry->phases())
      for (const fb::Phase *phase : *entry->phases()) {
        ordered_json item = {{"phase", text(phase->name())}};
        if (phase->kernel() && phase->kernel()->size()) {
          item["kernel"] = text(phase->kernel());
          item["reason"] = text(phase->reason());
        }
        phases.push_back(std::move(item));
      }
    out["entries"].push_back(
        {{"name", text(entry->name())},
         {"max_tokens", entry->max_tokens()},
         {"arena_bytes", entry->arena_bytes()},
         {"scratch_bytes", entry->scratch_bytes()},
         {"library_bytes", entry->library_bytes()},
         {"launches", entry->launches() ? entry->launches()->size() : 0},
         {"phases", std::move(phases)}});
  }
  if (kernels.notes() && kernels.notes()->size())
    for (const auto *note : *kernels.notes())
      out["notes"].push_back(note->str());
  if (!kernels.images())
    return out;
  out["functions"] = ordered_json::array();
  for (uint32_t i = 0; i < kernels.images()->size(); ++i) {
    const fb::Image &image = *kernels.images()->Get(i);
    for (const fb::Function *function : *image.functions())
      out["functions"].push_back(
          {{"name", text(function->name())},
           {"code_bytes", image.length()},
           {"registers", function->registers()},
           {"local_bytes", function->local_bytes()},
           {"static_shared_bytes", function->static_shared()},
           {"dynamic_shared_bytes", dynamicShared(kernels, i)}});
  }
  return out;
}

ordered_json describe(const qrt::Artifact &artifact) {
  const fb::Manifest &manifest = artifact.manifest();
  const fb::Model &model = artifact.model();
  ordered_json eos = ordered_json::array();
  if (model.eos_ids())
    for (int32_t id : *model.eos_ids())
      eos.push_back(id);
  ordered_json templates = ordered_json::array();
  for (const auto &[name, source] : artifact.chat().templates)
    templates.push_back(name);
  ordered_json out = {
      {"file_bytes", artifact.size()},
      {"model",
       {{"architecture", text(model.architecture())},
        {"parameters", model.parameters()},
        {"vocabulary", model.vocabulary()},
        {"hidden", model.hidden()},
        {"layers", model.layers()},
        {"heads", model.heads()},
        {"kv_heads", model.kv_heads()},
        {"head_dim", model.head_dim()},
        {"intermediate", model.intermediate()},
        {"context", model.context()},
        {"bos_id", model.bos_id()},
        {"eos_ids", std::move(eos)}}},
      {"activations", text(manifest.activations())},
      {"kv_dtype", text(manifest.kv_dtype())},
      {"kv_bytes_per_token", manifest.kv_bytes_per_token()},
      {"tokenizer_bytes",
       manifest.tokenizer() ? manifest.tokenizer()->size() : 0},
      {"chat_template",
       manifest.chat_template() && manifest.chat_template()->size() > 0},
      {"chat_templates", std::move(templates)},
  };
  out["tensors"] = ordered_json::array();
  for (const fb::Tensor *tensor : *manifest.tensors())
    out["tensors"].push_back(describeTensor(*tensor));
  out["kernels"] = ordered_json::array();
  for (const fb::Kernels *kernels : *manifest.kernels())
    out["kernels"].push_back(describeKernels(*kernels));
  if (const fb::Provenance *provenance = manifest.provenance()) {
    ordered_json options = ordered_json::array();
    if (provenance->options())
      for (const auto *option : *provenance->options())
        options.push_back(option->str());
    out["provenance"] = {{"qcc_version", text(provenance->qcc_version())},
                         {"source_hash", text(provenance->source_hash())},
                         {"options", std::move(options)}};
  }
  return out;
}

void printText(const ordered_json &all) {
  const ordered_json &model = all["model"];
  std::printf("model        %s, %.1f M parameters, %llu layers, hidden %llu, "
              "%llu heads (%llu kv) of %llu, vocabulary %llu, context %llu\n",
              model["architecture"].get<std::string>().c_str(),
              model["parameters"].get<double>() / 1e6,
              model["layers"].get<unsigned long long>(),
              model["hidden"].get<unsigned long long>(),
              model["heads"].get<unsigned long long>(),
              model["kv_heads"].get<unsigned long long>(),
              model["head_dim"].get<unsigned long long>(),
              model["vocabulary"].get<unsigned long long>(),
              model["context"].get<unsigned long long>());
  std::printf("file         %.2f MB; activations %s; KV cache %s, %llu bytes "
              "a token\n",
              all["file_bytes"].get<double>() / 1e6,
              all["activations"].get<std::string>().c_str(),
              all["kv_dtype"].get<std::string>().c_str(),
              all["kv_bytes_per_token"].get<unsigned long long>());
  std::printf("\n%-24s %-16s %-6s %18s %12s %12s %8s\n", "tensor", "format",
              "layout", "shape", "bytes", "offset", "bits/w");
  for (const ordered_json &tensor : all["tensors"]) {
    std::string shape =
        tensor["shape"][0].dump() + " x " + tensor["shape"][1].dump();
    std::printf("%-24s %-16s %-6s %18s %12llu %12llu %8.3f\n",
                tensor["name"].get<std::string>().c_str(),
                tensor["format"].get<std::string>().c_str(),
                tensor["layout"].get<std::string>().c_str(), shape.c_str(),
                tensor["bytes"].get<unsigned long long>(),
                tensor["offset"].get<unsigned long long>(),
                tensor["bits_per_weight"].get<double>());
  }
  for (const ordered_json &kernels : all["kernels"]) {
    std::printf("\nkernels for %s: %llu bytes",
                kernels["target"].get<std::string>().c_str(),
                kernels["bytes"].get<unsigned long long>());
    for (size_t i = 0; i < kernels["variants"].size(); ++i)
      std::printf("%s %s", i ? "" : ", variants",
                  kernels["variants"][i].get<std::string>().c_str());
    std::puts("");
    if (kernels.contains("functions"))
      for (const ordered_json &function : kernels["functions"])
        std::printf(
            "  %-20s %3llu registers, %llu bytes local, %llu shared\n",
            function["name"].get<std::string>().c_str(),
            function["registers"].get<unsigned long long>(),
            function["local_bytes"].get<unsigned long long>(),
            function["static_shared_bytes"].get<unsigned long long>() +
                function["dynamic_shared_bytes"].get<unsigned long long>());
    if (kernels.contains("notes"))
      for (const ordered_json &note : kernels["notes"])
        std::printf("  note: %s\n", note.get<std::string>().c_str());
    for (const ordered_json &entry : kernels["entries"]) {
      std::printf("  @%s: up to %llu tokens, arena %llu bytes, scratch %llu "
                  "a thread",
                  entry["name"].get<std::string>().c_str(),
                  entry["max_tokens"].get<unsigned long long>(),
                  entry["arena_bytes"].get<unsigned long long>(),
                  entry["scratch_bytes"].get<unsigned long long>());
      if (auto bytes = entry["library_bytes"].get<unsigned long long>())
        std::printf(", %llu more with cuBLASLt", bytes);
      std::puts("");
      for (const ordered_json &phase : entry["phases"]) {
        std::printf("    %s", phase["phase"].get<std::string>().c_str());
        if (phase.contains("kernel"))
          std::printf(": %s (%s)", phase["kernel"].get<std::string>().c_str(),
                      phase["reason"].get<std::string>().c_str());
        std::puts("");
      }
    }
  }
  const ordered_json provenance =
      all.value("provenance", ordered_json::object());
  std::printf("\nprovenance   qcc %s, source %s\n",
              provenance.value("qcc_version", "").c_str(),
              provenance.value("source_hash", "").c_str());
  if (provenance.contains("options"))
    for (const ordered_json &option : provenance["options"])
      std::printf("             %s\n", option.get<std::string>().c_str());
}

} // namespace

void inspectArtifact(const std::string &path, bool json) {
  ordered_json all = describe(qrt::Artifact(path));
  if (json)
    std::cout << all.dump(2, ' ', false, ordered_json::error_handler_t::replace)
              << '\n';
  else
    printText(all);
}

} // namespace qcc
