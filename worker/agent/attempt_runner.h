// One attempt from lease to result.
//
// 1. Prepare: the dataset and other inputs from the cache, a fresh folder, the
//    checkpoint to resume from. Outages are waited out.
// 2. Train: RunTrainer in the caller's thread; the ProgressReporter carries
//    epochs, lines and checkpoints to the coordinator beside it.
// 3. Judge: exit status and last event say what became of it.
//    Of a user's program (ExecSpec) nothing is believed that can be checked.
// 4. Deliver: what the reporter still has, then the result's files. The caller
//    sends the FinishAttempt that Run returns.
//
// Used by one thread; only the control is shared.
#ifndef FOLDFARM_WORKER_AGENT_ATTEMPT_RUNNER_H_
#define FOLDFARM_WORKER_AGENT_ATTEMPT_RUNNER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "foldfarm/v1/worker.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/attempt_folder.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/progress_reporter.h"
#include "worker/agent/trainer_process.h"
#include "worker/agent/worker_api.h"

namespace foldfarm {

class AttemptRunner : private TrainerListener {
 public:
  struct Options {
    std::string scratch;  // The attempt's folder is made in here.
    std::string device;
    bool allow_exec = false;  // Users' programs may run here.
    TrainerOptions trainer;   // `folder` is filled in.
    // Whether a user's program runs in another slot; null: never.
    std::function<bool()> beside_program;
  };

  AttemptRunner(const Options& options, const v1::Lease& lease, WorkerApi& api,
                DatasetCache& cache, Clock& clock, AttemptControl& control);

  // Runs the attempt. The request lacks session and next leases; nothing when
  // the attempt was abandoned and there is no one to report to.
  std::optional<v1::FinishAttemptRequest> Run();

  // Stores the files of a success again, after FinishAttempt said that one is
  // missing. False when the attempt was abandoned meanwhile.
  bool UploadAgain(v1::FinishAttemptRequest& request);

  // After Run: this box is at fault (full disk, broken installation, dead GPU).
  // The job goes back uncharged; take no new one at once.
  bool worker_at_fault() const { return worker_at_fault_; }

 private:
  std::optional<v1::FinishAttemptRequest> RunToEnd();
  // Finds out whether a failure is this box's fault, and says so.
  void BlameWorker(v1::FinishAttemptRequest& request);
  // Nobody is to blame yet: the job goes back, and this box waits a little.
  void HandBack(const std::string& why, v1::FinishAttemptRequest& request);
  bool BesideProgram() const {
    return options_.beside_program != nullptr && options_.beside_program();
  }
  void OnEvent(const TrainerEvent& event) override;
  void OnLine(absl::string_view level, const std::string& text) override;

  absl::Status Prepare();
  // Of a user's program: config.json, and what is to be started.
  absl::Status PrepareExec(const v1::AttemptSpec& spec);
  // What a user's program says, put right: `event` is dropped when false.
  bool CheckExecEvent(TrainerEvent& event);
  // What the lease's inputs are on this box, fetched where needed.
  absl::StatusOr<std::vector<std::string>> FetchInputs();
  absl::Status FetchCheckpoint();
  v1::FinishAttemptRequest NotStarted(const absl::Status& status);
  // Uploads the files that the trainer named, into request.artifacts.
  absl::Status UploadResult(v1::FinishAttemptRequest& request);
  bool abandoned() const { return control_.reason() >= StopReason::kAbandon; }

  Options options_;
  const v1::Lease lease_;
  WorkerApi& api_;           // Borrowed; outlives this.
  DatasetCache& cache_;      // Borrowed; outlives this.
  Clock& clock_;             // Borrowed; outlives this.
  AttemptControl& control_;  // Borrowed; outlives this.
  std::unique_ptr<AttemptFolder> folder_;
  std::unique_ptr<ProgressReporter> reporter_;
  std::optional<TrainerEvent> last_word_;  // finished or failed.
  const bool exec_;                        // A user's program.
  const bool predicts_;                    // It does not train.
  const std::string who_;                  // The program in messages.
  bool began_ = false;                     // It said anything.
  bool started_ = false;                   // It said so, or we for it.
  int32_t last_epoch_ = 0;
  bool worker_at_fault_ = false;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_ATTEMPT_RUNNER_H_
