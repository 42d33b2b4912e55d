#include "coordinator/store/row_cache.h"

#include <cmath>

namespace foldfarm {
namespace {

constexpr size_t kMostJobs = 4096;

// As the table keeps it.
absl::Time Stored(absl::Time time) {
  return time == absl::InfinitePast()
             ? time
             : absl::FromUnixMicros(absl::ToUnixMicros(time));
}

}  // namespace

const JobRow* RowCache::FindJob(JobId id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !found->second.job.has_value()) return nullptr;
  return &*found->second.job;
}

const AttemptRow* RowCache::FindAttempt(FencingToken token) const {
  const auto job = jobs_.find(token);
  return job == jobs_.end() ? nullptr : &*entries_.at(job->second).attempt;
}

AttemptRow* RowCache::MutableAttempt(FencingToken token) {
  const auto job = jobs_.find(token);
  return job == jobs_.end() ? nullptr : &*entries_.at(job->second).attempt;
}

void RowCache::NoteRead(const JobRow& row) {
  MakeRoom();
  Entry& entry = entries_[row.id];
  entry.job = row;
}

void RowCache::NoteUpdate(const JobRow& row) {
  const auto found = entries_.find(row.id);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (row.state != v1::Job::RUNNING || !entry.job.has_value() ||
      !entry.attempt.has_value() || entry.attempt->token != row.token) {
    Forget(row.id);
    return;
  }
  JobRow& job = *entry.job;
  job.state = row.state;
  job.slots = row.slots;
  job.attempt_count = row.attempt_count;
  job.failed_count = row.failed_count;
  job.lost_count = row.lost_count;
  job.token = row.token;
  job.not_before = Stored(row.not_before);
  job.cancel_requested = row.cancel_requested;
  job.epoch = row.epoch;
  job.epochs = row.epochs;
  job.log_loss = row.log_loss;
  // SQLite keeps no NaN.
  if (job.log_loss.has_value() && std::isnan(*job.log_loss)) {
    job.log_loss.reset();
  }
  job.seconds_per_epoch = row.seconds_per_epoch;
  job.error = row.error;
  job.checkpoint_epoch = row.checkpoint_epoch;
  job.end_time = Stored(row.end_time);
  job.change = row.change;
  job.dropped = row.dropped;
  // Read with the job's newest attempt.
  job.worker = entry.attempt->worker;
  job.start_time = entry.attempt->start_time;
}

void RowCache::NoteInsert(const AttemptRow& row) {
  MakeRoom();
  Entry& entry = entries_[row.job];
  if (entry.attempt.has_value()) jobs_.erase(entry.attempt->token);
  entry.attempt.emplace();
  AttemptRow& attempt = *entry.attempt;
  attempt.token = row.token;
  attempt.job = row.job;
  attempt.number = row.number;
  attempt.state = row.state;
  attempt.session = row.session;
  attempt.worker = row.worker;
  attempt.start_time = Stored(row.start_time);
  attempt.lease_until = Stored(row.lease_until);
  attempt.heartbeat_time = Stored(row.heartbeat_time);
  attempt.resumed_epoch = row.resumed_epoch;
  attempt.granted_by = row.granted_by;
  jobs_[row.token] = row.job;
}

void RowCache::NoteUpdate(const AttemptRow& row) {
  AttemptRow* const attempt = MutableAttempt(row.token);
  if (attempt == nullptr || row.state != v1::Attempt::RUNNING) {
    Forget(row.job);
    return;
  }
  attempt->state = row.state;
  attempt->outcome = row.outcome;
  attempt->session = row.session;
  attempt->device = row.device;
  attempt->start_time = Stored(row.start_time);
  attempt->end_time = Stored(row.end_time);
  attempt->lease_until = Stored(row.lease_until);
  attempt->heartbeat_time = Stored(row.heartbeat_time);
  attempt->exit_status = row.exit_status;
  attempt->signal = row.signal;
  attempt->error = row.error;
  attempt->resumed_epoch = row.resumed_epoch;
  attempt->log_tail = row.log_tail;
  attempt->uncharged = row.uncharged;
  attempt->peak_memory_bytes = row.peak_memory_bytes;
  attempt->cpu_seconds = row.cpu_seconds;
  attempt->metrics = row.metrics;
  std::optional<JobRow>& job = entries_[row.job].job;
  if (job.has_value() && job->token == row.token) {
    job->start_time = attempt->start_time;
  }
}

void RowCache::NoteExtension(FencingToken token, absl::Time lease_until,
                             absl::Time heartbeat_time) {
  AttemptRow* const attempt = MutableAttempt(token);
  if (attempt == nullptr) return;
  attempt->lease_until = Stored(lease_until);
  attempt->heartbeat_time = Stored(heartbeat_time);
}

void RowCache::Forget(JobId id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (found->second.attempt.has_value()) {
    jobs_.erase(found->second.attempt->token);
  }
  entries_.erase(found);
}

void RowCache::Clear() {
  entries_.clear();
  jobs_.clear();
}

void RowCache::MakeRoom() {
  if (entries_.size() >= kMostJobs) Clear();
}

}  // namespace foldfarm
