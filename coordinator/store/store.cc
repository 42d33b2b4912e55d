#include "coordinator/store/store.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "common/base/disk_space.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/store/open_database.h"

namespace foldfarm {
namespace {

// Size of the log from which on it is copied into the database. A page that is
// written often, and most are, is copied once.
constexpr int64_t kCopyBytes = int64_t{8} << 20;

// What a copy of the database leaves free on its disk.
constexpr int64_t kSpareBytes = int64_t{64} << 20;

// Readers kept open for reuse.
constexpr size_t kIdleReaders = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(
    const std::string& directory, const StoreOptions& options) {
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(directory));
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      FileLock::Acquire(JoinPath(directory, "lock"));
  if (!lock.ok()) {
    return Annotate(lock.status(),
                    absl::StrCat("another coordinator serves ", directory));
  }
  const std::string path = JoinPath(directory, "farm.db");
  FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<Connection> writer,
                            OpenDatabase(path, options));
  FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<Connection> copier,
                            Connection::Open(path, /*read_only=*/false));
  FOLDFARM_RETURN_IF_ERROR(copier->Execute(kSyncPragma));
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t page_bytes, writer->PageBytes());
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t next_token, NextToken(*writer));
  return std::unique_ptr<Store>(new Store(path, options, *std::move(lock),
                                          std::move(writer), std::move(copier),
                                          kCopyBytes / page_bytes, next_token));
}

Store::Store(std::string path, const StoreOptions& options,
             std::unique_ptr<FileLock> lock, std::unique_ptr<Connection> writer,
             std::unique_ptr<Connection> copier, int64_t copy_pages,
             int64_t next_token)
    : path_(std::move(path)),
      options_(options),
      lock_(std::move(lock)),
      writer_(std::move(writer)),
      copier_(std::move(copier)),
      copy_pages_(copy_pages),
      next_token_(next_token) {
  thread_ = std::thread([this] { WriterLoop(); });
  answer_thread_ = std::thread([this] { AnswerLoop(); });
  copier_thread_ = std::thread([this] { CopierLoop(); });
}

Store::~Store() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    wake_.Signal();
  }
  thread_.join();
  {
    absl::MutexLock lock(&answers_mu_);
    answers_stop_ = true;
    answers_wake_.Signal();
  }
  answer_thread_.join();
  {
    absl::MutexLock lock(&copier_mu_);
    copier_stop_ = true;
    copier_wake_.Signal();
  }
  copier_thread_.join();
  if (failed_) {
    // Closing would copy a log that nobody can vouch for.
    writer_->KeepLogOnClose();
    copier_->KeepLogOnClose();
    return;
  }
  writer_->Execute("PRAGMA wal_checkpoint(TRUNCATE)").IgnoreError();
}

void Store::SetListener(StoreListener* listener) {
  RunAndWait([this, listener](Tx&) {
    listener_ = listener;
    return absl::OkStatus();
  }).IgnoreError();
}

void Store::Run(Work work, Done done) {
  Enqueue(std::move(work), std::move(done), /*here=*/true);
}

void Store::RunLater(Work work, Done done) {
  Enqueue(std::move(work), std::move(done), /*here=*/false);
}

void Store::Enqueue(Work work, Done done, bool here) {
  Batch batch;
  bool refused = false;
  {
    absl::MutexLock lock(&mu_);
    if (stopping_ || failed_) {
      refused = true;
    } else {
      queue_.push_back({std::move(work), std::move(done), absl::OkStatus()});
      // Who writes looks here when it is done.
      if (writing_) return;
      if (!here) {
        wake_.Signal();
        return;
      }
      writing_ = true;
      batch.swap(queue_);
    }
  }
  if (refused) {
    done(absl::UnavailableError(
        failed_ ? "the coordinator's disk has failed; repeat"
                : "the coordinator is stopping; repeat"));
    return;
  }
  RunBatch(batch);
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!queue_.empty() || stopping_) wake_.Signal();
  }
  // From here on the store may be gone.
  Answer(batch);
}

absl::Status Store::RunAndWait(Work work) {
  absl::Notification finished;
  absl::Status result;
  Run(std::move(work), [&](const absl::Status& status) {
    result = status;
    finished.Notify();
  });
  finished.WaitForNotification();
  return result;
}

