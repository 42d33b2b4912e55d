#include "coordinator/store/store.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "coordinator/store/schema.h"

namespace foldfarm {
namespace {

constexpr char kPragmas[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
    "PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 2000; "
    "PRAGMA temp_store = MEMORY;";

// Readers kept open for reuse.
constexpr size_t kIdleReaders = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(
    const std::string& directory) {
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(directory));
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      FileLock::Acquire(JoinPath(directory, "lock"));
  if (!lock.ok()) {
    return Annotate(lock.status(),
                    absl::StrCat("another coordinator serves ", directory));
  }
  const std::string path = JoinPath(directory, "farm.db");
  FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<Connection> writer,
                            Connection::Open(path, /*read_only=*/false));
  absl::Status status = writer->Execute(kPragmas);
  if (status.ok()) status = Migrate(*writer);
  if (!status.ok()) return Annotate(status, path);
  return std::unique_ptr<Store>(
      new Store(path, *std::move(lock), std::move(writer)));
}

Store::Store(std::string path, std::unique_ptr<FileLock> lock,
             std::unique_ptr<Connection> writer)
    : path_(std::move(path)),
      lock_(std::move(lock)),
      writer_(std::move(writer)) {
  thread_ = std::thread([this] { WriterLoop(); });
}

Store::~Store() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    wake_.Signal();
  }
  thread_.join();
  writer_->Execute("PRAGMA wal_checkpoint(TRUNCATE)").IgnoreError();
}

void Store::SetListener(StoreListener* listener) {
  RunAndWait([this, listener](Tx&) {
    listener_ = listener;
    return absl::OkStatus();
  }).IgnoreError();
}

void Store::Run(Work work, Done done) {
  {
    absl::MutexLock lock(&mu_);
    if (!stopping_) {
      queue_.push_back({std::move(work), std::move(done), absl::OkStatus()});
      if (queue_.size() == 1) wake_.Signal();
      return;
    }
  }
  done(absl::UnavailableError("the coordinator is stopping; repeat"));
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

int64_t Store::SizeBytes() const {
  int64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    bytes += FileSize(absl::StrCat(path_, suffix)).value_or(0);
  }
  return bytes;
}

void Store::WriterLoop() {
  pthread_setname_np(pthread_self(), "store-writer");
  while (true) {
    std::deque<Request> batch;
    {
      absl::MutexLock lock(&mu_);
      while (queue_.empty() && !stopping_) wake_.Wait(&mu_);
      if (queue_.empty()) return;
      batch.swap(queue_);
    }
    RunBatch(batch);
  }
}

bool Store::RunGuarded(Tx& tx, absl::FunctionRef<absl::Status(Tx&)> work,
                       absl::Status& status) {
  const size_t calls = tx.after_commit_.size();
  tx.savepoint_ = false;
  status = work(tx);
  // SQLite ends a transaction by itself when the disk fails.
  if (!writer_->in_transaction()) return false;
  if (!tx.savepoint_) return true;
  if (status.ok()) {
    status = writer_->Prepare("RELEASE work").Run();
    return status.ok();
  }
  tx.after_commit_.resize(calls);
  if (!writer_->Prepare("ROLLBACK TO work").Run().ok() ||
      !writer_->Prepare("RELEASE work").Run().ok()) {
    return false;
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

void Store::RunBatch(std::deque<Request>& batch) {
  // Measured, never decided by: the machine's clock will do.
  const absl::Duration begin = Clock::Real().Monotonic();
  Tx tx(*writer_);
  absl::Status commit = writer_->Prepare("BEGIN IMMEDIATE").Run();
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
    SPDLOG_ERROR("commit failed, {} requests refused: {}", batch.size(),
                 commit.ToString());
    if (writer_->in_transaction()) {
      writer_->Prepare("ROLLBACK").Run().IgnoreError();
    }
    Reload(tx);
    metrics_.failed_commits.fetch_add(1, std::memory_order_relaxed);
  } else {
    metrics_.commit_seconds.Observe(
        absl::ToDoubleSeconds(Clock::Real().Monotonic() - begin));
    metrics_.batch_size.Observe(static_cast<double>(batch.size()));
  }
  if (commit.ok() && listener_ != nullptr) listener_->Committed();
  // An answer that says "undone" must not be taken for one that says "no".
  for (auto& call : tx.after_commit_) call(commit);
  for (Request& request : batch) {
    request.done(commit.ok() ? request.status : commit);
  }
}

}  // namespace foldfarm
