// A farm under mistreatment: sweeps of small jobs that somebody keeps
// submitting, and what tests do to the programs meanwhile.
//
// Trainers are killed at most twice a job: the third failure would rightly end
// it.
#ifndef FOLDFARM_TESTS_TESTING_CHAOS_FARM_H_
#define FOLDFARM_TESTS_TESTING_CHAOS_FARM_H_

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/testing/farm_audit.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {

// Submits sweeps from a thread of its own, each until it is acknowledged, so
// that a few jobs are always open.
class SweepSource {
 public:
  // Sweeps over `dataset` of the coordinator at `endpoint`, of models that do
  // what the test trainer knows: `models` models in two folds, `epochs` epochs.
  SweepSource(const std::string& endpoint, const std::string& dataset,
              int models, int epochs);
  ~SweepSource();

  // Ends submitting, after the sweep under way. Returns the ids of all.
  std::set<std::string> Stop();

 private:
  void Loop();
  const std::string endpoint_;
  const std::string dataset_;
  const int models_;
  const int epochs_;
  std::atomic<bool> stopping_ = false;
  absl::Mutex mu_;
  std::set<std::string> sweeps_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

// Samples of the dataset that AddChaosDataset registers as "tiny".
inline constexpr int kChaosSamples = 16;

// A sweep file of `models` models named SLOW.m0...: half train `epochs` epochs
// of 20 ms with a checkpoint after every second, half at once.
std::string ChaosSweep(const std::string& name, int models, int epochs);

// Kills the coordinator, agents and trainers, one at a time.
class Killer {
 public:
  Killer(TestCluster& cluster, uint32_t seed)
      : cluster_(cluster), random_(seed) {}

  // Kills something that is running and starts it again; false when the choice
  // fell on a trainer and there was none to kill.
  bool KillOne();

  int kills() const { return kills_; }
  // What went wrong; nothing of it should.
  const std::vector<std::string>& findings() const { return findings_; }
  std::string ToString() const;
  // In [0, 1).
  double Random() { return uniform_(random_); }
  size_t Choose(size_t count) { return random_() % count; }

 private:
  void KillCoordinator();
  void KillAgent();
  bool KillTrainer();

  TestCluster& cluster_;
  std::mt19937 random_;
  std::uniform_real_distribution<double> uniform_;
  int kills_ = 0;
  int coordinators_ = 0, agents_ = 0, trainers_ = 0;
  // Trainers killed, by job.
  std::map<std::string, int> killed_;
  std::vector<std::string> findings_;
};

// Waits until all jobs of `sweeps` are final, ending quarantines that killing
// may have brought about. Returns whether they came to that.
bool WaitForSweeps(TestCluster& cluster, const std::set<std::string>& sweeps,
                   absl::Duration patience);

// Ends the quarantine of workers that are in it; a person's part.
void EndQuarantines(TestCluster& cluster);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_CHAOS_FARM_H_
