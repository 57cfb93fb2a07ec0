//===- StoriesTest.cpp - Trained models tell their text -------------------===//

#include "tests/e2e/Tools.h"

using namespace qcc::test;

namespace {

class Stories : public testing::TestWithParam<const char *> {};

TEST_P(Stories, TellsItsDocumentedStory) {
  SKIP_WITHOUT_SHARED_DATA();
  std::filesystem::path models = sharedData() / "models";
  TemporaryFolder folder;
  Outcome compiled =
      qcc::test::qcc({"compile", models / GetParam(), "--dtype", "f32",
                      "--quiet", "-o", folder.path("stories.qbin")});
  ASSERT_EQ(compiled.status, 0) << compiled.err;
  std::string story = readFile(models / "stories260K" / "greedy.txt");
  while (!story.empty() && story.back() == '\n')
    story.pop_back();
  Outcome ran = qrt({"generate", folder.path("stories.qbin"), "--prompt", "",
                     "--temperature", "0", "--max-new-tokens", "300"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  // The documented text ends where its 256 tokens did.
  size_t start = ran.out.find(story.substr(0, 10));
  ASSERT_NE(start, std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.substr(start, story.size()), story);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, Stories,
    testing::Values("stories260K", "stories260K-gguf/stories260K-f32.gguf",
                    "stories260K-gguf/stories260K-F16.gguf"),
    [](const auto &info) { return "form" + std::to_string(info.index); });

TEST(HubCache, FindsAShortName) {
  SKIP_WITHOUT_SHARED_DATA();
  TemporaryFolder folder;
  std::filesystem::path repository =
      folder.folder / "hub" / "models--tiiuae--falcon-7b";
  std::filesystem::path snapshot = repository / "snapshots" / "0123abc";
  std::filesystem::create_directories(snapshot.parent_path());
  std::filesystem::create_directories(repository / "refs");
  writeFile(repository / "refs" / "main", "0123abc");
  std::filesystem::create_directory_symlink(
      std::filesystem::absolute(sharedData() / "minis" / "falcon-mini"),
      snapshot);
  Outcome compiled =
      qcc::test::qcc({"compile", "falcon-7b", "--quantize", "bnb.nf4",
                      "--quiet", "-o", folder.path("falcon.qbin")},
                     {"HF_HUB_CACHE=" + folder.path("hub")});
  ASSERT_EQ(compiled.status, 0) << compiled.err;
  Outcome ran =
      qrt({"generate", folder.path("falcon.qbin"), "--max-new-tokens", "8"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_TRUE(ran.out.starts_with("Hello, my name is")) << ran.out;
}

} // namespace
