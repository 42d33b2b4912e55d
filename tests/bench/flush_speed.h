// How fast a disk flushes what a queue writes.
#ifndef FOLDFARM_TESTS_BENCH_FLUSH_SPEED_H_
#define FOLDFARM_TESTS_BENCH_FLUSH_SPEED_H_

#include <string>
#include <vector>

namespace foldfarm {

struct FlushSpeed {
  std::string way;
  double p50_ms = 0;
  double p99_ms = 0;
};

// Writes 4 KiB and flushes, again and again, as a queue does for each commit:
// "append"; "overwrite"; and "idle", which overwrites after a pause, as when a
// job is submitted to an idle farm.
std::vector<FlushSpeed> MeasureFlushes(const std::string& directory);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_FLUSH_SPEED_H_
