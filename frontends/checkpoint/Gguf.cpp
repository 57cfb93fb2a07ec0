//===- Gguf.cpp - GGUF files ----------------------------------------------===//

#include "frontends/checkpoint/Gguf.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <bit>
#include <cstring>

using qrt::Error;

namespace qcc {

//===----------------------------------------------------------------------===//
// Metadata
//===----------------------------------------------------------------------===//

template <typename T>
static const T *valueOf(const GgufMetadata &meta, const std::string &key,
                        const char *kind) {
  auto it = meta.values.find(key);
  if (it == meta.values.end())
    return nullptr;
  const T *value = std::get_if<T>(&it->second);
  if (!value)
    throw Error("metadata '" + key + "' is not " + kind, meta.file);
  return value;
}

std::optional<int64_t> GgufMetadata::integer(const std::string &key) const {
  auto it = values.find(key);
  if (it == values.end())
    return std::nullopt;
  if (auto *value = std::get_if<uint64_t>(&it->second);
      value && *value <= uint64_t(INT64_MAX))
    return int64_t(*value);
  if (auto *value = std::get_if<int64_t>(&it->second))
    return *value;
  throw Error("metadata '" + key + "' is not an integer", file);
}

std::optional<double> GgufMetadata::number(const std::string &key) const {
  auto *value = valueOf<double>(*this, key, "a float");
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<bool> GgufMetadata::boolean(const std::string &key) const {
  auto *value = valueOf<bool>(*this, key, "a boolean");
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<std::string> GgufMetadata::string(const std::string &key) const {
  auto *value = valueOf<std::string>(*this, key, "a string");
  return value ? std::optional(*value) : std::nullopt;
}

std::vector<std::string> GgufMetadata::strings(const std::string &key) const {
  auto *value =
      valueOf<std::vector<std::string>>(*this, key, "an array of strings");
  return value ? *value : std::vector<std::string>();
}

std::vector<double> GgufMetadata::numbers(const std::string &key) const {
  auto *value = valueOf<std::vector<double>>(*this, key, "an array of floats");
  return value ? *value : std::vector<double>();
}

std::vector<int64_t> GgufMetadata::integers(const std::string &key) const {
  auto *value =
      valueOf<std::vector<int64_t>>(*this, key, "an array of integers");
  return value ? *value : std::vector<int64_t>();
}

int64_t GgufMetadata::required(const std::string &key) const {
  std::optional<int64_t> value = integer(key);
  if (!value)
    throw Error("metadata '" + key + "' is missing", file);
  return *value;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

enum ValueKind : uint32_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64
};

/// Reads forward through a file; every read is checked.
class Reader {
public:
  Reader(std::span<const uint8_t> bytes, const std::string &file)
      : bytes(bytes), file(file) {}

  uint64_t position() const { return at; }
  uint64_t left() const { return bytes.size() - at; }

  template <typename T>
  T number(const char *what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    at += sizeof(T);
    return value;
  }
  std::string string(const char *what) {
    auto length = number<uint64_t>(what);
    need(length, what);
    std::string text(reinterpret_cast<const char *>(bytes.data()) + at,
                     size_t(length));
    at += length;
    return text;
  }
  /// A count of things of at least `size` bytes each: what does not fit into
  /// the rest of the file is refused before anything is allocated.
  uint64_t count(uint64_t size, const char *what) {
    auto value = number<uint64_t>(what);
    if (value > left() / size)
      throw Error(std::string(what) + " is " + std::to_string(value) +
                      ", more than fits into the file",
                  file);
    return value;
  }

  GgufValue value(uint32_t kind, const std::string &key) {
    switch (kind) {
    case U8:
      return uint64_t(number<uint8_t>("a value"));
    case U16:
      return uint64_t(number<uint16_t>("a value"));
    case U32:
      return uint64_t(number<uint32_t>("a value"));
    case U64:
      return number<uint64_t>("a value");
    case I8:
      return int64_t(number<int8_t>("a value"));
    case I16:
      return int64_t(number<int16_t>("a value"));
    case I32:
      return int64_t(number<int32_t>("a value"));
    case I64:
      return number<int64_t>("a value");
    case F32:
      return double(number<float>("a value"));
    case F64:
      return number<double>("a value");
    case Bool:
      return number<uint8_t>("a value") != 0;
    case String:
      return string("a string");
    case Array:
      return array(key);
    default:
      throw Error("metadata '" + key + "' has the unknown type " +
                      std::to_string(kind),
                  file);
    }
  }

private:
  void need(uint64_t size, const char *what) {
    if (size > left())
      throw Error("the file ends at byte " + std::to_string(bytes.size()) +
                      " inside " + what + " at byte " + std::to_string(at),
                  file, "the file may be truncated");
  }

  GgufValue array(const std::string &key) {
    auto kind = number<uint32_t>("an array's type");
    if (kind == String) {
      uint64_t size = count(8, "an array's length");
      std::vector<std::string> out;
      out.reserve(size);
      for (uint64_t i = 0; i < size; ++i)
        out.push_back(string("a string"));
      return out;
    }
    static constexpr uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (kind > F64 || sizes[kind] == 0)
      throw Error("metadata '" + key + "' is an array of the type " +
                      std::to_string(kind),
                  file);
    uint64_t size = count(sizes[kind], "an array's length");
    if (kind == F32 || kind == F64) {
      std::vector<double> out;
      out.reserve(size);
      for (uint64_t i = 0; i < size; ++i)
        out.push_back(std::get<double>(value(kind, key)));
      return out;
    }
    std::vector<int64_t> out;
    out.reserve(size);
    for (uint64_t i = 0; i < size; ++i)
      out.push_back(std::visit(
          [](auto &&v) -> int64_t {
            if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>)
              return int64_t(v);
            return 0;
          },
          value(kind, key)));
    return out;
  }

  std::span<const uint8_t> bytes;
  const std::string &file;
  uint64_t at = 0;
};

/// ggml's numbers of types (enum ggml_type).
std::optional<TensorType> ggmlType(uint32_t number) {
  switch (number) {
  case 0:
    return TensorType::F32;
  case 1:
    return TensorType::F16;
  case 2:
    return TensorType::Q4_0;
  case 3:
    return TensorType::Q4_1;
  case 6:
    return TensorType::Q5_0;
  case 7:
    return TensorType::Q5_1;
  case 8:
    return TensorType::Q8_0;
  case 12:
    return TensorType::Q4_K;
  case 14:
    return TensorType::Q6_K;
  case 24:
    return TensorType::I8;
  case 25:
    return TensorType::I16;
  case 26:
    return TensorType::I32;
  case 27:
    return TensorType::I64;
  case 28:
    return TensorType::F64;
  case 30:
    return TensorType::BF16;
  default:
    return std::nullopt;
  }
}

/// The Hugging Face name of a tensor of a llama, or the name itself.
std::string huggingFaceName(const std::string &name) {
  static const std::map<std::string, std::string> global = {
      {"token_embd", "model.embed_tokens"},
      {"output_norm", "model.norm"},
      {"output", "lm_head"},
  };
  static const std::map<std::string, std::string> inLayer = {
      {"attn_norm", "input_layernorm"},
      {"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},
      {"attn_output", "self_attn.o_proj"},
      {"ffn_norm", "post_attention_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},
      {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"},
  };
  size_t dot = name.rfind('.');
  if (dot == std::string::npos)
    return name;
  std::string stem = name.substr(0, dot), suffix = name.substr(dot);
  if (auto it = global.find(stem); it != global.end())
    return it->second + suffix;
  if (stem.starts_with("blk.")) {
    size_t next = stem.find('.', 4);
    if (next != std::string::npos)
      if (auto it = inLayer.find(stem.substr(next + 1)); it != inLayer.end())
        return "model.layers." + stem.substr(4, next - 4) + "." + it->second +
               suffix;
  }
  return name;
}

} // namespace

void GgufCheckpoint::open() {
  files.emplace_back(location);
  meta.file = location;
  std::span<const uint8_t> bytes = files[0].bytes();
  Reader reader(bytes, location);
  if (bytes.size() < 8 || std::memcmp(bytes.data(), "GGUF", 4) != 0)
    throw Error("not a GGUF file", location);
  reader.number<uint32_t>("the magic");
  auto version = reader.number<uint32_t>("the version");
  if (std::endian::native == std::endian::little && (version & 0xffff) == 0)
    throw Error("the file is big-endian", location,
                "convert it to little-endian");
  if (version != 2 && version != 3)
    throw Error("GGUF version " + std::to_string(version) +
                    " is not supported; 2 and 3 are",
                location);
  uint64_t tensorCount = reader.count(24, "the number of tensors");
  uint64_t valueCount = reader.count(12, "the number of metadata values");
  for (uint64_t i = 0; i < valueCount; ++i) {
    std::string key = reader.string("a metadata key");
    auto kind = reader.number<uint32_t>("a metadata type");
    GgufValue value = reader.value(kind, key);
    if (!meta.values.emplace(key, std::move(value)).second)
      throw Error("metadata '" + key + "' is there twice", location);
  }

  struct Entry {
    TensorInfo info;
    uint64_t offset;
  };
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < tensorCount; ++i) {
    TensorInfo info;
    std::string name = reader.string("a tensor's name");
    auto rank = reader.number<uint32_t>("a tensor's rank");
    if (rank > 4)
      throw Error("tensor '" + name + "' has rank " + std::to_string(rank),
                  location);
    for (uint32_t d = 0; d < rank; ++d) {
      auto size = reader.number<uint64_t>("a tensor's shape");
      // GGUF lists the fastest dimension first.
      info.shape.insert(info.shape.begin(),
                        size > (uint64_t(1) << 62) ? -1 : int64_t(size));
    }
    auto number = reader.number<uint32_t>("a tensor's type");
    auto offset = reader.number<uint64_t>("a tensor's offset");
    std::optional<TensorType> type = ggmlType(number);
    if (!type)
      throw Error("tensor '" + name + "' has the ggml type " +
                      std::to_string(number) + ", which is not supported",
                  location);
    info.type = *type;
    int64_t elements = info.elements();
    const TypeTraits &t = traits(*type);
    if (elements < 0 || elements > (int64_t(1) << 58) ||
        (!info.shape.empty() && info.shape.back() % t.elements != 0))
      throw Error("tensor '" + name +
                      "' has a shape that does not fit its "
                      "type " +
                      std::string(t.name),
                  location);
    info.bytes = uint64_t(elements / t.elements * t.bytes);
    info.name = huggingFaceName(name);
    // convert_hf_to_gguf permutes q and k of llama for ggml's rope.
    info.rotaryPermuted = name.find("attn_q.") != std::string::npos ||
                          name.find("attn_k.") != std::string::npos;
    entries.push_back({std::move(info), offset});
  }

  int64_t alignment = meta.integer("general.alignment").value_or(32);
  if (alignment < 1 || alignment > (1 << 20) ||
      (alignment & (alignment - 1)) != 0)
    throw Error("metadata 'general.alignment' is " + std::to_string(alignment) +
                    ", no power of two",
                location);
  uint64_t align = uint64_t(alignment);
  uint64_t data = (reader.position() + align - 1) / align * align;
  for (Entry &entry : entries) {
    if (entry.offset % align != 0)
      throw Error("tensor '" + entry.info.name + "' lies at offset " +
                      std::to_string(entry.offset) +
                      ", no multiple of the alignment " + std::to_string(align),
                  location);
    if (entry.offset > (uint64_t(1) << 62))
      throw Error("tensor '" + entry.info.name + "' lies at offset " +
                      std::to_string(entry.offset),
                  location);
    entry.info.offset = data + entry.offset;
    add(std::move(entry.info));
  }
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const TensorInfo &info : infos)
    ranges.emplace_back(info.offset, info.offset + info.bytes);
  std::ranges::sort(ranges);
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].second)
      throw Error("tensors overlap at byte " + std::to_string(ranges[i].first),
                  location);
  makeConfig();
}

