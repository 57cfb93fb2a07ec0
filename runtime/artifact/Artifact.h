//===- Artifact.h - A .qbin, opened for running -----------------*- C++ -*-===//
//
// docs/artifact.md describes the file. Nothing in it is trusted: header, then
// the FlatBuffers verifier, then every offset, length, shape and index, with
// messages that name the place ("tensors[3].data.length").
//
//===----------------------------------------------------------------------===//

#ifndef QRT_ARTIFACT_ARTIFACT_H
#define QRT_ARTIFACT_ARTIFACT_H

#include "runtime/chat/ChatSource.h"
#include "runtime/formats/Format.h"
#include "runtime/schema/qbin_generated.h"
#include "runtime/support/MappedFile.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qrt {

/// The fixed part at the start of the file; little-endian.
struct ArtifactHeader {
  static constexpr char kMagic[8] = {'Q',  'B',  'I',  'N',
                                     '\r', '\n', 0x1a, '\n'};
  static constexpr uint32_t kVersion = 1;
  static constexpr uint64_t kAlignment = 4096;

  char magic[8];
  uint32_t version;
  uint32_t headerSize; ///< sizeof(ArtifactHeader)
  uint64_t manifestOffset, manifestLength;
  uint64_t fileLength;
  uint64_t manifestChecksum;
  uint64_t headerChecksum; ///< of all bytes before this field
  uint64_t reserved;
};
static_assert(sizeof(ArtifactHeader) == 64);

/// A verified artifact, mapped. Immutable and safe to share.
class Artifact {
public:
  /// Maps and verifies `path`; throws qrt::Error naming file and field.
  /// Kernels' checksums are verified; tensors' only by verifyTensors(), since
  /// that reads every byte.
  explicit Artifact(const std::string &path);

  const fb::Manifest &manifest() const { return *root; }
  const fb::Model &model() const { return *root->model(); }
  const std::string &path() const { return file.path(); }
  uint64_t size() const { return file.bytes().size(); }
  /// The bytes of a range; ranges of the manifest are all inside the file.
  std::span<const uint8_t> bytes(const fb::Range &range) const {
    return file.bytes().subspan(range.offset(), range.length());
  }
  std::span<const uint8_t> tensor(uint32_t index) const {
    return bytes(*root->tensors()->Get(index)->data());
  }
  /// The kernels of a target, or null.
  const fb::Kernels *kernels(const std::string &target) const;
  /// The chat templates, as text, and the special tokens.
  chat::ChatSource chat() const;
  /// Throws qrt::Error for the first tensor whose bytes are damaged.
  void verifyTensors() const;
  /// Asks for read-ahead of everything.
  void prefetch() const { file.willNeed(); }

private:
  void verifyHeader();
  void verifyModel() const;
  void verifyTensor(uint32_t index) const;
  void verifyKernels(uint32_t index) const;
  /// The images and launches of a CUDA target.
  void verifyImages(const fb::Kernels &kernels, const std::string &place) const;
  void verifyLaunch(const fb::Kernels &kernels, const fb::Entry &entry,
                    const fb::Launch &launch, const std::string &place) const;
  void verifyProduct(const fb::Launch &launch, const std::string &place) const;
  void verifyOperands(const fb::Entry &entry,
                      const flatbuffers::Vector<const fb::Operand *> &operands,
                      const std::string &place) const;
  void verifyOverlaps() const;
  /// `range` lies inside the file, its offset a multiple of `alignment`.
  void verifyRange(const fb::Range *range, uint64_t alignment,
                   const std::string &field) const;
  [[noreturn]] void refuse(const std::string &field,
                           const std::string &why) const;

  MappedFile file;
  const fb::Manifest *root = nullptr;
};

} // namespace qrt

#endif // QRT_ARTIFACT_ARTIFACT_H
