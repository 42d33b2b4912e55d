// What a trainer says: JSON lines on file descriptor 3.
//
//   {"event":"started","epochs":N,"resumed_epoch":K,"device":"cpu"}
//   {"event":"epoch","epoch":e,"metrics":{name:number}}
//   {"event":"checkpoint","epoch":e,"path":"checkpoint-000012"}
//   {"event":"log","level":"info","message":"..."}
//   {"event":"finished","files":["weights.safetensors"],"metrics":{...}}
//   {"event":"failed","code":"INVALID_ARGUMENT","message":"..."}
//
// The trainer may be a user's own program, so nothing it says is trusted: lines
// are bounded, names cannot leave the attempt's folder, text becomes UTF-8.
#ifndef FOLDFARM_WORKER_AGENT_TRAINER_EVENT_H_
#define FOLDFARM_WORKER_AGENT_TRAINER_EVENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// One event; fields that its kind does not have stay empty.
struct TrainerEvent {
  enum class Kind { kStarted, kEpoch, kCheckpoint, kLog, kFinished, kFailed };
  Kind kind = Kind::kLog;
  int32_t epoch = 0;                      // epoch, checkpoint.
  int32_t epochs_total = 0;               // started.
  int32_t resumed_epoch = 0;              // started; 0: from scratch.
  std::string device;                     // started.
  std::map<std::string, double> metrics;  // epoch, finished; finite values.
  std::string path;                // checkpoint: a folder in the attempt's.
  std::vector<std::string> files;  // finished: names in the attempt's folder.
  std::string level;               // log: debug, info, warning or error.
  std::string code;                // failed.
  std::string message;             // log, failed.
};

// Errors: INVALID_ARGUMENT saying what is malformed, with the line's beginning.
absl::StatusOr<TrainerEvent> ParseTrainerEvent(absl::string_view line);

// Cuts a stream of bytes into lines. Not thread-safe.
class LineSplitter {
 public:
  // Gets every line without its end. A line that is longer than `max_size`
  // comes cut to it with `cut` true; the rest of it is dropped.
  using Callback = std::function<void(absl::string_view line, bool cut)>;
  LineSplitter(size_t max_size, Callback callback)
      : max_size_(max_size), callback_(std::move(callback)) {}

  void Append(absl::string_view data);
  // Delivers a last line that has no end.
  void Finish();

 private:
  void Flush();
  const size_t max_size_;
  const Callback callback_;
  std::string line_;
  bool cut_ = false;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_TRAINER_EVENT_H_