void GgufCheckpoint::makeConfig() {
  std::string architecture = meta.string("general.architecture").value_or("");
  configuration = nlohmann::json::object();
  if (architecture.empty() && infos.size() <= 3) {
    configuration["model_type"] = "";
    return; // a container of tensors, not a model
  }
  if (architecture != "llama")
    throw Error("GGUF architecture '" + architecture + "' is not supported",
                location, "llama is");
  auto key = [](const char *name) { return std::string("llama.") + name; };
  int64_t hidden = meta.required(key("embedding_length"));
  int64_t heads = meta.required(key("attention.head_count"));
  configuration["model_type"] = "llama";
  configuration["hidden_size"] = hidden;
  configuration["num_attention_heads"] = heads;
  configuration["num_hidden_layers"] = meta.required(key("block_count"));
  configuration["intermediate_size"] =
      meta.required(key("feed_forward_length"));
  configuration["num_key_value_heads"] =
      meta.integer(key("attention.head_count_kv")).value_or(heads);
  configuration["max_position_embeddings"] =
      meta.required(key("context_length"));
  configuration["rms_norm_eps"] =
      meta.number(key("attention.layer_norm_rms_epsilon")).value_or(1e-5);
  configuration["rope_theta"] =
      meta.number(key("rope.freq_base")).value_or(10000.0);
  if (heads > 0)
    configuration["head_dim"] =
        meta.integer(key("attention.key_length")).value_or(hidden / heads);
  std::string scaling = meta.string(key("rope.scaling.type")).value_or("none");
  if (scaling == "linear")
    configuration["rope_scaling"] = {
        {"rope_type", "linear"},
        {"factor", meta.number(key("rope.scaling.factor")).value_or(1.0)}};
  else if (scaling != "none")
    configuration["rope_scaling"] = {{"rope_type", scaling}};
  const TensorInfo *embedding = find("model.embed_tokens.weight");
  if (!embedding || embedding->shape.size() != 2)
    throw Error("tensor 'token_embd.weight' is missing", location);
  configuration["vocab_size"] = embedding->shape[0];
  configuration["tie_word_embeddings"] = find("lm_head.weight") == nullptr;
  configuration["attention_bias"] =
      find("model.layers.0.self_attn.q_proj.bias") != nullptr;
  for (auto [name, id] :
       {std::pair{"bos_token_id", "bos"}, {"eos_token_id", "eos"}})
    if (auto value =
            meta.integer(std::string("tokenizer.ggml.") + id + "_token_id"))
      configuration[name] = *value;
  // Llama 3's frequency factors are a tensor; the builder divides by them.
  if (const TensorInfo *factors = find("rope_freqs.weight")) {
    if (factors->elements() < 0 || factors->elements() > 4096)
      throw Error("tensor 'rope_freqs.weight' has an unreasonable size",
                  location);
    std::vector<float> values(size_t(factors->elements()));
    readF32(*factors, 0, factors->elements(), values.data());
    configuration["rope_scaling"] = {{"rope_type", "factors"},
                                     {"factors", values}};
  }
  chat = meta.string("tokenizer.chat_template").value_or("");
}

bool GgufCheckpoint::isQuantized() const {
  return std::ranges::any_of(
      infos, [](const TensorInfo &info) { return isBlockType(info.type); });
}

std::unique_ptr<Checkpoint> openGguf(const std::string &path) {
  auto file = std::make_unique<GgufCheckpoint>(path);
  file->open();
  return file;
}

} // namespace qcc
