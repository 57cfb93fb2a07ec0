//===- MappedFileTest.cpp - Tests of mapped files -------------------------===//

#include "runtime/support/MappedFile.h"

#include "tests/frontends/checkpoint/TestFiles.h"

#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

using qcc::test::errorOf;
using qcc::test::TempFolder;
using qrt::MappedFile;

namespace {

std::string textOf(const MappedFile &file) {
  return {file.bytes().begin(), file.bytes().end()};
}

/// This process's resident pages of files, in bytes.
uint64_t residentFileBytes() {
  uint64_t total = 0, resident = 0, shared = 0;
  std::ifstream("/proc/self/statm") >> total >> resident >> shared;
  return shared * uint64_t(::sysconf(_SC_PAGESIZE));
}

TEST(MappedFile, HasTheFilesBytes) {
  TempFolder folder;
  MappedFile file(folder.write("a", "some bytes"));
  EXPECT_EQ(textOf(file), "some bytes");
  EXPECT_EQ(file.path(), folder / "a");
}

TEST(MappedFile, MapsAnEmptyFile) {
  TempFolder folder;
  MappedFile file(folder.write("empty", ""));
  EXPECT_TRUE(file.bytes().empty());
  file.willNeed();
  file.sequential();
  file.release(0, 1);
}

TEST(MappedFile, Moves) {
  TempFolder folder;
  MappedFile a(folder.write("a", "aaa")), b(folder.write("b", "bb"));
  MappedFile c(std::move(a));
  EXPECT_EQ(textOf(c), "aaa");
  c = std::move(b);
  EXPECT_EQ(textOf(c), "bb");
  EXPECT_EQ(c.path(), folder / "b");
}

TEST(MappedFile, NamesPathAndReason) {
  TempFolder folder;
  std::string path = folder.path();
  EXPECT_EQ(errorOf([&] { MappedFile file(folder / "none"); }, path),
            "cannot open the file: No such file or directory in @/none");
  EXPECT_EQ(errorOf([&] { MappedFile file(path); }, path),
            "not a regular file in @");
  // Opening a pipe without a writer must not wait for one.
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(errorOf([&] { MappedFile file(folder / "pipe"); }, path),
            "not a regular file in @/pipe");
}

TEST(MappedFile, TakesAdviceOnAnyRange) {
  TempFolder folder;
  std::string content(50'000, 'x');
  MappedFile file(folder.write("a", content));
  for (uint64_t offset : {uint64_t(0), uint64_t(1), uint64_t(4096),
                          uint64_t(49'999), uint64_t(50'000), UINT64_MAX})
    for (uint64_t length : {uint64_t(0), uint64_t(1), uint64_t(8192),
                            uint64_t(50'000), UINT64_MAX}) {
      file.release(offset, length);
      file.willNeed(offset, length);
    }
  EXPECT_EQ(textOf(file), content);
}

TEST(MappedFile, ReleasedPagesLeaveTheProcess) {
  constexpr uint64_t size = 32 << 20;
  TempFolder folder;
  MappedFile file(folder.write("a", std::string(size, 'x')));
  uint64_t before = residentFileBytes(), sum = 0;
  for (uint8_t byte : file.bytes())
    sum += byte;
  EXPECT_EQ(sum, size * 'x');
  EXPECT_GT(residentFileBytes(), before + size / 2);
  file.release(0, size);
  EXPECT_LT(residentFileBytes(), before + size / 4);
  EXPECT_EQ(file.bytes()[size - 1], 'x');
}

} // namespace
