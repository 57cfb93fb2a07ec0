//===- AtomicFileTest.cpp - Files that appear when complete ---------------===//

#include "runtime/support/AtomicFile.h"

#include "runtime/support/Error.h"
#include "tests/runtime/support/TemporaryFolder.h"

#include <csignal>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace qrt;

namespace {
class AtomicFileTest : public test::FolderTest {
protected:
  static std::span<const uint8_t> bytesOf(std::string_view text) {
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
  }
};
} // namespace

TEST_F(AtomicFileTest, appearsOnCommit) {
  {
    AtomicFile file(path("a"));
    file.writeAt(6, bytesOf("world"));
    file.writeAt(0, bytesOf("hello "));
    EXPECT_FALSE(std::filesystem::exists(path("a")));
    file.commit();
  }
  EXPECT_EQ(read("a"), "hello world");
  EXPECT_EQ(fileCount(), 1u);
}

TEST_F(AtomicFileTest, leavesNothingWithoutCommit) {
  {
    AtomicFile file(path("a"));
    file.writeAt(0, bytesOf("half"));
  }
  EXPECT_EQ(fileCount(), 0u);
}

TEST_F(AtomicFileTest, keepsTheOldFileUntilCommit) {
  write("a", "old");
  {
    AtomicFile file(path("a"));
    file.writeAt(0, bytesOf("new"));
    EXPECT_EQ(read("a"), "old");
  }
  EXPECT_EQ(read("a"), "old");
  AtomicFile file(path("a"));
  file.writeAt(0, bytesOf("new"));
  file.commit();
  EXPECT_EQ(read("a"), "new");
}

TEST_F(AtomicFileTest, writesThroughLinks) {
  write("a", "old");
  std::filesystem::create_symlink("a", path("link"));
  AtomicFile file(path("link"));
  file.writeAt(0, bytesOf("new"));
  file.commit();
  EXPECT_EQ(read("a"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
}

TEST_F(AtomicFileTest, writesDevicesInPlace) {
  if (!std::filesystem::is_character_file("/dev/full"))
    GTEST_SKIP() << "there is no /dev/full";
  std::filesystem::create_symlink("/dev/full", path("full"));
  AtomicFile file(path("full"));
  try {
    file.writeAt(0, bytesOf("new"));
    FAIL() << "a full device took bytes";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("No space left"),
              std::string::npos);
  }
  EXPECT_EQ(fileCount(), 1u);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST_F(AtomicFileTest, writesPipesInOrder) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  int reader = open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  AtomicFile file(path("pipe"));
  file.writeAt(0, bytesOf("one "));
  file.writeAt(4, bytesOf("two"));
  EXPECT_THROW(file.writeAt(0, bytesOf("three")), Error);
  file.commit();
  char text[16] = "";
  EXPECT_EQ(::read(reader, text, sizeof(text)), 7);
  EXPECT_EQ(std::string(text), "one two");
  close(reader);
}

TEST_F(AtomicFileTest, removesWhatKilledProcessesLeft) {
  if (pid_t child = fork(); child == 0) {
    AtomicFile file(path("a"));
    file.writeAt(0, bytesOf("half"));
    raise(SIGKILL);
  } else {
    waitpid(child, nullptr, 0);
  }
  EXPECT_EQ(fileCount(), 1u);
  write("a.partial-notours", "x");
  write("ab.partial-abcdef", "x");
  AtomicFile first(path("a"));
  EXPECT_EQ(fileCount(), 3u);
  // One that is being written stays.
  AtomicFile second(path("a"));
  EXPECT_EQ(fileCount(), 4u);
  for (AtomicFile *file : {&first, &second}) {
    file->writeAt(0, bytesOf("whole"));
    file->commit();
  }
  EXPECT_EQ(read("a"), "whole");
  EXPECT_EQ(fileCount(), 3u);
}

TEST_F(AtomicFileTest, followsTheUmask) {
  mode_t mask = ::umask(027);
  AtomicFile file(path("a"));
  file.commit();
  ::umask(mask);
  struct stat info;
  ASSERT_EQ(::stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(AtomicFileTest, refusesWhatCannotBeWritten) {
  auto errorOf = [](const std::string &path) -> std::string {
    try {
      AtomicFile file(path);
      return "";
    } catch (const Error &error) {
      return error.what();
    }
  };
  EXPECT_EQ(errorOf(path("missing/a")),
            "cannot write the file: No such file or directory in " +
                path("missing/a"));
  EXPECT_NE(errorOf(folder.string()).find("is a folder"), std::string::npos);
}

TEST_F(AtomicFileTest, reportsWhatTheSystemRefuses) {
  AtomicFile file(path("a"));
  constexpr uint64_t tooFar = uint64_t(1) << 62;
  EXPECT_THROW(file.writeAt(tooFar, bytesOf("x")), Error);
}
