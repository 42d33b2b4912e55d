#include "coordinator/store/artifact_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/disk_space.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

absl::Status CheckDigest(absl::string_view digest) {
  if (IsSha256Hex(digest)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("artifact digest is \"", digest.substr(0, 80),
                   "\", expected 64 lower-case hex digits (SHA-256)"));
}

}  // namespace

ArtifactFiles::ArtifactFiles(const std::string& directory, const Limits& limits)
    : artifacts_(JoinPath(directory, "artifacts")),
      uploads_(JoinPath(directory, "uploads")),
      limits_(limits) {}

absl::StatusOr<std::unique_ptr<ArtifactFiles>> ArtifactFiles::Open(
    const std::string& directory, const Limits& limits) {
  std::unique_ptr<ArtifactFiles> files(new ArtifactFiles(directory, limits));
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

absl::Status ArtifactFiles::MakeFolder(const std::string& folder) {
  absl::MutexLock lock(&folders_mu_);
  if (folders_.contains(folder) && IsDirectory(folder)) return absl::OkStatus();
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(folder));
  const absl::Status flushed = SyncDirectory(artifacts_);
  if (flushed.ok()) {
    folders_.insert(folder);
  } else {
    // Made anew the next time; one that holds files was flushed long ago.
    rmdir(folder.c_str());
  }
  return flushed;
}

std::optional<int64_t> ArtifactFiles::StoredSize(const std::string& digest) {
  // An upload's file may be in place already and go again.
  if (condemned_.contains(digest) || uploading_.contains(digest)) {
    return std::nullopt;
  }
  const auto known = known_.find(digest);
  if (known != known_.end()) return known->second;
  const absl::StatusOr<int64_t> size = FileSize(FinalPath(digest));
  if (!size.ok()) return std::nullopt;
  known_[digest] = *size;
  return *size;
}

absl::StatusOr<ArtifactFiles::Stat> ArtifactFiles::GetStat(
    const std::string& digest) {
  FOLDFARM_RETURN_IF_ERROR(CheckDigest(digest));
  {
    // Looked at under the lock, so that Remove() does not come between.
    absl::MutexLock lock(&mu_);
    if (condemned_.contains(digest)) return Stat{false, 0};
    const std::optional<int64_t> size = StoredSize(digest);
    if (size.has_value()) return Stat{true, *size};
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

void ArtifactFiles::Forget(const std::string& digest) {
  absl::MutexLock lock(&mu_);
  known_.erase(digest);
}

void ArtifactFiles::Remove(const std::string& digest) {
  if (!IsSha256Hex(digest)) return;
  absl::MutexLock lock(&mu_);
  condemned_.erase(digest);
  // Somebody is about to name it, and its bytes are not counted yet.
  if (uploading_.contains(digest)) return;
  known_.erase(digest);
  const std::string path = FinalPath(digest);
  const int64_t size = FileSize(path).value_or(0);
  if (unlink(path.c_str()) == 0) stored_bytes_ -= size;
}

void ArtifactFiles::Touch(const std::string& digest) {
  if (!IsSha256Hex(digest)) return;
  // It is not there, or it is of another user: then it just ages.
  if (utimensat(AT_FDCWD, FinalPath(digest).c_str(), nullptr, 0) != 0) return;
}

ArtifactFiles::Condemned::Condemned(ArtifactFiles& files,
                                    std::vector<std::string> digests)
    : files_(&files), digests_(std::move(digests)) {
  absl::MutexLock lock(&files.mu_);
  files.condemned_.insert(digests_.begin(), digests_.end());
}

ArtifactFiles::Condemned::Condemned(Condemned&& other) noexcept
    : files_(other.files_), digests_(std::move(other.digests_)) {
  other.digests_.clear();
}

ArtifactFiles::Condemned::~Condemned() {
  if (digests_.empty()) return;
  absl::MutexLock lock(&files_->mu_);
  for (const std::string& digest : digests_) files_->condemned_.erase(digest);
}

void ArtifactFiles::Condemned::Delete() {
  for (const std::string& digest : digests_) files_->Remove(digest);
  digests_.clear();
}

absl::StatusOr<std::vector<ArtifactFiles::StoredFile>> ArtifactFiles::List()
    const {
  std::vector<StoredFile> files;
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> folders,
                            ListDirectory(artifacts_));
  for (const std::string& folder : folders) {
    const std::string path = JoinPath(artifacts_, folder);
    const auto names = ListDirectory(path);
    if (!names.ok()) continue;
    for (const std::string& name : *names) {
      struct stat info;
      if (!IsSha256Hex(name) ||
          stat(JoinPath(path, name).c_str(), &info) != 0) {
        continue;
      }
      files.push_back({name, static_cast<int64_t>(info.st_size),
                       absl::TimeFromTimespec(info.st_mtim)});
    }
  }
  return files;
}

absl::Time ArtifactFiles::TimeOf(const std::string& digest) const {
  struct stat info;
  if (!IsSha256Hex(digest) || stat(FinalPath(digest).c_str(), &info) != 0) {
    return absl::InfinitePast();
  }
  return absl::TimeFromTimespec(info.st_mtim);
}

int64_t ArtifactFiles::RemoveParts(absl::Time before) {
  int64_t bytes = 0;
  const auto names = ListDirectory(uploads_);
  if (!names.ok()) return bytes;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(uploads_, name);
    absl::MutexLock lock(&mu_);
    if (uploading_.contains(name.substr(0, name.find('.')))) continue;
    struct stat info;
    if (stat(path.c_str(), &info) != 0 ||
        absl::TimeFromTimespec(info.st_mtim) >= before) {
      continue;
    }
    if (unlink(path.c_str()) == 0) bytes += info.st_size;
  }
  return bytes;
}

