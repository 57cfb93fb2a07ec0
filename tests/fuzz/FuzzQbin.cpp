//===- FuzzQbin.cpp - Fuzzes the loader of artifacts ---------------------===//

#include "runtime/artifact/Artifact.h"
#include "runtime/support/Checksum.h"
#include "tests/fuzz/Fuzz.h"

#include <cstddef>
#include <cstring>
#include <vector>

using namespace qcc;

/// Makes the checksums of header and manifest right, which the fuzzer would
/// never find.
static void repairChecksums(std::vector<uint8_t> &bytes) {
  qrt::ArtifactHeader header;
  if (bytes.size() < sizeof(header))
    return;
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::memcpy(header.magic, qrt::ArtifactHeader::kMagic, sizeof(header.magic));
  header.version = qrt::ArtifactHeader::kVersion;
  header.headerSize = sizeof(header);
  header.fileLength = bytes.size();
  std::span<const uint8_t> all(bytes);
  if (header.manifestOffset <= bytes.size() &&
      header.manifestLength <= bytes.size() - header.manifestOffset)
    header.manifestChecksum = qrt::checksum(
        all.subspan(header.manifestOffset, header.manifestLength));
  std::memcpy(bytes.data(), &header, sizeof(header));
  header.headerChecksum =
      qrt::checksum(all.first(offsetof(qrt::ArtifactHeader, headerChecksum)));
  std::memcpy(bytes.data(), &header, sizeof(header));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz::run([&] {
    std::vector<uint8_t> bytes(data, data + size);
    repairChecksums(bytes);
    fuzz::MemoryFile file(bytes.data(), bytes.size());
    qrt::Artifact artifact(file.path());
    artifact.verifyTensors();
  });
}
