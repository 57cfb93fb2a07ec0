//===- Checksum.h - XXH64 ---------------------------------------*- C++ -*-===//
//
// The 64-bit xxHash (Collet, "xxHash fast digest algorithm", specification
// 0.1.1, seed 0): guards artifacts against damage, not against malice.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_SUPPORT_CHECKSUM_H
#define QRT_SUPPORT_CHECKSUM_H

#include <cstdint>
#include <span>

namespace qrt {

uint64_t checksum(std::span<const uint8_t> bytes);

} // namespace qrt

#endif // QRT_SUPPORT_CHECKSUM_H
