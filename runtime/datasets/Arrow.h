//===- Arrow.h - The texts of an Arrow file ---------------------*- C++ -*-===//
//
// Hugging Face's `datasets` keeps data sets in its cache as streams of the
// Apache Arrow IPC format (https://arrow.apache.org/docs/format/Columnar.html,
// "IPC Streaming Format"): messages of a flatbuffer (Message.fbs, Schema.fbs)
// and a body. This reads one column of text of such a file, or of one in the
// IPC file format, which holds the same messages behind a magic.
//
//===----------------------------------------------------------------------===//

#ifndef QRT_DATASETS_ARROW_H
#define QRT_DATASETS_ARROW_H

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qrt {

/// The values of the column `column`, utf8 or large_utf8, as views into
/// `file`; nulls are empty. Throws qrt::Error, naming `path`, for a file that
/// is damaged, compressed, or has no such column.
std::vector<std::string_view> readArrowTexts(std::span<const uint8_t> file,
                                             std::string_view column,
                                             const std::string &path);

} // namespace qrt

#endif // QRT_DATASETS_ARROW_H
