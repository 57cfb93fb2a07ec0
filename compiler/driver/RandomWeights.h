//===- RandomWeights.h - Weights made from a seed ---------------*- C++ -*-===//

#ifndef QCC_COMPILER_DRIVER_RANDOMWEIGHTS_H
#define QCC_COMPILER_DRIVER_RANDOMWEIGHTS_H

#include <cstdint>
#include <span>
#include <string>

namespace qcc {

/// Elements first .. first + count of the tensor `name` of `shape`: a function
/// of the seed, the name and the index, so that any range can be made on any
/// thread. Matrices are near normal with variance 1 / columns, so that
/// activations keep their size; norms' weights are near 1, biases near 0.
void randomWeights(uint64_t seed, const std::string &name,
                   std::span<const int64_t> shape, int64_t first, int64_t count,
                   float *out);

} // namespace qcc

#endif // QCC_COMPILER_DRIVER_RANDOMWEIGHTS_H
