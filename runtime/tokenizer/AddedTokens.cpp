//===- AddedTokens.cpp - Finds added tokens in text -----------------------===//

#include "runtime/tokenizer/AddedTokens.h"

#include "runtime/tokenizer/Unicode.h"

#include <algorithm>

namespace qrt {

PrefixTrie::PrefixTrie() : nodes(1) {}

const uint32_t *PrefixTrie::findEdge(const Node &node,
                                     unsigned char byte) const {
  auto it = std::lower_bound(
      node.edges.begin(), node.edges.end(), byte,
      [](const Edge &edge, unsigned char b) { return edge.byte < b; });
  return it != node.edges.end() && it->byte == byte ? &it->node : nullptr;
}

void PrefixTrie::insert(std::string_view text, int32_t value) {
  starts[static_cast<unsigned char>(text[0])] = true;
  uint32_t at = 0;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (const uint32_t *next = findEdge(nodes[at], byte)) {
      at = *next;
      continue;
    }
    auto created = static_cast<uint32_t>(nodes.size());
    nodes.emplace_back();
    std::vector<Edge> &edges = nodes[at].edges;
    edges.insert(std::upper_bound(edges.begin(), edges.end(), byte,
                                  [](unsigned char b, const Edge &edge) {
                                    return b < edge.byte;
                                  }),
                 {byte, created});
    at = created;
  }
  if (nodes[at].value < 0)
    nodes[at].value = value;
}

int32_t PrefixTrie::longestAt(std::string_view text, size_t pos,
                              size_t &length) const {
  int32_t value = -1;
  uint32_t at = 0;
  for (size_t i = pos; i < text.size(); ++i) {
    const uint32_t *next =
        findEdge(nodes[at], static_cast<unsigned char>(text[i]));
    if (!next)
      break;
    at = *next;
    if (nodes[at].value >= 0) {
      value = nodes[at].value;
      length = i + 1 - pos;
    }
  }
  return value;
}

void AddedTokenFinder::add(const AddedToken &token, std::string_view content) {
  if (content.empty())
    return;
  trie.insert(content, static_cast<int32_t>(tokens.size()));
  tokens.push_back(token);
}

/// Moves \p pos left over continuation bytes to the start of the character that
/// ends there, and decodes it.
static uint32_t charBefore(std::string_view text, size_t &pos) {
  do
    --pos;
  while ((static_cast<unsigned char>(text[pos]) & 0xc0) == 0x80);
  size_t at = pos;
  return unicode::decodeChar(text, at);
}

static bool isSingleWord(std::string_view text, size_t begin, size_t end) {
  if (begin > 0) {
    size_t pos = begin;
    if (unicode::isWord(charBefore(text, pos)))
      return false;
  }
  return end == text.size() || !unicode::isWord(unicode::decodeChar(text, end));
}

static size_t skipSpaceLeft(std::string_view text, size_t pos, size_t limit) {
  while (pos > limit) {
    size_t before = pos;
    if (!unicode::isWhitespace(charBefore(text, before)))
      break;
    pos = before;
  }
  return pos;
}

static size_t skipSpaceRight(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t after = pos;
    if (!unicode::isWhitespace(unicode::decodeChar(text, after)))
      break;
    pos = after;
  }
  return pos;
}

void AddedTokenFinder::split(std::string_view text, bool parseSpecial,
                             std::vector<AddedTokenPart> &parts) const {
  parts.clear();
  size_t done = 0, spaceEnd = 0;
  for (size_t pos = 0; pos < text.size();) {
    size_t length = 0;
    int32_t index =
        trie.canStart(text[pos]) ? trie.longestAt(text, pos, length) : -1;
    if (index < 0) {
      ++pos;
      continue;
    }
    size_t begin = pos, end = pos + length;
    pos = end;
    const AddedToken &token = tokens[index];
    if (token.special && !parseSpecial)
      continue;
    if (token.singleWord && !isSingleWord(text, begin, end))
      continue;
    // A space that the token on the left has taken is not there to take. (But a
    // token that is white space itself is still found in such space.)
    if (token.lstrip)
      begin = std::max(skipSpaceLeft(text, begin, done), done);
    if (token.rstrip) {
      if (end >= spaceEnd)
        spaceEnd = skipSpaceRight(text, end);
      end = spaceEnd;
    }
    if (begin >= end)
      continue;
    if (done < begin)
      parts.push_back({-1, done, begin});
    parts.push_back({token.id, begin, end});
    done = end;
  }
  if (done < text.size())
    parts.push_back({-1, done, text.size()});
}

} // namespace qrt
