//===- FailingNew.cpp - An operator new that fails when told --------------===//
//
// In a file of its own: inlined into its users, it would look to the compiler
// like a mismatch of new and free().
//
//===----------------------------------------------------------------------===//

#include <atomic>
#include <cstdlib>
#include <new>

/// How many allocations still succeed; negative: all.
std::atomic<long> allocationBudget = -1;

void *operator new(size_t size) {
  if (allocationBudget.load() >= 0 && allocationBudget.fetch_sub(1) == 0) {
    allocationBudget = -1; // only this one
    throw std::bad_alloc();
  }
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}
void *operator new[](size_t size) { return operator new(size); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, size_t) noexcept { std::free(memory); }
