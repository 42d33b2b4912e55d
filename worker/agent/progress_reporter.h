// Carries what one trainer says to the coordinator, beside the training.
//
// 1. The thread that watches the trainer puts epochs, lines and checkpoints
//    here; it never waits for the network.
// 2. A thread of this class sends them, at most once a second, and repeats a
//    report until it is taken: (job, epoch) and line numbers make that
//    harmless.
// 3. A checkpoint's files go up before the report that names them. When a newer
//    one appears meanwhile, only the newest is sent; each folder is deleted
//    once it was sent or overtaken.
// 4. While the coordinator is away everything waits here. Epochs are bounded by
//    their numbers; of the lines the newest are kept and the rest counted.
//
// Thread-safe.
#ifndef FOLDFARM_WORKER_AGENT_PROGRESS_REPORTER_H_
#define FOLDFARM_WORKER_AGENT_PROGRESS_REPORTER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/worker.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/trainer_event.h"
#include "worker/agent/worker_api.h"

namespace foldfarm {

class ProgressReporter {
 public:
  // Starts the thread. `folder` is the attempt's; a report that is refused as
  // stale abandons the attempt through `control`, one that says that the job is
  // being cancelled cancels it.
  ProgressReporter(WorkerApi& api, Clock& clock, AttemptControl& control,
                   int64_t token, const std::string& folder);
  // Stops without sending what is left.
  ~ProgressReporter();
  ProgressReporter(const ProgressReporter&) = delete;
  ProgressReporter& operator=(const ProgressReporter&) = delete;

  void AddStarted(const TrainerEvent& event);
  void AddEpoch(const TrainerEvent& event);
  // Takes the folder away under a name of its own, so that the trainer may use
  // the name again. A warning to the log when it is not a folder.
  void AddCheckpoint(const TrainerEvent& event);
  // Past 16 MiB of an attempt's lines only LogTail goes on.
  void AddLine(absl::string_view level, const std::string& text);

  // Sends everything that is left, the newest checkpoint only if
  // `with_checkpoint`, and ends the thread. Waits through outages; returns
  // false when the attempt was abandoned before all was sent.
  bool Flush(bool with_checkpoint);

  // The last lines, at most 200.
  std::vector<std::string> LogTail() const;

 private:
  struct Checkpoint {
    int32_t epoch = 0;
    std::string path;  // Its folder.
  };

  void Loop();
  // Sends the next report, or `checkpoint` with nothing else. OK: taken, or
  // dropped because the coordinator calls it invalid.
  absl::Status SendReport(const v1::ReportProgressRequest& report);
  // Uploads the newest checkpoint, reports it and deletes its folder. `delay`:
  // when it is tried again, if it fails.
  absl::Status SendCheckpoint(absl::Duration delay) ABSL_LOCKS_EXCLUDED(mu_);
  // Stores every file of the folder; INVALID_ARGUMENT when it holds anything
  // but a few plain files.
  absl::Status UploadCheckpoint(const std::string& folder,
                                const WorkerApi::Cancelled& cancelled,
                                v1::ReportProgressRequest& report);
  v1::ReportProgressRequest NextReport() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(const v1::ReportProgressRequest& sent)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasReport() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MustStop() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  WorkerApi& api_;           // Borrowed; outlives this.
  Clock& clock_;             // Borrowed; outlives this.
  AttemptControl& control_;  // Borrowed; outlives this.
  const int64_t token_;
  const std::string folder_;

  mutable absl::Mutex mu_;  // Never held across an RPC.
  absl::CondVar changed_;
  std::optional<v1::ReportProgressRequest> started_ ABSL_GUARDED_BY(mu_);
  std::map<int32_t, v1::EpochMetrics> epochs_ ABSL_GUARDED_BY(mu_);
  std::deque<v1::LogLine> lines_ ABSL_GUARDED_BY(mu_);
  int64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 1;
  int64_t dropped_lines_ ABSL_GUARDED_BY(mu_) = 0;
  size_t log_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t taken_checkpoints_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::string> tail_ ABSL_GUARDED_BY(mu_);
  std::optional<Checkpoint> checkpoint_ ABSL_GUARDED_BY(mu_);
  std::string uploading_ ABSL_GUARDED_BY(mu_);  // Folder; empty: none.
  bool without_checkpoint_ ABSL_GUARDED_BY(mu_) = false;
  Patience patience_;  // With a checkpoint; of the thread.
  bool flushing_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_PROGRESS_REPORTER_H_
