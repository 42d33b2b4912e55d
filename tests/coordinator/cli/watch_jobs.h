// Jobs and updates of a sweep "s3 mars" for tests of what is shown of it.
#ifndef FOLDFARM_TESTS_COORDINATOR_CLI_WATCH_JOBS_H_
#define FOLDFARM_TESTS_COORDINATOR_CLI_WATCH_JOBS_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

inline const absl::Time kNow = absl::FromUnixSeconds(10'000);

// 100 epochs of 2 s. One that runs is on gpu-1, at the beginning of its next
// epoch, with log loss 0.25; one that ended took 3m 20s.
inline v1::Job MakeJob(const std::string& model, int fold, v1::Job::State state,
                       int epoch = 0) {
  v1::Job job;
  job.set_name(absl::StrCat("s3/", model, "/", fold));
  job.set_model(model);
  job.set_fold(fold);
  job.set_state(state);
  job.set_epoch(epoch);
  job.set_epochs(100);
  job.set_slots(1);
  job.set_attempt_count(state == v1::Job::PENDING ? 0 : 1);
  if (state == v1::Job::RUNNING) {
    job.set_worker("gpu-1");
    job.set_seconds_per_epoch(epoch > 0 ? 2 : 0);
    job.set_log_loss(0.25);
    job.mutable_start_time()->set_seconds(10'000 - 2 * epoch);
  } else if (state != v1::Job::PENDING) {
    job.mutable_start_time()->set_seconds(9'700);
    job.mutable_end_time()->set_seconds(9'900);
  }
  return job;
}

// What a stream brings: the jobs, and a sweep whose counts are theirs.
inline v1::WatchSweepResponse Update(const std::vector<v1::Job>& jobs) {
  v1::WatchSweepResponse update;
  v1::Sweep& sweep = *update.mutable_sweep();
  sweep.set_id("s3");
  sweep.set_name("mars");
  sweep.set_dataset("mars-data");
  sweep.set_state(v1::Sweep::RUNNING);
  sweep.set_folds(4);
  sweep.mutable_create_time()->set_seconds(9'910);
  for (const v1::Job& job : jobs) {
    *update.add_jobs() = job;
    switch (job.state()) {
      case v1::Job::PENDING:
        sweep.set_pending(sweep.pending() + 1);
        break;
      case v1::Job::RUNNING:
        sweep.set_running(sweep.running() + 1);
        break;
      case v1::Job::SUCCEEDED:
        sweep.set_succeeded(sweep.succeeded() + 1);
        break;
      case v1::Job::FAILED:
        sweep.set_failed(sweep.failed() + 1);
        break;
      default:
        sweep.set_cancelled(sweep.cancelled() + 1);
        break;
    }
  }
  return update;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_CLI_WATCH_JOBS_H_
