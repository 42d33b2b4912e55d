#include "tests/coordinator/store/made_rows.h"

#include "absl/strings/str_cat.h"

namespace foldfarm {

absl::StatusOr<std::vector<JobId>> AddJobs(Tx& tx, int count) {
  v1::Dataset dataset;
  dataset.set_name("d");
  dataset.set_digest("d");
  SweepRow sweep;
  sweep.request_id = "r";
  sweep.create_time = kMadeTime;
  const auto dataset_id = tx.InsertDataset(dataset);
  if (!dataset_id.ok()) return dataset_id.status();
  sweep.dataset_id = *dataset_id;
  const auto sweep_id = tx.InsertSweep(sweep);
  if (!sweep_id.ok()) return sweep_id.status();
  std::vector<JobId> jobs;
  for (int i = 0; i < count; ++i) {
    JobRow job;
    job.sweep = *sweep_id;
    job.position = i;
    job.model = "m";
    job.fold = i;
    job.needs_exec = i % 2 == 1;
    job.result_key = absl::StrCat("key", i);
    job.create_time = kMadeTime;
    const auto id = tx.InsertJob(job);
    if (!id.ok()) return id.status();
    jobs.push_back(*id);
  }
  return jobs;
}

AttemptRow NewAttempt(const JobRow& job) {
  AttemptRow attempt;
  attempt.job = job.id;
  attempt.number = job.attempt_count + 1;
  attempt.session = {7};
  attempt.worker = "gpu-1";
  attempt.start_time = kMadeTime;
  attempt.lease_until = kMadeTime + absl::Minutes(1);
  return attempt;
}

}  // namespace foldfarm
