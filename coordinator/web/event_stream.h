// What one open page is told, as server-sent events.
//
// Every event's data is proto3 JSON of a message of farm.proto:
//   hello    {"instance", "version"}: which run of the coordinator speaks
//   sweeps   ListSweepsResponse   those that changed
//   workers  ListWorkersResponse  those that changed
//   jobs     WatchSweepResponse   of the watched sweep: jobs that changed, or
//            that wait for something else now
//   curves   {"curves": [{"job", "attempt", "epoch": [], "logLoss": []}]}: new
//            epochs of the models asked for, thinned to some 400 a job
//   job      GetJobResponse       of the watched job, when anything of it did
//   metrics  GetMetricsResponse   its new epochs; none that a lost attempt
//            reported and the newest trains anew
//   log      GetLogsResponse      its new lines, at first the last 1,000
// The first events say everything, later ones what changed, gathered, at most
// four times a second. An id says how far a page is; it sends it back when it
// reconnects (Last-Event-ID) and gets what it missed. Hearing something twice
// is harmless: jobs, epochs and lines have keys.
//
// What a job waits for and how long it is leased change without the job. That
// is looked at every kLookAgain, of a thousand jobs at most.
//
// Used by one thread at a time.
#ifndef FOLDFARM_COORDINATOR_WEB_EVENT_STREAM_H_
#define FOLDFARM_COORDINATOR_WEB_EVENT_STREAM_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/web/farm_feed.h"

namespace foldfarm {

// What a page looks at; empty: nothing of that kind.
struct EventTopic {
  std::string sweep;
  // SWEEP/MODEL/FOLD.
  std::string job;
  // Of `sweep`: whose learning curves.
  std::vector<std::string> models;
};

// How far a page is; an event's id.
struct EventCursor {
  // The newest change of a job of the sweep, and of the watched job.
  int64_t sweep_change = 0;
  int64_t job_change = 0;
  // The last line: attempt, place in the attempt, place in the log.
  int64_t token = 0;
  int64_t in_attempt = 0;
  int64_t sequence = 0;
  // The last epoch, and the attempt (by number) whose it is.
  int64_t epoch = 0;
  int64_t attempt = 0;

  std::string ToString() const;
  // What is no cursor starts from the beginning.
  static EventCursor Parse(absl::string_view text);
};

class EventStream {
 public:
  // How often what changes by itself is looked at.
  static constexpr absl::Duration kLookAgain = absl::Seconds(5);

  // All but the values are borrowed. `instance` is a random name of this run.
  EventStream(FarmFeed& feed, Store& store, JobQueue& queue,
              FarmServiceImpl& farm, Clock& clock, const std::string& instance,
              EventTopic topic, EventCursor cursor);

  // Waits until there is something to say, at most a second; events, maybe
  // none. The first call does not wait.
  // Errors: NOT_FOUND or INVALID_ARGUMENT for what the topic names; those of
  // the database.
  absl::StatusOr<std::string> Next();

 private:
  // How far the curve of a job is.
  struct CurveCursor {
    int attempt = 0;
    int epoch = 0;
  };

  absl::Status AppendFarm(std::string& out);
  // `again`: also what changes by itself.
  absl::Status AppendSweep(bool again, std::string& out);
  // Adds to `rows` jobs that wait for something else than the page was told.
  absl::Status AddWaiting(const Reader& reader, int priority,
                          std::vector<JobRow>& rows);
  absl::Status AppendCurves(const Reader& reader,
                            const std::vector<JobRow>& rows, std::string& out);
  absl::Status AppendJob(bool again, std::string& out);
  absl::Status AppendMetrics(const Reader& reader, const JobRow& row,
                             std::string& out);
  absl::Status AppendLog(const Reader& reader, const JobRow& row,
                         std::string& out);

  FarmFeed& feed_;
  Store& store_;
  JobQueue& queue_;
  FarmServiceImpl& farm_;
  Clock& clock_;
  const std::string& instance_;
  const EventTopic topic_;
  EventCursor cursor_;
  std::map<JobId, CurveCursor> curves_;
  // What the page was told that jobs wait for; of all that are PENDING there.
  std::map<JobId, std::string> waiting_;
  // The one of `waiting_` that was looked at last; they take turns.
  JobId asked_;
  // What the page was told of the watched job.
  std::string job_json_;
  bool first_ = true;
  // The feed's snapshot is older than the queue.
  bool behind_ = false;
  int64_t seen_ = -1;
  int64_t feed_version_ = 0;
  // When the last look ended, when what changes by itself was last looked at,
  // and when something was last sent.
  absl::Duration looked_;
  absl::Duration looked_again_;
  absl::Duration sent_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_EVENT_STREAM_H_
