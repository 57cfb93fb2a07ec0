//===- CudaQuantize.cpp - Weights quantized on a GPU ----------------------===//
//
// Rows do not depend on each other: as many as fit are taken through all
// columns at once. Errors spread in three steps: one product brings those of
// all earlier panels to a panel, smaller ones those of the panel's earlier
// tiles to the tiles behind, and a kernel those within a tile.
//
//===----------------------------------------------------------------------===//

#include "compiler/quantize/GptqNearest.h"
#include "compiler/quantize/ScaleRounding.h"
#include "compiler/quantize/cuda/CudaRows.h"
#include "runtime/support/Cancel.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace qcc {

namespace cuda {

namespace {

/// Columns whose groups' scales are found of the weight as it is where they
/// begin, and how far those groups reach.
struct Block {
  int64_t begin, end, reach;
  int64_t firstGroup, lastGroup; ///< of GptqFactor::groups
};

/// Blocks that are brought up to date together, and how far.
struct Panel {
  int64_t begin, end, window;
  std::vector<Block> blocks;
};

std::vector<Panel> makePanels(const GptqFactor &factor,
                              const GptqOptions &options, int64_t size) {
  auto n = int64_t(factor.order.size());
  const std::vector<GptqFactor::Group> &groups = factor.groups;
  std::vector<Panel> panels;
  int64_t group = 0, last = 0;
  for (int64_t begin = 0; begin < n; begin += options.block) {
    Block block{begin, std::min(n, begin + options.block), 0, group, group};
    block.reach = block.end;
    for (; last < int64_t(groups.size()) &&
           groups[size_t(last)].first < block.end;
         ++last)
      // Static groups are known; the first block sees the weight as it was.
      if (!options.staticGroups && begin > 0)
        block.reach = std::max(block.reach, groups[size_t(last)].first +
                                                groups[size_t(last)].size);
    block.lastGroup = group = last;
    if (panels.empty() || block.end - panels.back().begin > size)
      panels.push_back({begin, 0, 0, {}});
    Panel &panel = panels.back();
    panel.end = block.end;
    panel.window = std::max(panel.window, block.reach);
    panel.blocks.push_back(block);
  }
  return panels;
}

ScaleArguments scaleArguments(const qrt::Format &format,
                              const RtnOptions &options, float maxCode) {
  return {maxCode,
          float(qrt::defaultZero(format.code)),
          format.zero,
          int32_t(format.scale),
          options.mse,
          options.grid,
          int32_t(options.maxShrink * options.grid),
          float(options.norm),
          options.norm};
}

/// The rows of a weight that are on the GPU at once.
class Quantization {
public:
  Quantization(CudaGptq &gptq, int64_t rows, const qrt::Format &format,
               const CudaGptqFactor &factor, const GptqOptions &options)
      : gptq(gptq), format(format), factor(factor), options(options),
        n(int64_t(factor.host.order.size())),
        panels(makePanels(factor.host, options, gptq.panelColumns)) {
    q.rows = rows;
    q.n = n;
    q.groups = format.groupsPerRow(n);
    q.maxCode = float((1 << format.codeBits()) - 1);
    q.scaleType = format.scale;
    for (const Panel &panel : panels)
      q.panelColumns = std::max(q.panelColumns, panel.window - panel.begin);
    for (const CudaGptqFactor::Span &span : factor.spans)
      q.panelColumns = std::max(q.panelColumns, span.size);
    reserve();
    sendTables();
  }

  /// Rows [first, first + count) of all `allRows`.
  void run(const float *w, int64_t first, int64_t count, int64_t allRows,
           GptqResult &result) {
    q.rows = count;
    gptq.copies().toDevice(q.error, w + first * n,
                           uint64_t(count * n) * sizeof(float),
                           options.threads);
    launch(GptqKernel::Permute, count,
           PermuteArguments{q.whole(q.error), q.whole(q.weight), sources(),
                            int32_t(count), int32_t(n)});
    gptq.clear(misfit, sizeof(uint32_t));
    if (options.staticGroups)
      findGroups(0, q.groups, {}, 0);
    for (const Panel &panel : panels) {
      qrt::throwIfCancelled(options.cancelled);
      quantizePanel(panel);
    }
    if (options.refineSweeps > 0)
      refine(gptq, q, factor, options);
    findSums();
    orderCodes();
    // Its pages are made while the GPU works.
    if (result.codes.empty())
      result = makeGptqResult(allRows, n, format, factor.host);
    storeCodes(first, result);
    storeScales(first, result);
    result.statistics += statistics();
  }

private:
  void reserve() {
    int64_t rows = q.rows, elements = rows * n, groups = rows * q.groups;
    int64_t panel = rows * q.panelColumns * 4;
    gptq.place({{q.weight, elements * 4},
                {q.error, elements * 4},
                {q.residual, elements * 4},
                {q.codes, elements},
                {q.scales, groups * 4},
                {q.zeros, groups * 4},
                {q.group, n * 4},
                {q.panels[0], panel},
                {q.panels[1], panel},
                {q.panels[2], panel},
                {fits, groups},
                {fitNorms, groups * 8},
                {misfit, 4},
                {sums, rows * 3 * 8},
                {outputs, rows * 8},
                {runs, q.groups * int64_t(sizeof(GroupRun))},
                {positions, n * 4}},
               "the rows of a weight");
  }

