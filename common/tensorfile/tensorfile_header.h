// The header of a safetensors file: parsed and checked. Private to this folder.
#ifndef FOLDFARM_COMMON_TENSORFILE_TENSORFILE_HEADER_H_
#define FOLDFARM_COMMON_TENSORFILE_TENSORFILE_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {

// The header's size comes first.
inline constexpr uint64_t kSizeBytes = 8;

struct TensorEntry {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // In the data, that is, after the header.
  uint64_t end = 0;
};

struct TensorHeader {
  std::map<std::string, std::string> metadata;
  std::map<std::string, TensorEntry> tensors;
};

// INVALID_ARGUMENT "FILE: not a valid safetensors file: WHAT".
absl::Status MalformedTensorFile(const std::string& file,
                                 absl::string_view what);

// A name from the file in quotes, cut to a length that suits a message.
std::string QuoteName(const std::string& text);

// The header's size, checked against the file's. REQUIRES: file_size >= 8.
absl::StatusOr<uint64_t> ReadHeaderSize(const char (&first)[kSizeBytes],
                                        uint64_t file_size,
                                        const std::string& file);

// Parses the header. The tensors it names cover `data_size` bytes exactly,
// without overlap, as the format demands; each is as large as dtype and shape
// say. `file` stands in messages.
absl::StatusOr<TensorHeader> ParseTensorHeader(absl::string_view text,
                                               uint64_t data_size,
                                               const std::string& file);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_TENSORFILE_TENSORFILE_HEADER_H_
