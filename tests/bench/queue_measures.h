// What queue_bench measures, each into a line that is printed as it comes and a
// row of the table at the end.
//
// Not thread-safe.
#ifndef FOLDFARM_TESTS_BENCH_QUEUE_MEASURES_H_
#define FOLDFARM_TESTS_BENCH_QUEUE_MEASURES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/bench/figure_table.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {

class QueueMeasures {
 public:
  // `beanstalkd` is the peer's program; empty: no peer.
  QueueMeasures(std::string directory, std::string beanstalkd, int jobs,
                int rounds, int repeats)
      : directory_(std::move(directory)),
        beanstalkd_(std::move(beanstalkd)),
        jobs_(jobs),
        rounds_(rounds),
        repeats_(repeats) {}

  // How fast the disk flushes.
  void Disk();

  // How fast gRPC is with nothing behind it.
  void Rpc();

  // Jobs a second of `workers` workers. `others`: what the table says of the
  // target and of other queues.
  void Throughput(int workers, const std::string& others);
  // The peers', right after ours and as often.
  void PeerThroughput(int workers);
  void BareThroughput(int workers);

  // How soon a job of a submitted sweep of two runs on one of idle workers.
  void Latency(int workers, const std::string& others);
  void PeerLatency(int workers);
  void BareLatency(int workers);

  // Every worker has a heartbeat under way at all times.
  void Heartbeats(int workers);

  // Beside cp, sync and sha256sum.
  void Uploads(int megabytes);

  // A database of `jobs` jobs that wait and `rows` rows of metrics: starting,
  // and leasing from it.
  void Full(int jobs, int rows, const std::vector<int>& workers);

  void PrintTable() const { table_.Print(); }

 private:
  void Note(const std::string& what, const std::string& ours,
            const std::string& others);

  // A peer's.
  void NoteStarts(absl::string_view peer, const std::vector<double>& starts);

  // Workers finish `jobs` jobs of those that wait. Returns jobs a second.
  double Cycle(BenchFarm& farm, int workers, int jobs, const char* name);

  // Reported by an attempt that then succeeds, as a worker does.
  void AddMetrics(BenchFarm& farm, int rows);

  const std::string directory_;
  const std::string beanstalkd_;
  const int jobs_;
  const int rounds_;
  const int repeats_;
  FigureTable table_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_QUEUE_MEASURES_H_
