// The least that a durable queue over gRPC and SQLite can be, on this disk and
// these processors on this day: what the coordinator's figures are read beside.
//
// A process of its own answers one unary call that ends a job and claims the
// next: two small tables, one writer that commits what waits together (WAL,
// synchronous=FULL), a reply when it is on disk. A worker is a thread with a
// connection. There are no results, sweeps, leases that expire or rights, and
// nobody checks who holds what.
#ifndef FOLDFARM_TESTS_BENCH_BARE_PEER_H_
#define FOLDFARM_TESTS_BENCH_BARE_PEER_H_

#include <memory>
#include <string>

#include "common/base/subprocess.h"

namespace foldfarm {

class BarePeer {
 public:
  // How queue_bench is asked to serve instead of to measure:
  // queue_bench kServe FILE JOBS
  static constexpr char kServe[] = "--serve-bare-queue";

  // Serves until it is killed, with `jobs` jobs in a new database.
  static int Serve(const std::string& database, int jobs);

  // Starts such a process in a new folder below `parent`.
  BarePeer(const std::string& parent, int jobs);
  ~BarePeer();
  BarePeer(const BarePeer&) = delete;
  BarePeer& operator=(const BarePeer&) = delete;

  // Jobs a second of `workers` workers that finish all jobs.
  double JobsPerSecond(int workers);

 private:
  const std::string directory_;
  const int jobs_;
  std::string endpoint_;
  std::unique_ptr<Subprocess> server_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_BARE_PEER_H_
