// The coordinator's memory: one SQLite file with one writer.
//
// Work is handed over as a closure. The writer thread takes all that waits,
// runs it in one transaction and answers after the commit is on disk (WAL,
// synchronous=FULL), so that a hundred callers share one fsync. (The model is
// LevelDB's batch of writers.) A closure that fails is undone alone, by a
// savepoint.
//
// Closures run one after another on one thread, which makes that thread the
// place for state that must change with the tables: see StoreListener.
//
// Thread-safe. Readers use their own connections and never wait for the writer.
#ifndef FOLDFARM_COORDINATOR_STORE_STORE_H_
#define FOLDFARM_COORDINATOR_STORE_STORE_H_

#include <array>
#include <atomic>
#include <deque>
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
#include "coordinator/store/tx.h"

namespace foldfarm {

// Keeps what is derived from the tables, on the writer thread.
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

class Store {
 public:
  using Work = absl::AnyInvocable<absl::Status(Tx&)>;
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  // Opens or creates DIRECTORY/farm.db and brings it to today's schema; holds
  // DIRECTORY/lock.
  // Errors: FAILED_PRECONDITION when another coordinator holds the folder or a
  // newer program wrote it; those of the disk.
  static absl::StatusOr<std::unique_ptr<Store>> Open(
      const std::string& directory);

  // Waits for work that was handed over; what comes later is refused.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // From the next transaction on; null: none. `listener` is borrowed. Waits.
  void SetListener(StoreListener* listener);

  // Runs `work` in the next transaction. `done` gets its status after the
  // commit, on the writer thread: it must not block. A disk that is full, or
  // any other failed commit, fails all work of the transaction.
  void Run(Work work, Done done);

  // The same, waiting. Do not call on the writer thread.
  absl::Status RunAndWait(Work work);

  // Calls `read` with a reader of its own, on this thread.
  absl::Status Read(absl::FunctionRef<absl::Status(const Reader&)> read);

  const StoreMetrics& metrics() const { return metrics_; }
  // Bytes of the database on disk, its log included.
  int64_t SizeBytes() const;

 private:
  struct Request {
    Work work;
    Done done;
    absl::Status status;
  };

  Store(std::string path, std::unique_ptr<FileLock> lock,
        std::unique_ptr<Connection> writer);
  void WriterLoop();
  void RunBatch(std::deque<Request>& batch);
  // Runs one piece of work in a savepoint. False: the whole transaction is
  // gone.
  bool RunGuarded(Tx& tx, absl::FunctionRef<absl::Status(Tx&)> work,
                  absl::Status& status);
  void Reload(Tx& tx);

  const std::string path_;
  const std::unique_ptr<FileLock> lock_;
  const std::unique_ptr<Connection> writer_;  // Of the writer thread.
  // Borrowed; of the writer thread, too.
  StoreListener* listener_ = nullptr;

  absl::Mutex mu_;
  absl::CondVar wake_;
  std::deque<Request> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  absl::Mutex readers_mu_;
  std::vector<std::unique_ptr<Connection>> readers_
      ABSL_GUARDED_BY(readers_mu_);

  StoreMetrics metrics_;

  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_STORE_H_
