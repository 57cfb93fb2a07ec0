//===- QuantLog.cpp - What was done to each module ------------------------===//

#include "compiler/driver/QuantLog.h"

#include <cstdio>

namespace qcc {

QuantLog::QuantLog(const std::string &path)
    : text("layer,module,scheme,rows,columns,error,damp,seconds,note\n") {
  if (!path.empty())
    file = std::make_unique<qrt::AtomicFile>(path);
}

void QuantLog::add(const StreamedTensor &tensor) {
  if (!file)
    return;
  std::string layer;
  if (tensor.name.starts_with("layers."))
    layer = tensor.name.substr(7, tensor.name.find('.', 7) - 7);
  for (size_t i = 0; i < tensor.modules.size(); ++i) {
    QuantizeStatistics lost = i < tensor.statistics.size()
                                  ? tensor.statistics[i]
                                  : QuantizeStatistics();
    const CalibratedWeight *calibrated =
        i < tensor.calibrations.size() ? tensor.calibrations[i].get() : nullptr;
    int64_t rows = calibrated ? calibrated->rows : lost.rows;
    if (rows == 0)
      continue; // not quantized
    char damp[32] = "";
    if (calibrated)
      std::snprintf(damp, sizeof(damp), "%g", calibrated->damp);
    double seconds = calibrated
                         ? calibrated->seconds
                         : tensor.seconds / double(tensor.modules.size());
    char line[192];
    std::snprintf(line, sizeof(line), ",%s,%lld,%lld,%.8g,%s,%.3f,",
                  tensor.format.mangled().c_str(), static_cast<long long>(rows),
                  static_cast<long long>(tensor.columns), lost.relativeError(),
                  damp, seconds);
    text += layer + "," + tensor.modules[i] + line;
    if (calibrated && !calibrated->note.empty())
      text += calibrated->note;
    else if (!tensor.format.isQuantized())
      text += "stored as dequantized: no layout has its blocks";
    else if (lost.needsF32Scales())
      text += "scales out of f16's range";
    else if (tensor.modules.size() > 1)
      text += "stacked to " + std::to_string(tensor.rows) + " rows";
    text += "\n";
  }
}

void QuantLog::finish() {
  if (!file)
    return;
  file->writeAt(0,
                {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  file->commit();
}

} // namespace qcc
