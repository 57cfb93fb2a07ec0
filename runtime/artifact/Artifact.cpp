//===- Artifact.cpp - A .qbin, opened for running -------------------------===//

#include "runtime/artifact/Artifact.h"

#include "runtime/abi/cuda_abi.h"
#include "runtime/abi/kernel_abi.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace qrt {

/// Features of the format that this loader knows; an artifact may require any
/// of them.
static constexpr std::string_view kFeatures[] = {"t16"};

/// Bytes that the nested scales of a tile take (docs/formats.md): those that
/// the `groups` scales of each of its rows need, `nested` of which share one.
static uint64_t nestedTileBytes(uint64_t groups, uint64_t nested) {
  const uint64_t scales = (16 * groups + nested - 2) / nested + 1;
  return (8 + 4 * scales + 15) / 16 * 16;
}

[[noreturn]] void Artifact::refuse(const std::string &field,
                                   const std::string &why) const {
  throw Error("damaged artifact: " + field + " " + why, file.path());
}

Artifact::Artifact(const std::string &path) : file(path) {
  verifyHeader();
  const auto *features = root->required_features();
  for (uint32_t i = 0; features && i < features->size(); ++i) {
    std::string feature = features->Get(i)->str();
    if (std::ranges::find(kFeatures, feature) == std::end(kFeatures))
      throw Error("the artifact needs the feature '" + feature +
                      "', which this version does not have",
                  path, "use a newer qrt");
  }
  verifyModel();
  for (uint32_t i = 0; i < root->tensors()->size(); ++i)
    verifyTensor(i);
  for (uint32_t i = 0; i < root->kernels()->size(); ++i)
    verifyKernels(i);
  verifyOverlaps();
}

void Artifact::verifyHeader() {
  std::span<const uint8_t> bytes = file.bytes();
  ArtifactHeader header;
  if (bytes.size() < sizeof(header))
    throw Error("the file is " + std::to_string(bytes.size()) +
                    " bytes, too short for an artifact",
                file.path());
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, ArtifactHeader::kMagic, 8) != 0)
    throw Error("not a .qbin artifact", file.path());
  if (header.version != ArtifactHeader::kVersion)
    throw Error("artifact version " + std::to_string(header.version) +
                    " is not supported; version " +
                    std::to_string(ArtifactHeader::kVersion) + " is",
                file.path());
  if (header.headerSize != sizeof(header))
    refuse("header.headerSize", "is " + std::to_string(header.headerSize));
  if (header.headerChecksum !=
      checksum(bytes.first(offsetof(ArtifactHeader, headerChecksum))))
    refuse("header.headerChecksum", "does not match");
  if (header.reserved != 0)
    refuse("header.reserved", "is not zero");
  if (header.fileLength != bytes.size())
    throw Error("the file is " + std::to_string(bytes.size()) +
                    " bytes where its header says " +
                    std::to_string(header.fileLength),
                file.path(), "it may be truncated");
  if (header.manifestOffset % ArtifactHeader::kAlignment != 0 ||
      header.manifestOffset > bytes.size() ||
      header.manifestLength > bytes.size() - header.manifestOffset)
    refuse("header.manifestOffset", "and its length lie outside the file");
  auto manifest = bytes.subspan(header.manifestOffset, header.manifestLength);
  if (header.manifestChecksum != checksum(manifest))
    refuse("manifest", "does not match its checksum");
  flatbuffers::Verifier verifier(manifest.data(), manifest.size(), 64,
                                 10'000'000);
  if (manifest.size() >= FLATBUFFERS_MAX_BUFFER_SIZE ||
      !fb::VerifyManifestBuffer(verifier))
    refuse("manifest", "is no valid FlatBuffer");
  root = fb::GetManifest(manifest.data());
  if (!root->model())
    refuse("model", "is missing");
  if (!root->tensors())
    refuse("tensors", "is missing");
  if (!root->kernels())
    refuse("kernels", "is missing");
}

void Artifact::verifyModel() const {
  const fb::Model &model = *root->model();
  if (model.vocabulary() == 0 || model.vocabulary() > (1u << 30))
    refuse("model.vocabulary", "is " + std::to_string(model.vocabulary()));
  if (root->kv_bytes_per_token() > (uint64_t(1) << 32))
    refuse("kv_bytes_per_token",
           "is " + std::to_string(root->kv_bytes_per_token()));
  int64_t vocabulary = model.vocabulary();
  if (model.bos_id() >= vocabulary)
    refuse("model.bos_id", "is " + std::to_string(model.bos_id()));
  if (model.eos_ids())
    for (uint32_t i = 0; i < model.eos_ids()->size(); ++i)
      if (int32_t id = model.eos_ids()->Get(i); id < 0 || id >= vocabulary)
        refuse("model.eos_ids[" + std::to_string(i) + "]",
               "is " + std::to_string(id));
}

