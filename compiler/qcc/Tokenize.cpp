//===- Tokenize.cpp - qcc tokenize ----------------------------------------===//

#include "compiler/qcc/Commands.h"

#include "compiler/driver/LoadModel.h"
#include "runtime/support/Error.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

using nlohmann::json;
using qrt::Error;

namespace qcc {
namespace {

std::vector<int32_t> parseIds(const std::string &text) {
  std::vector<int32_t> ids;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    size_t used = 0;
    int32_t id = -1;
    try {
      id = std::stoi(word, &used);
    } catch (const std::exception &) {
      used = 0;
    }
    if (used != word.size())
      throw Error("'" + word + "' is no token id", "standard input");
    ids.push_back(id);
  }
  return ids;
}

void checkIds(const std::vector<int32_t> &ids, int32_t vocabulary,
              const std::string &where) {
  for (int32_t id : ids)
    if (id < 0 || id >= vocabulary)
      throw Error("token id " + std::to_string(id) + " is not in 0.." +
                      std::to_string(vocabulary - 1),
                  where);
}

} // namespace

void tokenizeInput(const TokenizeOptions &options) {
  qrt::Tokenizer tokenizer(loadTokenizer(options.model));
  auto encode = [&](const std::string &text) {
    return tokenizer.encode(text, !options.noSpecialTokens, !options.literal);
  };
  if (!options.jsonLines) {
    std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    if (options.decode) {
      std::vector<int32_t> ids = parseIds(text);
      checkIds(ids, tokenizer.vocabSize(), "standard input");
      std::cout << tokenizer.decode(ids);
      return;
    }
    const char *separator = "";
    for (int32_t id : encode(text)) {
      std::cout << separator << id;
      separator = " ";
    }
    std::cout << '\n';
    return;
  }
  int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::string where = "line " + std::to_string(++number);
    json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (options.decode) {
      std::vector<int32_t> ids;
      bool valid = value.is_array();
      for (const json &id : value) {
        valid = valid && id.is_number_integer() &&
                id.get<int64_t>() == id.get<int32_t>();
        if (valid)
          ids.push_back(id.get<int32_t>());
      }
      if (!valid)
        throw Error("no JSON array of ids", where);
      checkIds(ids, tokenizer.vocabSize(), where);
      // Bytes that are no UTF-8 come out as U+FFFD already.
      std::cout << json(tokenizer.decode(ids))
                       .dump(-1, ' ', false, json::error_handler_t::replace)
                << '\n';
    } else {
      if (!value.is_string())
        throw Error("no JSON string", where);
      std::cout << json(encode(value.get<std::string>())).dump() << '\n';
    }
  }
}

} // namespace qcc
