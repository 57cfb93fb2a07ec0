//===- LoadModel.cpp - From a user's MODEL to a TFM program ---------------===//

#include "compiler/driver/LoadModel.h"

#include "compiler/driver/RandomWeights.h"
#include "compiler/quantize/FiniteCheck.h"
#include "frontends/architectures/Architectures.h"
#include "frontends/checkpoint/GgufTokenizerFields.h"
#include "frontends/checkpoint/Hub.h"
#include "frontends/tokenizer/ChatImport.h"
#include "frontends/tokenizer/TokenizerImport.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <vector>

namespace fs = std::filesystem;
using namespace mlir;
using qrt::Error;

namespace qcc {
namespace {

Type elementType(MLIRContext &context, TensorType type) {
  switch (type) {
  case TensorType::F64:
    return Float64Type::get(&context);
  case TensorType::F16:
    return Float16Type::get(&context);
  case TensorType::BF16:
    return BFloat16Type::get(&context);
  default:
    return Float32Type::get(&context); // block types are read as f32
  }
}

/// The type that options call f32, f16 or bf16.
Type floatType(MLIRContext &context, const std::string &name) {
  if (name == "f16")
    return Float16Type::get(&context);
  if (name == "bf16")
    return BFloat16Type::get(&context);
  return Float32Type::get(&context);
}

class CheckpointSource : public TensorSource {
public:
  CheckpointSource(MLIRContext &context, const Checkpoint &checkpoint)
      : context(context), checkpoint(checkpoint) {}
  StringRef scope() const override { return "checkpoint"; }
  std::string where() const override { return checkpoint.path(); }
  std::optional<StoredTensor> find(const std::string &name) const override {
    const TensorInfo *info = checkpoint.find(name);
    if (!info)
      return std::nullopt;
    if (!traits(info->type).isFloat)
      throw Error("tensor '" + name + "' holds " +
                      std::string(traits(info->type).name) + ", not floats",
                  checkpoint.fileName(*info));
    return StoredTensor{info->shape, elementType(context, info->type),
                        info->rotaryPermuted};
  }

private:
  MLIRContext &context;
  const Checkpoint &checkpoint;
};

/// Refuses a checkpoint with tensors that the model has no use for: its
/// configuration does not describe it.
void checkAllUsed(const Checkpoint &checkpoint, const ImportedModel &imported,
                  const ModelSpec &spec) {
  // Buffers that older transformers saved, and what a tied head repeats.
  static const char *const buffers[] = {
      ".rotary_emb.inv_freq",        ".attn.bias",
      ".attn.masked_bias",           ".attention.bias",
      ".attention.masked_bias",      ".attn.attention.bias",
      ".attn.attention.masked_bias", ".rotary_emb.cos_cached",
      ".rotary_emb.sin_cached"};
  std::vector<std::string> extra;
  for (const TensorInfo &info : checkpoint.tensors()) {
    const std::string &name = info.name;
    // GGUF's rotary factors are in the configuration already.
    if (imported.tensors.contains(name) || name.starts_with("rope_f") ||
        (spec.tied && name == spec.head.module + ".weight"))
      continue;
    if (std::ranges::none_of(buffers, [&](const char *suffix) {
          return name.ends_with(suffix);
        }))
      extra.push_back(name);
  }
  if (extra.empty())
    return;
  throw Error(
      "tensor '" + extra.front() + "'" +
          (extra.size() > 1
               ? " and " + std::to_string(extra.size() - 1) + " more are"
               : " is") +
          " no part of the model that its configuration describes",
      checkpoint.path());
}

/// A head that the checkpoint holds and that is not the embedding is not tied,
/// whatever the configuration says: as in transformers 5.
void untieOtherHead(const Checkpoint &checkpoint, ModelSpec &spec) {
  auto find = [&](const std::string &module) {
    const TensorInfo *info = checkpoint.find(module + ".weight");
    if (!info && module.starts_with(spec.basePrefix))
      info = checkpoint.find(module.substr(spec.basePrefix.size()) + ".weight");
    return info;
  };
  const TensorInfo *head = find(spec.head.module);
  const TensorInfo *embedding = find(spec.embedding);
  if (!spec.tied || !head || !embedding)
    return;
  if (head->shape != embedding->shape) {
    spec.tied = false;
    return;
  }
  // Pages are given back on the way: together these may be the largest tensors
  // of a model.
  constexpr int64_t step = 1 << 16, held = 1 << 24;
  std::vector<float> a(step), b(step);
  for (int64_t at = 0; at < head->elements() && spec.tied; at += step) {
    if (at % held == 0) {
      checkpoint.release(*head);
      checkpoint.release(*embedding);
    }
    int64_t count = std::min(step, head->elements() - at);
    checkpoint.readF32(*head, at, count, a.data());
    checkpoint.readF32(*embedding, at, count, b.data());
    spec.tied = std::memcmp(a.data(), b.data(), size_t(count) * 4) == 0;
  }
  checkpoint.release(*head);
  checkpoint.release(*embedding);
}

/// Parameters of all scopes.
class ModelParameters : public ParameterReader {
public:
  ModelParameters(std::unique_ptr<Checkpoint> checkpoint, uint64_t seed,
                  const std::map<std::string, std::vector<float>> &constants)
      : checkpoint(std::move(checkpoint)), seed(seed), constants(constants) {}

