// What JobQueue is given, holds in memory, and tells.
#ifndef FOLDFARM_COORDINATOR_QUEUE_JOB_QUEUE_TYPES_H_
#define FOLDFARM_COORDINATOR_QUEUE_JOB_QUEUE_TYPES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/ids.h"
#include "common/spectra/prepared_dataset.h"
#include "coordinator/queue/retry_policy.h"
#include "coordinator/store/rows.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {

struct QueueOptions {
  absl::Duration lease_duration = absl::Seconds(30);
  absl::Duration heartbeat_interval = absl::Seconds(10);
  RetryOptions retry;
  // When this process stood still for longer (the machine slept, its clock was
  // set), nobody could be heard: leases get one more full term.
  absl::Duration stall = absl::InfiniteDuration();
  // Called between judging a sweep and deciding, for tests; may be null.
  std::function<void()> before_decision;
};

// What all jobs of a sweep share. Immutable.
struct SweepData {
  SweepId id;
  v1::SweepSpec spec;
  std::vector<v1::AttemptSpec> folds;
  v1::ArtifactRef dataset;
  // By model: what its predictions are of, in the dataset's order.
  std::vector<std::vector<std::string>> labels;
  // By model: files that its attempts start with; see InputsOfFold.
  std::vector<std::vector<v1::ArtifactRef>> inputs;
};

// A registered dataset and its file's header.
struct StoredDataset {
  DatasetRow row;
  std::shared_ptr<const DatasetHeader> header;
};

// A lease as the queue knows it, newer than its row.
struct HeldLease {
  JobId job;
  // Index into the sweep's models.
  int model = 0;
  int fold = 0;
  int slots = 1;
  std::shared_ptr<const SweepData> sweep;
  std::string job_name;
  WorkerSession session;
  // The attempt whose end granted it in the same call; 0: none.
  FencingToken granted_by;
  absl::Time granted = absl::InfinitePast();
  // Ends here unless a heartbeat extends it.
  absl::Time until = absl::InfinitePast();
  // `until` as the database has it.
  absl::Time persisted_until = absl::InfinitePast();
  // When a heartbeat last named it.
  absl::Time heartbeat = absl::InfinitePast();
  bool cancel = false;
  // It is paused: the attempt is to be handed back.
  bool preempt = false;
  // What its processes use, as last reported; `usage_time` says when.
  v1::AttemptUsage usage;
  absl::Time usage_time = absl::InfinitePast();
  // CPUs that they used between the last two reports (1: one core).
  double cpus = 0;
};

// How jobs are tried again.
struct RetryWish {
  // Forget the job's own checkpoints; one that trains on from another sweep's
  // begins there again.
  bool from_scratch = false;
  // Options of the model to change, "train.batch=4".
  std::vector<std::string> overrides;
  // 0: as they were.
  int slots = 0;
};

// A worker as the queue knows it.
struct WorkerView {
  WorkerRow row;
  absl::Time last_heard = absl::InfinitePast();
  // It has called since it registered.
  bool used = false;
  // It says so itself.
  bool draining = false;
  // A person drains it, or it is in quarantine.
  std::optional<WorkerHoldRow> hold;
};

// A sweep that tries its models on one fold first; its other jobs are held
// back.
struct Trial {
  int fold = 0;
  // The fold's jobs that are not final.
  int open = 0;
};

// What has happened since the queue was started, as far as it is on disk.
struct QueueMetrics {
  // Attempts that ended, by Attempt.State.
  std::array<std::atomic<int64_t>, v1::Attempt::State_ARRAYSIZE> ended = {};
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_QUEUE_TYPES_H_
