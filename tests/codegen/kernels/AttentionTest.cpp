//===- AttentionTest.cpp - Attention, rotation and the cache --------------===//

#include "Buffers.h"
#include "Variants.h"

#include "codegen/cpu/kernels/Layout.h"
#include "runtime/formats/HalfFloat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace qcc;
using namespace qcc::test;

namespace {

struct Sequence {
  uint32_t past, tokens, capacity;
};

struct Case {
  int64_t heads, kvHeads, headDim, window;
  int32_t kvElement;
  float softCap;
  int32_t alibi; ///< an Alibi
  std::vector<Sequence> sequences;

  std::string describe() const {
    std::string text =
        std::to_string(heads) + "/" + std::to_string(kvHeads) + " heads of " +
        std::to_string(headDim) + " window " + std::to_string(window) +
        " element " + std::to_string(kvElement) + " cap " +
        std::to_string(softCap) + " alibi " + std::to_string(alibi);
    for (const Sequence &s : sequences)
      text += " [" + std::to_string(s.past) + "+" + std::to_string(s.tokens) +
              "/" + std::to_string(s.capacity) + "]";
    return text;
  }
};

float roundTo(int32_t element, float v) {
  return element == ElemF16    ? qrt::halfToFloat(qrt::floatToHalf(v))
         : element == ElemBF16 ? qrt::bfloatToFloat(qrt::floatToBfloat(v))
                               : v;
}

void storeElement(int32_t element, char *base, int64_t index, float v) {
  if (element == ElemF32)
    reinterpret_cast<float *>(base)[index] = v;
  else
    reinterpret_cast<uint16_t *>(base)[index] =
        element == ElemF16 ? qrt::floatToHalf(v) : qrt::floatToBfloat(v);
}

float loadElement(int32_t element, const char *base, int64_t index) {
  if (element == ElemF32)
    return reinterpret_cast<const float *>(base)[index];
  uint16_t bits = reinterpret_cast<const uint16_t *>(base)[index];
  return element == ElemF16 ? qrt::halfToFloat(bits) : qrt::bfloatToFloat(bits);
}

/// Keys and values of a sequence, logical and in a cache whose unwritten
/// positions are NaN. The layer does not begin where the cache does.
struct Cache {
  const Case &c;
  Sequence sequence;
  std::vector<float> keys, values; ///< [kvHead][position][dim]
  GuardedBuffer memory;
  static constexpr int64_t kLayerOffset = 64; ///< bytes a token before

