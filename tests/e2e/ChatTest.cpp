//===- ChatTest.cpp - qcc template, and templates in artifacts ------------===//

#include "tests/e2e/Tools.h"

#include <filesystem>

using namespace qcc::test;
namespace fs = std::filesystem;

namespace {

class Chat : public testing::Test {
protected:
  void SetUp() override {
    file("tokenizer_config.json",
         R"({"bos_token": "<s>", "chat_template": [
              {"name": "default", "template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}{% if mood %} ({{ mood }}){% endif %}"},
              {"name": "tool_use", "template": "{{ tools|tojson }}"},
              {"name": "dated", "template": "{{ strftime_now('%d %B %Y') }}"}]})");
    file("chat.json", R"([{"role": "user", "content": "Grüße 你好"}])");
  }
  void file(const std::string &name, const std::string &text) {
    writeFile(folder.folder / name, text);
  }
  /// `qcc template`, where MODEL is the folder.
  Outcome render(std::vector<std::string> more, const std::string &model = "") {
    std::vector<std::string> args = {
        "template", model.empty() ? folder.folder.string() : folder.path(model),
        "--messages", folder.path("chat.json")};
    args.insert(args.end(), more.begin(), more.end());
    return qcc::test::qcc(args);
  }
  void expectRefusal(const Outcome &outcome, int status,
                     const std::string &part) {
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1)
        << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
  }

  TemporaryFolder folder;
};

TEST_F(Chat, RendersTemplates) {
  EXPECT_EQ(render({}).out, "<s>[user] Grüße 你好\n");
  EXPECT_EQ(render({"--add_generation_prompt"}).out,
            "<s>[user] Grüße 你好\n[assistant]");
  EXPECT_EQ(render({"--set", "mood=\"good\"", "--set", "bos_token=B"}).out,
            "B[user] Grüße 你好\n (good)");
  EXPECT_EQ(render({"--name", "dated", "--date", "2026-03-01"}).out,
            "01 March 2026");
  file("tools.json", R"([{"type": "function"}])");
  EXPECT_EQ(render({"--tools", folder.path("tools.json")}).out,
            R"([{"type": "function"}])");
  // A file alone, with the special tokens beside it.
  file("mine.jinja", "{{ bos_token }}{{ messages[0].role }}\n");
  EXPECT_EQ(render({}, "mine.jinja").out, "<s>user");
  file("chat.json", R"({"messages": [{"role": "x"}], "tools": [{"a": 1}]})");
  EXPECT_EQ(render({}).out, R"([{"a": 1}])");
  Outcome piped =
      run(QCC_BIN, {"template", folder.path("mine.jinja"), "--messages", "-"},
          R"([{"role": "piped"}])");
  EXPECT_EQ(piped.out, "<s>piped");
}

TEST_F(Chat, RefusesWhatCannotBeRendered) {
  expectRefusal(render({"--date", "yesterday"}), 2, "'yesterday' is no date");
  expectRefusal(render({"--set", "x"}), 2, "'x' is no NAME=VALUE");
  expectRefusal(render({"--name", "rag"}), 1,
                "no chat template 'rag'; it has dated, default, tool_use");
  expectRefusal(render({"--tools", folder.path("none.json")}), 1, "none.json");
  expectRefusal(qcc::test::qcc({"template", folder.folder}), 2, "--messages");
  file("mine.jinja", "a\n{% include 'x' %}");
  expectRefusal(render({}, "mine.jinja"), 1,
                "chat template line 2, column 4: the tag 'include' is not "
                "supported: `{% include 'x' %}` in ");
  file("mine.jinja", "{{ raise_exception('no system\nrole') }}");
  expectRefusal(render({}, "mine.jinja"), 1,
                "chat template line 1: no system role in ");
  file("mine.jinja", "{% for a in range(100000) %}"
                     "{% for b in range(100000) %}{% endfor %}{% endfor %}");
  expectRefusal(render({}, "mine.jinja"), 1, "it may loop for ever");
  for (const char *json : {"", "[1]", "[]", "{}", "{\"messages\": 1}", "[}"}) {
    file("chat.json", json);
    Outcome outcome = render({});
    EXPECT_EQ(outcome.status, 1) << json;
    EXPECT_EQ(outcome.out, "");
  }
  fs::remove(folder.folder / "tokenizer_config.json");
  expectRefusal(render({}), 1, "");
}

/// A model with a template: it travels in the artifact.
TEST_F(Chat, TalksByTheArtifactsTemplate) {
  SKIP_WITHOUT_SHARED_DATA();
  fs::path model = folder.folder / "model";
  fs::copy(sharedData() / "models" / "stories260K", model,
           fs::copy_options::recursive);
  fs::permissions(model, fs::perms::owner_all, fs::perm_options::add);
  writeFile(model / "chat_template.jinja",
            "{{ bos_token }}{% for m in messages %}{{ m.content }}"
            "{% endfor %}");
  writeFile(model / "tokenizer_config.json",
            R"({"bos_token": "<s>", "eos_token": "</s>"})");
  std::string artifact = folder.path("model.qbin");
  std::vector<std::string> compile = {"compile", model, "--quiet", "-o",
                                      artifact};
  Outcome compiled = qcc::test::qcc(compile);
  ASSERT_EQ(compiled.status, 0) << compiled.err;
  auto facts = nlohmann::json::parse(
      qcc::test::qcc({"inspect", artifact, "--json"}).out);
  EXPECT_EQ(facts["chat_templates"], nlohmann::json({"default"}));

  Outcome talked = run(QRT_BIN,
                       {"chat", artifact, "--temperature", "0",
                        "--max-new-tokens", "20", "--quiet"},
                       "Once upon a time\n/exit\n");
  EXPECT_EQ(talked.status, 0) << talked.err;
  Outcome generated = qrt({"generate", artifact, "--prompt", "Once upon a time",
                           "--temperature", "0", "--max-new-tokens", "20",
                           "--no-echo", "--quiet"});
  EXPECT_EQ(talked.out, generated.out);

  // What could not be rendered is said when the model is compiled.
  writeFile(model / "chat_template.jinja", "x{% import 'y' as z %}");
  fs::remove(artifact);
  expectRefusal(qcc::test::qcc(compile), 1,
                "chat template line 1, column 5: the tag 'import' is not "
                "supported: `x{% import 'y' as z %}` in ");
  EXPECT_FALSE(fs::exists(artifact));
  compile.push_back("--no-chat-template");
  ASSERT_EQ(qcc::test::qcc(compile).status, 0);
  Outcome refused = qrt({"chat", artifact});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("the artifact carries no chat template"),
            std::string::npos)
      << refused.err;
}

} // namespace
