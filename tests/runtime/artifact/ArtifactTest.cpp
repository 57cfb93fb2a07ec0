//===- ArtifactTest.cpp - Artifacts, whole and damaged --------------------===//

#include "runtime/artifact/Artifact.h"

#include "runtime/artifact/ArtifactWriter.h"
#include "runtime/artifact/KernelLibrary.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Error.h"
#include "tests/runtime/artifact/FakeModel.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <functional>

using namespace qrt;
using namespace qrt::test;

namespace {
class ArtifactTest : public testing::Test {
protected:
  void SetUp() override {
    writeFakeModel(folder / "model.qbin");
    whole = readBytes(folder / "model.qbin");
    std::memcpy(&header, whole.data(), sizeof(header));
  }

  /// The error for these bytes, or "" if they open.
  std::string open(const std::string &bytes) {
    writeBytes(folder / "damaged.qbin", bytes);
    try {
      Artifact artifact(folder / "damaged.qbin");
      return "";
    } catch (const Error &error) {
      return error.what();
    }
  }

  /// Makes both checksums fit what the file holds.
  static void sign(std::string &bytes) {
    auto *raw = reinterpret_cast<uint8_t *>(bytes.data());
    ArtifactHeader header;
    std::memcpy(&header, raw, sizeof(header));
    header.manifestChecksum =
        checksum({raw + header.manifestOffset, header.manifestLength});
    std::memcpy(raw, &header, sizeof(header));
    header.headerChecksum =
        checksum({raw, offsetof(ArtifactHeader, headerChecksum)});
    std::memcpy(raw, &header, sizeof(header));
  }

  /// The error for the whole artifact with a changed manifest.
  std::string openChanged(const std::function<void(fb::ManifestT &)> &change) {
    fb::ManifestT manifest;
    fb::GetManifest(whole.data() + header.manifestOffset)->UnPackTo(&manifest);
    change(manifest);
    std::string path = folder / "changed.qbin";
    ArtifactWriter writer(path);
    // The segments keep their places.
    std::span segments(reinterpret_cast<const uint8_t *>(whole.data()) +
                           ArtifactHeader::kAlignment,
                       header.manifestOffset - ArtifactHeader::kAlignment);
    writer.append(segments, ArtifactHeader::kAlignment);
    writer.finish(manifest);
    return open(readBytes(path));
  }

  TemporaryFolder folder;
  std::string whole;
  ArtifactHeader header;
};
} // namespace

TEST_F(ArtifactTest, opensWhatTheWriterWrote) {
  Artifact artifact(folder / "model.qbin");
  EXPECT_EQ(artifact.model().vocabulary(), kFakeVocabulary);
  EXPECT_EQ(artifact.tensor(0).size(), kFakeVocabulary * sizeof(float));
  EXPECT_NO_THROW(artifact.verifyTensors());
  ASSERT_NE(artifact.kernels("cpu"), nullptr);
  EXPECT_EQ(artifact.kernels("sm_90"), nullptr);
}

TEST_F(ArtifactTest, writesTheSameBytesAgain) {
  writeFakeModel(folder / "again.qbin");
  EXPECT_EQ(readBytes(folder / "again.qbin"), whole);
}

TEST_F(ArtifactTest, leavesNothingUnfinished) {
  {
    ArtifactWriter writer(folder / "unfinished.qbin");
  }
  size_t files = 0;
  for ([[maybe_unused]] const auto &entry :
       std::filesystem::directory_iterator(folder / ""))
    ++files;
  EXPECT_EQ(files, 1u);
}

TEST_F(ArtifactTest, refusesEveryTruncation) {
  for (size_t length = 0; length < whole.size(); length += 4096)
    EXPECT_NE(open(whole.substr(0, length)), "") << length;
  for (size_t length : {size_t(1), size_t(63), size_t(64), whole.size() - 1})
    EXPECT_NE(open(whole.substr(0, length)), "") << length;
  EXPECT_NE(open(whole + '\0'), "");
  EXPECT_NE(open(whole.substr(0, 8192)).find("truncated"), std::string::npos);
}