  void read(tfm::ParamAttr param, RankedTensorType type, int64_t first,
            int64_t count, float *out) const override {
    std::string key = param.getKey().str();
    if (param.getScope() == "constant") {
      auto it = constants.find(key);
      if (it == constants.end() || first + count > int64_t(it->second.size()))
        throw Error("constant '" + key + "' has no such elements");
      std::copy_n(it->second.data() + first, count, out);
    } else if (param.getScope() == "random") {
      randomWeights(seed, key, type.getShape(), first, count, out);
    } else {
      const TensorInfo *info = checkpoint ? checkpoint->find(key) : nullptr;
      if (!info)
        throw Error("tensor '" + key + "' is missing");
      checkpoint->readF32(*info, first, count, out);
      if (std::optional<int64_t> at = findNonFinite(out, count))
        throw Error("tensor '" + key + "' holds " +
                        (std::isnan(out[*at]) ? "a NaN" : "an infinity") +
                        " at element " + std::to_string(first + *at),
                    checkpoint->fileName(*info));
    }
  }

  void release(tfm::ParamAttr param) const override {
    if (checkpoint && param.getScope() == "checkpoint")
      if (const TensorInfo *info = checkpoint->find(param.getKey().str()))
        checkpoint->release(*info);
  }

private:
  std::unique_ptr<Checkpoint> checkpoint;
  uint64_t seed;
  const std::map<std::string, std::vector<float>> constants;
};

/// Ids of a field that holds one id or a list, in [0, vocabulary).
std::vector<int32_t> readIds(const nlohmann::json &config, const char *field,
                             int64_t vocabulary) {
  std::vector<int32_t> ids;
  if (!config.is_object() || !config.contains(field))
    return ids;
  const nlohmann::json &value = config[field];
  auto add = [&](const nlohmann::json &id) {
    if (id.is_number_integer() && id.get<int64_t>() >= 0 &&
        id.get<int64_t>() < vocabulary)
      ids.push_back(int32_t(id.get<int64_t>()));
  };
  if (value.is_array())
    for (const nlohmann::json &id : value)
      add(id);
  else
    add(value);
  return ids;
}

/// The most frequent type among the matrices of a checkpoint.
std::string dominantType(const Checkpoint &checkpoint) {
  int64_t elements[3] = {};
  for (const TensorInfo &info : checkpoint.tensors()) {
    if (info.shape.size() != 2)
      continue;
    int kind = info.type == TensorType::F16    ? 1
               : info.type == TensorType::BF16 ? 2
                                               : 0;
    elements[kind] += info.elements();
  }
  static const char *const names[] = {"f32", "f16", "bf16"};
  return names[std::ranges::max_element(elements) - elements];
}

std::string configuredType(const nlohmann::json &config) {
  for (const char *field : {"dtype", "torch_dtype"})
    if (config.contains(field) && config[field].is_string()) {
      auto name = config[field].get<std::string>();
      if (name == "float16")
        return "f16";
      if (name == "bfloat16")
        return "bf16";
    }
  return "f32";
}

std::optional<qrt::TokenizerModel> tokenizerOf(const Checkpoint &checkpoint) {
  if (!checkpoint.isGguf())
    return importTokenizerFolder(checkpoint.path());
  const auto &gguf = static_cast<const GgufCheckpoint &>(checkpoint);
  std::optional<GgufTokenizerFields> fields =
      readGgufTokenizerFields(gguf.metadata());
  if (!fields)
    return std::nullopt;
  return importGgufTokenizer(*fields, checkpoint.path());
}

qrt::chat::ChatSource chatOf(const Checkpoint &checkpoint) {
  if (!checkpoint.isGguf())
    return importChat(checkpoint.path());
  return readGgufChat(
      static_cast<const GgufCheckpoint &>(checkpoint).metadata());
}

/// Only the configuration of MODEL, for random weights.
nlohmann::json configurationOf(const std::string &path) {
  std::error_code error;
  if (fs::is_directory(path, error))
    return readJsonFile((fs::path(path) / "config.json").string());
  if (path.ends_with(".json"))
    return readJsonFile(path);
  return Checkpoint::open(path)->config();
}

void readSpecialIds(LoadedModel &loaded, const nlohmann::json &config,
                    const nlohmann::json &generation) {
  // generation_config.json says what ends a text; config.json where it is
  // silent.
  std::set<int32_t> eos;
  for (const nlohmann::json *source : {&generation, &config}) {
    for (int32_t id : readIds(*source, "eos_token_id", loaded.spec.vocabulary))
      eos.insert(id);
    if (!eos.empty())
      break;
  }
  loaded.eosIds.assign(eos.begin(), eos.end());
  std::vector<int32_t> bos =
      readIds(config, "bos_token_id", loaded.spec.vocabulary);
  if (!bos.empty())
    loaded.bosId = bos[0];
}

} // namespace

LoadedModel loadModel(MLIRContext &context, const std::string &model,
                      std::optional<uint64_t> randomSeed,
                      const std::string &kvDtype) {
  Type kvElement = floatType(context, kvDtype);
  std::string path = resolveModel(model);
  LoadedModel loaded;
  if (randomSeed) {
    nlohmann::json config = configurationOf(path);
    loaded.spec = readModelSpec(config);
    loaded.dtype = configuredType(config);
    loaded.imported =
        buildModel(context, loaded.spec,
                   RandomSource(floatType(context, loaded.dtype)), kvElement);
    readSpecialIds(loaded, config, nullptr);
    std::error_code error;
    if (fs::is_directory(path, error)) {
      loaded.tokenizer = importTokenizerFolder(path);
      loaded.chat = importChat(path);
    }
    std::string text = config.dump() + std::to_string(*randomSeed);
    loaded.contentHash = [text] {
      return qrt::checksum(
          {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
    };
    loaded.parameters = std::make_unique<ModelParameters>(
        nullptr, *randomSeed, loaded.imported.constants);
    return loaded;
  }

  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path);
  loaded.spec = readModelSpec(checkpoint->config());
  untieOtherHead(*checkpoint, loaded.spec);
  loaded.imported = buildModel(
      context, loaded.spec, CheckpointSource(context, *checkpoint), kvElement);
  checkAllUsed(*checkpoint, loaded.imported, loaded.spec);
  loaded.dtype = dominantType(*checkpoint);
  if (checkpoint->isGguf() &&
      static_cast<GgufCheckpoint &>(*checkpoint).isQuantized())
    loaded.dtype = "bf16";
  loaded.tokenizer = tokenizerOf(*checkpoint);
  loaded.chat = chatOf(*checkpoint);
  readSpecialIds(loaded, checkpoint->config(), checkpoint->generationConfig());
  const Checkpoint *source = checkpoint.get();
  loaded.contentHash = [source] { return source->contentHash(); };
  loaded.parameters = std::make_unique<ModelParameters>(
      std::move(checkpoint), 0, loaded.imported.constants);
  return loaded;
}

qrt::TokenizerModel loadTokenizer(const std::string &model) {
  std::string path = resolveModel(model);
  std::error_code error;
  std::optional<qrt::TokenizerModel> tokenizer;
  if (path.ends_with(".gguf"))
    tokenizer = tokenizerOf(*Checkpoint::open(path));
  else
    tokenizer = importTokenizerFolder(path);
  if (!tokenizer)
    throw Error("there is no tokenizer", path);
  return std::move(*tokenizer);
}

qrt::chat::ChatSource loadChat(const std::string &model) {
  std::error_code error;
  // A template's file is no model, which resolveModel() looks for.
  bool isText = (model.ends_with(".jinja") || model.ends_with(".json")) &&
                fs::is_regular_file(model, error);
  std::string path = isText ? model : resolveModel(model);
  auto has = [&](const char *name) {
    return fs::exists(fs::path(path) / name, error);
  };
  qrt::chat::ChatSource chat;
  if (path.ends_with(".gguf")) {
    qrt::MappedFile file(path);
    chat = readGgufChat(parseGguf(file.bytes(), path).metadata);
  } else {
    chat = importChat(path);
    if (chat.templates.empty() && !isText && !has("config.json") &&
        !has("tokenizer_config.json"))
      chat = chatOf(*Checkpoint::open(path)); // a folder with a GGUF file
  }
  if (chat.templates.empty())
    throw Error("there is no chat template", path);
  return chat;
}

} // namespace qcc
