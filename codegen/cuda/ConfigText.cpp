//===- ConfigText.cpp - Constants of a kernel as text ---------------------===//

#include "codegen/cuda/ConfigText.h"

#include "llvm/ADT/StringSwitch.h"

#include <cstdio>

using namespace qcc;
using namespace qcc::cuda;

void ConfigText::integer(const char *name, int64_t value) {
  lines += std::string("  static constexpr int ") + name + " = " +
           std::to_string(value) + ";\n";
}

void ConfigText::flag(const char *name, bool value) {
  lines += std::string("  static constexpr bool ") + name + " = " +
           (value ? "true" : "false") + ";\n";
}

void ConfigText::real(const char *name, float value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%aF", double(value));
  lines +=
      std::string("  static constexpr float ") + name + " = " + text + ";\n";
}

void ConfigText::value(const char *name, const std::string &enumerator) {
  lines += std::string("  static constexpr int ") + name + " = " + enumerator +
           ";\n";
}

void ConfigText::nested(const char *name, const ConfigText &constants) {
  lines +=
      std::string("  struct ") + name + " {\n" + constants.text() + "  };\n";
}

int cuda::codeOf(qrt::Code code) { return int(code); }

int cuda::placeCodeOf(qrt::Code code) {
  return int(code == qrt::Code::Int8 ? qrt::Code::Int8 : qrt::Code::Int4);
}

int cuda::elementOf(qrt::Code code) {
  return code == qrt::Code::F16 ? 1 : code == qrt::Code::BF16 ? 2 : 0;
}

int cuda::elementOf(qrt::ScaleType type) {
  return type == qrt::ScaleType::F16 ? 1 : type == qrt::ScaleType::BF16 ? 2 : 0;
}

int cuda::normOf(llvm::StringRef norm) {
  return llvm::StringSwitch<int>(norm)
      .Case("rms", 1)
      .Case("layer", 2)
      .Default(0);
}

int cuda::activationOf(tfm::Activation activation) {
  switch (activation) {
  case tfm::Activation::None:
    return 0;
  case tfm::Activation::Silu:
    return 1;
  case tfm::Activation::Gelu:
    return 2;
  case tfm::Activation::GeluTanh:
    return 3;
  case tfm::Activation::Relu:
    return 4;
  case tfm::Activation::GeluQuick:
    return 5;
  case tfm::Activation::Sigmoid:
    return 6;
  case tfm::Activation::Tanh:
    return 7;
  case tfm::Activation::Relu2:
    return 8;
  case tfm::Activation::Relu6:
    return 9;
  case tfm::Activation::LeakyRelu:
    return 10;
  case tfm::Activation::HardSwish:
    return 11;
  case tfm::Activation::Mish:
    return 12;
  case tfm::Activation::Gelu10:
    return 13;
  }
  return 0;
}
