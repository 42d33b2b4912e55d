// The progress of something that is counted: a bar with rate and time left on a
// terminal, now and then a line elsewhere.
#ifndef FOLDFARM_COORDINATOR_CLI_PROGRESS_H_
#define FOLDFARM_COORDINATOR_CLI_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/cli/console.h"

namespace foldfarm {

// What is counted, and how amounts of it read.
enum class ProgressUnit { kSamples, kBytes, kNetworks };

// "Preparing ━━━───── 120/240 samples  31/s  4s left", at most `columns` wide;
// without a bar when `columns` is 0. Pure.
std::string ProgressText(absl::string_view what, ProgressUnit unit,
                         int64_t done, int64_t total, absl::Duration elapsed,
                         size_t columns, bool colour);

// Shows it on stderr. Thread-safe.
class Progress {
 public:
  // Both borrowed.
  Progress(const Console& console, Clock& clock, std::string what,
           ProgressUnit unit);
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(int64_t done, int64_t total);

 private:
  const Console& console_;
  Clock& clock_;
  const std::string what_;
  const ProgressUnit unit_;
  const absl::Duration start_;
  absl::Mutex mu_;
  bool drawn_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration last_ ABSL_GUARDED_BY(mu_);
  int64_t last_tenth_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PROGRESS_H_