  void sendTables() {
    int64_t size = format.groupSize(n);
    const std::vector<int32_t> &order = factor.host.order;
    std::vector<int32_t> group(static_cast<size_t>(n)), position(group.size());
    for (int64_t i = 0; i < n; ++i) {
      int64_t column = order[size_t(i)];
      group[size_t(i)] = int32_t((storesPermuted(options) ? i : column) / size);
      position[size_t(column)] = int32_t(i);
    }
    gptq.send(q.group, group.data(), n * 4);
    gptq.send(positions, position.data(), n * 4);
    std::vector<GroupRun> run;
    if (options.staticGroups)
      // Runs of the weight's own columns, whatever the order.
      for (int64_t i = 0; i < q.groups; ++i)
        run.push_back({int32_t(i * size), int32_t(std::min(size, n - i * size)),
                       int32_t(i), 0});
    else
      for (const GptqFactor::Group &g : factor.host.groups)
        run.push_back({int32_t(g.first), int32_t(g.size), int32_t(g.index), 0});
    gptq.send(runs, run.data(), int64_t(run.size() * sizeof(GroupRun)));
  }

  void quantizePanel(const Panel &panel) {
    int64_t width = panel.window - panel.begin;
    if (panel.begin == 0)
      gptq.clear(q.panels[kSpread], q.rows * q.panelColumns * 4);
    else
      multiply({q.rows, width, panel.begin, q.whole(q.error), r(0, panel.begin),
                q.panel(kSpread)});
    for (size_t i = 0; i < panel.blocks.size(); ++i) {
      const Block &block = panel.blocks[i];
      if (!options.staticGroups && block.firstGroup < block.lastGroup)
        findCurrentGroups(panel, block);
      // How far errors of this block matter before the next panel.
      int64_t needed = panel.end;
      for (size_t j = i + 1; j < panel.blocks.size(); ++j)
        needed = std::max(needed, panel.blocks[j].reach);
      for (int64_t at = block.begin; at < block.end; at += kTileColumns)
        quantizeTile(panel, at, std::min<int64_t>(at + kTileColumns, block.end),
                     needed);
    }
  }

  void quantizeTile(const Panel &panel, int64_t begin, int64_t end,
                    int64_t needed) {
    launch(GptqKernel::Quantize, q.tileBlocks(),
           QuantizeArguments{q.tile(begin, end - begin),
                             q.panel(kSpread, begin - panel.begin),
                             r(begin, begin), q.whole(q.error, begin),
                             q.whole(q.residual, begin)});
    if (end < needed)
      multiply({q.rows, needed - end, end - begin, q.whole(q.error, begin),
                r(begin, end), q.panel(kSpread, end - panel.begin), 1, 1});
  }

  /// The weight as it is where the block begins, once every column before has
  /// been made up for: W + E R R_bb^-1.
  void findCurrentGroups(const Panel &panel, const Block &block) {
    int64_t count = block.lastGroup - block.firstGroup;
    if (block.begin == 0) {
      findGroups(block.firstGroup, count, {}, 0);
      return;
    }
    for (int64_t at = block.begin; at < block.reach; at += kTileColumns) {
      int64_t width = std::min<int64_t>(kTileColumns, block.reach - at);
      int64_t done = at - block.begin;
      if (done > 0)
        multiply({q.rows, width, done, q.panel(kCurrent), r(block.begin, at),
                  q.panel(kCurrent, done), -1});
      launch(GptqKernel::Solve, q.tileBlocks(),
             SolveArguments{q.panel(kSpread, at - panel.begin),
                            q.panel(kCurrent, done), r(at, at), int32_t(q.rows),
                            int32_t(width), done > 0});
    }
    findGroups(block.firstGroup, count, q.panel(kCurrent), block.begin);
  }

  void findGroups(int64_t first, int64_t count, Matrix delta,
                  int64_t deltaFirst) {
    launch(GptqKernel::Groups, (q.rows * count * 32 + kThreads - 1) / kThreads,
           GroupArguments{
               q.whole(q.weight), delta, options.staticGroups ? positions : 0,
               runs + uint64_t(first) * sizeof(GroupRun), int32_t(q.rows),
               int32_t(count), int32_t(q.groups), int32_t(deltaFirst),
               scaleArguments(format, options.scales, q.maxCode), q.scales,
               q.zeros, fits, fitNorms, misfit});
  }

  void findSums() {
    launch(GptqKernel::Sums, q.rows,
           SumArguments{q.tile(0, n), q.whole(q.residual), sums});
    // ‖W R‖², which is ‖W X‖² with the damping, for the log alone.
    gptq.clear(outputs, q.rows * 8);
    for (int64_t first = 0; first < n; first += q.panelColumns) {
      int64_t width = std::min(q.panelColumns, n - first);
      Product product{q.rows,      width,     first + width, q.whole(q.weight),
                      r(0, first), q.panel(0)};
      product.arithmetic = Arithmetic::TF32;
      multiply(product);
      launch(GptqKernel::Squares, q.rows,
             SquareArguments{q.panel(0), int32_t(q.rows), int32_t(width),
                             outputs});
    }
  }

