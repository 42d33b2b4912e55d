#include "common/weights/weights_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

class SafetensorsFile : public WeightsFile {
 public:
  explicit SafetensorsFile(std::shared_ptr<const TensorFile> file)
      : file_(std::move(file)) {
    for (const auto& [name, view] : file_->tensors()) {
      tensors_[name] = {view.dtype, view.shape};
    }
  }
  WeightsContainer container() const override {
    return WeightsContainer::kSafetensors;
  }
  absl::StatusOr<std::string> Read(const std::string& name) override {
    FOLDFARM_ASSIGN_OR_RETURN(const TensorView view, file_->Get(name));
    return std::string(view.bytes);
  }

 private:
  const std::shared_ptr<const TensorFile> file_;
};

// Enough to see a tar archive's mark.
constexpr size_t kFirstBytes = 512;

absl::Status ReadFirstBytes(const std::string& path, std::string& bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  bytes.assign(kFirstBytes, '\0');
  const ssize_t size = pread(fd, bytes.data(), bytes.size(), 0);
  const absl::Status status =
      size < 0 ? ErrnoStatus(path, "cannot read") : absl::OkStatus();
  close(fd);
  FOLDFARM_RETURN_IF_ERROR(status);
  bytes.resize(static_cast<size_t>(size));
  return absl::OkStatus();
}

// What people hand in by mistake.
absl::string_view Guess(absl::string_view first) {
  constexpr struct {
    size_t at;
    absl::string_view mark;
    absl::string_view what;
  } kMarks[] = {
      {0, absl::string_view("\x89HDF", 4), "an HDF5 file (Keras?)"},
      {0, absl::string_view("\x93NUMPY", 6), "a NumPy array"},
      {0, "version https://git-lfs", "a Git LFS pointer: fetch the file"},
      {0, absl::string_view("\x1f\x8b", 2), "gzip data: unpack it"},
      {257, "ustar", "a tar archive"},
      {0, "<!DOCTYPE", "a web page: the download went wrong"},
      {0, "<!doctype", "a web page: the download went wrong"},
      {0, "<html", "a web page: the download went wrong"},
      {0, "GGUF", "a GGUF file"},
  };
  for (const auto& row : kMarks) {
    if (first.size() > row.at &&
        absl::StartsWith(first.substr(row.at), row.mark)) {
      return row.what;
    }
  }
  return first.empty() ? "empty" : "something else";
}

}  // namespace

absl::string_view WeightsContainerName(WeightsContainer container) {
  return container == WeightsContainer::kPytorch ? "pytorch" : "safetensors";
}

absl::StatusOr<std::unique_ptr<WeightsFile>> WeightsFile::Open(
    const std::string& path) {
  std::string first;
  FOLDFARM_RETURN_IF_ERROR(ReadFirstBytes(path, first));
  if (absl::StartsWith(first, "PK")) return OpenPytorchZip(path);
  // A pickle begins with its protocol.
  if (first.size() > 2 && first[0] == '\x80' && first[1] >= 2 &&
      first[1] <= 5) {
    return OpenPytorchLegacy(path);
  }
  if (first.size() > 8 && first[8] == '{') {
    FOLDFARM_ASSIGN_OR_RETURN(auto file, TensorFile::Open(path));
    return std::make_unique<SafetensorsFile>(std::move(file));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": is ", Guess(first),
                   ", expected safetensors or a file of torch.save"));
}

}  // namespace foldfarm