void Artifact::verifyRange(const fb::Range *range, uint64_t alignment,
                           const std::string &field) const {
  if (!range)
    refuse(field, "is missing");
  if (range->offset() % alignment != 0)
    refuse(field + ".offset", "is " + std::to_string(range->offset()) +
                                  ", no multiple of " +
                                  std::to_string(alignment));
  uint64_t size = file.bytes().size();
  if (range->offset() > size || range->length() > size - range->offset())
    refuse(field + ".length",
           "ends past the file's " + std::to_string(size) + " bytes");
}

void Artifact::verifyTensor(uint32_t index) const {
  const fb::Tensor &tensor = *root->tensors()->Get(index);
  std::string place = "tensors[" + std::to_string(index) + "]";
  if (!tensor.name() || !tensor.format() || !tensor.layout())
    refuse(place, "lacks name, format or layout");
  verifyRange(tensor.data(), 64, place + ".data");
  constexpr uint64_t limit = uint64_t(1) << 31;
  uint64_t rows = tensor.rows(), columns = tensor.columns();
  if (rows == 0 || rows >= limit)
    refuse(place + ".rows", "is " + std::to_string(rows));
  if (columns == 0 || columns >= limit)
    refuse(place + ".columns", "is " + std::to_string(columns));
  Format format;
  try {
    format = Format::parse(tensor.format()->string_view());
  } catch (const Error &) {
    refuse(place + ".format", "is '" + tensor.format()->str() + "'");
  }
  // The parts lie inside the tensor and hold what the shape asks for; tiles
  // may take more (padding), never less.
  uint64_t length = tensor.data()->length();
  auto part = [&](const fb::Range *range, uint64_t minimum, const char *name) {
    std::string field = place + "." + name;
    if (!range)
      refuse(field, "is missing");
    if (range->offset() % 64 != 0 || range->offset() > length ||
        range->length() > length - range->offset())
      refuse(field,
             "lies outside the tensor's " + std::to_string(length) + " bytes");
    if (range->length() < minimum)
      refuse(field + ".length", "is " + std::to_string(range->length()) +
                                    " where the shape needs " +
                                    std::to_string(minimum));
  };
  std::string_view layout = tensor.layout()->string_view();
  if (layout != "t16" && layout != "rows")
    refuse(place + ".layout", "is '" + std::string(layout) + "'");
  bool tiled = layout == "t16";
  uint64_t storedRows = tiled ? (rows + 15) / 16 * 16 : rows;
  // Nothing below takes more than 64 bits an element.
  if (columns > UINT64_MAX / 64 / storedRows)
    refuse(place + ".columns", "is " + std::to_string(columns) +
                                   ", too many for " + std::to_string(rows) +
                                   " rows");
  part(tensor.codes(),
       (storedRows * columns * uint64_t(format.codeBits()) + 7) / 8, "codes");
  if (format.isQuantized()) {
    if (format.flattened || !tiled)
      refuse(place + ".format",
             "is '" + tensor.format()->str() + "', which has no such layout");
    uint64_t groups = uint64_t(format.groupsPerRow(int64_t(columns)));
    auto scaleBytes = uint64_t(scaleTypeBytes(format.scale));
    part(tensor.scales(), storedRows * groups * scaleBytes, "scales");
    if (format.zero)
      part(tensor.zeros(), storedRows * groups, "zeros");
    if (format.nested)
      part(tensor.zeros(),
           storedRows / 16 * nestedTileBytes(groups, uint64_t(format.nested)),
           "zeros");
  }
}

void Artifact::verifyKernels(uint32_t index) const {
  const fb::Kernels &kernels = *root->kernels()->Get(index);
  std::string place = "kernels[" + std::to_string(index) + "]";
  if (!kernels.target() || !kernels.entries())
    refuse(place, "lacks target or entries");
  verifyRange(kernels.code(), ArtifactHeader::kAlignment, place + ".code");
  if (checksum(bytes(*kernels.code())) != kernels.checksum())
    refuse(place + ".code", "does not match its checksum");
  if (kernels.target()->string_view() != "cpu")
    verifyImages(kernels, place);
}