absl::Status ArtifactFiles::CheckRoom(const std::string& digest,
                                      int64_t size_bytes, int64_t missing_bytes,
                                      int64_t free) const {
  int64_t claimed = 0, missing = 0;
  for (const auto& [other, claim] : uploading_) {
    claimed += claim.size_bytes;
    missing += claim.missing_bytes;
  }
  const int64_t stored = stored_bytes_.load();
  if (limits_.max_bytes > 0 &&
      size_bytes > limits_.max_bytes - stored - claimed) {
    return absl::ResourceExhaustedError(
        absl::StrCat("artifact ", digest, " of ", size_bytes,
                     " bytes does not fit: ", stored, " of at most ",
                     limits_.max_bytes, " bytes are stored and ", claimed,
                     " are being uploaded; foldfarm gc deletes what nothing "
                     "names, and the coordinator's --max-store is the limit"));
  }
  if (free - missing - missing_bytes >= limits_.spare_bytes) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "artifact ", digest, " of ", size_bytes,
      " bytes does not fit: the coordinator's disk has ", free,
      " bytes free, expects ", missing, " of other uploads and keeps ",
      limits_.spare_bytes, " for the database; make room there"));
}

absl::StatusOr<std::unique_ptr<ArtifactFiles::Upload>>
ArtifactFiles::BeginUpload(const std::string& digest, int64_t size_bytes,
                           int64_t offset) {
  FOLDFARM_RETURN_IF_ERROR(CheckDigest(digest));
  if (size_bytes < 0 || size_bytes > limits_.max_size_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("artifact ", digest, " has ", size_bytes,
                     " bytes, expected 0 to ", limits_.max_size_bytes,
                     "; the coordinator's --max-artifact sets the limit"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t free, FreeBytes(uploads_));
  bool stored = false;
  {
    // Looked up, measured and claimed at once: another stream may be finishing
    // this very file, or beginning with one that takes the room.
    absl::MutexLock lock(&mu_);
    if (condemned_.contains(digest)) {
      return absl::UnavailableError(
          absl::StrCat("artifact ", digest, " is just being deleted; repeat"));
    }
    if (uploading_.contains(digest)) {
      return absl::UnavailableError(absl::StrCat(
          "artifact ", digest, " is being uploaded by another; repeat"));
    }
    stored = StoredSize(digest).has_value();
    if (!stored) {
      const int64_t kept = FileSize(PartPath(digest)).value_or(0);
      FOLDFARM_RETURN_IF_ERROR(
          CheckRoom(digest, size_bytes, size_bytes - kept, free));
      // What starts over frees what was kept, but only below.
      const int64_t missing =
          offset == 0 ? size_bytes : std::max<int64_t>(0, size_bytes - kept);
      uploading_[digest] = {size_bytes, missing};
    }
  }
  if (stored) {
    Touch(digest);
    return nullptr;
  }
  // Frees the claim unless an Upload takes it over.
  struct Release {
    ArtifactFiles* files;
    const std::string& digest;
    ~Release() {
      if (files == nullptr) return;
      absl::MutexLock lock(&files->mu_);
      files->uploading_.erase(digest);
    }
  } release{this, digest};

  FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file,
                            AppendFile::Open(PartPath(digest)));
  if (offset != 0 && offset != file->size()) {
    return absl::OutOfRangeError(absl::StrCat("artifact ", digest,
                                              ": offset is ", offset,
                                              ", expected ", file->size()));
  }
  std::optional<Hasher> hasher;
  if (offset == 0) {
    FOLDFARM_RETURN_IF_ERROR(file->Truncate(0));
    hasher.emplace(Hasher::Sha256());
  }
  release.files = nullptr;
  return std::unique_ptr<Upload>(new Upload(
      *this, digest, size_bytes, std::move(file), std::move(hasher)));
}

