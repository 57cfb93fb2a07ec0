//===- FidelityTest.cpp - Perplexity against reference implementations ----===//

#include "tests/e2e/Tools.h"

using namespace qcc::test;

namespace {

/// The rows of fidelity.json whose scheme this version has, of its short daily
/// selection (`bar`).
std::vector<nlohmann::json> fidelityRows(const std::string &model) {
  std::vector<nlohmann::json> rows;
  auto all = nlohmann::json::parse(
      readFile(sharedData() / "quant-goldens" / "fidelity.json"));
  for (const nlohmann::json &row : all["rows"]) {
    std::string scheme = row["scheme"];
    // Calibrations take long: a row of each model, and one with act-order.
    std::string name = row["name"];
    bool isChosen = name == "gptq.int4 g128 asym" ||
                    (name == "gptq.int4 g128 sym act-order" &&
                     model == "llama-mini");
    if (row["model"] == model && row["bar"].get<bool>() &&
        (scheme.starts_with("rtn.") || isChosen ||
         scheme.starts_with("bnb.")))
      rows.push_back(row);
  }
  return rows;
}

/// The rows name what they have on top of the plain algorithm; the text of the
/// calibration lies with the shared data.
void usePlainGptq(std::vector<std::string> &args) {
  auto has = [&](const char *option) {
    return std::find(args.begin(), args.end(), option) != args.end();
  };
  std::vector<std::string> off = {"--refine", "0"};
  if (!has("--mse"))
    off.push_back("--no-mse");
  if (!has("--true-sequential"))
    off.push_back("--no-true-sequential");
  if (!has("--group-aware-order"))
    off.push_back("--no-group-aware-order");
  args.insert(args.end(), off.begin(), off.end());
  for (std::string &argument : args)
    if (argument == "wiki-calibration.txt")
      argument = sharedData() / "text" / argument;
}

class Fidelity : public testing::TestWithParam<const char *> {};

TEST_P(Fidelity, PerplexityAndDivergence) {
  SKIP_WITHOUT_SHARED_DATA();
  std::filesystem::path model = sharedData() / "minis" / GetParam();
  std::string text = sharedData() / "text" / "wiki.test.raw";
  TemporaryFolder folder;
  std::string base = folder.path("base.qbin");
  ASSERT_EQ(qcc::test::qcc(
                {"compile", model, "--dtype", "f32", "--quiet", "-o", base})
                .status,
            0);
  auto eval = [&](const std::string &artifact, const char *windows,
                  std::vector<std::string> more) {
    std::vector<std::string> args = {
        "eval", artifact,        "--dataset", text,    "--context",
        "512",  "--max-windows", windows,     "--json"};
    args.insert(args.end(), more.begin(), more.end());
    Outcome ran = qrt(args);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
  };

  for (const nlohmann::json &row : fidelityRows(GetParam())) {
    SCOPED_TRACE(row["name"].get<std::string>());
    std::vector<std::string> args = {
        "compile", model, "--quantize",         row["scheme"],
        "--quiet", "-o",  folder.path("q.qbin")};
    for (const nlohmann::json &option : row["options"])
      args.push_back(option.is_string() ? option.get<std::string>()
                                        : option.dump());
    if (row["scheme"].get<std::string>().starts_with("gptq."))
      usePlainGptq(args);
    Outcome compiled = qcc::test::qcc(args);
    ASSERT_EQ(compiled.status, 0) << compiled.err;
    auto perplexity = eval(folder.path("q.qbin"), "40", {});
    EXPECT_LE(perplexity["perplexity"].get<double>(),
              row["perplexity"].get<double>() *
                  (1 + row["tolerance"].get<double>()));
    auto divergence = eval(folder.path("q.qbin"), "20", {"--base", base});
    EXPECT_LE(divergence["kl_divergence"].get<double>(),
              row["kl"].get<double>() *
                  (1 + row["kl_tolerance"].get<double>()));
  }
}

TEST_P(Fidelity, UnquantizedPerplexity) {
  SKIP_WITHOUT_SHARED_DATA();
  std::filesystem::path model = sharedData() / "minis" / GetParam();
  TemporaryFolder folder;
  ASSERT_EQ(qcc::test::qcc(
                {"compile", model, "--quiet", "-o", folder.path("model.qbin")})
                .status,
            0);
  Outcome ran = qrt({"eval", folder.path("model.qbin"), "--dataset",
                     sharedData() / "text" / "wiki.test.raw", "--context",
                     "512", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  double expected = nlohmann::json::parse(
      readFile(model / "golden.json"))["perplexity"]["float32"];
  double perplexity = nlohmann::json::parse(ran.out)["perplexity"];
  EXPECT_NEAR(perplexity / expected, 1, 5e-4);
}

INSTANTIATE_TEST_SUITE_P(Minis, Fidelity,
                         testing::Values("llama-mini", "falcon-mini"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
