//===- ConfigBytes.cpp - Kernel configs as bytes --------------------------===//
//
// Each function binds all fields of its struct by name: a field that is added
// to the struct does not compile until it is added here.
//
//===----------------------------------------------------------------------===//

#include "codegen/cpu/ConfigBytes.h"

#include <cstring>
#include <type_traits>

using namespace qcc;

namespace {

/// `fields` of `config` at their places in otherwise zero bytes.
template <typename Config, typename... Fields>
std::string place(const Config &config, const Fields &...fields) {
  static_assert(std::is_trivially_copyable_v<Config>);
  std::string bytes(sizeof config, '\0');
  const char *base = reinterpret_cast<const char *>(&config);
  auto placeField = [&](const auto &field) {
    const char *source = reinterpret_cast<const char *>(&field);
    std::memcpy(bytes.data() + (source - base), source, sizeof field);
  };
  (placeField(fields), ...);
  return bytes;
}

} // namespace

std::string cpu::configBytes(const krn::StageConfig &config) {
  const auto &[columns, inputStride, group, paddedGroup, norm, epsilon,
               normOffset, hasNormBias, heads, weightPerHead,
               outlierThreshold, findsOutliers, linears] = config;
  return place(config, columns, inputStride, group, paddedGroup, norm, epsilon,
               normOffset, hasNormBias, heads, weightPerHead,
               outlierThreshold, findsOutliers, linears);
}

std::string cpu::configBytes(const krn::GemmConfig &config) {
  const auto &[rows, columns, group, paddedGroup, outputStride, residualStride,
               scaleType, hasZero, defaultZero, hasBias, activation, glu,
               hasResidual, mayBeFew, multiplier, softCap, nested] = config;
  return place(config, rows, columns, group, paddedGroup, outputStride,
               residualStride, scaleType, hasZero, defaultZero, hasBias,
               activation, glu, hasResidual, mayBeFew, multiplier, softCap,
               nested);
}

std::string cpu::configBytes(const krn::EmbedConfig &config) {
  const auto &[vocabulary, hidden, element, tiled, multiplier, positions,
               positionOffset] = config;
  return place(config, vocabulary, hidden, element, tiled, multiplier,
               positions, positionOffset);
}

std::string cpu::configBytes(const krn::RopeTableConfig &config) {
  const auto &[half, original, factor, attentionFactor] = config;
  return place(config, half, original, factor, attentionFactor);
}

std::string cpu::configBytes(const krn::RopeAppendConfig &config) {
  const auto &[heads, kvHeads, headDim, rotary, interleaved, qStride, kStride,
               vStride, kvElement, normQk, epsilon, normOffset] = config;
  return place(config, heads, kvHeads, headDim, rotary, interleaved, qStride,
               kStride, vStride, kvElement, normQk, epsilon, normOffset);
}

std::string cpu::configBytes(const krn::AttentionConfig &config) {
  const auto &[heads, kvHeads, headDim, qStride, outputStride, window,
               kvElement, scale, softCap, alibi] = config;
  return place(config, heads, kvHeads, headDim, qStride, outputStride, window,
               kvElement, scale, softCap, alibi);
}

std::string cpu::configBytes(const krn::ElementwiseConfig &config) {
  const auto &[columns, aStride, bStride, outputStride, activation, value] =
      config;
  return place(config, columns, aStride, bStride, outputStride, activation,
               value);
}
