//===- Perplexity.h - How well a model predicts a text ----------*- C++ -*-===//
//
// The protocol of the GPTQ papers (Frantar et al., arXiv 2210.17323, section
// 5, and their code): a text is tokenized whole, cut into windows, and every
// token of a window but the first is predicted from those before it.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_TOOLS_QRT_PERPLEXITY_H
#define QRT_TOOLS_QRT_PERPLEXITY_H

#include "runtime/api/Model.h"

#include <cstdint>
#include <span>
#include <vector>

namespace qrt::tool {

/// What one row of logits says.
struct RowScore {
  double loss = 0;       ///< -log p(target), nats; 0 without a target
  double divergence = 0; ///< KL(base || this), nats; 0 without a base
  bool sameTop = false;  ///< the likeliest token is the base's
};

/// Scores rows of `logits` [scores.size()][vocabulary] on the threads of
/// `executor`. targets[i] is the token that row i should predict, -1: none.
/// `base` is empty or as large as `logits`. Sums are in double precision.
void scoreRows(Executor &executor, std::span<const float> logits,
               std::span<const float> base, std::span<const int32_t> targets,
               std::span<RowScore> scores);

/// How a text is cut.
struct WindowOptions {
  uint32_t context = 2048;
  uint32_t stride = 0;     ///< between beginnings of windows; 0: context
  uint64_t maxWindows = 0; ///< 0: all
};

/// How many whole windows `tokens` tokens have.
uint64_t windowCount(uint64_t tokens, const WindowOptions &options);

/// Sums over tokens and their results.
class Scores {
public:
  void addLoss(double loss);
  void addDivergence(double divergence, bool sameTop);

  uint64_t tokens() const { return count; }
  double perplexity() const;
  /// Of the perplexity: perplexity times the standard error of the mean loss.
  double standardError() const;
  double divergence() const;
  /// The smallest divergence that 99 % of the positions do not exceed.
  double divergence99() const;
  /// Share of the positions where the likeliest tokens agree.
  double sameTop() const;

private:
  uint64_t count = 0, same = 0;
  double sum = 0, squares = 0;
  std::vector<double> divergences;
};

/// Scores one window with the session (and `base`'s, or null), which start
/// anew. Where windows overlap, the first `skip` tokens count in the window
/// before and are context only. Logits are made a bounded piece at a time.
/// Throws what Session::feed does.
void scoreWindow(Session &session, Session *base,
                 std::span<const int32_t> window, uint32_t skip,
                 Scores &scores);

} // namespace qrt::tool

#endif // QRT_TOOLS_QRT_PERPLEXITY_H
