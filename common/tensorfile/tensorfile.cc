#include "common/tensorfile/tensorfile.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kSizeBytes = 8;
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

struct TensorEntry {
  DType dtype;
  std::vector<int64_t> shape;
  uint64_t begin;  // In the data, that is, after the header.
  uint64_t end;
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::map<std::string, TensorEntry> tensors;
};

absl::Status Malformed(const std::string& file, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": not a valid safetensors file: ", what));
}

// The header's size, checked against the file's.
absl::StatusOr<uint64_t> HeaderSize(const char (&first)[kSizeBytes],
                                    uint64_t file_size,
                                    const std::string& file) {
  uint64_t size;
  std::memcpy(&size, first, kSizeBytes);
  if (size > kMaxHeaderBytes || size > file_size - kSizeBytes) {
    return Malformed(
        file, absl::StrCat("the header claims ", size, " bytes, the file has ",
                           file_size, " and at most ", kMaxHeaderBytes,
                           " are allowed"));
  }
  return size;
}

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

std::string Quote(const std::string& text) {
  constexpr size_t kShown = 80;
  return absl::StrCat("'", text.substr(0, kShown),
                      text.size() > kShown ? "..." : "", "'");
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
  const std::string where = absl::StrCat("tensor ", Quote(name), ": ");
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets") || json.size() != 3) {
    return Malformed(file, absl::StrCat(where,
                                        "expected an object of dtype, shape "
                                        "and data_offsets"));
  }
  TensorEntry entry;
  if (!json["dtype"].is_string()) {
    return Malformed(file, absl::StrCat(where, "dtype is not a string"));
  }
  const std::string dtype = json["dtype"].get<std::string>();
  const auto* known =
      std::find_if(std::begin(kDTypes), std::end(kDTypes),
                   [&](const auto& row) { return dtype == row.name; });
  if (known == std::end(kDTypes)) {
    return Malformed(file,
                     absl::StrCat(where, "dtype ", Quote(dtype),
                                  ", expected BOOL, U8, I8, I16, I32, I64, "
                                  "F16, BF16, F32 or F64"));
  }
  entry.dtype = known->dtype;
  std::vector<int64_t> offsets;
  if (!ReadIntegers(json["shape"], -1, &entry.shape)) {
    return Malformed(
        file, absl::StrCat(where, "shape is not a list of sizes from 0 up"));
  }
  if (!ReadIntegers(json["data_offsets"], 2, &offsets) ||
      offsets[0] > offsets[1]) {
    return Malformed(file,
                     absl::StrCat(where, "data_offsets are not [begin, end]"));
  }
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  const int64_t bytes = BytesOf(entry.dtype, entry.shape);
  if (bytes != offsets[1] - offsets[0]) {
    return Malformed(
        file, absl::StrCat(where, "its data_offsets hold ",
                           offsets[1] - offsets[0], " bytes, but ", dtype, " [",
                           absl::StrJoin(entry.shape, ", "), "] takes ",
                           bytes < 0 ? "more than 2^63" : absl::StrCat(bytes)));
  }
  return entry;
}

