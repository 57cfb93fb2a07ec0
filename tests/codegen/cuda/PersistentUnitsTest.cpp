//===- PersistentUnitsTest.cpp - Products of a warp on the CPU's threads --===//
//
// A row of activations staged, and a tile of a weight multiplied with it, by
// the code of the persistent kernel, beside plain products. One warp has the
// whole row.
//
//===----------------------------------------------------------------------===//

#define QCC_CONSUMER_WARPS 1
#include "tests/support/CudaWarps.h"

#include "codegen/cuda/kernels/persistent_stage.cuh"
#include "codegen/cuda/kernels/persistent_units.cuh"
#include "tests/codegen/kernels/ReferenceGemm.h"

// Host and kernels call some constants the same, in files of their own.
#define cuda cudaLayout
#include "codegen/cuda/kernels/Layout.h"
#undef cuda

#include <gtest/gtest.h>

#include <random>

using namespace qcc;
using namespace qcc::test;

namespace {

/// What the generator says of a weight and its activations
/// (PersistentPhases.cpp).
template <qrt::Code QrtCode, int CudaCode, int Bits, int Columns, int Group,
          bool HasZero, int ScaleType>
struct Weight {
  static constexpr qrt::Code qrtCode = QrtCode;
  static constexpr bool isTable = cuda::isTableCode(CudaCode),
                        isFloat = cuda::isFloatCode(CudaCode);
  static constexpr cudaLayout::GemmLayout layout =
      cudaLayout::persistentLayout(Bits, Columns, isFloat ? 0 : Group, isTable);
  static constexpr int code = CudaCode, columns = Columns, stride = Columns;
  static constexpr int units = int(layout.units),
                       unitElements = int(layout.unitElements),
                       unitBlocks = int(layout.unitBlocks),
                       unitLines = int(layout.unitLines),
                       lastLines = int(layout.lastLines),
                       rowBlocks = int(layout.rowBlocks),
                       group = int(layout.group),
                       paddedGroup = int(layout.paddedGroup),
                       stepUnits = int(layout.stepUnits),
                       codeFactor = int(layout.codeFactor),
                       laneBlocks = int(layout.laneBlocks()),
                       sumsAt = int(layout.sumsAt(1)),
                       scalesAt = int(layout.scalesAt(1));
  static constexpr bool isPaired = layout.isPaired,
                        isUnsigned = layout.isUnsigned,
                        isPadded =
                            layout.rowBlocks * (isFloat ? 4 : 8) != Columns,
                        hasZero = HasZero, hasSums = HasZero || isUnsigned,
                        needsSums = hasSums;
  static constexpr bool hasOrder = false, hasNormBias = false, hasRest = false,
                        isTagged = false;
  static constexpr int norm = cuda::NormNone;
  static constexpr float normOffset = 0, epsilon = 0;
  static constexpr int perWarp =
      int(cudaLayout::persistentUnits(layout, int64_t(1) << 20));
  static constexpr int scaleType = ScaleType, nested = 0,
                       scaleBytes = ScaleType == cuda::ElementF32 ? 4 : 2,
                       scaleLine = isFloat ? 0 : 16 * scaleBytes,
                       defaultZero = 1 << (Bits - 1);
};

/// Where a warp of the test has what.
template <class K>
struct Room {
  static constexpr int tableAt =
      (int(K::layout.stagedBytes(1)) + 1024 + 127) / 128 * 128;
  static constexpr int codesAt =
      tableAt + (K::isTable ? cuda::kPairTableBytes : 0);
  static constexpr int bytes =
      codesAt + (K::units + 16) * K::unitLines * 64 + 1024;
};

/// The two rows of a tile that a lane scales, of the units' group `at`.
template <class K>
uint2 scalesOf(const TestWeight &weight, int at, int rows) {
  if (K::isFloat)
    return {};
  const auto *line = static_cast<const char *>(weight.scalePlane()) +
                     at * K::scaleLine + rows * 2 * K::scaleBytes;
  uint2 scales = {};
  std::memcpy(&scales, line, 2 * K::scaleBytes);
  return scales;
}

/// What the lane leaves of the tile's products.
template <class K>
void multiplyRow(const TestWeight &weight, const std::vector<float> &x,
                 std::vector<char> &shared, float *rooms,
                 std::vector<float> &result) {
  using Sums = cuda::UnitSums<K>;
  const int lane = int(threadIdx.x);
  if constexpr (K::isTable)
    cuda::fillPairTable<K::code>(shared.data() + Room<K>::tableAt, lane, 32);
  uint32_t turn = 0;
  cuda::PersistentStage<K>::stage(x.data(), nullptr, nullptr, nullptr, nullptr,
                                  0, shared.data(), rooms, turn);
  cuda::syncConsumers();
  const cuda::PairTable<Room<K>::tableAt, false> table = {uint32_t(lane * 4), 0,
                                                          128};
  const typename Sums::ActivationsAt from(0, lane);
  typename Sums::Activations activations;
  typename Sums::Codes codes;
  typename Sums::Products products;
  float v[2] = {};
  for (int first = 0; first < K::units; first += K::perWarp) {
    for (int i = 0; i < Sums::count; ++i) {
      const int unit = first + i * K::stepUnits + Sums::unitOf(lane);
      Sums::load(activations, i, from, unit);
      Sums::load(codes.step[i],
                 uint32_t(Room<K>::codesAt + unit * K::unitLines * 64),
                 unit == K::units - 1, lane);
    }
    for (int i = 0; i < Sums::rounds; ++i)
      activations.sum[i] = Sums::loadSum(
          from, first + i * Sums::parts + Sums::partOf(lane), lane);
    Sums::multiply(codes, activations, table, products);
    for (int i = 0; i < Sums::rounds; ++i) {
      const int unit = first + i * Sums::parts + Sums::partOf(lane);
      if (unit >= K::units)
        continue;
      const int at = unit / int(K::layout.unitsPerGroup),
                rows = Sums::rowsOf(lane);
      uint16_t zeros = 0;
      if (K::hasZero)
        std::memcpy(&zeros,
                    weight.packedZeros.data<uint8_t>() + at * 16 + rows * 2, 2);
      Sums::add(v, products, i, scalesOf<K>(weight, at, rows), zeros, lane);
    }
  }
  Sums::join(v);
  if (lane % 4 != 0)
    return;
  float factor = 1;
  if (K::code != cuda::BF16) {
    std::memcpy(&factor, shared.data() + K::scalesAt, 4);
    factor *= Sums::sumScale;
  }
  for (int r = 0; r < 2; ++r)
    result[size_t(lane / 4 * 2 + r)] = v[r] * factor;
}

template <class K>
class PersistentUnits : public testing::Test {};

template <int Bits, int Columns, int Group, bool HasZero = true>
using Int = Weight<Bits == 2   ? qrt::Code::Int2
                   : Bits == 3 ? qrt::Code::Int3
                   : Bits == 4 ? qrt::Code::Int4
                               : qrt::Code::Int8,
                   Bits == 2   ? cuda::Int2
                   : Bits == 3 ? cuda::Int3
                   : Bits == 4 ? cuda::Int4
                               : cuda::Int8,
                   Bits, Columns, Group, HasZero, cuda::ElementF16>;
using Formats = testing::Types<
    Int<4, 512, 128>, Int<4, 520, 128, false>, Int<4, 512, 64>, Int<4, 256, 32>,
    Int<4, 384, 384>, Int<3, 512, 128>, Int<3, 520, 128, false>,
    Int<3, 256, 64>, Int<3, 256, 32>, Int<3, 384, 384>, Int<2, 1024, 128>,
    Int<2, 512, 64>, Int<2, 256, 32>, Int<2, 256, 16, false>, Int<2, 512, 512>,
    Int<8, 512, 128>, Int<8, 256, 32>, Int<8, 392, 392, false>,
    Weight<qrt::Code::NF4, cuda::NF4, 4, 512, 64, false, cuda::ElementF32>,
    Weight<qrt::Code::FP4, cuda::FP4, 4, 520, 64, false, cuda::ElementF32>,
    Weight<qrt::Code::BF16, cuda::BF16, 16, 264, 264, false, cuda::ElementF32>,
    Weight<qrt::Code::F16, cuda::F16, 16, 256, 256, false, cuda::ElementF32>>;
struct Names {
  template <class K>
  static std::string GetName(int) {
    return std::string(qrt::codeName(K::qrtCode)) + "_" +
           std::to_string(K::columns) + "_" + std::to_string(K::group);
  }
};
TYPED_TEST_SUITE(PersistentUnits, Formats, Names);

TYPED_TEST(PersistentUnits, AreThePlainProducts) {
  using K = TypeParam;
  std::mt19937 random(7);
  const TestWeight weight(K::qrtCode, 16, K::columns, K::group, K::hasZero,
                          K::scaleType, random);
  std::vector<float> x(K::columns);
  std::normal_distribution<float> normal;
  float largest = 0;
  for (float &value : x) {
    value = normal(random);
    largest = std::max(largest, std::fabs(value));
  }
  std::vector<char> shared(Room<K>::bytes);
  std::memcpy(shared.data() + Room<K>::codesAt, weight.packedCodes.data(),
              weight.packedCodes.size());
  cuda::sharedMemory = shared.data();
  std::vector<float> rooms(64), result(16);
  cuda::runKernel(
      1, 32, [&] { multiplyRow<K>(weight, x, shared, rooms.data(), result); });
  // Activations have 16 bits of the largest one, or the digits of two floats;
  // entries of tables are f16.
  for (int row = 0; row < 16; ++row) {
    const Exact exact = exactDot(weight, row, x.data());
    const double limit =
        (K::isTable || K::isFloat ? 0 : exact.weights * largest / 65024) +
        exact.magnitude * (K::isTable   ? 5e-4
                           : K::isFloat ? 3e-5
                                        : 1e-6);
    EXPECT_NEAR(result[size_t(row)], exact.sum, limit) << row;
  }
}

} // namespace
