// A durable queue over gRPC and SQLite as one would first write it, on this
// disk and these processors on this day: what the coordinator's figures are
// read beside. It does far less, and is no lower bound of what the two can do.
//
// A process of its own with two small tables and one writer that commits what
// waits together (WAL, synchronous=FULL); a reply when it is on disk. One unary
// call ends a job and claims the next; a submission claims for a worker that
// waits. A worker is a thread with a connection. There are no results, sweeps,
// leases that expire or rights, and nobody checks who holds what.
#ifndef FOLDFARM_TESTS_BENCH_BARE_PEER_H_
#define FOLDFARM_TESTS_BENCH_BARE_PEER_H_

#include <memory>
#include <string>
#include <vector>

#include "common/base/subprocess.h"
#include "foldfarm/v1/farm.grpc.pb.h"

namespace foldfarm {

class BarePeer {
 public:
  // How queue_bench is asked to serve instead of to measure:
  // queue_bench kServe DATABASE
  static constexpr char kServe[] = "--serve-bare-queue";

  // Serves a new database until it is killed.
  static int Serve(const std::string& database);

  // Starts such a process in a new folder below `parent`.
  explicit BarePeer(const std::string& parent);
  ~BarePeer();
  BarePeer(const BarePeer&) = delete;
  BarePeer& operator=(const BarePeer&) = delete;

  // Jobs a second of `workers` workers that finish `jobs` jobs, an even number.
  double JobsPerSecond(int workers, int jobs);

  // Seconds from submitting two jobs, with `workers` idle ones waiting, until
  // one of them has one; `rounds` of them. The peer serves nobody afterwards.
  std::vector<double> StartSeconds(int workers, int rounds);

 private:
  void Submit(int jobs);

  const std::string directory_;
  std::string endpoint_;
  std::unique_ptr<Subprocess> server_;
  std::unique_ptr<v1::FarmService::Stub> submitter_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_BARE_PEER_H_
