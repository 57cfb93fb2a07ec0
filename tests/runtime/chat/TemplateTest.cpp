//===- TemplateTest.cpp - Jinja as Python renders it ----------------------===//

#include "runtime/chat/Template.h"

#include "runtime/support/Error.h"
#include "tests/runtime/chat/TestFiles.h"

#include <gtest/gtest.h>

#include <thread>

using namespace qrt;
using namespace qrt::chat;
using namespace qrt::chat::test;

static std::string render(const std::string &text,
                          const RenderContext &context = {}) {
  return Template(text).render(context);
}

/// What rendering, or else compiling, says is wrong; "" if nothing.
static std::string errorOf(const std::string &text,
                           const RenderContext &context = {}) {
  try {
    render(text, context);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

/// Every snippet that jinja2 itself rendered, or refused.
TEST(TemplateTest, rendersAsJinja) {
  Value file = readJson(QCC_TEST_INPUTS "/chat/snippets.json");
  RenderContext context;
  context.variables = toVariables(at(file, "variables"));
  context.date = Date::parse("2026-11-23");
  ASSERT_GT(at(file, "cases").items().size(), 250u);
  for (const Value &snippet : at(file, "cases").items()) {
    const std::string &text = at(snippet, "template").string();
    const Value *expected = snippet.dict().find(std::string_view("text"));
    try {
      std::string rendered = render(text, context);
      if (expected)
        EXPECT_EQ(rendered, expected->string()) << text;
      else
        ADD_FAILURE() << text << "\nrendered as " << rendered << "\nraises "
                      << at(snippet, "raises").string();
    } catch (const Error &error) {
      if (expected)
        ADD_FAILURE() << text << "\n" << error.what();
    }
  }
}

TEST(TemplateTest, showsThePlaceOfWhatItCannotCompile) {
  EXPECT_EQ(errorOf("a\n  {% include 'x' %}\nb"),
            "chat template line 2, column 6: the tag 'include' is not "
            "supported: `{% include 'x' %}`");
  EXPECT_EQ(errorOf("{{ x | urlize }}"),
            "chat template line 1, column 8: the filter 'urlize' is not "
            "supported: `{{ x | urlize }}`");
  EXPECT_EQ(errorOf("\n\n{{ 'é' ~ (1 }}"),
            "chat template line 3, column 13: unexpected '}': "
            "`{{ 'é' ~ (1 }}`");
  EXPECT_EQ(errorOf("{% if x %}\ny"),
            "chat template line 1, column 4: 'if' has no end: `{% if x %}`");
  EXPECT_EQ(errorOf("{% for x in y %}{% endif %}"),
            "chat template line 1, column 20: 'endif' inside of 'for': "
            "`{% for x in y %}{% endif %}`");
  EXPECT_EQ(errorOf("{{ 1 + }}"),
            "chat template line 1, column 8: '}}' where an expression should "
            "be: `{{ 1 + }}`");
  // Of a long line only what is around the place.
  std::string error =
      errorOf(std::string(500, 'x') + "{{ $ }}" + std::string(500, 'y'));
  EXPECT_NE(error.find("column 504"), std::string::npos) << error;
  EXPECT_NE(error.find("{{ $ }}"), std::string::npos) << error;
  EXPECT_LT(error.size(), 200u);
  EXPECT_EQ(errorOf("\xff"), "the chat template is no UTF-8");
}

/// A filter that there is not is an error only where it runs.
TEST(TemplateTest, findsUnknownFiltersWhereJinjaDoes) {
  EXPECT_EQ(render("{% if false %}{{ x|from_json }}{% endif %}"), "");
  EXPECT_EQ(errorOf("{% if true %}{{ x|from_json }}{% endif %}"),
            "chat template line 1: no filter named 'from_json' found");
  EXPECT_EQ(errorOf("{{ x|from_json }}"),
            "chat template line 1, column 6: no filter named 'from_json': "
            "`{{ x|from_json }}`");
}

TEST(TemplateTest, namesTheLineThatFails) {
  EXPECT_EQ(errorOf("a\n{{ raise_exception('no system role') }}"),
            "chat template line 2: no system role");
  EXPECT_EQ(errorOf("{{ raise_exception('two\\nlines') }}"),
            "chat template line 1: two lines");
  EXPECT_EQ(errorOf("{% macro m() %}\n{{ x.y }}{% endmacro %}\n{{ m() }}"),
            "chat template line 2: 'x' is undefined");
  EXPECT_EQ(errorOf("{{ 'a'.encode() }}"),
            "chat template line 1: the method 'encode' of 'str' is not "
            "supported");
  EXPECT_EQ(errorOf("{{ [1].append(2) }}"),
            "chat template line 1: access to attribute 'append' of 'list' "
            "object is unsafe");
  EXPECT_EQ(errorOf("{{ 9223372036854775807 + 1 }}"),
            "chat template line 1: integers of more than 64 bits are not "
            "supported");
}

static std::string repeat(const std::string &text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out += text;
  return out;
}

/// Templates that loop, recurse or grow without end stop with an error.
TEST(TemplateTest, stopsWhatHasNoEnd) {
  const std::string loop = "{% for a in range(100000) %}", end = "{% endfor %}";
  const std::string grow = "{% set n = namespace(x=[1]) %}"
                           "{% for i in range(90) %}{% set n.x = ";
  const std::string templates[] = {
      loop + loop + end + end,
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
      grow + "n.x + n.x %}" + end,
      grow + "[n.x, n.x] %}" + end + "{{ n.x }}",
      grow + "[n.x, n.x] %}" + end + "{{ n.x|tojson }}",
      "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
      "{{ 'x' * 10000000000 }}",
      "{{ [1] * 10000000000 }}",
      "{{ '%999999999d' % 1 }}",
      "{{ '{:999999999}'.format(1) }}",
      "{{ 'a'.center(9999999999) }}",
      "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
      "{{ range(100000)|join('x' * 100000) }}",
      "{{ [[]]|batch(99999999999, 1)|list }}",
      "{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}",
      "{{ " + repeat("not ", 100000) + "1 }}",
      "{{ a" + repeat(".b", 100000) + " }}",
      "{{ 1" + repeat("+1", 100000) + " }}",
      "{{ a" + repeat("|abs", 100000) + " }}",
      "{{ 1" + repeat(" if 1 else 1", 100000) + " }}",
      repeat("{% if 1 %}", 100000) + repeat("{% endif %}", 100000),
  };
  RenderContext context;
  context.maxSteps = 2'000'000;
  for (const std::string &text : templates)
    EXPECT_NE(errorOf(text, context), "") << text.substr(0, 100);
}

/// What refers to itself is taken apart (the leak checker sees it).
TEST(TemplateTest, frees) {
  EXPECT_EQ(render("{% macro m() %}{{ m is defined }}{% endmacro %}{{ m() }}"
                   "{% set n = namespace() %}{% set n.self = n %}"
                   "{% for x in [1] %}{% macro k() %}{{ x }}{% endmacro %}"
                   "{% set n.k = k %}{% endfor %}{{ n.k() }}"),
            "True1");
}

TEST(TemplateTest, formatsDates) {
  RenderContext context;
  context.date = Date::parse("2024-02-29");
  EXPECT_EQ(
      render("{{ strftime_now('%d %b %Y, %A, day %j, %H:%M') }}", context),
      "29 Feb 2024, Thursday, day 060, 00:00");
  for (const char *wrong :
       {"2023-02-29", "2024-2-29", "2024-02-29x", "", "today", "2024-00-10"})
    EXPECT_THROW(Date::parse(wrong), UsageError) << wrong;
  EXPECT_EQ(render("{{ strftime_now('%Y')|length }}"), "4");
}

/// One template, rendered by several threads.
TEST(TemplateTest, rendersInThreads) {
  const Template shared("{% for i in range(50) %}{{ i }},{% endfor %}");
  std::string expected = shared.render({});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { EXPECT_EQ(shared.render({}), expected); });
  for (std::thread &thread : threads)
    thread.join();
}