  /// Codes as they are stored, in the place of the errors.
  void orderCodes() {
    // int8 without zero points is stored in two's complement.
    bool isSigned = format.code == qrt::Code::Int8 && !format.zero;
    uint64_t columns = storesPermuted(options) ? 0 : factor.columns.address();
    launch(GptqKernel::Store, q.rows,
           StoreArguments{{q.codes, n},
                          {q.error, n},
                          columns,
                          int32_t(q.rows),
                          int32_t(n),
                          isSigned ? 128 : 0});
  }

  void storeCodes(int64_t first, GptqResult &result) {
    gptq.copies().toHost(result.codes.data() + first * n, q.error,
                         uint64_t(q.rows * n), options.threads);
  }

  void storeScales(int64_t first, GptqResult &result) {
    int64_t count = q.rows * q.groups;
    gptq.fetch(result.scales.data() + first * q.groups, q.scales, count * 4);
    if (!format.zero)
      return;
    std::vector<float> zeros(static_cast<size_t>(count));
    gptq.fetch(zeros.data(), q.zeros, count * 4);
    std::ranges::transform(zeros, result.zeros.begin() + first * q.groups,
                           [](float zero) { return uint8_t(zero); });
  }

  QuantizeStatistics statistics() {
    QuantizeStatistics found;
    std::vector<double> rowSums(size_t(q.rows * 3)), norms(size_t(q.rows));
    gptq.fetch(rowSums.data(), sums, q.rows * 3 * 8);
    gptq.fetch(norms.data(), outputs, q.rows * 8);
    double loss = 0, error = 0, norm = 0, output = 0;
    for (size_t row = 0; row < size_t(q.rows); ++row) {
      loss += rowSums[3 * row];
      error += rowSums[3 * row + 1];
      norm += rowSums[3 * row + 2];
      output += norms[row];
    }
    // Of the damped Hessian: take what was added back out.
    found.squaredError = std::max(0.0, loss - factor.host.added * error);
    found.squaredNorm = std::max(0.0, output - factor.host.added * norm);
    countMisfits(found);
    return found;
  }

  void countMisfits(QuantizeStatistics &found) {
    uint32_t any = 0;
    gptq.fetch(&any, misfit, sizeof(any));
    if (!any)
      return;
    auto count = size_t(q.rows * q.groups);
    std::vector<uint8_t> fit(count);
    std::vector<double> norm(count);
    gptq.fetch(fit.data(), fits, int64_t(count));
    gptq.fetch(norm.data(), fitNorms, int64_t(count) * 8);
    for (size_t i = 0; i < count; ++i)
      countFit(ScaleFit(fit[i]), norm[i], found);
  }

  /// The panels' uses.
  enum { kSpread, kCurrent };

  Operand r(int64_t row, int64_t column) const {
    return elementOf(factor.r.address(), n, row, column);
  }
  uint64_t sources() const {
    return factor.columns.address() + uint64_t(n) * sizeof(int32_t);
  }
  void multiply(const Product &product) const {
    gptq.algebra().multiply(product);
  }
  template <class Arguments>
  void launch(GptqKernel kernel, int64_t blocks,
              const Arguments &arguments) const {
    gptq.kernels().launch(kernel, blocks, arguments);
  }

  CudaGptq &gptq;
  const qrt::Format &format;
  const CudaGptqFactor &factor;
  const GptqOptions &options;
  const int64_t n;
  const std::vector<Panel> panels;
  CudaRows q{};
  /// Of the groups: u8 and f64 [rows][groups], u32; of the rows: f64 [rows][3]
  /// and [rows]; GroupRun [groups]; where each column of the weight is, i32
  /// [n].
  qrt::cuda::DevicePointer fits = 0, fitNorms = 0, misfit = 0, sums = 0,
                           outputs = 0, runs = 0, positions = 0;
};

} // namespace
} // namespace cuda

GptqResult quantizeGptq(CudaGptq &gptq, const float *w, int64_t rows,
                        int64_t columns, const qrt::Format &format,
                        const CudaGptqFactor &factor,
                        const GptqOptions &options) {
  checkGptqFormat(columns, format, factor.host);
  if (!factor.usable || rows == 0) {
    GptqResult result = makeGptqResult(rows, columns, format, factor.host);
    roundToNearest(w, rows, columns, format, factor.host, options, result);
    return result;
  }
  gptq.device().use();
  // Parts of one size, so that none is too small for the GPU.
  int64_t parts = (rows * columns + gptq.mostElements - 1) / gptq.mostElements;
  int64_t most = (rows + parts - 1) / parts;
  cuda::Quantization quantization(gptq, most, format, factor, options);
  GptqResult result;
  for (int64_t first = 0; first < rows; first += most)
    quantization.run(w, first, std::min(most, rows - first), rows, result);
  return result;
}

} // namespace qcc
