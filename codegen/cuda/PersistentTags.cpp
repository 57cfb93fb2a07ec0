//===- PersistentTags.cpp - Rows that need no barrier ---------------------===//

#include "codegen/cuda/PersistentTags.h"

#include "codegen/cuda/Phases.h"
#include "runtime/abi/cuda_abi.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::cuda;

namespace {

/// Every block has a part of a GEMM that can be cut into so many.
constexpr int64_t kEnoughShares = QRT_CUDA_MOST_BLOCKS;

/// What a phase does to rows in global memory.
struct Event {
  Operation *op = nullptr; ///< null: a barrier
  SmallVector<Value, 3> reads;
  Value write;

  bool isGemm() const { return isa_and_nonnull<krn::GemmOp>(op); }
  bool doesRead(Value row) const { return llvm::is_contained(reads, row); }
  Value residual() const {
    auto gemm = dyn_cast_or_null<krn::GemmOp>(op);
    return gemm && gemm.getResidual() ? rootOf(gemm.getResidual()) : Value();
  }
};
using Events = SmallVector<Event>;

/// Adds what `block` does; false if there are phases that tags do not cover.
bool collect(Block &block, Events &events) {
  for (Operation &op : block) {
    bool isKnown = true;
    Event event;
    event.op = &op;
    llvm::TypeSwitch<Operation *>(&op)
        .Case<krn::BufferOp, krn::ViewOp, krn::LogitsBufferOp, krn::WeightOp,
              krn::StagedBufferOp, krn::RepeatOp>([](auto) {})
        .Case([&](krn::StageOp stage) {
          event.reads.push_back(rootOf(stage.getInput()));
        })
        .Case([&](krn::GemmOp gemm) {
          if (Value residual = event.residual())
            event.reads.push_back(residual);
          event.write = rootOf(gemm.getOutput());
          isKnown = event.write.getDefiningOp<krn::LogitsBufferOp>() ||
                    columnsOf(event.write) == columnsOf(gemm.getOutput());
        })
        .Case([&](krn::RopeAppendOp append) {
          // Its rows are read by the attention that it is fused with.
          isKnown = append.getFused() &&
                    rootOf(append.getKey()) == rootOf(append.getQuery()) &&
                    rootOf(append.getValue()) == rootOf(append.getQuery());
        })
        .Case([&](krn::AttentionOp attention) {
          event.reads.push_back(rootOf(attention.getQuery()));
          event.write = rootOf(attention.getOutput());
          isKnown = columnsOf(event.write) == columnsOf(attention.getOutput());
        })
        .Case([&](krn::EmbedOp embed) {
          event.write = rootOf(embed.getOutput());
        })
        // Angles are read behind the first barrier.
        .Case([](krn::RopeTableOp) {})
        .Case([&](krn::BarrierOp) { event.op = nullptr; })
        .Default([&](Operation *) { isKnown = false; });
    if (!isKnown)
      return false;
    if (!event.op || event.write || !event.reads.empty())
      events.push_back(event);
  }
  return true;
}

std::optional<size_t> lastWrite(const Events &events, size_t before,
                                Value row) {
  for (size_t i = before; i-- > 0;)
    if (events[i].write == row)
      return i;
  return std::nullopt;
}

/// The last event which all blocks have done when one comes to `at`: a
/// barrier, or a GEMM whose whole result it has staged.
size_t lastCommon(const Events &events, size_t at) {
  size_t common = 0;
  for (size_t i = 0; i < at; ++i) {
    if (!events[i].op)
      common = std::max(common, i);
    if (!isa_and_nonnull<krn::StageOp>(events[i].op))
      continue;
    std::optional<size_t> from = lastWrite(events, i, events[i].reads[0]);
    if (from && events[*from].isGemm())
      common = std::max(common, *from);
  }
  return common;
}

/// Whether nothing is written before all have read what was there.
bool isOrdered(const Events &events) {
  for (size_t w = 0; w < events.size(); ++w) {
    const Event &writer = events[w];
    if (!writer.write)
      continue;
    std::optional<size_t> before = lastWrite(events, w, writer.write);
    if (!before)
      continue;
    const size_t common = lastCommon(events, w);
    for (size_t r = *before + 1; r < w; ++r) {
      if (r <= common || !events[r].doesRead(writer.write))
        continue;
      // x = f(y) + b, where b = g(z) + x: an element of x is written by who has
      // got that of b, for which the old x was read.
      const bool isChained = events[r].residual() == writer.write &&
                             writer.residual() == events[r].write &&
                             lastWrite(events, w, events[r].write) == r;
      if (!isChained)
        return false;
    }
  }
  return true;
}

} // namespace

