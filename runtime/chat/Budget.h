//===- Budget.h - What rendering a template may use -------------*- C++ -*-===//
//
// A template is a program from somebody: it may loop for ever, recurse without
// end or build a text of terabytes. Each of these ends with a qrt::Error.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_CHAT_BUDGET_H
#define QRT_CHAT_BUDGET_H

#include <cstddef>
#include <cstdint>
#include <utility>

namespace qrt::chat {

/// Steps and memory of one rendering. While one lives it is that of its thread,
/// and step() and Charge count against it; without one they count nothing.
class Budget {
public:
  /// Steps by default. An evaluated node or 64 bytes of text are one; far above
  /// what any published template takes for thousands of messages.
  static constexpr uint64_t maxSteps = 20'000'000;
  /// Bytes of strings, lists and dicts that are alive at once.
  static constexpr size_t maxMemory = size_t(256) << 20;

  explicit Budget(uint64_t steps = maxSteps);
  ~Budget();
  Budget(const Budget &) = delete;
  Budget &operator=(const Budget &) = delete;

  /// Takes steps. Throws qrt::Error if none are left.
  static void step(uint64_t count = 1);
  /// Takes the steps of touching so many bytes.
  static void touch(size_t bytes) { step(bytes / 64); }
  /// Throws qrt::Error if a text in the making may not have so many bytes.
  static void requireRoom(size_t bytes);

private:
  friend class Charge;
  Budget *outer;
  const uint64_t limit;
  uint64_t used = 0;
  size_t memory = 0;
};

/// Memory that a value takes from the budget, given back with the value.
class Charge {
public:
  Charge() = default;
  /// Throws qrt::Error if there is not so much left.
  explicit Charge(size_t bytes);
  ~Charge();
  Charge(const Charge &other) : Charge(other.bytes) {}
  Charge(Charge &&other) noexcept : bytes(std::exchange(other.bytes, 0)) {}
  Charge &operator=(Charge other) noexcept {
    std::swap(bytes, other.bytes);
    return *this;
  }

private:
  size_t bytes = 0;
};

/// One level of nesting, of whatever recurses on this thread: expressions,
/// statements, macros, nested values. Throws qrt::Error when they are too many.
class Depth {
public:
  static constexpr int max = 600;
  Depth();
  ~Depth();
  Depth(const Depth &) = delete;
  Depth &operator=(const Depth &) = delete;
};

} // namespace qrt::chat

#endif // QRT_CHAT_BUDGET_H
