//===- SharedObject.cpp - Links objects in memory -------------------------===//

#include "codegen/cpu/SharedObject.h"

#include "runtime/abi/kernel_abi.h"
#include "runtime/support/Error.h"

#include "lld/Common/Driver.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>
#include <string>

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace {

/// A new folder that is removed with all that is in it.
class TemporaryFolder {
public:
  TemporaryFolder() {
    if (std::error_code error = sys::fs::createUniqueDirectory("qcc", folder))
      throw qrt::Error("no temporary folder can be made: " + error.message());
  }
  ~TemporaryFolder() { sys::fs::remove_directories(folder); }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string path(const Twine &name) const {
    SmallString<128> result = folder;
    sys::path::append(result, name);
    return result.str().str();
  }

private:
  SmallString<128> folder;
};

void writeFile(const std::string &path, ArrayRef<char> bytes) {
  std::error_code error;
  raw_fd_ostream stream(path, error);
  if (!error) {
    stream.write(bytes.data(), bytes.size());
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    throw qrt::Error("a temporary file cannot be written: " + error.message(),
                     path);
}

/// The first line, without the name of the tool in front.
std::string firstLine(StringRef text) {
  StringRef line = text.trim().split('\n').first;
  line.consume_front("ld.lld: error: ");
  return line.str();
}

void runLinker(ArrayRef<std::string> inputs, const std::string &output) {
  std::vector<const char *> arguments = {"ld.lld",
                                         "-shared",
                                         "-Bsymbolic",
                                         "--no-undefined",
                                         "-z",
                                         "now",
                                         "-z",
                                         "relro",
                                         "-z",
                                         "noexecstack",
                                         "--gc-sections",
                                         "--build-id=none",
                                         "--hash-style=gnu",
                                         "--threads=1",
                                         "-o",
                                         output.c_str()};
  for (const std::string &input : inputs)
    arguments.push_back(input.c_str());
  std::string out, errors;
  raw_string_ostream outStream(out), errorStream(errors);
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  static bool canRun = true;
  if (!canRun)
    throw qrt::Error("the linker crashed before and cannot run again");
  lld::Result result = lld::lldMain(arguments, outStream, errorStream,
                                    {{lld::Gnu, &lld::elf::link}});
  canRun = result.canRunAgain;
  if (result.retCode != 0)
    throw qrt::Error("the kernels do not link: " + firstLine(errors));
}

/// Checks what a loader would find; see linkSharedObject().
void checkSymbols(MemoryBufferRef file) {
  auto fail = [](Error error) {
    throw qrt::Error("the linked kernels are not readable: " +
                     toString(std::move(error)));
  };
  auto object = object::ELFObjectFile<object::ELF64LE>::create(file);
  if (!object)
    fail(object.takeError());
  bool hasTable = false;
  for (const object::ELFSymbolRef symbol :
       object->getDynamicSymbolIterators()) {
    Expected<StringRef> name = symbol.getName();
    if (!name)
      fail(name.takeError());
    Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      fail(flags.takeError());
    if (*flags & object::SymbolRef::SF_Undefined)
      throw qrt::Error("the linked kernels need symbol '" + name->str() + "'");
    if (*name != QRT_KERNEL_TABLE_SYMBOL)
      throw qrt::Error("the linked kernels export symbol '" + name->str() +
                       "'");
    hasTable = true;
  }
  if (!hasTable)
    throw qrt::Error("the linked kernels do not export symbol '" +
                     std::string(QRT_KERNEL_TABLE_SYMBOL) + "'");
  auto entries = object->getELFFile().dynamicEntries();
  if (!entries)
    fail(entries.takeError());
  for (const auto &entry : *entries)
    if (entry.getTag() == ELF::DT_NEEDED)
      throw qrt::Error("the linked kernels need a library");
}

} // namespace

std::vector<char>
qcc::cpu::linkSharedObject(ArrayRef<SmallVector<char, 0>> objects) {
  TemporaryFolder folder;
  std::vector<std::string> inputs;
  for (const SmallVector<char, 0> &object : objects) {
    inputs.push_back(folder.path(Twine(inputs.size()) + ".o"));
    writeFile(inputs.back(), object);
  }
  std::string output = folder.path("kernels.so");
  runLinker(inputs, output);
  auto file = MemoryBuffer::getFile(output, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    throw qrt::Error("the linker's output cannot be read: " +
                     file.getError().message());
  checkSymbols(**file);
  return {(*file)->getBufferStart(), (*file)->getBufferEnd()};
}