  Cache(const Case &c, const Sequence &sequence, std::mt19937 &random)
      : c(c), sequence(sequence),
        memory(size_t(sequence.capacity * (kLayerOffset + bytesPerToken()))) {
    std::normal_distribution<float> normal;
    int64_t dim = c.headDim, capacity = sequence.capacity;
    char *layer = memory.data() + capacity * kLayerOffset;
    for (int64_t h = 0; h < c.kvHeads; ++h)
      for (int64_t p = 0; p < sequence.past + sequence.tokens; ++p)
        for (int64_t d = 0; d < dim; ++d) {
          keys.push_back(roundTo(c.kvElement, normal(random)));
          values.push_back(roundTo(c.kvElement, normal(random)));
          storeElement(c.kvElement, layer, keyIndex(h, p, d), keys.back());
          storeElement(c.kvElement, layer, valueIndex(h, p, d), values.back());
        }
  }
  int64_t bytesPerToken() const {
    return 2 * c.kvHeads * c.headDim * (c.kvElement == ElemF32 ? 4 : 2);
  }
  int64_t keyIndex(int64_t h, int64_t p, int64_t d) const {
    return ((h * sequence.capacity / 16 + p / 16) * c.headDim + d) * 16 +
           p % 16;
  }
  int64_t valueIndex(int64_t h, int64_t p, int64_t d) const {
    return ((c.kvHeads + h) * sequence.capacity + p) * c.headDim + d;
  }
  size_t at(int64_t h, int64_t p, int64_t d) const {
    return size_t((h * (sequence.past + sequence.tokens) + p) * c.headDim + d);
  }
};

/// Attention of one head of one token, in double precision.
std::vector<double> reference(const Case &c, const Cache &cache, const float *q,
                              int64_t head, int64_t position, float scale,
                              float slope) {
  int64_t kvHead = head / (c.heads / c.kvHeads);
  int64_t first = c.window ? std::max<int64_t>(0, position - c.window + 1) : 0;
  std::vector<double> scores, out(size_t(c.headDim), 0.0);
  double most = -1e300, total = 0;
  for (int64_t p = first; p <= position; ++p) {
    double s = 0;
    for (int64_t d = 0; d < c.headDim; ++d)
      s += double(q[d]) * double(cache.keys[cache.at(kvHead, p, d)]);
    s *= double(scale);
    if (c.softCap > 0)
      s = double(c.softCap) * std::tanh(s / double(c.softCap));
    if (c.alibi == AlibiExact)
      s += double(slope) * double(p);
    if (c.alibi == AlibiBf16)
      s += double(scale) *
           double(roundTo(ElemBF16, slope * roundTo(ElemBF16, float(p))));
    scores.push_back(s);
    most = std::max(most, s);
  }
  for (double &s : scores)
    total += s = std::exp(s - most);
  for (int64_t p = first; p <= position; ++p)
    for (int64_t d = 0; d < c.headDim; ++d)
      out[size_t(d)] += scores[size_t(p - first)] / total *
                        double(cache.values[cache.at(kvHead, p, d)]);
  return out;
}

struct Inputs {
  std::vector<Cache> caches;
  std::vector<qrt_sequence> sequences;
  std::vector<float> q, slopes;
  AttentionConfig config = {};
  int64_t tokens = 0;

  Inputs(const Case &c, std::mt19937 &random) {
    std::normal_distribution<float> normal;
    for (const Sequence &s : c.sequences) {
      caches.emplace_back(c, s, random);
      sequences.push_back({uint32_t(tokens), s.tokens, s.past, s.capacity,
                           caches.back().memory.data()});
      tokens += s.tokens;
    }
    config.heads = c.heads;
    config.kvHeads = c.kvHeads;
    config.headDim = c.headDim;
    config.qStride = c.heads * c.headDim + 5;
    config.outputStride = c.heads * c.headDim + 3;
    config.window = c.window;
    config.kvElement = c.kvElement;
    config.scale = 1.0f / std::sqrt(float(c.headDim));
    config.softCap = c.softCap;
    config.alibi = c.alibi;
    for (int64_t i = 0; i < tokens * config.qStride; ++i)
      q.push_back(2 * normal(random));
    for (int64_t h = 0; h < c.heads; ++h)
      slopes.push_back(0.5f / float(h + 1));
  }