void Artifact::verifyImages(const fb::Kernels &kernels,
                            const std::string &place) const {
  if (!kernels.images() || kernels.images()->size() == 0)
    refuse(place + ".images", "is missing");
  uint64_t length = kernels.code()->length();
  for (uint32_t i = 0; i < kernels.images()->size(); ++i) {
    const fb::Image &image = *kernels.images()->Get(i);
    std::string field = place + ".images[" + std::to_string(i) + "]";
    if (image.length() == 0 || image.offset() > length ||
        image.length() > length - image.offset())
      refuse(field,
             "lies outside the code's " + std::to_string(length) + " bytes");
    if (!image.functions() || image.functions()->size() == 0 ||
        !image.functions()->Get(0)->name())
      refuse(field + ".functions", "is missing");
  }
  uint32_t least = 1;
  if (kernels.entries()->size() == 0)
    refuse(place + ".entries", "is empty");
  for (uint32_t i = 0; i < kernels.entries()->size(); ++i) {
    const fb::Entry &entry = *kernels.entries()->Get(i);
    std::string field = place + ".entries[" + std::to_string(i) + "]";
    constexpr uint32_t mostTokens = 1U << 20;
    constexpr uint64_t mostBytes = uint64_t(1) << 42;
    if (entry.max_tokens() < least || entry.max_tokens() > mostTokens)
      refuse(field + ".max_tokens", "is " + std::to_string(entry.max_tokens()));
    if (entry.arena_bytes() > mostBytes)
      refuse(field + ".arena_bytes",
             "is " + std::to_string(entry.arena_bytes()));
    if (entry.library_bytes() > mostBytes)
      refuse(field + ".library_bytes",
             "is " + std::to_string(entry.library_bytes()));
    if (!entry.launches())
      refuse(field + ".launches", "is missing");
    for (uint32_t j = 0; j < entry.launches()->size(); ++j)
      verifyLaunch(kernels, entry, *entry.launches()->Get(j),
                   field + ".launches[" + std::to_string(j) + "]");
    // A persistent entry stands before the one that does its work elsewhere.
    bool isPersistent = entry.launches()->size() == 1 &&
                        entry.launches()->Get(0)->cooperative();
    least = entry.max_tokens() + !isPersistent;
    if (isPersistent && i + 1 == kernels.entries()->size())
      refuse(field, "has no entry of separate kernels behind it");
  }
  if (const fb::Launch *sampling = kernels.sampling()) {
    verifyLaunch(kernels, *kernels.entries()->Get(0), *sampling,
                 place + ".sampling");
    if (sampling->gather() || sampling->cluster() != 1 || sampling->per_sm() ||
        sampling->operands() || sampling->table() || sampling->streams())
      refuse(place + ".sampling", "is no launch of a sampler");
  }
}

void Artifact::verifyLaunch(const fb::Kernels &kernels, const fb::Entry &entry,
                            const fb::Launch &launch,
                            const std::string &place) const {
  auto check = [&](uint64_t value, uint64_t least, uint64_t most,
                   const char *name) {
    if (value < least || value > most)
      refuse(place + "." + name, "is " + std::to_string(value));
  };
  constexpr uint64_t most = 1U << 30;
  check(launch.image(), 0, kernels.images()->size() - 1, "image");
  check(launch.function(), 0, 0, "function");
  check(launch.row_block(), 1, most, "row_block");
  check(launch.multiple(), 1, 1U << 20, "multiple");
  check(launch.per_block(), 1, most, "per_block");
  check(launch.grid_y(), 1, 65535, "grid_y");
  check(launch.per_sm(), 0, 64, "per_sm");
  check(launch.cluster(), 1, 8, "cluster");
  check(launch.threads(), launch.product() ? 0 : 1, 1024, "threads");
  check(launch.shared_bytes(), 0, 1U << 20, "shared_bytes");
  check(launch.counters(), 0, most, "counters");
  check(launch.partial_bytes(), 0, uint64_t(1) << 36, "partial_bytes");
  if (launch.operands()) {
    check(launch.operands()->size(), 0, QRT_CUDA_ARGS, "operands");
    verifyOperands(entry, *launch.operands(), place + ".operands");
  }
  check(launch.for_library(), 0, launch.library_from() != 0, "for_library");
  check(launch.library_below(), 0, launch.for_library() ? most : 0,
        "library_below");
  check(launch.place(), 0, 1, "place");
  check(launch.ahead(), 0, launch.for_library() && !launch.product(), "ahead");
  if (launch.product())
    verifyProduct(launch, place);
  check(launch.cooperative(), 0,
        entry.launches()->size() == 1 && !launch.product(), "cooperative");
  if (launch.table()) {
    check(launch.table()->size(), 0, 1U << 20, "table");
    verifyOperands(entry, *launch.table(), place + ".table");
  }
  for (uint32_t i = 0; launch.streams() && i < launch.streams()->size(); ++i) {
    const fb::Stream &stream = *launch.streams()->Get(i);
    std::string field = place + ".streams[" + std::to_string(i) + "]";
    if (stream.tiles() == 0 || stream.units() == 0 ||
        uint64_t(stream.tiles()) * stream.units() > most ||
        stream.item_tiles() == 0 || stream.align() == 0 ||
        stream.tiles() % stream.item_tiles() != 0)
      refuse(field, "has no such tiles and units");
  }
}

