//===- ArtifactWriter.cpp - Writes a .qbin --------------------------------===//

#include "runtime/artifact/ArtifactWriter.h"

#include "runtime/artifact/Artifact.h"
#include "runtime/support/Checksum.h"

#include <cstddef>
#include <cstring>

namespace qrt {

ArtifactWriter::ArtifactWriter(const std::string &path)
    : file(path), position(ArtifactHeader::kAlignment) {}

fb::Range ArtifactWriter::append(std::span<const uint8_t> bytes,
                                 uint64_t alignment) {
  position = (position + alignment - 1) / alignment * alignment;
  file.writeAt(position, bytes);
  fb::Range range(position, bytes.size());
  position += bytes.size();
  return range;
}

void ArtifactWriter::finish(const fb::ManifestT &manifest) {
  flatbuffers::FlatBufferBuilder builder(1 << 16);
  fb::FinishManifestBuffer(builder, fb::Manifest::Pack(builder, &manifest));
  std::span<const uint8_t> bytes(builder.GetBufferPointer(), builder.GetSize());
  fb::Range range = append(bytes, ArtifactHeader::kAlignment);

  ArtifactHeader header = {};
  std::memcpy(header.magic, ArtifactHeader::kMagic, sizeof(header.magic));
  header.version = ArtifactHeader::kVersion;
  header.headerSize = sizeof(header);
  header.manifestOffset = range.offset();
  header.manifestLength = range.length();
  header.fileLength = position;
  header.manifestChecksum = checksum(bytes);
  auto *raw = reinterpret_cast<const uint8_t *>(&header);
  header.headerChecksum =
      checksum({raw, offsetof(ArtifactHeader, headerChecksum)});
  file.writeAt(0, {raw, sizeof(header)});
  file.commit();
}

} // namespace qrt