  std::vector<float> run(const Variant &variant, uint32_t parts) const {
    return run(variant, parts, sequences, tokens, 0);
  }
  std::vector<float> run(const Variant &variant, uint32_t parts,
                         const std::vector<qrt_sequence> &which, int64_t count,
                         int64_t firstToken) const {
    qrt_step step = {};
    step.struct_size = sizeof(step);
    step.tokens = uint32_t(count);
    step.sequence_count = uint32_t(which.size());
    step.sequences = which.data();
    GuardedBuffer out(size_t(count * config.outputStride - 3) * 4);
    GuardedBuffer scratch(size_t(krn::attentionScratchBytes()));
    for (uint32_t part = 0; part < parts; ++part)
      variant.attention(&config, &step, Cache::kLayerOffset,
                        q.data() + firstToken * config.qStride, slopes.data(),
                        out.data<float>(), scratch.data(), part, parts);
    return {out.data<float>(),
            out.data<float>() + count * config.outputStride - 3};
  }
};

void check(const Case &c, std::mt19937 &random) {
  SCOPED_TRACE(c.describe());
  Inputs in(c, random);
  std::vector<float> first;
  for (const Variant &variant : variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<float> out = in.run(variant, 1);
    for (size_t s = 0; s < c.sequences.size(); ++s)
      for (int64_t t = 0; t < c.sequences[s].tokens; ++t)
        for (int64_t h = 0; h < c.heads; ++h) {
          int64_t m = in.sequences[s].first_token + t;
          std::vector<double> expected = reference(
              c, in.caches[s],
              in.q.data() + m * in.config.qStride + h * c.headDim, h,
              c.sequences[s].past + t, in.config.scale, in.slopes[size_t(h)]);
          for (int64_t d = 0; d < c.headDim; ++d)
            ASSERT_NEAR(
                out[size_t(m * in.config.outputStride + h * c.headDim + d)],
                expected[size_t(d)], 3e-6)
                << "token " << m << " head " << h << " dimension " << d;
        }
    // The same bits for any number of parts and in every variant.
    for (uint32_t parts : {2u, 3u, 7u}) {
      std::vector<float> other = in.run(variant, parts);
      ASSERT_EQ(0, std::memcmp(out.data(), other.data(), out.size() * 4))
          << parts << " parts";
    }
    if (first.empty())
      first = out;
    ASSERT_EQ(0, std::memcmp(out.data(), first.data(), out.size() * 4));
  }
}

TEST(AttentionTest, Prompts) {
  std::mt19937 random(1);
  for (int64_t dim : {16, 64, 80, 128})
    for (uint32_t tokens : {1u, 7u, 65u, 150u})
      check({6, 2, dim, 0, ElemF32, 0, AlibiNone, {{0, tokens, 160}}}, random);
}

TEST(AttentionTest, HeadDims) {
  std::mt19937 random(2);
  for (int64_t dim : {8, 20, 32, 96, 112, 192, 256})
    check({4, 4, dim, 0, ElemF32, 0, AlibiNone, {{37, 3, 48}}}, random);
}

TEST(AttentionTest, DecodeSeveralSequences) {
  std::mt19937 random(3);
  for (int32_t element : {ElemF32, ElemF16, ElemBF16})
    check({9,
           3,
           64,
           0,
           element,
           0,
           AlibiNone,
           {{0, 1, 16}, {15, 1, 16}, {16, 1, 32}, {300, 2, 304}, {63, 1, 64}}},
          random);
}

TEST(AttentionTest, OneKvHead) {
  std::mt19937 random(4);
  check({71, 1, 64, 0, ElemF32, 0, AlibiNone, {{90, 1, 96}}}, random);
  check({71, 1, 64, 0, ElemF16, 0, AlibiNone, {{0, 33, 48}}}, random);
}

TEST(AttentionTest, Windows) {
  std::mt19937 random(5);
  for (int64_t window : {1, 5, 16, 64, 100})
    for (uint32_t past : {0u, 3u, 130u})
      check({4, 2, 32, window, ElemF32, 0, AlibiNone, {{past, 70, 208}}},
            random);
}

TEST(AttentionTest, SoftCapAndAlibi) {
  std::mt19937 random(6);
  check({4, 2, 64, 0, ElemF32, 5.0f, AlibiNone, {{10, 50, 64}}}, random);
  check({4, 2, 64, 0, ElemF32, 0, AlibiExact, {{10, 50, 64}}}, random);
  check({8, 1, 64, 40, ElemBF16, 3.0f, AlibiExact, {{0, 90, 96}}}, random);
  // Positions above 256 are rounded, too.
  check({6, 2, 64, 0, ElemF32, 0, AlibiBf16, {{260, 30, 304}}}, random);
}

/// A prompt in steps of any size gives the same bits as in one.
TEST(AttentionTest, StepsDoNotMatter) {
  std::mt19937 random(7);
  Case c{6, 2, 64, 50, ElemF32, 0, AlibiNone, {{20, 90, 112}}};
  Inputs in(c, random);
  for (const Variant &variant : variants()) {
    std::vector<float> whole = in.run(variant, 1);
    for (uint32_t size : {1u, 13u}) {
      for (uint32_t t = 0; t < 90; t += size) {
        uint32_t count = std::min(size, 90 - t);
        qrt_sequence part = in.sequences[0];
        part.past += t;
        part.tokens = count;
        std::vector<float> out = in.run(variant, 2, {part}, count, t);
        ASSERT_EQ(0, std::memcmp(whole.data() + t * in.config.outputStride,
                                 out.data(), out.size() * 4))
            << variant.name << " token " << t;
      }
    }
  }
}

struct RopeCase {
  int64_t heads, kvHeads, dim, rotary;
  bool interleaved, normed;
  int32_t element;
};

/// Norm and rotation of one head in double precision.
std::vector<double> rotateExactly(const RopeCase &c, const float *x,
                                  const float *norm, const float *table) {
  std::vector<double> v(x, x + c.dim);
  if (c.normed) {
    double squares = 0;
    for (double d : v)
      squares += d * d;
    double inverse = 1 / std::sqrt(squares / double(c.dim) + 1e-6);
    for (int64_t d = 0; d < c.dim; ++d)
      v[size_t(d)] *= inverse * (double(norm[d]) + 1.0);
  }
  std::vector<double> out = v;
  for (int64_t i = 0; i < c.rotary / 2; ++i) {
    auto a = size_t(c.interleaved ? 2 * i : i);
    auto b = size_t(c.interleaved ? 2 * i + 1 : i + c.rotary / 2);
    double cosine = double(table[2 * i]), sine = double(table[2 * i + 1]);
    out[a] = v[a] * cosine - v[b] * sine;
    out[b] = v[b] * cosine + v[a] * sine;
  }
  return out;
}

TEST(RopeTest, RotatesAndAppends) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  const RopeCase cases[] = {
      {9, 3, 64, 64, false, false, ElemF32},
      {4, 1, 80, 32, false, true, ElemF16},
      {2, 2, 20, 12, true, false, ElemBF16},
      {3, 3, 64, 0, false, false, ElemF32},
      {4, 2, 128, 128, true, true, ElemF32},
      {4, 4, 256, 64, false, true, ElemF32},
  };
  for (const RopeCase &c : cases)
    for (const Variant &variant : variants()) {
      SCOPED_TRACE(variant.name + " dim " + std::to_string(c.dim));
      Case shape{c.heads, c.kvHeads, c.dim, 0, c.element, 0, AlibiNone, {}};
      std::vector<Cache> caches;
      caches.emplace_back(shape, Sequence{14, 5, 32}, random);
      caches.emplace_back(shape, Sequence{0, 17, 32}, random);
      std::vector<qrt_sequence> sequences = {
          {0, 5, 14, 32, caches[0].memory.data()},
          {5, 17, 0, 32, caches[1].memory.data()}};
      constexpr int64_t tokens = 22;
      qrt_step step = {};
      step.tokens = tokens;
      step.sequence_count = 2;
      step.sequences = sequences.data();
      RopeAppendConfig config = {};
      config.heads = c.heads;
      config.kvHeads = c.kvHeads;
      config.headDim = c.dim;
      config.rotary = c.rotary;
      config.interleaved = c.interleaved;
      config.qStride = c.heads * c.dim + 1;
      config.kStride = config.vStride = c.kvHeads * c.dim + 2;
      config.kvElement = c.element;
      config.normQk = c.normed;
      config.epsilon = 1e-6f;
      config.normOffset = 1.0f;
      auto fill = [&](int64_t count) {
        std::vector<float> v(static_cast<size_t>(count));
        for (float &x : v)
          x = normal(random);
        return v;
      };
      std::vector<float> q = fill(tokens * config.qStride), before = q;
      std::vector<float> k = fill(tokens * config.kStride);
      std::vector<float> v = fill(tokens * config.vStride);
      std::vector<float> table = fill(tokens * c.rotary);
      std::vector<float> qNorm = fill(c.dim), kNorm = fill(c.dim);
      for (uint32_t part = 0; part < 3; ++part)
        variant.rope_append(&config, &step, Cache::kLayerOffset, q.data(),
                            k.data(), v.data(), table.data(), qNorm.data(),
                            kNorm.data(), part, 3);
      // A norm and two products of up to 16 or so in f32, then what storing
      // rounds.
      constexpr double rounding = 16 * 4 * 0x1p-24;
      double step16 = c.element == ElemF32   ? 0
                      : c.element == ElemF16 ? 0x1p-11
                                             : 0x1p-8;
      for (int64_t m = 0; m < tokens; ++m) {
        const float *row = table.data() + m * c.rotary;
        for (int64_t h = 0; h < c.heads; ++h) {
          int64_t at = m * config.qStride + h * c.dim;
          std::vector<double> expected =
              rotateExactly(c, before.data() + at, qNorm.data(), row);
          for (int64_t d = 0; d < c.dim; ++d)
            ASSERT_NEAR(q[size_t(at + d)], expected[size_t(d)], rounding);
        }
        const Cache &cache = caches[m < 5 ? 0 : 1];
        int64_t position = m < 5 ? 14 + m : m - 5;
        const char *layer = cache.memory.data() + 32 * Cache::kLayerOffset;
        for (int64_t h = 0; h < c.kvHeads; ++h) {
          int64_t at = m * config.kStride + h * c.dim;
          std::vector<double> expected =
              rotateExactly(c, k.data() + at, kNorm.data(), row);
          for (int64_t d = 0; d < c.dim; ++d) {
            ASSERT_NEAR(
                loadElement(c.element, layer, cache.keyIndex(h, position, d)),
                expected[size_t(d)],
                step16 * std::fabs(expected[size_t(d)]) + rounding);
            ASSERT_EQ(
                loadElement(c.element, layer, cache.valueIndex(h, position, d)),
                roundTo(c.element, v[size_t(at + d)]));
          }
        }
      }
      // krn_rope does the rotation alone.
      if (c.normed)
        continue;
      std::vector<float> rotated(before.size());
      for (uint32_t part = 0; part < 2; ++part)
        variant.rope(&config, &step, before.data(), table.data(),
                     rotated.data(), part, 2);
      for (int64_t m = 0; m < tokens; ++m)
        for (int64_t i = 0; i < c.heads * c.dim; ++i)
          ASSERT_EQ(rotated[size_t(m * config.qStride + i)],
                    q[size_t(m * config.qStride + i)]);
    }
}

TEST(RopeTest, Table) {
  std::vector<float> frequencies;
  for (int i = 0; i < 37; ++i)
    frequencies.push_back(float(std::pow(10000.0, -i / 37.0)));
  std::vector<int32_t> positions = {0, 1, 2, 3, 100, 4095, 131071, 1000003};
  RopeTableConfig config = {.half = 37,
                            .original = 0,
                            .factor = 1,
                            .attentionFactor = 0.75f};
  qrt_step step = {};
  step.tokens = uint32_t(positions.size());
  step.positions = positions.data();
  for (const Variant &variant : variants()) {
    std::vector<float> out(positions.size() * 37 * 2);
    for (uint32_t part = 0; part < 3; ++part)
      variant.rope_table(&config, &step, frequencies.data(), out.data(), part,
                         3);
    for (size_t m = 0; m < positions.size(); ++m)
      for (size_t i = 0; i < 37; ++i) {
        double angle = double(float(positions[m]) * frequencies[i]);
        const float *at = out.data() + (m * 37 + i) * 2;
        EXPECT_NEAR(at[0], 0.75 * std::cos(angle), 8e-8);
        EXPECT_NEAR(at[1], 0.75 * std::sin(angle), 8e-8);
      }
  }
}

} // namespace