TEST_F(ArtifactTest, refusesEveryFlippedByteOfHeaderAndManifest) {
  auto flip = [&](size_t at) {
    std::string bytes = whole;
    bytes[at] = char(bytes[at] ^ 0x55);
    EXPECT_NE(open(bytes), "") << "byte " << at;
  };
  for (size_t i = 0; i < sizeof(ArtifactHeader); ++i)
    flip(i);
  for (size_t i = 0; i < header.manifestLength; ++i)
    flip(header.manifestOffset + i);
}

/// The checks behind the checksums: whatever the manifest says, opening it ends
/// in an artifact all of whose ranges can be read, or in an error.
TEST_F(ArtifactTest, survivesEverySignedManifest) {
  for (size_t i = 0; i < header.manifestLength; ++i)
    for (int value : {0x00, 0xff}) {
      std::string bytes = whole;
      bytes[header.manifestOffset + i] = char(value);
      sign(bytes);
      writeBytes(folder / "signed.qbin", bytes);
      try {
        Artifact artifact(folder / "signed.qbin");
        for (const fb::Tensor *tensor : *artifact.manifest().tensors())
          checksum(artifact.bytes(*tensor->data()));
      } catch (const Error &) {
      }
    }
}

TEST_F(ArtifactTest, noticesDamagedWeightsWhenAsked) {
  Artifact artifact(folder / "model.qbin");
  std::string bytes = whole;
  ++bytes[artifact.manifest().tensors()->Get(0)->data()->offset()];
  writeBytes(folder / "weights.qbin", bytes);
  Artifact damaged(folder / "weights.qbin");
  EXPECT_THROW(damaged.verifyTensors(), Error);
}

TEST_F(ArtifactTest, noticesDamagedKernels) {
  Artifact artifact(folder / "model.qbin");
  std::string bytes = whole;
  ++bytes[artifact.kernels("cpu")->code()->offset() + 100];
  EXPECT_NE(open(bytes).find("kernels[0].code"), std::string::npos);
}

TEST_F(ArtifactTest, namesTheFieldThatIsWrong) {
  using Change = std::function<void(fb::ManifestT &)>;
  const std::pair<Change, const char *> cases[] = {
      {[](auto &m) { m.required_features = {"t16", "t99"}; }, "feature 't99'"},
      {[](auto &m) { m.model.reset(); }, "model is missing"},
      {[](auto &m) { m.model->vocabulary = 0; }, "model.vocabulary is 0"},
      {[](auto &m) { m.model->bos_id = 32; }, "model.bos_id is 32"},
      {[](auto &m) { m.model->eos_ids = {1, -1}; }, "model.eos_ids[1] is -1"},
      {[](auto &m) { *m.tensors[0]->data = {8, 128}; },
       "tensors[0].data.offset is 8"},
      {[](auto &m) { *m.tensors[0]->data = {~uint64_t(63), 128}; },
       "tensors[0].data.length ends past"},
      {[](auto &m) { *m.tensors[0]->data = {4096, ~uint64_t(0)}; },
       "tensors[0].data.length ends past"},
      {[](auto &m) { m.tensors[0]->rows = 0; }, "tensors[0].rows is 0"},
      {[](auto &m) { m.tensors[0]->columns = 33; }, "tensors[0].codes.length"},
      {[](auto &m) { m.tensors[0]->rows = m.tensors[0]->columns = 1u << 30; },
       "tensors[0].columns is 1073741824"},
      {[](auto &m) { m.tensors[0]->format = "f33"; }, "tensors[0].format"},
      {[](auto &m) { m.tensors[0]->layout = "t17"; }, "tensors[0].layout"},
      {[](auto &m) { m.tensors[0]->codes.reset(); },
       "tensors[0].codes is missing"},
      {[](auto &m) { *m.tensors[0]->codes = {64, 128}; },
       "tensors[0].codes lies outside"},
      {[](auto &m) { *m.tensors[0]->data = {0, 128}; }, "overlaps"},
      {[](auto &m) { m.kernels[0]->code.reset(); },
       "kernels[0].code is missing"},
  };
  for (const auto &[change, message] : cases) {
    std::string error = openChanged(change);
    EXPECT_NE(error.find(message), std::string::npos)
        << "'" << error << "' instead of '" << message << "'";
  }
}

