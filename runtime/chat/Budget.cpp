//===- Budget.cpp - What rendering a template may use ---------------------===//

#include "runtime/chat/Budget.h"

#include "runtime/support/Error.h"

#include <string>

namespace qrt::chat {

static thread_local Budget *current = nullptr;
static thread_local int depth = 0;

Budget::Budget(uint64_t steps)
    : outer(std::exchange(current, this)), limit(steps) {}
Budget::~Budget() { current = outer; }

void Budget::step(uint64_t count) {
  if (!current)
    return;
  current->used += count;
  if (current->used > current->limit)
    throw Error("the template takes more than " +
                std::to_string(current->limit) +
                " steps; it may loop for ever");
}

[[noreturn]] static void failMemory() {
  throw Error("the template needs more than " +
              std::to_string(Budget::maxMemory >> 20) + " MiB of memory");
}

void Budget::requireRoom(size_t bytes) {
  if (bytes > maxMemory)
    failMemory();
}

Charge::Charge(size_t bytes) {
  if (!current)
    return;
  if (bytes > Budget::maxMemory - current->memory)
    failMemory();
  current->memory += bytes;
  this->bytes = bytes;
}

Charge::~Charge() {
  if (current && bytes)
    current->memory -= bytes;
}

Depth::Depth() {
  if (depth == max)
    throw Error("the template nests or recurses more than " +
                std::to_string(max) + " levels deep");
  ++depth;
}
Depth::~Depth() { --depth; }

} // namespace qrt::chat
