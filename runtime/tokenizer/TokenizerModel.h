//===- TokenizerModel.h - A tokenizer as plain data -------------*- C++ -*-===//
//
// Everything that turns text into token ids and back, as data: importers fill
// it from a checkpoint, the artifact carries it as an opaque block of bytes,
// and qrt::Tokenizer runs it. It covers byte pair encoding in the two ways in
// which checkpoints state it: a ranked list of merges (Hugging Face's
// tokenizer.json, GPT-2's merges.txt, tiktoken, GGUF's "gpt2") and scored
// pieces (SentencePiece's tokenizer.model, GGUF's "llama"); and the unigram
// model in both Hugging Face's and SentencePiece's manner.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOKENIZER_TOKENIZERMODEL_H
#define QRT_TOKENIZER_TOKENIZERMODEL_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

/// Which pair of neighbouring symbols is joined first, and with it the way from
/// text to words and from pieces to text.
enum class MergeRule : uint8_t {
  Ranked, ///< the one that stands first in `merges`; Hugging Face's components
  Scored, ///< the one whose joined text is the piece of the highest score;
          ///< SentencePiece's normalizer and decoder
};

/// What a word is cut into before anything is merged.
enum class SymbolUnit : uint8_t { Bytes, Characters };

/// SentencePiece's kinds of pieces, with its numbers
/// (sentencepiece_model.proto, ModelProto.SentencePiece.Type; GGUF's token_type
/// uses the same).
enum class PieceType : uint8_t {
  Normal = 1,
  Unknown = 2,
  Control = 3,     ///< never made from text, decodes to nothing (Scored)
  UserDefined = 4, ///< always one token where its text stands (Scored)
  Unused = 5,      ///< has an id, is never a result of encoding
  Byte = 6,        ///< "<0xNN>", stands for one byte that no piece covers
};

/// One entry of the vocabulary; its id is its index.
struct Piece {
  /// Raw bytes of text where the unit is Bytes (GPT-2's printable stand-ins
  /// are undone by the importers), else UTF-8, with U+2581 for a blank.
  std::string text;
  double score = 0;
  PieceType type = PieceType::Normal;
};

/// Ids of two neighbours and of what they become.
struct Merge {
  int32_t left, right, result;
};

/// Text that is cut out before anything else is looked at (Hugging Face's
/// AddedToken).
struct AddedToken {
  std::string content; ///< UTF-8, at most maxAddedTokenBytes
  int32_t id = 0;
  bool special = false;    ///< left out by decode(skipSpecial); see encode()
  bool lstrip = false;     ///< takes the white space on its left with it
  bool rstrip = false;     ///< takes the white space on its right with it
  bool normalized = false; ///< looked for in the normalized text (Ranked)
  bool singleWord = false; ///< only where no word character touches it
};

/// A piece of text, or a regular expression in Oniguruma's (Ruby) syntax as
/// tokenizer.json has it; Regex.h says which part of that is understood.
struct TextPattern {
  std::string text;
  bool isRegex = false;
};

enum class NormalizerKind : uint8_t {
  Nfc,
  Nfd,
  Nfkc,
  Nfkd,
  Lowercase,
  StripAccents,    ///< drops the combining marks
  Strip,           ///< white space off the ends that `left`, `right` name
  Prepend,         ///< `content`, before text that is not empty
  Replace,         ///< every match of `pattern` by `content`
  Precompiled,     ///< by the map in `content`, as SentencePiece compiles it
  Nmt,             ///< drops control characters, white space becomes blanks
  BertClean,       ///< the same, in BERT's manner
  BertChinese,     ///< a blank before and behind every Chinese character
  StripNonspacing, ///< drops the non-spacing marks (Mn)
  ByteLevel,       ///< GPT-2's stand-ins for the bytes
};

struct NormalizerStep {
  NormalizerKind kind = NormalizerKind::Nfc;
  TextPattern pattern;
  std::string content;
  bool left = false, right = false;
};

/// What becomes of the matches of a pattern at which text is split.
enum class SplitBehavior : uint8_t {
  Removed,
  Isolated,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous, ///< neighbouring matches stay one piece
};

/// Where Metaspace puts a blank in front of text.
enum class PrependScheme : uint8_t { Always, First, Never };

enum class PreTokenizerKind : uint8_t {
  ByteLevel,   ///< `addPrefixSpace`, `useRegex` (GPT-2's); later steps see
               ///< GPT-2's stand-ins for bytes, and so does the model unless
               ///< its unit is Bytes
  Split,       ///< at `pattern`, by `behavior`, `invert`
  Digits,      ///< `individual`: each digit by itself
  Punctuation, ///< by `behavior`
  Metaspace,   ///< blank -> `content`; `scheme`; `split`
  WhitespaceSplit,
};