void Artifact::verifyProduct(const fb::Launch &launch,
                             const std::string &place) const {
  const fb::Product &product = *launch.product();
  auto check = [&](uint64_t value, uint64_t least, uint64_t most,
                   const char *name) {
    if (value < least || value > most)
      refuse(place + ".product." + name, "is " + std::to_string(value));
  };
  constexpr uint64_t most = 1U << 30;
  if (!launch.for_library() || launch.gather() || !launch.operands() ||
      launch.operands()->size() != 5)
    refuse(place + ".product", "is no launch of a library");
  check(product.rows(), 1, most, "rows");
  check(product.columns(), 1, most, "columns");
  check(product.weight_stride(), product.columns(), most, "weight_stride");
  check(product.input_stride(), product.columns(), most, "input_stride");
  check(product.addend_stride(),
        launch.operands()->Get(2)->kind() == fb::OperandKind::None
            ? 0
            : product.rows(),
        most, "addend_stride");
  check(product.output_stride(), product.rows(), most, "output_stride");
  check(product.most_tokens(), 1, 1U << 20, "most_tokens");
  check(product.room_bytes(), 0, uint64_t(1) << 36, "room_bytes");
}

void Artifact::verifyOperands(
    const fb::Entry &entry,
    const flatbuffers::Vector<const fb::Operand *> &operands,
    const std::string &place) const {
  auto check = [&](uint64_t value, uint64_t least, uint64_t most,
                   const char *name) {
    if (value < least || value > most)
      refuse(place + name, "is " + std::to_string(value));
  };
  for (uint32_t i = 0; i < operands.size(); ++i) {
    const fb::Operand &operand = *operands.Get(i);
    std::string name = "[" + std::to_string(i) + "]";
    check(uint64_t(operand.kind()), 0, uint64_t(fb::OperandKind::MAX),
          (name + ".kind").c_str());
    if (operand.kind() == fb::OperandKind::Arena)
      check(operand.offset(), 0, entry.arena_bytes(),
            (name + ".offset").c_str());
    if (operand.kind() == fb::OperandKind::Library)
      check(operand.offset(), 0, entry.library_bytes(),
            (name + ".offset").c_str());
    if (operand.kind() != fb::OperandKind::Tensor)
      continue;
    if (operand.tensor() >= root->tensors()->size())
      refuse(place + name + ".tensor",
             "is " + std::to_string(operand.tensor()));
    check(operand.offset(), 0,
          root->tensors()->Get(operand.tensor())->data()->length(),
          (name + ".offset").c_str());
  }
}

void Artifact::verifyOverlaps() const {
  struct Part {
    uint64_t from, to;
    std::string name;
  };
  std::vector<Part> parts = {{0, sizeof(ArtifactHeader), "header"}};
  auto add = [&](const fb::Range &range, const char *kind, uint32_t i) {
    if (range.length())
      parts.push_back({range.offset(), range.offset() + range.length(),
                       std::string(kind)
                           .append("[")
                           .append(std::to_string(i))
                           .append("]")});
  };
  for (uint32_t i = 0; i < root->tensors()->size(); ++i)
    add(*root->tensors()->Get(i)->data(), "tensors", i);
  for (uint32_t i = 0; i < root->kernels()->size(); ++i)
    add(*root->kernels()->Get(i)->code(), "kernels", i);
  std::ranges::sort(parts, {}, &Part::from);
  for (size_t i = 1; i < parts.size(); ++i)
    if (parts[i].from < parts[i - 1].to)
      refuse(parts[i].name, "overlaps " + parts[i - 1].name);
}

const fb::Kernels *Artifact::kernels(const std::string &target) const {
  for (const fb::Kernels *kernels : *root->kernels())
    if (kernels->target()->string_view() == target)
      return kernels;
  return nullptr;
}

void Artifact::verifyTensors() const {
  for (uint32_t i = 0; i < root->tensors()->size(); ++i)
    if (checksum(tensor(i)) != root->tensors()->Get(i)->checksum())
      refuse("tensors[" + std::to_string(i) + "].data ('" +
                 root->tensors()->Get(i)->name()->str() + "')",
             "does not match its checksum");
}

chat::ChatSource Artifact::chat() const {
  auto text = [](const flatbuffers::String *string) {
    return string ? string->str() : "";
  };
  chat::ChatSource source;
  if (std::string main = text(root->chat_template()); !main.empty())
    source.templates.emplace_back("default", std::move(main));
  auto add = [&](const auto *entries, chat::NamedTexts &out) {
    if (entries)
      for (const fb::NamedText *entry : *entries)
        out.emplace_back(text(entry->name()), text(entry->text()));
  };
  add(root->chat_templates(), source.templates);
  add(root->special_tokens(), source.specialTokens);
  return source;
}

} // namespace qrt
