// beanstalkd, the fastest durable queue we know, on this disk on this day.
//
// It runs with a log that is flushed at each write (-b DIR -f 0), so that an
// answer means as much as the coordinator's. A job is put before the time
// counts, as sweeps are; then a worker reserves it, puts its result into a
// second tube and, once that is stored, deletes the job and reserves the next
// with one message. There are no attempts, no fencing and nothing to ask.
#ifndef FOLDFARM_TESTS_BENCH_BEANSTALK_PEER_H_
#define FOLDFARM_TESTS_BENCH_BEANSTALK_PEER_H_

#include <memory>
#include <string>
#include <vector>

#include "common/base/subprocess.h"

namespace foldfarm {

class BeanstalkPeer {
 public:
  // Whether `program` can be run.
  static bool Available(const std::string& program);

  // Starts it in a new folder below `parent`.
  BeanstalkPeer(const std::string& program, const std::string& parent);
  ~BeanstalkPeer();
  BeanstalkPeer(const BeanstalkPeer&) = delete;
  BeanstalkPeer& operator=(const BeanstalkPeer&) = delete;

  // Jobs a second of `workers` workers that finish `jobs` jobs.
  double JobsPerSecond(int workers, int jobs);

  // Seconds from putting a job, with `workers` idle ones waiting, until one of
  // them has it; `rounds` of them.
  std::vector<double> StartSeconds(int workers, int rounds);

 private:
  // One connection.
  struct Line;
  std::unique_ptr<Line> Connect() const;

  const std::string directory_;
  int port_ = 0;
  std::unique_ptr<Subprocess> server_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_BEANSTALK_PEER_H_
