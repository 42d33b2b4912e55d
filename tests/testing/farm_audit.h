// Looks whether a farm that was mistreated has kept its promises.
//
// 1. While the farm runs, by its own answers: every job has exactly one
//    successful attempt (or is in the state that the test expects), its
//    metrics have every epoch once, its files come with the right digest, its
//    predictions have every sample once.
// 2. What workers noted as delivered in their logs is taken.
// 3. Then workers and the coordinator are asked to stop, and must do so well.
// 4. What is left: a sound database, a file for every row and a row for every
//    file, no temporary file, no attempt's folder, no process.
#ifndef FOLDFARM_TESTS_TESTING_FARM_AUDIT_H_
#define FOLDFARM_TESTS_TESTING_FARM_AUDIT_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/testing/test_cluster.h"

namespace foldfarm {

struct AuditExpectations {
  // By job: the state it must end in, for those that do not succeed.
  std::map<std::string, v1::Job::State> states = {};
  // Rows of a sweep's out-of-fold table; 0: not looked at.
  int samples = 0;
  // Workers that are not asked to drain, since they cannot.
  bool drain = true;
};

struct AuditReport {
  int jobs = 0;
  // Results, metrics or acknowledged attempts that are gone.
  int lost = 0;
  // Results or metrics that are there twice.
  int doubled = 0;
  // All that is wrong, for people; the above among it.
  std::vector<std::string> findings;

  std::string ToString() const;
};

// Audits all that `sweeps` name, counts it for the summary, and stops the
// farm: of `cluster` only the folder is left. Every sweep of the farm must be
// among `sweeps`.
AuditReport AuditFarm(TestCluster& cluster, const std::set<std::string>& sweeps,
                      const AuditExpectations& expected = {});

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_FARM_AUDIT_H_