PersistentTags::PersistentTags(
    krn::EntryOp entry, llvm::function_ref<int64_t(krn::GemmOp)> shares) {
  tagged = count(entry, shares) && areApart();
  for (auto &[value, row] : rows)
    row.before = row.perLayer = row.inLayer = 0;
}

bool PersistentTags::count(krn::EntryOp entry,
                           llvm::function_ref<int64_t(krn::GemmOp)> shares) {
  Block &block = entry.getBody().front();
  auto repeats = block.getOps<krn::RepeatOp>();
  if (entry.getMaxTokens() != 1 ||
      std::distance(repeats.begin(), repeats.end()) != 1)
    return false;
  krn::RepeatOp repeat = *repeats.begin();
  Events outer, body, all;
  if (!collect(block, outer) || !collect(repeat.getBody().front(), body))
    return false;
  llvm::erase_if(body, [](const Event &event) { return !event.op; });
  // In front of the layers stand phases and, behind them, a barrier.
  for (const Event &event : outer)
    if (event.op && event.op->isBeforeInBlock(repeat))
      all.push_back(event);
  const auto barriers = block.getOps<krn::BarrierOp>();
  barriersLeft = std::distance(barriers.begin(), barriers.end());
  Operation *last = repeat->getPrevNode();
  while (last && !isa<krn::BarrierOp, krn::EmbedOp, krn::RopeTableOp,
                      krn::StageOp, krn::GemmOp, krn::AttentionOp>(last))
    last = last->getPrevNode();
  if (!isa_and_nonnull<krn::BarrierOp>(last))
    return false;
  all.emplace_back();
  // What holds for the second and the third layer holds for all.
  for (int layer = 0; layer < 3; ++layer)
    all.append(body.begin(), body.end());
  for (const Event &event : outer)
    if (event.op && repeat->isBeforeInBlock(event.op))
      all.push_back(event);
  if (!isOrdered(all))
    return false;

  for (const Event &event : body)
    if (auto gemm = dyn_cast<krn::GemmOp>(event.op);
        gemm && shares(gemm) < kEnoughShares)
      return false;
  auto add = [&](const Events &events, int64_t times) {
    for (const Event &event : events)
      if (event.write && !event.write.getDefiningOp<krn::LogitsBufferOp>())
        rows[event.write].total += times;
  };
  add(outer, 1);
  add(body, int64_t(repeat.getLayers()));
  // Everything that is read has been written by a phase that is covered.
  return llvm::all_of(all, [&](const Event &event) {
    return llvm::all_of(event.reads,
                        [&](Value row) { return rows.count(row) == 1; });
  });
}

/// Whether no two rows share memory.
bool PersistentTags::areApart() const {
  SmallVector<std::pair<int64_t, int64_t>> ranges;
  for (const auto &[value, row] : rows) {
    auto buffer = value.getDefiningOp<krn::BufferOp>();
    if (!buffer)
      return false;
    const int64_t from = int64_t(buffer.getOffset());
    ranges.push_back({from, from + columnsOf(value) * 4});
  }
  llvm::sort(ranges);
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].second)
      return false;
  return true;
}

std::string PersistentTags::tag(const Row &row) const {
  std::string n = std::to_string(row.before + row.inLayer - 1);
  if (openLayers)
    n.append(" + layer * ").append(std::to_string(row.perLayer));
  return "a.tag(" + std::to_string(row.total) + ", " + n + ")";
}

std::string PersistentTags::read(Value buffer) const {
  if (!isTagged(buffer))
    return "uint32_t(0)";
  return tag(rows.find(rootOf(buffer))->second);
}

std::string PersistentTags::write(Value buffer) {
  if (!isTagged(buffer))
    return "uint32_t(0)";
  Row &row = rows[rootOf(buffer)];
  ++row.inLayer;
  return tag(row);
}

void PersistentTags::beginRepeat(int64_t layers) {
  openLayers = layers;
  for (auto &[value, row] : rows) {
    row.before += row.inLayer;
    row.inLayer = 0;
    row.perLayer = (row.total - row.before) / layers;
  }
}

void PersistentTags::endRepeat() {
  for (auto &[value, row] : rows) {
    row.before += row.perLayer * openLayers;
    row.inLayer = row.perLayer = 0;
  }
  openLayers = 0;
}
