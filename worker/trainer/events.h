// The trainer's side of the attempt contract: events as JSON lines.
//
// One line, one event, written at once: started, epoch, checkpoint, log,
// finished, failed. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINER_EVENTS_H_
#define FOLDFARM_WORKER_TRAINER_EVENTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The descriptor that the worker reads.
inline constexpr int kEventDescriptor = 3;

class EventWriter {
 public:
  // Writes to `fd`; a descriptor that is not open means standard output, so
  // that a person can run the trainer by hand.
  explicit EventWriter(int fd);

  void Started(int epochs, int resumed_epoch, absl::string_view device);
  // `epoch` is 1-based.
  void Epoch(int epoch, const std::map<std::string, double>& metrics);
  // `path`: the checkpoint's folder, relative to the attempt's.
  void Checkpoint(int epoch, absl::string_view path);
  // `level`: debug, info, warning or error.
  void Log(absl::string_view level, absl::string_view message);
  void Finished(const std::vector<std::string>& files,
                const std::map<std::string, double>& metrics);
  // Says the code as the worker knows it: INVALID_ARGUMENT,
  // RESOURCE_EXHAUSTED, and INTERNAL for every other.
  void Failed(const absl::Status& status);

 private:
  void Write(std::string line);
  int fd_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_EVENTS_H_