struct PreTokenizerStep {
  PreTokenizerKind kind = PreTokenizerKind::ByteLevel;
  TextPattern pattern;
  std::string content;
  SplitBehavior behavior = SplitBehavior::Isolated;
  PrependScheme scheme = PrependScheme::Always;
  bool addPrefixSpace = false, useRegex = true;
  bool invert = false, individual = false, split = true;
};

enum class DecoderKind : uint8_t {
  ByteLevel,    ///< the bytes of all tokens, read as one UTF-8 text
  Replace,      ///< in each token, `pattern` by `content`
  ByteFallback, ///< runs of "<0xNN>" become the text that they spell
  Fuse,         ///< all tokens become one
  Strip,        ///< `content` off the ends, at most `start` and `stop` times
  Metaspace,    ///< `content` -> blank, dropped in the first token (`scheme`)
  WordPiece,    ///< a blank before tokens but the first, unless they begin with
                ///< `content`, which is dropped; `cleanup`
  WordSuffix,   ///< `content` -> blank, dropped in the last token
};

struct DecoderStep {
  DecoderKind kind = DecoderKind::ByteLevel;
  TextPattern pattern;
  std::string content;
  PrependScheme scheme = PrependScheme::Always;
  uint32_t start = 0, stop = 0;
  bool cleanup = false; ///< no blanks in front of punctuation
};

/// SentencePiece's NormalizerSpec; used by MergeRule::Scored only.
struct SentencePieceSpec {
  bool addDummyPrefix = true;
  /// Between added tokens, only the text at the very front gets the prefix.
  bool prefixOnlyFirst = false;
  bool removeExtraWhitespaces = true;
  bool escapeWhitespaces = true;
  bool whitespaceAsSuffix = false;
  /// NormalizerSpec.precompiled_charsmap: a double array trie and what its
  /// leaves are replaced by; empty: text is left as it is.
  std::string charsmap;
  /// What the unknown piece decodes to.
  std::string unknownSurface = " \xe2\x81\x87 ";
};

/// A tokenizer. Every id is an index into `pieces`.
struct TokenizerModel {
  MergeRule rule = MergeRule::Ranked;
  SymbolUnit unit = SymbolUnit::Bytes;
  std::vector<Piece> pieces;
  std::vector<Merge> merges; ///< Ranked only; of equal pairs the last counts
  std::vector<AddedToken> addedTokens;

  std::vector<NormalizerStep> normalizers;     ///< Ranked only
  std::vector<PreTokenizerStep> preTokenizers; ///< Ranked only
  std::vector<DecoderStep> decoders;           ///< Ranked only; none: tokens
                                               ///< are joined by blanks
  SentencePieceSpec sentencePiece;             ///< Scored only

  /// No merges: of all ways to cut a word into pieces the one of the highest
  /// sum of scores (Unigram.h).
  bool unigram = false;
  /// The smaller result goes first, whatever its place in `merges` (tiktoken).
  bool ranksAreIds = false;
  bool ignoreMerges = false; ///< a word that is a piece is that piece
  bool byteFallback = false; ///< unknown characters become Byte pieces
  bool fuseUnknown = false;  ///< neighbouring unknowns are one (Ranked)
  int32_t unknownId = -1;    ///< -1: what is unknown is left out
  int32_t bosId = -1;        ///< -1: has none
  int32_t eosId = -1;        ///< -1: has none

  /// What encode(addSpecialTokens) puts around the ids of the text.
  std::vector<int32_t> prefixIds, suffixIds;
};

inline constexpr size_t maxPieces = size_t(1) << 24;
inline constexpr size_t maxPieceBytes = 4096;
inline constexpr size_t maxAddedTokenBytes = 4096;
inline constexpr size_t maxPatternBytes = size_t(1) << 16;
inline constexpr size_t maxCharsMapBytes = size_t(1) << 24;

/// The byte that a piece "<0xNN>" stands for; -1: it is none.
int byteOfPiece(std::string_view text);

/// Checks that ids are in range, texts are UTF-8 where they must be, and parts
/// go together. Throws qrt::Error that names the field (not whether a regular
/// expression compiles; Tokenizer's constructor sees to that).
void validate(const TokenizerModel &model);

/// The bytes that the artifact carries: a FlatBuffer (tokenizer.fbs). The same
/// model gives the same bytes.
std::vector<uint8_t> serialize(const TokenizerModel &model);

/// Reads what serialize() wrote. Trusts nothing: the bytes are verified and the
/// result is validated; throws qrt::Error.
TokenizerModel deserialize(std::span<const uint8_t> bytes);

} // namespace qrt

#endif // QRT_TOKENIZER_TOKENIZERMODEL_H
