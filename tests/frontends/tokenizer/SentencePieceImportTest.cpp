//===- SentencePieceImportTest.cpp - Reading tokenizer.model --------------===//

#include "TokenizerTestUtils.h"

#include <cstring>

using namespace qcc;
using namespace qcc::test;
using qrt::PieceType;
using qrt::Tokenizer;

namespace {

using Ids = std::vector<int32_t>;

//===----------------------------------------------------------------------===//
// Writing Protocol Buffers
//===----------------------------------------------------------------------===//

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7)
    bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string number(uint32_t field, uint64_t value) {
  return varint(field << 3) + varint(value);
}

std::string text(uint32_t field, std::string_view value) {
  return varint(field << 3 | 2) + varint(value.size()) + std::string(value);
}

std::string piece(std::string_view value, float score, uint64_t type = 1) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &score, 4);
  return text(1, text(1, value) + varint(2 << 3 | 5) + bytes + number(3, type));
}

std::string pieces() {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) +
         piece("\u2581", -1) + piece("a", -2) + piece("b", -3) +
         piece("ab", -1);
}

const std::string bpe = text(2, number(3, 2));

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

TEST(SentencePieceImport, ReadsAModel) {
  Tokenizer tokenizer(importSentencePiece(pieces() + bpe));
  EXPECT_EQ(tokenizer.vocabSize(), 7);
  EXPECT_EQ(tokenizer.bosId(), 1);
  EXPECT_EQ(tokenizer.eosId(), 2);
  EXPECT_EQ(tokenizer.encode(" ab  a"), (Ids{1, 3, 6, 3, 4}));
  EXPECT_EQ(tokenizer.encode("c", false), (Ids{3, 0}));
  EXPECT_EQ(tokenizer.decode(Ids{1, 3, 6, 0}), "ab \u2047 ");
}

TEST(SentencePieceImport, ReadsItsOptions) {
  std::string normalizer =
      text(3, text(1, "identity") + number(3, 0) + number(4, 0) + number(5, 1));
  std::string trainer = text(2, number(3, 2) + number(24, 1) + text(44, "?") +
                                    text(46, "</s>") + text(47, "none"));
  qrt::TokenizerModel model =
      importSentencePiece(pieces() + trainer + normalizer + text(4, "ignored"));
  EXPECT_FALSE(model.sentencePiece.addDummyPrefix);
  EXPECT_FALSE(model.sentencePiece.removeExtraWhitespaces);
  EXPECT_TRUE(model.sentencePiece.whitespaceAsSuffix);
  EXPECT_EQ(model.bosId, 2);
  EXPECT_EQ(model.eosId, -1);
  Tokenizer tokenizer(model);
  EXPECT_EQ(tokenizer.encode("a a"), (Ids{2, 4, 3, 4}));
  EXPECT_EQ(tokenizer.decode(Ids{0}), "?");
}

TEST(SentencePieceImport, NamesWhatItRefuses) {
  for (const auto &[bytes, error] :
       std::vector<std::pair<std::string, const char *>>{
           {pieces() + text(2, number(3, 4)),
            "'trainer_spec.model_type' is 4 (Char), which is not supported "
            "(only 1, Unigram, and 2, BPE)"},
           {pieces() + text(2, number(3, 9)),
            "'trainer_spec.model_type' is 9, which is not supported (only 1, "
            "Unigram, and 2, BPE)"},
           {bpe, "'pieces' has no unknown piece among 0"},
           {pieces() + piece("<x>", 0, 2) + bpe,
            "'pieces' has the unknown piece twice, 0 and 7"},
           {pieces() + piece("a", 0) + bpe,
            "'pieces[7]' has the text of another piece"},
           {pieces() + piece("", 0) + bpe, "'pieces[7]' has no text"},
           {pieces() + piece("c", 0, 7) + bpe,
            "'pieces[7]' has the type 7, not 1 to 6"},
           {pieces() + text(2, number(3, 2) + number(35, 1)),
            "'trainer_spec.byte_fallback' is true, but there are pieces for "
            "only 0 of 256 bytes"},
           {pieces() + bpe + number(1, 5), "pieces has the wire type 0, not 2"},
           {pieces() + bpe + text(5, text(2, "map")),
            "'denormalizer_spec.precompiled_charsmap' is not supported"}}) {
    EXPECT_EQ(errorOf([&] { importSentencePiece(bytes, "x.model"); }),
              std::string(error) + " in x.model");
  }
  EXPECT_EQ(
      errorOf([] { importSentencePiece(pieces() + piece("\xff", 0) + bpe); }),
      "the text is not UTF-8 in pieces[7].text of the tokenizer");
  EXPECT_NE(errorOf([] { importSentencePiece(""); }), "");
}

TEST(SentencePieceImport, RefusesDamagedMessages) {
  for (const auto &[bytes, error] :
       std::vector<std::pair<std::string, const char *>>{
           {"\x0a\xff\xff\xff\xff\x0f",
            "a field of 4294967295 bytes does not fit at byte 6 of a message "
            "of 6 bytes"},
           {"\x0a", "the number ends too early at byte 1 of a message of 1 "
                    "bytes"},
           {"\x0f", "a field has the unknown wire type 7 at byte 1 of a "
                    "message of 1 bytes"},
           {std::string("\0", 1),
            "a field has the number 0 at byte 1 of a message of 1 bytes"},
           {std::string(11, '\x80'), "the number has more than ten bytes at "
                                     "byte 10 of a message of 11 bytes"},
           {"\x0d\x01", "the number ends too early at byte 1 of a message of "
                        "2 bytes"}}) {
    EXPECT_EQ(errorOf([&] { importSentencePiece(bytes, "x.model"); }),
              std::string(error) + " in x.model");
  }
}

TEST(SentencePieceImport, SurvivesDamage) {
  std::string bytes = pieces() + piece("<x>", 0, 4) + piece("aab", -9, 5) +
                      text(2, number(3, 2) + text(44, "?")) +
                      text(3, number(4, 0));
  damage(bytes, 1, [](const std::string &damaged) {
    exercise(importSentencePiece(damaged));
  });
  damage(readFile(testInputs() / "stories260K" / "tokenizer.model"), 29,
         [](const std::string &damaged) {
           exercise(importSentencePiece(damaged));
         });
}

} // namespace
