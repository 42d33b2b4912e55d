#include "common/tensorfile/tensorfile.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile_header.h"

namespace foldfarm {
namespace {

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
    if (!S_ISREG(info.st_mode))
      return MalformedTensorFile(path, "not a regular file");
    file->size = static_cast<uint64_t>(info.st_size);
    if (file->size < kSizeBytes) {
      return MalformedTensorFile(
          path,
          absl::StrCat("it has ", file->size, " bytes, expected at least 8"));
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
      if (n == 0)
        return MalformedTensorFile(path, "the file ended while being read");
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

absl::Status TensorFile::Load(absl::string_view bytes,
                              const std::string& name) {
  name_ = name;
  if (bytes.size() < kSizeBytes) {
    return MalformedTensorFile(
        name,
        absl::StrCat("it has ", bytes.size(), " bytes, expected at least 8"));
  }
  char first[kSizeBytes];
  std::memcpy(first, bytes.data(), kSizeBytes);
  FOLDFARM_ASSIGN_OR_RETURN(const uint64_t header_size,
                            ReadHeaderSize(first, bytes.size(), name));
  const absl::string_view data = bytes.substr(kSizeBytes + header_size);
  FOLDFARM_ASSIGN_OR_RETURN(
      TensorHeader header,
      ParseTensorHeader(bytes.substr(kSizeBytes, header_size), data.size(),
                        name));
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
                            ReadHeaderSize(first, file->size, path));
  std::string text(header_size, '\0');
  FOLDFARM_RETURN_IF_ERROR(
      file->ReadAt(kSizeBytes, text.data(), text.size(), path));
  FOLDFARM_ASSIGN_OR_RETURN(
      TensorHeader header,
      ParseTensorHeader(text, file->size - kSizeBytes - header_size, path));
  return std::move(header.metadata);
}

absl::StatusOr<std::string> TensorFile::Metadata(const std::string& key) const {
  const auto it = metadata_.find(key);
  if (it == metadata_.end()) {
    return absl::NotFoundError(
        absl::StrCat(name_, ": no metadata ", QuoteName(key)));
  }
  return it->second;
}

absl::StatusOr<TensorView> TensorFile::Get(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    return absl::NotFoundError(
        absl::StrCat(name_, ": no tensor ", QuoteName(name)));
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
        absl::StrCat(name_, ": no tensor ", QuoteName(name)));
  }
  const TensorView& view = it->second;
  bool fits = view.dtype == dtype && view.shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] < 0 || shape[i] == view.shape[i];
  }
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": tensor ", QuoteName(name), " is ",
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
