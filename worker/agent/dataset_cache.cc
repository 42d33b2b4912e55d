#include "worker/agent/dataset_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "worker/agent/trainer_event.h"

namespace foldfarm {
namespace {

// How often to look whether another process is done fetching the same file.
constexpr absl::Duration kLockInterval = absl::Milliseconds(200);

// (-1, 0) when the file is not there.
std::pair<int64_t, int64_t> StampOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {-1, 0};
  return {info.st_size,
          info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec};
}

}  // namespace

DatasetCache::DatasetCache(const std::string& dir, WorkerApi& api)
    : folder_(JoinPath(dir, "cache")), api_(api) {}

absl::StatusOr<std::string> DatasetCache::Get(const v1::ArtifactRef& artifact,
                                              AttemptControl& control) {
  if (!IsSha256Hex(artifact.digest())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "digest of ", CleanText(artifact.name(), 100), " is \"",
        CleanText(artifact.digest(), 100), "\", expected a SHA-256"));
  }
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(folder_));
  std::string path = JoinPath(folder_, artifact.digest());
  {
    absl::MutexLock lock(&mu_);
    const auto checked = checked_.find(artifact.digest());
    if (checked != checked_.end() && checked->second == StampOf(path)) {
      return path;
    }
  }
  std::unique_ptr<FileLock> file_lock;
  while (file_lock == nullptr) {
    auto acquired = FileLock::Acquire(absl::StrCat(path, ".lock"));
    if (acquired.ok()) {
      file_lock = *std::move(acquired);
    } else if (!absl::IsFailedPrecondition(acquired.status())) {
      return acquired.status();
    } else if (control.WaitAtLeast(StopReason::kDrain, kLockInterval)) {
      return absl::CancelledError("stopped while another fetched the file");
    }
  }
  FOLDFARM_RETURN_IF_ERROR(RetryOutages(control, StopReason::kDrain, [&] {
    return Fetch(artifact, path, control);
  }));
  absl::MutexLock lock(&mu_);
  checked_[artifact.digest()] = StampOf(path);
  return path;
}

absl::Status DatasetCache::Fetch(const v1::ArtifactRef& artifact,
                                 const std::string& path,
                                 AttemptControl& control) {
  if (FileExists(path)) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(path));
    if (digest == artifact.digest()) return absl::OkStatus();
    SPDLOG_WARN("artifact={} has the digest {}: damaged, fetching it again",
                path, digest);
    unlink(path.c_str());
  }
  FOLDFARM_RETURN_IF_ERROR(api_.Download(
      artifact, path, [&] { return control.reason() >= StopReason::kDrain; }));
  chmod(path.c_str(), 0444);  // Attempts see it through hard links.
  SPDLOG_INFO("artifact={} fetched, {} bytes ({})", artifact.digest(),
              artifact.size_bytes(), artifact.name());
  return absl::OkStatus();
}

}  // namespace foldfarm
