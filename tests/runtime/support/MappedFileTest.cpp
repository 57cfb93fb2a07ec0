//===- MappedFileTest.cpp - Files mapped for reading ----------------------===//

#include "runtime/support/MappedFile.h"

#include "runtime/support/Error.h"
#include "tests/runtime/support/TemporaryFolder.h"

#include <algorithm>
#include <sys/stat.h>

using namespace qrt;

namespace {
class MappedFileTest : public test::FolderTest {
protected:
  static std::string textOf(const MappedFile &file) {
    return {file.bytes().begin(), file.bytes().end()};
  }
  std::string errorOf(const std::string &name) {
    try {
      MappedFile file(path(name));
      return "";
    } catch (const Error &error) {
      return error.what();
    }
  }
};
} // namespace

TEST_F(MappedFileTest, showsTheBytes) {
  write("a", "hello");
  write("empty", "");
  EXPECT_EQ(textOf(MappedFile(path("a"))), "hello");
  EXPECT_TRUE(MappedFile(path("empty")).bytes().empty());
}

TEST_F(MappedFileTest, moves) {
  write("a", "hello");
  write("b", "world");
  MappedFile first(path("a")), second(path("b"));
  MappedFile moved(std::move(first));
  EXPECT_EQ(textOf(moved), "hello");
  EXPECT_EQ(moved.path(), path("a"));
  moved = std::move(second);
  EXPECT_EQ(textOf(moved), "world");
  EXPECT_EQ(moved.path(), path("b"));
}

/// Advice on any range, in the file or not, changes no byte.
TEST_F(MappedFileTest, staysTheSameUnderAdvice) {
  std::string content(20000, 'x');
  for (size_t i = 0; i < content.size(); ++i)
    content[i] = char('a' + i % 23);
  write("a", content);
  MappedFile file(path("a"));
  file.willNeed();
  constexpr uint64_t largest = ~uint64_t(0);
  for (uint64_t offset : {uint64_t(0), uint64_t(1), uint64_t(4096),
                          uint64_t(19999), uint64_t(20000), largest})
    for (uint64_t length : {uint64_t(0), uint64_t(1), uint64_t(8192), largest})
      file.release(offset, length);
  EXPECT_EQ(textOf(file), content);
}

TEST_F(MappedFileTest, refusesWhatIsNoFile) {
  EXPECT_EQ(errorOf("missing"),
            "cannot open the file: No such file or directory in " +
                path("missing"));
  EXPECT_EQ(errorOf("."), "not a regular file in " + path("."));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(errorOf("pipe"), "not a regular file in " + path("pipe"));
}