/// Makes the kernels those of a GPU: an entry of prompts with a product of a
/// library.
static void addProduct(fb::KernelsT &kernels) {
  kernels.target = "sm_90";
  auto function = std::make_unique<fb::FunctionT>();
  function->name = "f";
  auto image = std::make_unique<fb::ImageT>();
  image->length = 64;
  image->functions.push_back(std::move(function));
  kernels.images.push_back(std::move(image));
  kernels.entries.clear();
  auto entry = std::make_unique<fb::EntryT>();
  entry->max_tokens = 128;
  entry->library_bytes = 1024;
  auto launch = std::make_unique<fb::LaunchT>();
  launch->library_from = 65;
  launch->for_library = true;
  launch->operands.assign(5, fb::Operand(fb::OperandKind::Library, 0, 0));
  launch->operands[2] = fb::Operand(fb::OperandKind::None, 0, 0);
  launch->product = std::make_unique<fb::ProductT>();
  launch->product->rows = launch->product->columns = 64;
  launch->product->weight_stride = launch->product->input_stride = 64;
  launch->product->output_stride = 64;
  launch->product->most_tokens = 128;
  entry->launches.push_back(std::move(launch));
  kernels.entries.push_back(std::move(entry));
}

TEST_F(ArtifactTest, namesTheFieldOfAProductThatIsWrong) {
  using Change = std::function<void(fb::LaunchT &)>;
  EXPECT_EQ(openChanged([](fb::ManifestT &manifest) {
              addProduct(*manifest.kernels[0]);
            }),
            "");
  const std::pair<Change, const char *> cases[] = {
      {[](auto &l) { l.library_from = 0; }, "launches[0].for_library is 1"},
      {[](auto &l) { l.for_library = false; }, "is no launch of a library"},
      {[](auto &l) { l.operands.pop_back(); }, "is no launch of a library"},
      {[](auto &l) { l.gather = true; }, "is no launch of a library"},
      {[](auto &l) { l.product->rows = 0; }, "product.rows is 0"},
      {[](auto &l) { l.product->columns = 65; }, "product.weight_stride is 64"},
      {[](auto &l) { l.product->input_stride = 63; },
       "product.input_stride is 63"},
      {[](auto &l) { l.product->output_stride = 8; },
       "product.output_stride is 8"},
      {[](auto &l) { l.operands[2] = l.operands[3]; },
       "product.addend_stride is 0"},
      {[](auto &l) { l.product->most_tokens = 0; }, "product.most_tokens is 0"},
      {[](auto &l) {
         l.operands[3] = fb::Operand(fb::OperandKind::Library, 0, 1025);
       },
       "operands[3].offset is 1025"},
      {[](auto &l) { l.product.reset(); }, "threads is 0"},
      {[](auto &l) { l.place = 2; }, "launches[0].place is 2"},
      {[](auto &l) { l.ahead = true; }, "launches[0].ahead is 1"},
  };
  for (const auto &[change, message] : cases) {
    std::string error = openChanged([&](fb::ManifestT &manifest) {
      addProduct(*manifest.kernels[0]);
      change(*manifest.kernels[0]->entries[0]->launches[0]);
    });
    EXPECT_NE(error.find(message), std::string::npos)
        << "'" << error << "' instead of '" << message << "'";
  }
}

TEST_F(ArtifactTest, refusesWhatIsNoArtifact) {
  EXPECT_NE(open(std::string(4096, 'x')).find("not a .qbin"),
            std::string::npos);
  EXPECT_THROW(Artifact(folder / "missing.qbin"), Error);
  EXPECT_THROW(Artifact(folder / ""), Error);
}

TEST_F(ArtifactTest, keepsKernelLibrariesApart) {
  Artifact artifact(folder / "model.qbin");
  KernelLibrary first(artifact), second(artifact);
  EXPECT_NE(&first.table(), &second.table());
  EXPECT_EQ(first.variant(0).entry_count, 2u);
}
