//===- HubTest.cpp - Tests of finding models ------------------------------===//

#include "frontends/checkpoint/Hub.h"

#include "tests/frontends/checkpoint/TestFiles.h"

#include <map>
#include <optional>

using namespace qcc;
using namespace qcc::test;
namespace fs = std::filesystem;

namespace {

/// Sets the variables that say where the cache is; restores them at the end.
class Hub : public testing::Test {
protected:
  TempFolder folder;

  void SetUp() override {
    for (const char *name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                             "XDG_CACHE_HOME", "HOME"}) {
      const char *value = std::getenv(name);
      before[name] = value ? std::optional<std::string>(value) : std::nullopt;
      ::unsetenv(name);
    }
  }
  void TearDown() override {
    for (auto &[name, value] : before)
      value ? ::setenv(name.c_str(), value->c_str(), 1)
            : ::unsetenv(name.c_str());
  }

  static void set(const char *name, const std::string &value) {
    ::setenv(name, value.c_str(), 1);
  }
  void useCache() { set("HF_HUB_CACHE", folder / "hub"); }

  /// A cached repository with a snapshot; returns the snapshot's folder.
  std::string addModel(const std::string &repository,
                       const std::string &commit = "c0ffee") {
    std::string base = "hub/" + repository;
    folder.write(base + "/refs/main", commit);
    // As in a real cache, files are links to blobs.
    folder.write(base + "/blobs/0123", "{}");
    std::string snapshot = folder / (base + "/snapshots/" + commit);
    fs::create_directories(snapshot);
    fs::create_symlink("../../blobs/0123", snapshot + "/config.json");
    return snapshot;
  }
  std::string error(const std::string &model) {
    return errorOf([&] { resolveModel(model); }, folder.path());
  }

private:
  std::map<std::string, std::optional<std::string>> before;
};

TEST_F(Hub, FindsTheCache) {
  set("HOME", "/home/me");
  EXPECT_EQ(hubCache(), "/home/me/.cache/huggingface/hub");
  set("XDG_CACHE_HOME", "/xdg");
  EXPECT_EQ(hubCache(), "/xdg/huggingface/hub");
  set("HF_HOME", "/hf");
  EXPECT_EQ(hubCache(), "/hf/hub");
  set("HF_HOME", "~/hf");
  EXPECT_EQ(hubCache(), "/home/me/hf/hub");
  set("HUGGINGFACE_HUB_CACHE", "/old");
  EXPECT_EQ(hubCache(), "/old");
  set("HF_HUB_CACHE", "/cache");
  EXPECT_EQ(hubCache(), "/cache");
  set("HF_HUB_CACHE", "");
  EXPECT_EQ(hubCache(), "/old");
}

TEST_F(Hub, TakesPathsAsTheyAre) {
  std::string file = folder.write("sub/m.gguf", "");
  EXPECT_EQ(resolveModel(file), file);
  EXPECT_EQ(resolveModel(folder / "sub"), folder / "sub");
}

TEST_F(Hub, FindsHubIdsAndShortNames) {
  useCache();
  std::string falcon = addModel("models--tiiuae--falcon-7b");
  std::string instruct = addModel("models--tiiuae--falcon-7b-instruct");
  std::string gpt2 = addModel("models--gpt2");
  EXPECT_EQ(resolveModel("tiiuae/falcon-7b"), falcon);
  EXPECT_EQ(resolveModel("falcon-7b"), falcon);
  EXPECT_EQ(resolveModel("Falcon-7B"), falcon);
  EXPECT_EQ(resolveModel("TIIUAE/falcon-7b-instruct"), instruct);
  EXPECT_EQ(resolveModel("gpt2"), gpt2);
}

TEST_F(Hub, NamesTheCandidatesOfAnAmbiguousName) {
  useCache();
  addModel("models--a--model");
  addModel("models--b--Model");
  addModel("models--c--model");
  EXPECT_EQ(error("model"),
            "the name 'model' is ambiguous: a/model, c/model in "
            "@/hub; say which one");
  EXPECT_EQ(error("MODEL"), "the name 'MODEL' is ambiguous: a/model, b/Model, "
                            "c/model in @/hub; say which one");
  EXPECT_EQ(error("b/model"), "no error");
}

TEST_F(Hub, ChoosesTheSnapshot) {
  useCache();
  std::string main = addModel("models--a--m", "111");
  std::string repository = "hub/models--a--m/";
  fs::create_directories(folder / (repository + "snapshots/222"));
  EXPECT_EQ(resolveModel("m"), main);
  for (const char *ref : {"333", "", "..", ".", "../../../x", "111/.."}) {
    folder.write(repository + "refs/main", ref);
    EXPECT_EQ(error("m"),
              "the cached repository has 2 snapshots and no refs/main that "
              "names one of them in @/hub/models--a--m; name a snapshot's "
              "folder");
  }
  folder.write(repository + "refs/main", "222\n");
  EXPECT_EQ(resolveModel("m"), folder / (repository + "snapshots/222"));
  fs::remove_all(folder / (repository + "refs"));
  fs::remove_all(folder / (repository + "snapshots/222"));
  EXPECT_EQ(resolveModel("m"), main);
  fs::remove_all(folder / (repository + "snapshots"));
  EXPECT_EQ(error("m"), "the cached repository has no snapshot in "
                        "@/hub/models--a--m; the download may be incomplete");
}

TEST_F(Hub, SaysWhereItSearched) {
  useCache();
  std::string here = fs::current_path().string();
  EXPECT_EQ(error("no-such"), "there is no model 'no-such'; searched " + here +
                                  "/no-such and the Hugging Face cache @/hub "
                                  "(which is not there)");
  addModel("models--a--m");
  EXPECT_EQ(error("b/m"), "there is no model 'b/m'; searched " + here +
                              "/b/m and the Hugging Face cache @/hub");
  EXPECT_EQ(error("no-such.gguf"),
            "there is no model 'no-such.gguf'; searched " + here +
                "/no-such.gguf");
  EXPECT_EQ(error(folder / "x"), "there is no model '@/x'; searched @/x");
}

/// Names that look like paths never leave the cache's own folder.
TEST_F(Hub, DoesNotTraverse) {
  useCache();
  addModel("models--a--m");
  folder.write("secret/config.json", "{}");
  for (const char *name :
       {"../secret-not-here", "a/..", "a/../m", "..--m", "--m", "models--a--m",
        "a--m", "/", "a/", "a//m", "m/.", "~/m"}) {
    if (fs::exists(name))
      continue;
    EXPECT_EQ(error(name).find("there is no model"), 0u) << name;
  }
  EXPECT_EQ(error(std::string("m\0x", 3)).find("there is no model 'm\\x00x'"),
            0u);
  try {
    resolveModel("");
    FAIL();
  } catch (const qrt::Error &error) {
    EXPECT_EQ(error.kind(), qrt::ErrorKind::Usage);
  }
}

} // namespace
