// Rows of the store, as values.
//
// A time of absl::InfinitePast() is one that has not come.
#ifndef FOLDFARM_COORDINATOR_STORE_ROWS_H_
#define FOLDFARM_COORDINATOR_STORE_ROWS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/ids.h"
#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

struct DatasetRow {
  int64_t id = 0;
  // Name, digest, size, counts and labels.
  v1::Dataset dataset;
};

struct SweepRow {
  SweepId id;
  std::string request_id;
  std::string name;
  int64_t dataset_id = 0;
  v1::Dataset dataset;
  v1::SweepSpec spec;
  int priority = 0;
  int models = 0;
  int folds = 0;
  // Jobs that were finished at submission.
  int reused = 0;
  absl::Time create_time = absl::InfinitePast();
  // What the farm decided by itself, for people; empty: nothing yet.
  std::string screened;
  std::string stopped;
};

// Jobs of a sweep by state.
struct SweepCounts {
  int pending = 0, running = 0, succeeded = 0, failed = 0, cancelled = 0;
  // Of the cancelled: those that the farm cancelled by itself.
  int dropped = 0;
  // Of the pending and running: those that a person paused.
  int paused = 0;
  // When the last final job ended.
  absl::Time end_time = absl::InfinitePast();
  int total() const {
    return pending + running + succeeded + failed + cancelled;
  }
};

struct JobRow {
  JobId id;
  SweepId sweep;
  // Place in the sweep's order.
  int position = 0;
  std::string model;
  // Index into the sweep's models.
  int model_index = 0;
  int fold = 0;
  v1::Job::State state = v1::Job::PENDING;
  int slots = 1;
  // Leased only to workers that run programs of users.
  bool needs_exec = false;
  int attempt_count = 0;
  int failed_count = 0;
  int lost_count = 0;
  // The newest attempt; 0 before the first.
  FencingToken token;
  absl::Time not_before = absl::InfinitePast();
  bool cancel_requested = false;
  // The farm by itself cancelled it, or wants its attempt to stop; `error` says
  // why.
  bool dropped = false;
  std::string result_key;
  // 0: trained here.
  JobId reused_from;
  int epoch = 0;
  int epochs = 0;
  std::optional<double> log_loss;
  double seconds_per_epoch = 0;
  std::string error;
  int checkpoint_epoch = 0;
  absl::Time create_time = absl::InfinitePast();
  absl::Time end_time = absl::InfinitePast();
  // Grows with every change of any job; what a watcher has seen.
  int64_t change = 0;
  // Not leased until a person resumes it.
  bool paused = false;
  // Of a job that was retried with other options than its sweep's.
  std::optional<v1::ModelSpec> model_override;

  // Of the newest attempt; read, never written with the job.
  std::string worker;
  absl::Time start_time = absl::InfinitePast();
};

struct AttemptRow {
  FencingToken token;
  JobId job;
  // 1-based within the job.
  int number = 0;
  v1::Attempt::State state = v1::Attempt::RUNNING;
  // What the worker reported; differs from `state` when the result was refused.
  v1::Attempt::State outcome = v1::Attempt::STATE_UNSPECIFIED;
  WorkerSession session;
  std::string worker;
  std::string device;
  absl::Time start_time = absl::InfinitePast();
  absl::Time end_time = absl::InfinitePast();
  absl::Time lease_until = absl::InfinitePast();
  absl::Time heartbeat_time = absl::InfinitePast();
  int exit_status = 0;
  int signal = 0;
  std::string error;
  int resumed_epoch = 0;
  std::vector<std::string> log_tail;
  // The attempt whose end granted this one in the same call; 0: none.
  FencingToken granted_by;
  // It failed by the worker's fault and does not count against the job.
  bool uncharged = false;
  // Most memory that its processes held, and the CPU time that they used.
  int64_t peak_memory_bytes = 0;
  double cpu_seconds = 0;
  // Of its result; empty: none.
  std::map<std::string, double> metrics;
};

// One run of a worker daemon.
struct WorkerRow {
  WorkerSession session;
  std::string name;
  std::string host;
  std::vector<std::string> devices;
  int slots = 0;
  std::string version;
  // Runs programs of users.
  bool allow_exec = false;
  absl::Time start_time = absl::InfinitePast();
  // It stops by itself then; InfinitePast(): never.
  absl::Time stop_time = absl::InfinitePast();
};

// Why the workers of a name get no leases.
struct WorkerHoldRow {
  std::string name;
  // Found to be broken; else a person drains it.
  bool quarantined = false;
  std::string reason;
  absl::Time time = absl::InfinitePast();
};

// A file that the attempts of one of a sweep's models start with.
struct InputRow {
  // Index into the sweep's models.
  int model_index = 0;
  v1::ArtifactRef file;
};

// What an artifact is to a job.
enum class ArtifactKind { kResult = 0, kCheckpoint = 1 };

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_ROWS_H_