absl::Status Store::Read(absl::FunctionRef<absl::Status(const Reader&)> read) {
  std::unique_ptr<Connection> connection;
  {
    absl::MutexLock lock(&readers_mu_);
    if (!readers_.empty()) {
      connection = std::move(readers_.back());
      readers_.pop_back();
    }
  }
  if (connection == nullptr) {
    FOLDFARM_ASSIGN_OR_RETURN(connection,
                              Connection::Open(path_, /*read_only=*/true));
  }
  // One snapshot for all questions of one read.
  FOLDFARM_RETURN_IF_ERROR(connection->Prepare("BEGIN").Run());
  const absl::Status status = read(Reader(*connection));
  FOLDFARM_RETURN_IF_ERROR(connection->Prepare("COMMIT").Run());
  absl::MutexLock lock(&readers_mu_);
  if (readers_.size() < kIdleReaders) readers_.push_back(std::move(connection));
  return status;
}

absl::Status Store::Copy(const std::string& path) {
  const std::string folder = DirectoryOf(path);
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t free, FreeBytes(folder));
  if (free < SizeBytes() + kSpareBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(folder, " has ", free, " bytes free, expected ",
                     SizeBytes() + kSpareBytes, " for a copy of the database"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection,
                            Connection::Open(path_, /*read_only=*/true));
  const absl::Status status = CopyDatabase(*connection, path);
  if (!status.ok()) unlink(path.c_str());
  return status;
}

int64_t Store::SizeBytes() const {
  int64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    bytes += FileSize(absl::StrCat(path_, suffix)).value_or(0);
  }
  return bytes;
}

void Store::WriterLoop() {
  pthread_setname_np(pthread_self(), "store-writer");
  absl::MutexLock lock(&mu_);
  while (true) {
    while (writing_ || (queue_.empty() && !stopping_)) wake_.Wait(&mu_);
    if (queue_.empty()) return;
    Batch batch;
    batch.swap(queue_);
    writing_ = true;
    mu_.Unlock();
    RunBatch(batch);
    mu_.Lock();
    writing_ = false;
    if (queue_.empty()) {
      mu_.Unlock();
      Answer(batch);
      batch.clear();
      mu_.Lock();
      continue;
    }
    absl::MutexLock answers_lock(&answers_mu_);
    answers_.push_back(std::move(batch));
    answers_wake_.Signal();
  }
}

void Store::AnswerLoop() {
  pthread_setname_np(pthread_self(), "store-answers");
  absl::MutexLock lock(&answers_mu_);
  while (true) {
    while (answers_.empty() && !answers_stop_) answers_wake_.Wait(&answers_mu_);
    if (answers_.empty()) return;
    Batch batch = std::move(answers_.front());
    answers_.pop_front();
    answers_mu_.Unlock();
    Answer(batch);
    batch.clear();
    answers_mu_.Lock();
  }
}

void Store::Answer(Batch& batch) {
  for (Request& request : batch) request.done(request.status);
}

void Store::CopierLoop() {
  pthread_setname_np(pthread_self(), "store-copier");
  absl::MutexLock lock(&copier_mu_);
  while (true) {
    while (!copy_ && !copier_stop_) copier_wake_.Wait(&copier_mu_);
    if (copier_stop_) return;
    copy_ = false;
    copier_mu_.Unlock();
    const absl::Status status =
        copier_->Prepare("PRAGMA wal_checkpoint(PASSIVE)").Run();
    if (status.ok()) {
      copied_ = true;
    } else if (!StopOnDiskFailure(status)) {
      SPDLOG_WARN("the database's log was not copied: {}", status.ToString());
    }
    copier_mu_.Lock();
  }
}

void Store::BeginLogAnew() {
  if (!copied_.exchange(false)) return;
  // The next write begins at the log's front if nobody reads it.
  const absl::Status status =
      writer_->Prepare("PRAGMA wal_checkpoint(PASSIVE)").Run();
  if (!status.ok()) StopOnDiskFailure(status);
}

bool Store::StopOnDiskFailure(const absl::Status& status) {
  if (!IsSyncFailure(status)) return false;
  if (failed_.exchange(true)) return true;
  SPDLOG_ERROR(
      "the disk could not flush what was written, so nobody knows what is on "
      "it; stopping: {}",
      status.ToString());
  if (options_.on_disk_failure != nullptr) {
    options_.on_disk_failure(status);
    return true;
  }
  spdlog::shutdown();
  std::_Exit(kExitDiskFailed);
}

