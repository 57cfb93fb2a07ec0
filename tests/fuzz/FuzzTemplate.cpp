//===- FuzzTemplate.cpp - Fuzzes the interpreter of chat templates --------===//

#include "runtime/chat/Json.h"
#include "runtime/chat/Template.h"
#include "tests/fuzz/Fuzz.h"

using namespace qrt::chat;

/// What published templates read.
static RenderContext makeContext() {
  RenderContext context;
  context.variables = {
      {"messages", parseJson(R"([{"role":"system","content":"Be <b>."},
                     {"role":"user","content":"h\u00e9 \ud83d\ude00"},
                     {"role":"assistant","content":null,"tool_calls":
                      [{"function":{"name":"f","arguments":{"a":[1,2.5]}}}]}]
                  )")},
      {"tools", parseJson(R"([{"type":"function","function":{"name":"f"}}])")},
      {"add_generation_prompt", Value(true)},
      {"bos_token", Value("<s>")}};
  context.date = Date::parse("2026-11-23");
  context.maxSteps = 20'000; // so that what loops stops soon
  return context;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const RenderContext context = makeContext();
  return qcc::fuzz::run(
      [&] { Template(qcc::fuzz::asText(data, size)).render(context); });
}
