//===- Commands.h - The verbs of qcc ----------------------------*- C++ -*-===//

#ifndef QCC_COMPILER_QCC_COMMANDS_H
#define QCC_COMPILER_QCC_COMMANDS_H

#include <string>
#include <vector>

namespace qcc {

/// What `qcc tokenize` is told.
struct TokenizeOptions {
  std::string model;
  bool noSpecialTokens = false; ///< add none
  bool literal = false;         ///< special tokens in the text are plain text
  bool decode = false;
  bool jsonLines = false;
};

/// What `qcc template` is told.
struct TemplateOptions {
  std::string model;           ///< or a file with a template
  std::string messages, tools; ///< JSON files, "-" for standard input
  bool addGenerationPrompt = false;
  std::string date;                   ///< "2026-11-23"; empty: today
  std::string name;                   ///< of several templates
  std::vector<std::string> variables; ///< "NAME=VALUE", JSON or a text
};

// Each prints to stdout and throws qrt::Error.
void listEverything();
void inspectArtifact(const std::string &path, bool json);
void tokenizeInput(const TokenizeOptions &options);
void renderTemplate(const TemplateOptions &options);

} // namespace qcc

#endif // QCC_COMPILER_QCC_COMMANDS_H