// The tensors must cover the data exactly, as the format demands.
absl::Status CheckLayout(const Header& header, uint64_t data_size,
                         const std::string& file) {
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  for (const auto& [name, entry] : header.tensors) {
    if (entry.end > data_size) {
      return Malformed(file, absl::StrCat("tensor ", Quote(name), " ends at ",
                                          entry.end, ", but the data has ",
                                          data_size, " bytes (cut short?)"));
    }
    spans.emplace_back(entry.begin, entry.end);
  }
  std::sort(spans.begin(), spans.end());
  uint64_t used = 0;
  for (const auto& [begin, end] : spans) {
    if (begin != used) {
      return Malformed(file, absl::StrCat(begin < used ? "tensors overlap"
                                                       : "tensors leave a hole",
                                          " at data byte ", begin));
    }
    used = end;
  }
  if (used != data_size) {
    return Malformed(
        file, absl::StrCat(data_size - used, " bytes follow the last tensor"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Header> ParseHeader(absl::string_view text, uint64_t data_size,
                                   const std::string& file) {
  if (Nesting(text) > kMaxNesting) {
    return Malformed(file, "the header is nested too deeply");
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
  const Json json =
      Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (!json.is_object()) return Malformed(file, "the header is no JSON object");
  if (!twice.empty()) {
    return Malformed(file, absl::StrCat("tensor ", Quote(twice), " twice"));
  }
  Header header;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) {
        return Malformed(file, "__metadata__ is no JSON object");
      }
      for (const auto& [key, text_value] : value.items()) {
        if (!text_value.is_string()) {
          return Malformed(
              file, absl::StrCat("__metadata__ ", Quote(key), " is no string"));
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

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    absl::StrAppend(&text, i > 0 ? ", " : "",
                    shape[i] < 0 ? "any" : absl::StrCat(shape[i]));
  }
  return text + "]";
}

// Owns the bytes that it was parsed from.
class TensorFileInMemory : public TensorFile {
 public:
  explicit TensorFileInMemory(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::string bytes_;
};

class MappedTensorFile : public TensorFile {
 public:
  MappedTensorFile(void* address, size_t size)
      : address_(address), size_(size) {}
  ~MappedTensorFile() override { munmap(address_, size_); }
  absl::string_view bytes() const {
    return {static_cast<const char*>(address_), size_};
  }

 private:
  void* const address_;
  const size_t size_;
};

// A file's descriptor, closed at the end of its scope.
class ReadOnlyFile {
 public:
  static absl::StatusOr<std::unique_ptr<ReadOnlyFile>> Open(
      const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(path, "cannot open");
    auto file = std::make_unique<ReadOnlyFile>(fd);
    struct stat info;
    if (fstat(fd, &info) != 0) return ErrnoStatus(path, "cannot stat");
    if (!S_ISREG(info.st_mode)) return Malformed(path, "not a regular file");
    file->size = static_cast<uint64_t>(info.st_size);
    if (file->size < kSizeBytes) {
      return Malformed(path, absl::StrCat("it has ", file->size,
                                          " bytes, expected at least 8"));
    }
    return file;
  }
  explicit ReadOnlyFile(int fd) : fd(fd) {}
  ~ReadOnlyFile() { close(fd); }

  absl::Status ReadAt(uint64_t offset, char* out, size_t count,
                      const std::string& path) const {
    while (count > 0) {
      const ssize_t n = pread(fd, out, count, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus(path, "cannot read");
      if (n == 0) return Malformed(path, "the file ended while being read");
      out += n;
      offset += static_cast<uint64_t>(n);
      count -= static_cast<size_t>(n);
    }
    return absl::OkStatus();
  }

  const int fd;
  uint64_t size = 0;
};

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

absl::Status TensorFile::Load(absl::string_view bytes,
                              const std::string& name) {
  name_ = name;
  if (bytes.size() < kSizeBytes) {
    return Malformed(name, absl::StrCat("it has ", bytes.size(),
                                        " bytes, expected at least 8"));
  }
  char first[kSizeBytes];
  std::memcpy(first, bytes.data(), kSizeBytes);
  FOLDFARM_ASSIGN_OR_RETURN(const uint64_t header_size,
                            HeaderSize(first, bytes.size(), name));
  const absl::string_view data = bytes.substr(kSizeBytes + header_size);
  FOLDFARM_ASSIGN_OR_RETURN(
      Header header,
      ParseHeader(bytes.substr(kSizeBytes, header_size), data.size(), name));
  metadata_ = std::move(header.metadata);
  for (auto& [tensor, entry] : header.tensors) {
    absl::string_view view = data.substr(entry.begin, entry.end - entry.begin);
    const auto size = static_cast<size_t>(DTypeSize(entry.dtype));
    if (reinterpret_cast<uintptr_t>(view.data()) % size != 0) {
      // new char[] is aligned for every fundamental type.
      aligned_.push_back(std::make_unique<char[]>(view.size()));
      if (!view.empty()) {
        std::memcpy(aligned_.back().get(), view.data(), view.size());
      }
      view = {aligned_.back().get(), view.size()};
    }
    tensors_.emplace(tensor,
                     TensorView{entry.dtype, std::move(entry.shape), view});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TensorFile>> TensorFile::Open(
    const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, ReadOnlyFile::Open(path));
  void* address =
      mmap(nullptr, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
  if (address == MAP_FAILED) return ErrnoStatus(path, "cannot map");
  auto mapped = std::make_shared<MappedTensorFile>(address, file->size);
  FOLDFARM_RETURN_IF_ERROR(mapped->Load(mapped->bytes(), path));
  return std::shared_ptr<const TensorFile>(std::move(mapped));
}

absl::StatusOr<std::shared_ptr<const TensorFile>> TensorFile::Parse(
    std::string bytes, const std::string& name) {
  auto file = std::make_shared<TensorFileInMemory>(std::move(bytes));
  FOLDFARM_RETURN_IF_ERROR(file->Load(file->bytes_, name));
  return std::shared_ptr<const TensorFile>(std::move(file));
}

absl::StatusOr<std::map<std::string, std::string>> TensorFile::ReadMetadata(
    const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, ReadOnlyFile::Open(path));
  char first[kSizeBytes];
  FOLDFARM_RETURN_IF_ERROR(file->ReadAt(0, first, kSizeBytes, path));
  FOLDFARM_ASSIGN_OR_RETURN(const uint64_t header_size,
                            HeaderSize(first, file->size, path));
  std::string text(header_size, '\0');
  FOLDFARM_RETURN_IF_ERROR(
      file->ReadAt(kSizeBytes, text.data(), text.size(), path));
  FOLDFARM_ASSIGN_OR_RETURN(
      Header header,
      ParseHeader(text, file->size - kSizeBytes - header_size, path));
  return std::move(header.metadata);
}

absl::StatusOr<std::string> TensorFile::Metadata(const std::string& key) const {
  const auto it = metadata_.find(key);
  if (it == metadata_.end()) {
    return absl::NotFoundError(
        absl::StrCat(name_, ": no metadata ", Quote(key)));
  }
  return it->second;
}

absl::StatusOr<TensorView> TensorFile::Get(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    return absl::NotFoundError(
        absl::StrCat(name_, ": no tensor ", Quote(name)));
  }
  return it->second;
}

template <typename T>
absl::StatusOr<absl::Span<const T>> TensorFile::Typed(
    const std::string& name, DType dtype,
    const std::vector<int64_t>& shape) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    return absl::NotFoundError(
        absl::StrCat(name_, ": no tensor ", Quote(name)));
  }
  const TensorView& view = it->second;
  bool fits = view.dtype == dtype && view.shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] < 0 || shape[i] == view.shape[i];
  }
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": tensor ", Quote(name), " is ",
                     DTypeName(view.dtype), " ", ShapeText(view.shape),
                     ", expected ", DTypeName(dtype), " ", ShapeText(shape)));
  }
  return absl::Span<const T>(reinterpret_cast<const T*>(view.bytes.data()),
                             view.bytes.size() / sizeof(T));
}

absl::StatusOr<absl::Span<const float>> TensorFile::F32(
    const std::string& name, const std::vector<int64_t>& shape) const {
  return Typed<float>(name, DType::kF32, shape);
}
absl::StatusOr<absl::Span<const double>> TensorFile::F64(
    const std::string& name, const std::vector<int64_t>& shape) const {
  return Typed<double>(name, DType::kF64, shape);
}
absl::StatusOr<absl::Span<const int64_t>> TensorFile::I64(
    const std::string& name, const std::vector<int64_t>& shape) const {
  return Typed<int64_t>(name, DType::kI64, shape);
}
absl::StatusOr<absl::Span<const uint8_t>> TensorFile::U8(
    const std::string& name, const std::vector<int64_t>& shape) const {
  return Typed<uint8_t>(name, DType::kU8, shape);
}

}  // namespace foldfarm
