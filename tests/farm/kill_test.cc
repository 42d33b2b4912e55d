// kill -9 of the coordinator, of workers and of trainers at random moments,
// while sweeps of small jobs come in and are trained.
//
// FOLDFARM_CHAOS_KILLS says how often (30), FOLDFARM_CHAOS_SEED what and when.
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "common/base/clock.h"
#include "common/rpc/retry.h"
#include "tests/testing/chaos_farm.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kLongestPause = absl::Milliseconds(500);

TEST(KillTest, WhoeverDiesNothingIsLostOrDoubled) {
  const int kills = FromEnvironment("FOLDFARM_CHAOS_KILLS", 30);
  TestClusterOptions options;
  options.patience = absl::Minutes(4);
  auto cluster = TestCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->AddDataset("tiny", kChaosSamples).ok());
  for (const char* worker : {"one", "two", "three"}) {
    ASSERT_TRUE((*cluster)->StartWorker(worker, {"--slots", "2"}).ok());
  }
  SweepSource source((*cluster)->endpoint(), "tiny", 8, 12);
  Killer killer(**cluster, ChaosSeed());
  while (killer.kills() < kills && killer.findings().empty()) {
    // The moment is what is random here.
    WaitUnlessCancelled(Clock::Real(), kLongestPause * killer.Random(),
                        [] { return false; });
    killer.KillOne();
    EndQuarantines(**cluster);
  }
  const std::set<std::string> sweeps = source.Stop();
  EXPECT_TRUE(WaitForSweeps(**cluster, sweeps, absl::Minutes(4)))
      << "the sweeps did not come to an end";
  const AuditReport report =
      AuditFarm(**cluster, sweeps, {.samples = kChaosSamples});
  std::cout << killer.ToString() << "; " << sweeps.size() << " sweeps, "
            << report.ToString() << std::endl;
  EXPECT_TRUE(killer.findings().empty()) << killer.findings().front();
  EXPECT_TRUE(report.findings.empty()) << report.ToString();
  EXPECT_GE(killer.kills(), kills);
}

}  // namespace
}  // namespace foldfarm
