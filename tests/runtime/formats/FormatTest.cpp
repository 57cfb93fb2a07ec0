//===- FormatTest.cpp - The grammar of formats ----------------------------===//

#include "runtime/formats/Format.h"

#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <limits>

using namespace qrt;

namespace {

std::string parseError(std::string_view text) {
  try {
    Format::parse(text);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Format, everyValidFormatRoundTrips) {
  int formats = 0;
  for (int code = 0; code <= 8; ++code)
    for (int64_t group : {-1, 0, 1, 7, 64, 128, 2147483647})
      for (bool flattened : {false, true})
        for (bool zero : {false, true})
          for (int scale = 0; scale <= 3; ++scale) {
            Format format{Code(code), group, flattened, zero, ScaleType(scale)};
            if (!format.violation().empty()) {
              EXPECT_THROW(format.verify(), Error);
              continue;
            }
            EXPECT_EQ(Format::parse(format.mangled()), format)
                << format.mangled();
            ++formats;
          }
  // 3 unscaled; 4 int codes: 6 groups x 2 zero x 3 scales; 2 tables: (6 groups
  // + 5 blocks) x 3 scales.
  EXPECT_EQ(formats, 3 + 4 * 6 * 2 * 3 + 2 * 11 * 3);
}

TEST(Format, canonicalSpellings) {
  for (const char *text : {"f32", "f16", "bf16", "int8.row", "int8.row.sf32",
                           "int4.g128", "int4.g128.z", "int3.g64.z.sbf16",
                           "int2.row", "nf4.b64", "nf4.g64.sf16", "fp4.b4096",
                           "nf4.b64.d256", "fp4.g32.d512", "nf4.row.d1"})
    EXPECT_EQ(Format::parse(text).mangled(), text);
  // A default scale type that is spelled out parses, but is not canonical.
  EXPECT_EQ(Format::parse("int4.g128.sf16").mangled(), "int4.g128");
  Format nf4 = Format::parse("nf4.b64");
  EXPECT_TRUE(nf4.flattened);
  EXPECT_EQ(nf4.group, 64);
  EXPECT_EQ(nf4.scale, ScaleType::F32);
  EXPECT_EQ(Format::parse("int8.row").group, -1);
}

TEST(Format, parseErrorsNameTheToken) {
  auto expect = [](std::string_view text, const std::string &part) {
    std::string message = parseError(text);
    EXPECT_NE(message.find(part), std::string::npos)
        << "'" << text << "' gives '" << message << "'";
  };
  expect("", "unknown code ''");
  expect("int5.g128", "unknown code 'int5'");
  expect("INT4.g128", "unknown code 'INT4'");
  expect("int4", "format_c2");
  expect("int4.g0", "bad group 'g0'");
  expect("int4.g-1", "bad group 'g-1'");
  expect("int4.g", "bad group 'g'");
  expect("int4.g012", "bad group 'g012'");
  expect("int4.g12x", "bad group 'g12x'");
  expect("int4.g99999999999999999999", "bad group");
  expect("int4.g2147483648", "format_c2");
  expect("int4.b64", "format_c3");
  expect("nf4.b64.z", "format_c4");
  expect("nf4.b64.sf8", "unknown scale type 'f8'");
  expect("int4.g128.snone", "unknown scale type 'none'");
  expect("int4.z.g128", "unexpected part 'g128'");
  expect("int4.g128.g64", "unexpected part 'g64'");
  expect("int4.g128.z.z", "unexpected part 'z'");
  expect("int4.g128.sf32.z", "unexpected part 'z'");
  expect("int4.g128.", "unexpected part ''");
  expect("int4..g128", "unexpected part ''");
  expect("nf4.b64.d", "bad count of nested scales 'd'");
  expect("nf4.b64.d0", "bad count of nested scales 'd0'");
  expect("nf4.b64.d256.sf16", "unexpected part 'sf16'");
  expect("nf4.b64.sf16.d256", "unexpected part 'd256'");
  expect("nf4.b64.su8", "unknown scale type 'u8'");
  expect("int4.g64.d256", "format_c6");
  expect("nf4.b64.d2147483648", "format_c6");
  expect("bf16.d256", "format_c5");
  expect("bf16.g64", "format_c2");
  expect("bf16.sf32", "format_c5");
  expect("bf16.z", "format_c4");
  // Hostile text stays one short printable line.
  std::string hostile = parseError(std::string(5000, '\n'));
  EXPECT_EQ(hostile.find('\n'), std::string::npos);
  EXPECT_LT(hostile.size(), 400u);
}

TEST(Format, violationsCiteTheirConstraint) {
  auto broken = [](Format format) { return format.violation().substr(0, 9); };
  EXPECT_EQ(broken({Code(9), 64, false, false, ScaleType::F16}), "format_c1");
  EXPECT_EQ(broken({Code::Int4, 0, false, false, ScaleType::F16}), "format_c2");
  EXPECT_EQ(broken({Code::Int4, -2, false, false, ScaleType::F16}),
            "format_c2");
  EXPECT_EQ(broken({Code::F32, 64, false, false, ScaleType::None}),
            "format_c2");
  EXPECT_EQ(broken({Code::Int4, 64, true, false, ScaleType::F16}), "format_c3");
  EXPECT_EQ(broken({Code::NF4, -1, true, false, ScaleType::F32}), "format_c3");
  EXPECT_EQ(broken({Code::NF4, 64, false, true, ScaleType::F32}), "format_c4");
  EXPECT_EQ(broken({Code::Int4, 64, false, false, ScaleType::None}),
            "format_c5");
  EXPECT_EQ(broken({Code::Int4, 64, false, false, ScaleType(7)}), "format_c5");
  EXPECT_EQ(broken({Code::BF16, 0, false, false, ScaleType::F16}), "format_c5");
  EXPECT_EQ(broken({Code::NF4, 64, true, false, ScaleType::U8}), "format_c6");
  EXPECT_EQ(broken({Code::NF4, 64, true, false, ScaleType::F32, 256}),
            "format_c6");
  EXPECT_EQ(broken({Code::NF4, 64, true, false, ScaleType::U8, -1}),
            "format_c6");
  EXPECT_EQ(broken({Code::NF4, 64, true, false, ScaleType::U8, 256}), "");
  EXPECT_EQ(broken({Code::Int4, 64, false, true, ScaleType::F16}), "");
}

TEST(Format, sizes) {
  Format int4 = Format::parse("int4.g128.z");
  EXPECT_EQ(int4.codeBits(), 4);
  EXPECT_EQ(int4.groupSize(4544), 128);
  EXPECT_EQ(int4.groupsPerRow(4544), 36); // 35.5 groups
  EXPECT_EQ(int4.scaleCount(10, 4544), 360);
  EXPECT_DOUBLE_EQ(int4.bitsPerWeight(16, 256), 4 + 24.0 / 128);
  Format row = Format::parse("int8.row");
  EXPECT_EQ(row.groupSize(300), 300);
  EXPECT_EQ(row.groupsPerRow(300), 1);
  Format nf4 = Format::parse("nf4.b64");
  EXPECT_EQ(nf4.scaleCount(3, 37), 2);
  EXPECT_DOUBLE_EQ(nf4.bitsPerWeight(64, 64), 4.5);
  EXPECT_THROW(nf4.groupsPerRow(64), Error);
  EXPECT_EQ(nf4.nestedCount(64, 64), 0);
  Format nested = Format::parse("nf4.b64.d256");
  EXPECT_EQ(nested.nestedCount(512, 64), 2);
  EXPECT_EQ(nested.nestedCount(513, 64), 3);
  EXPECT_DOUBLE_EQ(nested.bitsPerWeight(512, 64),
                   4 + 8.0 / 64 + 32.0 / (64 * 256));
  Format bf16 = Format::parse("bf16");
  EXPECT_EQ(bf16.groupsPerRow(64), 0);
  EXPECT_EQ(bf16.scaleCount(64, 64), 0);
  EXPECT_DOUBLE_EQ(bf16.bitsPerWeight(4, 4), 16);
  EXPECT_FALSE(bf16.isQuantized());
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(nf4.scaleCount(kHuge, 2), Error);
  nf4.group = 0;
  EXPECT_THROW(nf4.scaleCount(4, 4), Error);
  EXPECT_THROW(int4.scaleCount(kHuge, 256), Error);
}

TEST(Format, defaultZeroIsTheMiddleCode) {
  EXPECT_EQ(defaultZero(Code::Int8), 128);
  EXPECT_EQ(defaultZero(Code::Int4), 8);
  EXPECT_EQ(defaultZero(Code::Int3), 4);
  EXPECT_EQ(defaultZero(Code::Int2), 2);
  EXPECT_EQ(defaultZero(Code::NF4), 0);
  EXPECT_EQ(defaultZero(Code::F32), 0);
}

} // namespace
