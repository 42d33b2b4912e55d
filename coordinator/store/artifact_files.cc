#include "coordinator/store/artifact_files.h"

#include <unistd.h>

#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

absl::Status CheckDigest(absl::string_view digest) {
  if (IsSha256Hex(digest)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("artifact digest is \"", digest.substr(0, 80),
                   "\", expected 64 lower-case hex digits (SHA-256)"));
}

// Feeds a file that is there to a hasher.
absl::Status HashFile(const std::string& path, Hasher& hasher) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return ErrnoStatus(path, "cannot open");
  std::vector<char> buffer(1 << 20);
  size_t got;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), file)) > 0) {
    hasher.Update(absl::string_view(buffer.data(), got));
  }
  const bool failed = std::ferror(file) != 0;
  const absl::Status error =
      failed ? ErrnoStatus(path, "cannot read") : absl::OkStatus();
  std::fclose(file);
  return error;
}

}  // namespace

ArtifactFiles::ArtifactFiles(const std::string& directory,
                             int64_t max_size_bytes)
    : artifacts_(JoinPath(directory, "artifacts")),
      uploads_(JoinPath(directory, "uploads")),
      max_size_bytes_(max_size_bytes) {}

absl::StatusOr<std::unique_ptr<ArtifactFiles>> ArtifactFiles::Open(
    const std::string& directory, int64_t max_size_bytes) {
  std::unique_ptr<ArtifactFiles> files(
      new ArtifactFiles(directory, max_size_bytes));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(files->artifacts_));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(files->uploads_));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> folders,
                            ListDirectory(files->artifacts_));
  for (const std::string& folder : folders) {
    const std::string path = JoinPath(files->artifacts_, folder);
    const auto names = ListDirectory(path);
    if (!names.ok()) continue;
    for (const std::string& name : *names) {
      files->stored_bytes_ += FileSize(JoinPath(path, name)).value_or(0);
    }
  }
  return files;
}

std::string ArtifactFiles::FinalPath(const std::string& digest) const {
  return absl::StrCat(artifacts_, "/", digest.substr(0, 2), "/", digest);
}

std::string ArtifactFiles::PartPath(const std::string& digest) const {
  return absl::StrCat(uploads_, "/", digest, ".part");
}

absl::StatusOr<ArtifactFiles::Stat> ArtifactFiles::GetStat(
    const std::string& digest) {
  FOLDFARM_RETURN_IF_ERROR(CheckDigest(digest));
  {
    // Looked at under the lock, so that Remove() does not come between.
    absl::MutexLock lock(&mu_);
    const auto known = known_.find(digest);
    if (known != known_.end()) return Stat{true, known->second};
    const absl::StatusOr<int64_t> size = FileSize(FinalPath(digest));
    if (size.ok()) {
      known_[digest] = *size;
      return Stat{true, *size};
    }
  }
  const absl::StatusOr<int64_t> part = FileSize(PartPath(digest));
  return Stat{false, part.ok() ? *part : 0};
}

absl::StatusOr<std::string> ArtifactFiles::Find(const std::string& digest) {
  FOLDFARM_ASSIGN_OR_RETURN(const Stat stat, GetStat(digest));
  if (stat.complete) return FinalPath(digest);
  return absl::NotFoundError(
      absl::StrCat("artifact ", digest, " is not stored"));
}

void ArtifactFiles::Remove(const std::string& digest) {
  if (!IsSha256Hex(digest)) return;
  absl::MutexLock lock(&mu_);
  known_.erase(digest);
  const std::string path = FinalPath(digest);
  const int64_t size = FileSize(path).value_or(0);
  if (unlink(path.c_str()) == 0) stored_bytes_ -= size;
}

absl::StatusOr<std::unique_ptr<ArtifactFiles::Upload>>
ArtifactFiles::BeginUpload(const std::string& digest, int64_t size_bytes,
                           int64_t offset) {
  FOLDFARM_ASSIGN_OR_RETURN(const Stat stat, GetStat(digest));
  if (size_bytes < 0 || size_bytes > max_size_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "artifact ", digest, " has ", size_bytes, " bytes, expected 0 to ",
        max_size_bytes_, "; the coordinator's --max-artifact sets the limit"));
  }
  if (stat.complete) return nullptr;
  {
    absl::MutexLock lock(&mu_);
    if (!uploading_.insert(digest).second) {
      return absl::UnavailableError(absl::StrCat(
          "artifact ", digest, " is being uploaded by another; repeat"));
    }
  }
  // Frees the claim unless an Upload takes it over.
  struct Claim {
    ArtifactFiles* files;
    const std::string& digest;
    ~Claim() {
      if (files == nullptr) return;
      absl::MutexLock lock(&files->mu_);
      files->uploading_.erase(digest);
    }
  } claim{this, digest};

  FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file,
                            AppendFile::Open(PartPath(digest)));
  if (offset != 0 && offset != file->size()) {
    return absl::OutOfRangeError(absl::StrCat("artifact ", digest,
                                              ": offset is ", offset,
                                              ", expected ", file->size()));
  }
  Hasher hasher = Hasher::Sha256();
  if (offset == 0) {
    FOLDFARM_RETURN_IF_ERROR(file->Truncate(0));
  } else {
    FOLDFARM_RETURN_IF_ERROR(HashFile(PartPath(digest), hasher));
  }
  claim.files = nullptr;
  return std::unique_ptr<Upload>(new Upload(
      *this, digest, size_bytes, std::move(file), std::move(hasher)));
}

ArtifactFiles::Upload::Upload(ArtifactFiles& files, std::string digest,
                              int64_t size_bytes,
                              std::unique_ptr<AppendFile> file, Hasher hasher)
    : files_(files),
      digest_(std::move(digest)),
      size_bytes_(size_bytes),
      file_(std::move(file)),
      hasher_(std::move(hasher)) {}

ArtifactFiles::Upload::~Upload() {
  absl::MutexLock lock(&files_.mu_);
  files_.uploading_.erase(digest_);
}

absl::Status ArtifactFiles::Upload::Append(absl::string_view data) {
  const int64_t size = file_->size() + static_cast<int64_t>(data.size());
  if (size > size_bytes_) {
    unlink(files_.PartPath(digest_).c_str());
    return absl::DataLossError(
        absl::StrCat("artifact ", digest_, ": got ", size, " bytes, expected ",
                     size_bytes_, "; start over at offset 0"));
  }
  hasher_.Update(data);
  return file_->Append(data);
}

absl::Status ArtifactFiles::Upload::Finish() {
  if (file_->size() != size_bytes_) {
    return absl::OutOfRangeError(absl::StrCat(
        "artifact ", digest_, ": the stream ended at ", file_->size(), " of ",
        size_bytes_, " bytes; go on there"));
  }
  const std::string got = hasher_.FinishHex();
  const std::string part = files_.PartPath(digest_);
  if (got != digest_) {
    unlink(part.c_str());
    return absl::DataLossError(absl::StrCat("artifact ", digest_,
                                            ": the bytes have digest ", got,
                                            "; start over at offset 0"));
  }
  const std::string path = files_.FinalPath(digest_);
  const std::string folder = DirectoryOf(path);
  if (!IsDirectory(folder)) {
    FOLDFARM_RETURN_IF_ERROR(MakeDirectories(folder));
    FOLDFARM_RETURN_IF_ERROR(SyncDirectory(files_.artifacts_));
  }
  FOLDFARM_RETURN_IF_ERROR(PublishFile(part, path));
  files_.stored_bytes_ += size_bytes_;
  return absl::OkStatus();
}

}  // namespace foldfarm
