//===- FiniteCheckTest.cpp - Finding NaN and infinity ---------------------===//

#include "compiler/quantize/FiniteCheck.h"

#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

using namespace qcc;

namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

TEST(FiniteCheck, findsTheFirst) {
  std::vector<float> w(10000, std::numeric_limits<float>::max());
  EXPECT_EQ(findNonFinite(w.data(), int64_t(w.size())), std::nullopt);
  EXPECT_EQ(findNonFinite(w.data(), 0), std::nullopt);
  for (int64_t at : {9999, 4096, 4095, 17, 0}) {
    w[size_t(at)] = at % 2 ? kNan : -kInfinity;
    EXPECT_EQ(findNonFinite(w.data(), int64_t(w.size())), at);
  }
}

TEST(FiniteCheck, namesThePlace) {
  std::vector<float> w(12, 1.0f);
  EXPECT_NO_THROW(checkFinite(w.data(), 3, 4, "w"));
  w[6] = kNan;
  try {
    checkFinite(w.data(), 3, 4, "h.0.mlp", 16);
    FAIL();
  } catch (const qrt::Error &error) {
    EXPECT_STREQ(error.what(), "weight 'h.0.mlp' holds a NaN at [17, 2]");
  }
  w[3] = kInfinity;
  try {
    checkFinite(w.data(), 3, 4, "h.0.mlp");
    FAIL();
  } catch (const qrt::Error &error) {
    EXPECT_STREQ(error.what(), "weight 'h.0.mlp' holds an infinity at [0, 3]");
  }
}

} // namespace
