#include "common/tensorfile/tensorfile_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

// The reference reader's limit.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
// {"name": {"shape": [...]}}
constexpr int kMaxNesting = 3;

constexpr struct {
  DType dtype;
  const char* name;
  int64_t size;
} kDTypes[] = {
    {DType::kBool, "BOOL", 1}, {DType::kU8, "U8", 1},
    {DType::kI8, "I8", 1},     {DType::kI16, "I16", 2},
    {DType::kI32, "I32", 4},   {DType::kI64, "I64", 8},
    {DType::kF16, "F16", 2},   {DType::kBF16, "BF16", 2},
    {DType::kF32, "F32", 4},   {DType::kF64, "F64", 8},
};

// The deepest level of brackets, without recursion.
int Nesting(absl::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

// `value` as non-negative int64 numbers; `count` < 0 fits any length.
bool ReadIntegers(const Json& value, int count, std::vector<int64_t>* out) {
  if (!value.is_array()) return false;
  if (count >= 0 && value.size() != static_cast<size_t>(count)) return false;
  for (const Json& item : value) {
    if (!item.is_number_unsigned()) return false;
    const uint64_t number = item.get<uint64_t>();
    if (number > uint64_t{std::numeric_limits<int64_t>::max()}) return false;
    out->push_back(static_cast<int64_t>(number));
  }
  return true;
}

// Bytes of a tensor, or -1 when they overflow.
int64_t BytesOf(DType dtype, const std::vector<int64_t>& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t bytes = DTypeSize(dtype);
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return -1;
  }
  return bytes;
}

absl::StatusOr<TensorEntry> ReadEntry(const std::string& name, const Json& json,
                                      const std::string& file) {
  const std::string where = absl::StrCat("tensor ", QuoteName(name), ": ");
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets") || json.size() != 3) {
    return MalformedTensorFile(
        file, absl::StrCat(where,
                           "expected an object of dtype, shape "
                           "and data_offsets"));
  }
  TensorEntry entry;
  if (!json["dtype"].is_string()) {
    return MalformedTensorFile(file,
                               absl::StrCat(where, "dtype is not a string"));
  }
  const std::string dtype = json["dtype"].get<std::string>();
  const auto* known =
      std::find_if(std::begin(kDTypes), std::end(kDTypes),
                   [&](const auto& row) { return dtype == row.name; });
  if (known == std::end(kDTypes)) {
    return MalformedTensorFile(
        file, absl::StrCat(where, "dtype ", QuoteName(dtype),
                           ", expected BOOL, U8, I8, I16, I32, I64, "
                           "F16, BF16, F32 or F64"));
  }
  entry.dtype = known->dtype;
  std::vector<int64_t> offsets;
  if (!ReadIntegers(json["shape"], -1, &entry.shape)) {
    return MalformedTensorFile(
        file, absl::StrCat(where, "shape is not a list of sizes from 0 up"));
  }
  if (!ReadIntegers(json["data_offsets"], 2, &offsets) ||
      offsets[0] > offsets[1]) {
    return MalformedTensorFile(
        file, absl::StrCat(where, "data_offsets are not [begin, end]"));
  }
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  const int64_t bytes = BytesOf(entry.dtype, entry.shape);
  if (bytes != offsets[1] - offsets[0]) {
    return MalformedTensorFile(
        file, absl::StrCat(where, "its data_offsets hold ",
                           offsets[1] - offsets[0], " bytes, but ", dtype, " [",
                           absl::StrJoin(entry.shape, ", "), "] takes ",
                           bytes < 0 ? "more than 2^63" : absl::StrCat(bytes)));
  }
  return entry;
}

// The tensors must cover the data exactly, as the format demands.
absl::Status CheckLayout(const TensorHeader& header, uint64_t data_size,
                         const std::string& file) {
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  for (const auto& [name, entry] : header.tensors) {
    if (entry.end > data_size) {
      return MalformedTensorFile(
          file, absl::StrCat("tensor ", QuoteName(name), " ends at ", entry.end,
                             ", but the data has ", data_size,
                             " bytes (cut short?)"));
    }
    spans.emplace_back(entry.begin, entry.end);
  }
  std::sort(spans.begin(), spans.end());
  uint64_t used = 0;
  for (const auto& [begin, end] : spans) {
    if (begin != used) {
      return MalformedTensorFile(
          file, absl::StrCat(
                    begin < used ? "tensors overlap" : "tensors leave a hole",
                    " at data byte ", begin));
    }
    used = end;
  }
  if (used != data_size) {
    return MalformedTensorFile(
        file, absl::StrCat(data_size - used, " bytes follow the last tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view DTypeName(DType dtype) {
  for (const auto& row : kDTypes) {
    if (row.dtype == dtype) return row.name;
  }
  return "?";
}

int64_t DTypeSize(DType dtype) {
  for (const auto& row : kDTypes) {
    if (row.dtype == dtype) return row.size;
  }
  return 0;
}

absl::Status MalformedTensorFile(const std::string& file,
                                 absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": not a valid safetensors file: ", what));
}

std::string QuoteName(const std::string& text) {
  constexpr size_t kShown = 80;
  return absl::StrCat("'", ClipUtf8(text, kShown),
                      text.size() > kShown ? "..." : "", "'");
}

absl::StatusOr<uint64_t> ReadHeaderSize(const char (&first)[kSizeBytes],
                                        uint64_t file_size,
                                        const std::string& file) {
  uint64_t size;
  std::memcpy(&size, first, kSizeBytes);
  if (size > kMaxHeaderBytes || size > file_size - kSizeBytes) {
    return MalformedTensorFile(
        file, absl::StrCat("the header claims ", size, " bytes, the file has ",
                           file_size, " and at most ", kMaxHeaderBytes,
                           " are allowed"));
  }
  return size;
}

absl::StatusOr<TensorHeader> ParseTensorHeader(absl::string_view text,
                                               uint64_t data_size,
                                               const std::string& file) {
  if (Nesting(text) > kMaxNesting) {
    return MalformedTensorFile(file, "the header is nested too deeply");
  }
  std::set<std::string> seen;
  std::string twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth == 1 && event == Json::parse_event_t::key) {
      const std::string name = value.get<std::string>();
      if (!seen.insert(name).second) twice = name;
    }
    return true;
  };
  const Json json = ParseJson(text, watch);
  if (!json.is_object())
    return MalformedTensorFile(file, "the header is no JSON object");
  if (!twice.empty()) {
    return MalformedTensorFile(
        file, absl::StrCat("tensor ", QuoteName(twice), " twice"));
  }
  TensorHeader header;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) {
        return MalformedTensorFile(file, "__metadata__ is no JSON object");
      }
      for (const auto& [key, text_value] : value.items()) {
        if (!text_value.is_string()) {
          return MalformedTensorFile(
              file,
              absl::StrCat("__metadata__ ", QuoteName(key), " is no string"));
        }
        header.metadata[key] = text_value.get<std::string>();
      }
      continue;
    }
    FOLDFARM_ASSIGN_OR_RETURN(TensorEntry entry, ReadEntry(name, value, file));
    header.tensors.emplace(name, std::move(entry));
  }
  FOLDFARM_RETURN_IF_ERROR(CheckLayout(header, data_size, file));
  return header;
}

}  // namespace foldfarm
