//===- Commands.h - The verbs of qcc ----------------------------*- C++ -*-===//

#ifndef QCC_COMPILER_QCC_COMMANDS_H
#define QCC_COMPILER_QCC_COMMANDS_H

#include <string>

namespace qcc {

/// What `qcc tokenize` is told.
struct TokenizeOptions {
  std::string model;
  bool noSpecialTokens = false; ///< add none
  bool literal = false;         ///< special tokens in the text are plain text
  bool decode = false;
  bool jsonLines = false;
};

// Each prints to stdout and throws qrt::Error.
void listEverything();
void inspectArtifact(const std::string &path, bool json);
void tokenizeInput(const TokenizeOptions &options);

} // namespace qcc

#endif // QCC_COMPILER_QCC_COMMANDS_H
