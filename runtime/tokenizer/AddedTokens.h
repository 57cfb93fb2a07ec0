//===- AddedTokens.h - Finds added tokens in text ---------------*- C++ -*-===//

#ifndef QRT_TOKENIZER_ADDEDTOKENS_H
#define QRT_TOKENIZER_ADDEDTOKENS_H

#include "runtime/tokenizer/TokenizerModel.h"

#include <array>
#include <string_view>
#include <vector>

namespace qrt {

/// A set of texts with a value each; finds the longest that starts at a place.
class PrefixTrie {
public:
  PrefixTrie();

  /// Of equal texts the first counts. \p text is not empty.
  void insert(std::string_view text, int32_t value);

  bool empty() const { return nodes.size() == 1; }
  bool canStart(char c) const { return starts[static_cast<unsigned char>(c)]; }

  /// The value of the longest text that starts at \p pos, with its \p length;
  /// -1: none does.
  int32_t longestAt(std::string_view text, size_t pos, size_t &length) const;

private:
  struct Edge {
    unsigned char byte;
    uint32_t node;
  };
  struct Node {
    int32_t value = -1;
    std::vector<Edge> edges; ///< sorted by byte
  };
  const uint32_t *findEdge(const Node &node, unsigned char byte) const;

  std::vector<Node> nodes;
  std::array<bool, 256> starts{};
};

/// One part of a text: an added token, or the text between two.
struct AddedTokenPart {
  int32_t id; ///< -1: text
  size_t begin, end;
};

/// Finds added tokens as Hugging Face's tokenizers do: from the left, of those
/// that start at the same place the longest.
class AddedTokenFinder {
public:
  /// Looks for \p content instead of the token's own (its normalized form).
  void add(const AddedToken &token, std::string_view content);

  bool empty() const { return trie.empty(); }

  /// Cuts \p text (valid UTF-8) into \p parts, none of them empty. Unless
  /// \p parseSpecial, special tokens are plain text.
  void split(std::string_view text, bool parseSpecial,
             std::vector<AddedTokenPart> &parts) const;

private:
  PrefixTrie trie;
  std::vector<AddedToken> tokens; ///< the trie's values index it
};

} // namespace qrt

#endif // QRT_TOKENIZER_ADDEDTOKENS_H
