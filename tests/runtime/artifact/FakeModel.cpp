//===- FakeModel.cpp - Small artifacts for tests --------------------------===//

#include "tests/runtime/artifact/FakeModel.h"

#include "runtime/abi/kernel_abi.h"
#include "runtime/artifact/ArtifactWriter.h"
#include "runtime/support/Checksum.h"
#include "runtime/tokenizer/TokenizerModel.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace qrt::test {

static TokenizerModel fakeTokenizer() {
  TokenizerModel model;
  for (char c : std::string("abcdefghijklmnopqrstuvwxyz ."))
    model.pieces.push_back({std::string(1, c)});
  for (const char *text : {"<s>", "</s>", "\xc3", "\xa9"})
    model.pieces.push_back({text});
  for (int32_t id : {kFakeBos, kFakeEos}) {
    AddedToken token;
    token.content = model.pieces[size_t(id)].text;
    token.id = id;
    token.special = true;
    model.addedTokens.push_back(token);
  }
  model.preTokenizers.push_back({});
  model.preTokenizers.back().useRegex = false;
  model.decoders.push_back({});
  model.bosId = kFakeBos;
  model.eosId = kFakeEos;
  return model;
}

void writeFakeModel(const std::string &path, const FakeModelOptions &options) {
  ArtifactWriter writer(path);
  fb::ManifestT manifest;
  auto bytesOf = [](const auto &container) {
    return std::span(reinterpret_cast<const uint8_t *>(container.data()),
                     container.size() * sizeof(container[0]));
  };

  std::vector<float> bias = options.bias;
  bias.resize(kFakeVocabulary);
  auto tensor = std::make_unique<fb::TensorT>();
  tensor->name = "bias";
  tensor->format = "f32";
  tensor->layout = "rows";
  tensor->rows = 1;
  tensor->columns = kFakeVocabulary;
  tensor->data = std::make_unique<fb::Range>(writer.append(bytesOf(bias), 64));
  tensor->codes = std::make_unique<fb::Range>(0, bytesOf(bias).size());
  tensor->checksum = checksum(bytesOf(bias));
  manifest.tensors.push_back(std::move(tensor));

  std::string code = readBytes(QRT_FAKE_KERNELS);
  auto kernels = std::make_unique<fb::KernelsT>();
  kernels->target = "cpu";
  kernels->code =
      std::make_unique<fb::Range>(writer.append(bytesOf(code), 4096));
  kernels->checksum = checksum(bytesOf(code));
  kernels->abi_version = QRT_KERNEL_ABI_VERSION;
  // As in FakeKernels.c.
  for (auto [name, tokens] : {std::pair("decode", 4u), {"prefill", 16u}}) {
    auto entry = std::make_unique<fb::EntryT>();
    entry->name = name;
    entry->max_tokens = tokens;
    entry->arena_bytes = 1024;
    entry->scratch_bytes = 128;
    kernels->entries.push_back(std::move(entry));
  }
  manifest.kernels.push_back(std::move(kernels));

  manifest.model = std::make_unique<fb::ModelT>();
  manifest.model->architecture = "fake";
  manifest.model->vocabulary = kFakeVocabulary;
  manifest.model->context = options.context;
  manifest.model->positions = options.positions;
  manifest.model->bos_id = options.bos;
  manifest.model->eos_ids = {kFakeEos};
  manifest.model->parameters = kFakeVocabulary;
  manifest.kv_bytes_per_token = 64;
  if (options.tokenizer)
    manifest.tokenizer = serialize(fakeTokenizer());
  manifest.chat_template = options.chatTemplate;
  auto bos = std::make_unique<fb::NamedTextT>();
  bos->name = "bos_token";
  bos->text = "<s>";
  manifest.special_tokens.push_back(std::move(bos));
  writer.finish(manifest);
}

std::vector<int32_t> fakeGreedy(std::vector<int32_t> prompt, size_t count) {
  constexpr int32_t ordinary = 28;
  std::vector<int32_t> made;
  int32_t sum = 0;
  for (int32_t token : prompt)
    sum += 3 * token;
  while (made.size() < count) {
    auto position = int32_t(prompt.size() + made.size()) - 1;
    made.push_back((sum + position) % ordinary);
    sum += 3 * made.back();
  }
  return made;
}

TemporaryFolder::TemporaryFolder() {
  std::string name =
      (std::filesystem::temp_directory_path() / "qrt-test-XXXXXX").string();
  if (!::mkdtemp(name.data()))
    throw std::runtime_error("cannot make a temporary folder");
  path = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string readBytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void writeBytes(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), std::streamsize(bytes.size()));
  if (!file.flush())
    throw std::runtime_error("cannot write " + path);
}

} // namespace qrt::test
