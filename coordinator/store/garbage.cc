#include "coordinator/store/garbage.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// Files of one transaction, so that nobody waits long behind it.
constexpr size_t kFilesATime = 200;

}  // namespace

absl::StatusOr<GarbageReport> CollectGarbage(Store& store, ArtifactFiles& files,
                                             absl::Time now,
                                             const GarbageOptions& options) {
  GarbageReport report;
  const absl::Time before = now - options.min_age;
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<ArtifactFiles::StoredFile> all,
                            files.List());
  std::vector<ArtifactFiles::StoredFile> old;
  for (const ArtifactFiles::StoredFile& file : all) {
    if (file.time < before) {
      old.push_back(file);
      continue;
    }
    ++report.kept_files;
    report.kept_size_bytes += file.size_bytes;
  }
  for (size_t begin = 0; begin < old.size(); begin += kFilesATime) {
    const size_t end = std::min(old.size(), begin + kFilesATime);
    GarbageReport part;
    FOLDFARM_RETURN_IF_ERROR(store.RunAndWait([&](Tx& tx) -> absl::Status {
      std::vector<std::string> unused;
      for (size_t i = begin; i < end; ++i) {
        const ArtifactFiles::StoredFile& file = old[i];
        FOLDFARM_ASSIGN_OR_RETURN(const bool used,
                                  tx.IsArtifactUsed(file.digest));
        // Asked for since it was listed, or gone.
        const bool young = files.TimeOf(file.digest) >= before;
        (used || young ? part.kept_files : part.files) += 1;
        (used || young ? part.kept_size_bytes : part.size_bytes) +=
            file.size_bytes;
        if (!used && !young) unused.push_back(file.digest);
      }
      if (options.dry_run || unused.empty()) return absl::OkStatus();
      tx.AfterCommit(
          [condemned = ArtifactFiles::Condemned(files, std::move(unused))](
              const absl::Status& status) mutable {
            if (status.ok()) condemned.Delete();
          });
      return absl::OkStatus();
    }));
    report.files += part.files;
    report.size_bytes += part.size_bytes;
    report.kept_files += part.kept_files;
    report.kept_size_bytes += part.kept_size_bytes;
  }
  if (!options.dry_run) {
    // Uploads go on within minutes; a day is generous.
    report.size_bytes +=
        files.RemoveParts(now - std::max(options.min_age, absl::Hours(24)));
  }
  return report;
}

GarbageThread::GarbageThread(Store& store, ArtifactFiles& files, Clock& clock,
                             absl::Duration interval)
    : store_(store), files_(files), clock_(clock), interval_(interval) {
  thread_ = std::thread([this] { Loop(); });
}

GarbageThread::~GarbageThread() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    wake_.Signal();
  }
  thread_.join();
}

void GarbageThread::Loop() {
  pthread_setname_np(pthread_self(), "garbage");
  absl::MutexLock lock(&mu_);
  while (!stop_) {
    mu_.Unlock();
    const absl::StatusOr<GarbageReport> report =
        CollectGarbage(store_, files_, clock_.Now(), {});
    if (!report.ok()) {
      SPDLOG_WARN("garbage was not collected: {}", report.status().ToString());
    } else if (report->size_bytes > 0) {
      SPDLOG_INFO("garbage files={} bytes={} deleted, kept files={} bytes={}",
                  report->files, report->size_bytes, report->kept_files,
                  report->kept_size_bytes);
    }
    mu_.Lock();
    const absl::Duration end = clock_.Monotonic() + interval_;
    while (!stop_ && clock_.Monotonic() < end) {
      clock_.WaitFor(wake_, mu_, end - clock_.Monotonic());
    }
  }
}

}  // namespace foldfarm
