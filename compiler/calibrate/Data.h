//===- Data.h - Calibration data --------------------------------*- C++ -*-===//

#ifndef QCC_COMPILER_CALIBRATE_DATA_H
#define QCC_COMPILER_CALIBRATE_DATA_H

#include "compiler/calibrate/Segment.h"
#include "runtime/datasets/Datasets.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc {

/// Which data calibration runs on.
struct DataOptions {
  /// A data set's name, or a file.
  std::string source;
  int64_t samples = 128;
  int64_t length = 2048;
  uint64_t seed = 0;
  bool quiet = false;
};

/// Sequences of a data set, as GPTQ-for-LLaMa's loaders take them: from random
/// places of the joined records (of c4: of random records that are long
/// enough), with the tokenizer's default special tokens; chosen by the seed.
CalibrationTokens sampleDataset(const qrt::TextRecords &records,
                                const DataOptions &options,
                                const qrt::Tokenizer &tokenizer);

/// The sequences of a file. It is tokenized as a whole (records joined by blank
/// lines), without special tokens, and cut from its start on. One that is too
/// short gives fewer sequences, and one that is too short for a single one a
/// shorter one, with a warning on stderr. Throws qrt::Error for a file that is
/// missing, empty, damaged, or not UTF-8.
CalibrationTokens loadCalibrationFile(const DataOptions &options,
                                      const qrt::Tokenizer &tokenizer);

} // namespace qcc

#endif // QCC_COMPILER_CALIBRATE_DATA_H
