//===- CpuTest.cpp - What this CPU can run --------------------------------===//

#include "runtime/support/Cpu.h"

#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

using namespace qrt;

namespace {
/// Restores QRT_CPU.
class CpuTest : public testing::Test {
protected:
  void SetUp() override {
    if (const char *value = std::getenv("QRT_CPU"))
      before = value;
    ::unsetenv("QRT_CPU");
  }
  void TearDown() override {
    if (before.empty())
      ::unsetenv("QRT_CPU");
    else
      ::setenv("QRT_CPU", before.c_str(), 1);
  }
  static std::string errorFor(const char *value) {
    ::setenv("QRT_CPU", value, 1);
    try {
      cpuLevel();
      return "";
    } catch (const UsageError &error) {
      return error.what();
    }
  }

private:
  std::string before;
};
} // namespace

TEST_F(CpuTest, detectsAKnownLevel) {
  uint32_t level = detectCpuLevel();
  EXPECT_TRUE(level == 0 || (level >= 3 && level <= 5)) << level;
  EXPECT_EQ(cpuLevel(), level);
  ::setenv("QRT_CPU", "", 1);
  EXPECT_EQ(cpuLevel(), level);
}

TEST_F(CpuTest, canBeForcedDownButNotUp) {
  uint32_t detected = detectCpuLevel();
  for (uint32_t level :
       {QRT_CPU_X86_64_V3, QRT_CPU_X86_64_V4, QRT_CPU_X86_64_AMX}) {
    std::string name(cpuLevelName(level));
    if (level <= detected) {
      EXPECT_EQ(errorFor(name.c_str()), "");
      EXPECT_EQ(cpuLevel(), level);
    } else {
      EXPECT_EQ(errorFor(name.c_str()),
                "QRT_CPU asks for " + name + ", this machine has " +
                    std::string(cpuLevelName(detected)));
    }
  }
}

TEST_F(CpuTest, refusesUnknownNames) {
  for (const char *name : {"x86-64-v5", "AMX", "avx512", "x86-64-v3 "})
    EXPECT_EQ(errorFor(name), "QRT_CPU is '" + std::string(name) +
                                  "'; known are x86-64-v3, x86-64-v4 and amx");
}
