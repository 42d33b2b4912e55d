// The coordinator's memory: one SQLite file with one writer.
//
// Work is handed over as a closure. Who writes takes all that waits, runs it in
// one transaction and answers after the commit is on disk (WAL,
// synchronous=FULL), so that a hundred callers share one fsync. (The model is
// LevelDB's batch of writers.) A closure that fails is undone alone: by a
// savepoint, or with the whole transaction when nothing was written before it.
//   1. A caller who finds nobody writing writes itself, its own work first: a
//      lone caller waits for no other thread to wake up.
//   2. What came meanwhile is for the writer thread, which goes on until
//      nothing waits.
//   3. Answers are given when others may write already: by who wrote, or by a
//      thread of their own when the writer thread has more to write. Only
//      Tx::AfterCommit comes before that.
//   4. The log is copied into the database by a thread of its own, so that no
//      caller waits for that either; the writer only does the little that came
//      since, and begins the log anew.
//
// Closures run one after another, which makes them the place for state that
// must change with the tables: see StoreListener.
//
// A failed fsync is the end: what the kernel has of the file may be on disk or
// not, and a second fsync that succeeds would not say. See
// StoreOptions::on_disk_failure.
//
// Thread-safe. Readers use their own connections and never wait for the writer.
#ifndef FOLDFARM_COORDINATOR_STORE_STORE_H_
#define FOLDFARM_COORDINATOR_STORE_STORE_H_

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/files.h"
#include "common/base/histogram.h"
#include "coordinator/store/row_cache.h"
#include "coordinator/store/tx.h"

namespace foldfarm {

// Keeps what is derived from the tables; called by who writes.
class StoreListener {
 public:
  virtual ~StoreListener() = default;
  // First and last work of every transaction.
  virtual absl::Status BeforeBatch(Tx& tx) = 0;
  virtual absl::Status AfterBatch(Tx& tx) = 0;
  // Writes were undone: forget what was derived and read the tables again.
  virtual absl::Status Reload(Tx& tx) = 0;
  // The transaction is on disk; its callers are answered next.
  virtual void Committed() = 0;
};

// How many requests share a transaction.
inline constexpr std::array<double, 10> kBatchBounds = {1,  2,  4,   8,   16,
                                                        32, 64, 128, 256, 512};

// What the writer has done since it started.
struct StoreMetrics {
  std::atomic<int64_t> failed_commits = 0;
  // One transaction, its work and the commit; observed when it is on disk.
  Histogram commit_seconds{kSecondsBounds};
  Histogram batch_size{kBatchBounds};
};

struct StoreOptions {
  // Use a folder on a network file system, where other hosts' locks and fsync
  // may mean less than they say.
  bool allow_network_file_system = false;
  // Read the whole database at start for damage.
  bool check_integrity = true;
  // Called at most once, when an fsync has failed; all work is refused from
  // then on. Null: logs and ends the process at once, as nothing more may be
  // written; the next start writes the log anew.
  std::function<void(const absl::Status&)> on_disk_failure;
};

class Store {
 public:
  using Work = absl::AnyInvocable<absl::Status(Tx&)>;
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  // Opens or creates DIRECTORY/farm.db and brings it to today's schema (see
  // open_database.h); holds DIRECTORY/lock.
  // Errors: FAILED_PRECONDITION when another coordinator holds the folder, a
  // newer program wrote it or it is on a network file system; DATA_LOSS when
  // the database is damaged; those of the disk.
  static absl::StatusOr<std::unique_ptr<Store>> Open(
      const std::string& directory, const StoreOptions& options = {});

  // Waits for work that was handed over; what comes later is refused. An answer
  // that is given by who called Run() may come later still.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // From the next transaction on; null: none. `listener` is borrowed. Waits.
  void SetListener(StoreListener* listener);

  // Runs `work` in the next transaction, which may be here and now: hold no
  // lock that it needs. `done` gets its status after the commit, from any
  // thread, perhaps while others write: it must not block. A disk that is full,
  // or any other failed commit, fails all work of the transaction.
  void Run(Work work, Done done);

  // The same, never on this thread.
  void RunLater(Work work, Done done);

  // The same as Run(), waiting. Not from within work or answers.
  absl::Status RunAndWait(Work work);

  // Calls `read` with a reader of its own, on this thread.
  absl::Status Read(absl::FunctionRef<absl::Status(const Reader&)> read);

  // Writes a copy of the database as it is now to `path`, which must not exist.
  // Nobody waits for it. Errors: RESOURCE_EXHAUSTED when there is no room for
  // it; those of the disk.
  absl::Status Copy(const std::string& path);

  const StoreMetrics& metrics() const { return metrics_; }
  // DIRECTORY/farm.db.
  const std::string& path() const { return path_; }
  // Bytes of the database on disk, its log included.
  int64_t SizeBytes() const;

 private:
  struct Request {
    Work work;
    Done done;
    absl::Status status;
  };
  // What shares a transaction.
  using Batch = std::deque<Request>;

  Store(std::string path, const StoreOptions& options,
        std::unique_ptr<FileLock> lock, std::unique_ptr<Connection> writer,
        std::unique_ptr<Connection> copier, int64_t copy_pages,
        int64_t next_token);
  void Enqueue(Work work, Done done, bool here);
  void WriterLoop();
  // Copies the log into the database when it is long.
  void CopierLoop();
  // Before a transaction: if the log was copied, so is the rest of it.
  void BeginLogAnew();
  // Whether `status` is that of an fsync that failed; if so, stops everything.
  bool StopOnDiskFailure(const absl::Status& status);
  // Runs a transaction and leaves in each request what is to be answered.
  void RunBatch(Batch& batch);
  static void Answer(Batch& batch);
  // Gives answers for the writer thread.
  void AnswerLoop();
  // Runs one piece of work in a savepoint. False: the whole transaction is
  // gone.
  bool RunGuarded(Tx& tx, absl::FunctionRef<absl::Status(Tx&)> work,
                  absl::Status& status);
  void Reload(Tx& tx);

  const std::string path_;
  const StoreOptions options_;
  const std::unique_ptr<FileLock> lock_;
  const std::unique_ptr<Connection> writer_;  // Of who writes.
  const std::unique_ptr<Connection> copier_;  // Of the copier thread.
  // From which on the log is copied.
  const int64_t copy_pages_;
  int64_t next_token_;  // Of who writes.
  RowCache rows_;       // Of who writes.
  // Borrowed; of who writes, too.
  StoreListener* listener_ = nullptr;

  absl::Mutex mu_;
  absl::CondVar wake_;
  Batch queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Somebody writes.
  bool writing_ ABSL_GUARDED_BY(mu_) = false;

  absl::Mutex answers_mu_;
  absl::CondVar answers_wake_;
  std::deque<Batch> answers_ ABSL_GUARDED_BY(answers_mu_);
  bool answers_stop_ ABSL_GUARDED_BY(answers_mu_) = false;

  absl::Mutex copier_mu_;
  absl::CondVar copier_wake_;
  bool copy_ ABSL_GUARDED_BY(copier_mu_) = false;
  bool copier_stop_ ABSL_GUARDED_BY(copier_mu_) = false;
  // The log was copied up to a moment ago.
  std::atomic<bool> copied_ = false;
  // An fsync has failed.
  std::atomic<bool> failed_ = false;

  absl::Mutex readers_mu_;
  std::vector<std::unique_ptr<Connection>> readers_
      ABSL_GUARDED_BY(readers_mu_);

  StoreMetrics metrics_;

  std::thread thread_;
  std::thread answer_thread_;
  std::thread copier_thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_STORE_H_
