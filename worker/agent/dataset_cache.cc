#include "worker/agent/dataset_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

// Beside a file while it is fetched; also what a fetch that broke off left.
constexpr absl::string_view kPartSuffix = ".part";

// How often to look whether another process is done fetching the same file.
constexpr absl::Duration kLockInterval = absl::Milliseconds(200);

// (-1, 0) when the file is not there.
std::pair<int64_t, int64_t> StampOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {-1, 0};
  return {info.st_size,
          info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec};
}

// The time of the last access says when it was used last; that of the last
// write stays, by which damage is found.
void NoteUse(const std::string& path) {
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
}

}  // namespace

DatasetCache::DatasetCache(const std::string& dir, WorkerApi& api,
                           int64_t max_bytes, absl::Duration kept_for)
    : folder_(JoinPath(dir, "cache")),
      max_bytes_(max_bytes),
      kept_for_(kept_for),
      api_(api) {}

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
      NoteUse(path);
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
  const std::string part = absl::StrCat(path, kPartSuffix);
  if (!FileExists(path)) {
    // What is fetched already counts among the files.
    const int64_t kept = FileSize(part).value_or(0);
    Evict(max_bytes_ - std::max<int64_t>(0, artifact.size_bytes() - kept));
  }
  const auto fetch = [&] {
    return RetryOutages(control, StopReason::kDrain,
                        [&] { return Fetch(artifact, path, control); });
  };
  absl::Status status = fetch();
  if (absl::IsResourceExhausted(status) && Evict(0) > 0) {
    status = fetch();
  }
  // It does not fit, and its part would keep the disk full.
  if (absl::IsResourceExhausted(status)) unlink(part.c_str());
  FOLDFARM_RETURN_IF_ERROR(status);
  NoteUse(path);
  absl::MutexLock lock(&mu_);
  checked_[artifact.digest()] = StampOf(path);
  return path;
}

absl::Status DatasetCache::Fetch(const v1::ArtifactRef& artifact,
                                 const std::string& path,
                                 AttemptControl& control) {
  if (FileExists(path)) {
    const absl::StatusOr<std::string> digest = Sha256HexOfFile(path);
    if (digest.ok() && *digest == artifact.digest()) return absl::OkStatus();
    SPDLOG_WARN("artifact={} {}: damaged, fetching it again", path,
                digest.ok() ? absl::StrCat("has the digest ", *digest)
                            : digest.status().ToString());
    unlink(path.c_str());
  }
  FOLDFARM_RETURN_IF_ERROR(api_.Download(
      artifact, path, [&] { return control.reason() >= StopReason::kDrain; }));
  chmod(path.c_str(), 0444);  // Attempts see it through hard links.
  SPDLOG_INFO("artifact={} fetched, {} bytes ({})", artifact.digest(),
              artifact.size_bytes(), artifact.name());
  return absl::OkStatus();
}

int DatasetCache::Evict(int64_t limit_bytes) {
  struct File {
    absl::Time used;
    std::string path;
    std::string lock;
    int64_t size = 0;
    bool linked = false;
  };
  std::vector<File> files;
  int64_t total = 0;
  const auto names = ListDirectory(folder_);
  if (!names.ok()) return 0;
  for (const std::string& name : *names) {
    struct stat info;
    std::string path = JoinPath(folder_, name);
    absl::string_view digest = name;
    const bool part = absl::ConsumeSuffix(&digest, kPartSuffix);
    if (!IsSha256Hex(digest) || lstat(path.c_str(), &info) != 0) continue;
    total += info.st_size;
    // A part is of use while somebody writes it.
    const timespec used = part ? info.st_mtim : info.st_atim;
    files.push_back({absl::TimeFromTimespec(used), std::move(path),
                     absl::StrCat(JoinPath(folder_, digest), ".lock"),
                     info.st_size, info.st_nlink > 1});
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.used < b.used; });
  const absl::Time kept_since = Clock::Real().Now() - kept_for_;
  int evicted = 0;
  for (const File& file : files) {
    if (total <= limit_bytes) break;
    if (file.linked || file.used > kept_since) continue;
    // Locked: another daemon fetches or checks it right now.
    const auto lock = FileLock::Acquire(file.lock);
    if (!lock.ok() || unlink(file.path.c_str()) != 0) continue;
    total -= file.size;
    ++evicted;
    SPDLOG_INFO("artifact={} evicted, {} bytes, last used {}", file.path,
                file.size, absl::FormatTime(file.used));
  }
  return evicted;
}

}  // namespace foldfarm
