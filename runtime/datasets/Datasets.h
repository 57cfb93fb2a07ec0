//===- Datasets.h - Texts for calibration and evaluation --------*- C++ -*-===//
//
// The data sets of GPTQ's papers by the names that GPTQ-for-LLaMa gives them,
// from the caches that Hugging Face's libraries keep, and files of text.
// Nothing is fetched.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_DATASETS_DATASETS_H
#define QRT_DATASETS_DATASETS_H

#include "runtime/support/MappedFile.h"

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

/// Texts, one after the other. Move-only.
class TextRecords {
public:
  std::vector<std::string_view> texts;
  std::string path; ///< where they come from

  /// Keeps what the views point into.
  std::string_view keep(std::string text) {
    return owned.emplace_back(std::move(text));
  }
  void keep(MappedFile file) { files.push_back(std::move(file)); }

private:
  std::deque<std::string> owned;
  std::deque<MappedFile> files;
};

/// True for wikitext2, c4, c4-new, ptb and ptb-new.
bool isDatasetName(std::string_view name);

/// The records of a data set's split ("train", "validation", "test"): nothing
/// if the caches do not hold it. Throws qrt::Error for a damaged file.
std::optional<TextRecords> findDataset(std::string_view name,
                                       std::string_view split);
/// The folders that findDataset() looks into.
std::vector<std::string> datasetFolders();

/// What stands between the records of a data set when they are joined.
std::string_view recordSeparator(std::string_view name);

/// The texts of a file: .arrow (column "text", or else "sentence"), .jsonl,
/// .json.gz and .jsonl.gz (a JSON value a line: a string, or an object with
/// "text", "content" or "sentence"), anything else one text. Throws qrt::Error
/// for a file that is missing, damaged, or whose text is not UTF-8.
TextRecords readTextFile(const std::string &path);

} // namespace qrt

#endif // QRT_DATASETS_DATASETS_H
