// A farm on this machine, for the length of one command: a coordinator and its
// workers as children.
//
// They die with this process, whatever ends it (common/base/subprocess.h). A
// child that dies before is started again, a bounded number of times; the
// coordinator comes back at the same address, so workers go on. One that
// refuses its options is not: it would refuse them again.
//
// Not thread-safe: start, supervise and stop from one thread that outlives the
// farm.
#ifndef FOLDFARM_COORDINATOR_CLI_LOCAL_FARM_H_
#define FOLDFARM_COORDINATOR_CLI_LOCAL_FARM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/subprocess.h"

namespace foldfarm {

struct LocalFarmOptions {
  // Holds coordinator/, cache/ and logs/.
  std::string directory;
  // Where foldfarm-coordinator and foldfarm-worker stand.
  std::string programs;
  int workers = 1;
  int threads = 1;  // CPU threads a worker.
  std::string device = "auto";
  std::string trainer;      // Empty: the worker's own choice.
  bool allow_exec = false;  // Workers run programs of users.
  // Starts that a child gets after its first; one that lived for long enough
  // gets them anew.
  int max_restarts = 5;
};

class LocalFarm {
 public:
  // Starts the coordinator and waits until it listens. Errors: NOT_FOUND when a
  // program is missing; INTERNAL with the end of its log when it ended.
  static absl::StatusOr<std::unique_ptr<LocalFarm>> Start(
      const LocalFarmOptions& options, Clock& clock);
  // Stops everything, killing what does not stop within 10 s.
  ~LocalFarm();

  const std::string& address() const { return address_; }

  absl::Status StartWorkers();

  // Looks after the children; call a few times a second. Returns what happened,
  // a line each. Errors, with the end of a log: INTERNAL when a child died more
  // often than it may be restarted; FAILED_PRECONDITION when it ended with exit
  // status 2, wrong usage.
  absl::StatusOr<std::vector<std::string>> Supervise();

  // Tells the workers to hand in what they do: trainers write a checkpoint,
  // which is uploaded.
  void Drain();
  // Workers that still run.
  int LiveWorkers();

  // Stops workers, then the coordinator; waits for each at most `patience`.
  void Stop(absl::Duration patience);

 private:
  struct Child {
    std::string name;
    std::string log;
    int64_t log_begin = 0;  // Of what it said since it was started last.
    std::vector<std::string> argv;
    std::unique_ptr<Subprocess> process;
    int restarts = 0;
    // On the monotonic clock.
    absl::Duration started;
    absl::Duration start_after;
  };

  LocalFarm(LocalFarmOptions options, Clock& clock)
      : options_(std::move(options)), clock_(clock) {}
  absl::Status Launch(Child& child);
  absl::Status WaitForEndpoint();
  absl::StatusOr<std::string> Revive(Child& child);
  void Await(Child& child, absl::Duration patience);
  std::string LogTail(const Child& child) const;

  const LocalFarmOptions options_;
  Clock& clock_;
  std::string address_;
  Child coordinator_;
  std::vector<Child> workers_;
  bool draining_ = false;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_LOCAL_FARM_H_
