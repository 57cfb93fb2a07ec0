//===- ActivationStore.cpp - Where calibration keeps activations ----------===//

#include "compiler/calibrate/ActivationStore.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

using qrt::Error;

namespace qcc {

Activations::~Activations() {
  if (store)
    store->takeBack(std::move(block));
}

void Activations::swap(Activations &other) noexcept {
  std::swap(store, other.store);
  std::swap(rows, other.rows);
  std::swap(width, other.width);
  std::swap(block, other.block);
}

ActivationStore::ActivationStore(std::string path, uint64_t memoryLimit)
    : folder(std::move(path)), memoryLimit(memoryLimit) {}

ActivationStore::~ActivationStore() {
  for (Block &block : spare)
    discard(block);
}

Activations ActivationStore::make(int64_t tokens, int64_t columns) {
  Activations made;
  made.rows = tokens;
  made.width = columns;
  made.block = allocate(std::max<size_t>(1, made.bytes()));
  made.store = this;
  return made;
}

ActivationStore::Block ActivationStore::allocate(size_t size) {
  // Memory before files.
  for (bool isFile : {false, true}) {
    auto it = std::find_if(spare.begin(), spare.end(), [&](const Block &block) {
      return block.size == size && block.isFile == isFile;
    });
    if (it != spare.end()) {
      Block block = std::move(*it);
      spare.erase(it);
      return block;
    }
    if (isFile || inMemory + size > memoryLimit)
      continue;
    Block block;
    block.size = size;
    block.memory = qrt::Memory(size, "the calibration's activations", true);
    block.start = block.memory.data();
    inMemory += size;
    return block;
  }
  // Blocks of other sizes make room.
  bool freed = false;
  for (Block &block : spare) {
    freed |= !block.isFile;
    discard(block);
  }
  spare.clear();
  return freed ? allocate(size) : mapFile(size);
}

ActivationStore::Block ActivationStore::mapFile(size_t size) {
  auto fail = [&](int error) -> Error {
    return Error(
        "no room for " + std::to_string((size >> 20) + 1) +
            " MiB of the calibration's activations: " + std::strerror(error),
        folder, "free some, or calibrate on fewer samples");
  };
  std::string path = folder + "/spill-XXXXXX";
  int file = ::mkostemp(path.data(), O_CLOEXEC);
  if (file < 0)
    throw fail(errno);
  ::unlink(path.c_str());
  // All of the room now: a page that finds none later would end the process.
  int error = ::posix_fallocate(file, 0, off_t(size));
  void *start = MAP_FAILED;
  if (error == 0) {
    start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    error = errno;
  }
  ::close(file);
  if (start == MAP_FAILED)
    throw fail(error);
  hasFiles = true;
  Block block;
  block.start = static_cast<char *>(start);
  block.size = size;
  block.isFile = true;
  return block;
}

void ActivationStore::takeBack(Block block) {
  spare.push_back(std::move(block));
}

void ActivationStore::discard(Block &block) {
  if (block.isFile)
    ::munmap(block.start, block.size);
  else
    inMemory -= block.size;
  block = Block();
}

} // namespace qcc