ArtifactFiles::Upload::Upload(ArtifactFiles& files, std::string digest,
                              int64_t size_bytes,
                              std::unique_ptr<AppendFile> file,
                              std::optional<Hasher> hasher)
    : files_(files),
      digest_(std::move(digest)),
      size_bytes_(size_bytes),
      file_(std::move(file)),
      hasher_(std::move(hasher)) {}

ArtifactFiles::Upload::~Upload() {
  if (finished_) return;
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
  if (hasher_.has_value()) hasher_->Update(data);
  FOLDFARM_RETURN_IF_ERROR(file_->Append(data));
  absl::MutexLock lock(&files_.mu_);
  const auto claim = files_.uploading_.find(digest_);
  claim->second.missing_bytes = size_bytes_ - size;
  return absl::OkStatus();
}

absl::Status ArtifactFiles::Upload::Finish() {
  if (file_->size() != size_bytes_) {
    return absl::OutOfRangeError(absl::StrCat(
        "artifact ", digest_, ": the stream ended at ", file_->size(), " of ",
        size_bytes_, " bytes; go on there"));
  }
  const std::string part = files_.PartPath(digest_);
  const absl::StatusOr<std::string> got =
      hasher_.has_value() ? absl::StatusOr<std::string>(hasher_->FinishHex())
                          : Sha256HexOfFile(part);
  if (got.ok() && *got != digest_) {
    unlink(part.c_str());
    return absl::DataLossError(absl::StrCat("artifact ", digest_,
                                            ": the bytes have digest ", *got,
                                            "; start over at offset 0"));
  }
  const std::string path = files_.FinalPath(digest_);
  absl::Status published = got.status();
  if (published.ok()) published = files_.MakeFolder(DirectoryOf(path));
  if (published.ok()) published = PublishFile(part, path);
  if (!published.ok()) {
    unlink(part.c_str());
    const std::string why(published.message());
    SPDLOG_ERROR("artifact={} bytes={} is not stored: {}", digest_, size_bytes_,
                 why);
    const std::string message =
        absl::StrCat("artifact ", digest_, " of ", size_bytes_,
                     " bytes is not stored: ", why,
                     "; its bytes are dropped, start over at offset 0");
    // Whatever else the disk does, the uploader can only repeat.
    return absl::IsResourceExhausted(published)
               ? absl::ResourceExhaustedError(message)
               : absl::UnavailableError(message);
  }
  absl::MutexLock lock(&files_.mu_);
  finished_ = true;
  files_.uploading_.erase(digest_);
  files_.stored_bytes_ += size_bytes_;
  return absl::OkStatus();
}

}  // namespace foldfarm