bool Store::RunGuarded(Tx& tx, absl::FunctionRef<absl::Status(Tx&)> work,
                       absl::Status& status) {
  const size_t calls = tx.after_commit_.size();
  tx.work_writes_ = false;
  tx.savepoint_ = false;
  status = work(tx);
  if (!status.ok() && tx.work_writes_) rows_.Clear();
  // SQLite ends a transaction by itself when the disk fails.
  if (!writer_->in_transaction()) return false;
  if (!tx.work_writes_) return true;
  if (status.ok()) {
    if (!tx.savepoint_) return true;
    status = writer_->Prepare("RELEASE work").Run();
    return status.ok();
  }
  tx.after_commit_.resize(calls);
  if (tx.savepoint_) {
    if (!writer_->Prepare("ROLLBACK TO work").Run().ok() ||
        !writer_->Prepare("RELEASE work").Run().ok()) {
      return false;
    }
  } else {
    if (!writer_->Prepare("ROLLBACK").Run().ok() ||
        !writer_->Prepare("BEGIN IMMEDIATE").Run().ok()) {
      return false;
    }
    tx.written_ = false;
  }
  Reload(tx);
  return true;
}

void Store::Reload(Tx& tx) {
  if (listener_ == nullptr) return;
  const absl::Status status = listener_->Reload(tx);
  if (!status.ok()) {
    SPDLOG_ERROR("cannot read the queue again after an undone write: {}",
                 status.ToString());
  }
}

void Store::RunBatch(Batch& batch) {
  // Measured, never decided by: the machine's clock will do.
  const absl::Duration begin = Clock::Real().Monotonic();
  BeginLogAnew();
  Tx tx(*writer_, &rows_, &next_token_);
  absl::Status commit =
      failed_ ? absl::UnavailableError("the coordinator's disk has failed")
              : writer_->Prepare("BEGIN IMMEDIATE").Run();
  bool alive = commit.ok();
  absl::Status broken = commit;
  const auto guarded = [&](absl::FunctionRef<absl::Status(Tx&)> work,
                           absl::Status& status) {
    alive = RunGuarded(tx, work, status);
    if (!alive) broken = status;
  };
  absl::Status derived;
  if (alive && listener_ != nullptr) {
    guarded([&](Tx& t) { return listener_->BeforeBatch(t); }, derived);
  }
  for (Request& request : batch) {
    if (!alive) break;
    guarded([&](Tx& t) { return request.work(t); }, request.status);
  }
  if (alive && listener_ != nullptr) {
    absl::Status after;
    guarded([&](Tx& t) { return listener_->AfterBatch(t); }, after);
    derived.Update(after);
  }
  if (!derived.ok()) {
    SPDLOG_ERROR("expiring or granting leases failed: {}", derived.ToString());
  }
  if (alive) {
    commit = writer_->Prepare("COMMIT").Run();
  } else {
    commit = broken.ok() ? absl::InternalError("database: transaction lost")
                         : broken;
  }
  if (!commit.ok()) {
    rows_.Clear();
    SPDLOG_ERROR("commit failed, {} requests refused: {}", batch.size(),
                 commit.ToString());
    if (writer_->in_transaction()) {
      writer_->Prepare("ROLLBACK").Run().IgnoreError();
    }
    if (!StopOnDiskFailure(commit)) Reload(tx);
    metrics_.failed_commits.fetch_add(1, std::memory_order_relaxed);
  } else {
    metrics_.commit_seconds.Observe(
        absl::ToDoubleSeconds(Clock::Real().Monotonic() - begin));
    metrics_.batch_size.Observe(static_cast<double>(batch.size()));
  }
  if (commit.ok() && listener_ != nullptr) listener_->Committed();
  if (writer_->log_pages() >= copy_pages_ && !copied_) {
    absl::MutexLock lock(&copier_mu_);
    copy_ = true;
    copier_wake_.Signal();
  }
  for (auto& call : tx.after_commit_) call(commit);
  if (commit.ok()) return;
  // An answer that says "undone" must not be taken for one that says "no".
  for (Request& request : batch) request.status = commit;
}

}  // namespace foldfarm
