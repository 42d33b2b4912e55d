// Three hosts with cables that are cut and healed: a worker away for longer
// than its lease, a client away for a while, links that lose packets.
//
// Needs root and iproute2, and netem in the kernel (or nftables) for the last.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/retry.h"
#include "tests/testing/chaos_farm.h"
#include "tests/testing/hosts.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr int kHosts = 3;

// Made once, before any thread.
const absl::StatusOr<std::unique_ptr<Hosts>>& TheHosts() {
  static const auto& hosts =
      *new absl::StatusOr<std::unique_ptr<Hosts>>(Hosts::Make(kHosts));
  return hosts;
}

class PartitionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto& hosts = TheHosts();
    if (!hosts.ok()) {
      GTEST_SKIP() << "no hosts to part: " << hosts.status();
    }
    hosts_ = hosts->get();
    TestClusterOptions options;
    options.lease_seconds = 2;
    options.heartbeat_seconds = 0.3;
    options.listen = absl::StrCat(Hosts::kSwitchAddress, ":0");
    const auto help = OutputOf(
        {JoinPath(FOLDFARM_BIN_DIR, "foldfarm-coordinator"), "--help"});
    ASSERT_TRUE(help.ok()) << help.status();
    if (absl::StrContains(*help, "--insecure")) {
      options.coordinator_flags = {"--insecure"};
    }
    auto cluster = TestCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", kChaosSamples).ok());
  }

  // A worker on a host, named after it.
  void StartWorker(int host, std::vector<std::string> flags = {}) {
    ASSERT_TRUE(cluster_
                    ->StartWorker(absl::StrCat("host", host),
                                  WorkerLaunch{.flags = std::move(flags),
                                               .wrapper = hosts_->On(host)})
                    .ok());
  }

  void Cut(int host) {
    ASSERT_TRUE(hosts_->Cut(host).ok());
    CountForSummary("partitions", 1);
  }
  void Heal(int host) { ASSERT_TRUE(hosts_->Heal(host).ok()); }

  std::string Submit(const std::string& yaml) {
    const auto sweep = cluster_->Submit(yaml, "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }

  void ExpectAudited(const std::set<std::string>& sweeps) {
    EXPECT_TRUE(WaitForSweeps(*cluster_, sweeps, absl::Seconds(90)));
    const AuditReport report =
        AuditFarm(*cluster_, sweeps, {.samples = kChaosSamples});
    std::cout << report.ToString() << std::endl;
    EXPECT_TRUE(report.findings.empty()) << report.ToString();
  }

  Hosts* hosts_ = nullptr;
  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(PartitionTest, AWorkerCutOffForLongerThanItsLeaseIsToldToStop) {
  StartWorker(1);
  const std::string sweep = Submit(ChaosSweep("cut", 1, 250));
  const std::string job = absl::StrCat(sweep, "/slow.m0/0");
  const auto running = cluster_->WaitForJob(
      job, [](const auto& now) { return now.checkpoint_epoch() > 0; });
  ASSERT_TRUE(running.ok()) << running.status();
  Cut(1);
  const auto lost = cluster_->WaitForJob(job, [](const auto& now) {
    return now.attempts(0).state() == v1::Attempt::LOST;
  });
  ASSERT_TRUE(lost.ok()) << lost.status();
  EXPECT_EQ(cluster_->Trainers("host1").size(), 1u)
      << "it trains on while it is cut off";
  StartWorker(2);
  const auto taken = cluster_->WaitForJob(job, [](const auto& now) {
    return now.attempts_size() == 2 && now.attempts(1).worker() == "host2" &&
           now.job().epoch() > now.attempts(1).resumed_epoch();
  });
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_GT(taken->attempts(1).resumed_epoch(), 0);
  Heal(1);
  // The other fold may be leased to it from then on: told by the token.
  const std::string stale = absl::StrCat("attempt=", lost->attempts(0).token(),
                                         " job=", job, " abandoned");
  EXPECT_TRUE(PollUntil(absl::Seconds(30), [&] {
    return absl::StrContains(
        ReadFile(cluster_->worker_log("host1")).value_or(""), stale);
  })) << "the worker was not told to stop";
  ExpectAudited({sweep});
}

TEST_F(PartitionTest, CablesThatAreCutAndHealedAtRandomLoseNothing) {
  for (int host = 1; host <= kHosts; ++host) {
    StartWorker(host, {"--slots", "2"});
  }
  Killer chance(*cluster_, ChaosSeed());
  SweepSource source(cluster_->endpoint(), "tiny", 6, 20);
  const int cuts = FromEnvironment("FOLDFARM_CHAOS_CUTS", 6);
  for (int i = 0; i < cuts; ++i) {
    const int host = 1 + static_cast<int>(chance.Choose(kHosts));
    Cut(host);
    // From a blink to more than a lease.
    WaitUnlessCancelled(Clock::Real(), absl::Seconds(3) * chance.Random(),
                        [] { return false; });
    Heal(host);
    WaitUnlessCancelled(Clock::Real(), absl::Seconds(0.5) * chance.Random(),
                        [] { return false; });
  }
  ExpectAudited(source.Stop());
}

TEST_F(PartitionTest, AClientThatIsCutOffSeesTheEndAfterwards) {
  StartWorker(1, {"--slots", "2"});
  StartWorker(2, {"--slots", "2"});
  const std::string sweep = Submit(ChaosSweep("watched", 4, 200));
  const std::string seen = JoinPath(cluster_->folder(), "seen");
  SubprocessOptions watch;
  watch.argv = hosts_->On(3);
  for (const std::string& part :
       {std::string("sh"), std::string("-c"),
        absl::StrCat("exec ", JoinPath(FOLDFARM_BIN_DIR, "foldfarm"),
                     " --coordinator ", cluster_->endpoint(), " watch ", sweep,
                     " > ", seen, " 2>&1")}) {
    watch.argv.push_back(part);
  }
  auto client = Subprocess::Spawn(watch);
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(PollUntil(absl::Seconds(20), [&] {
    return FileSize(seen).value_or(0) > 0;
  })) << "the client saw nothing";
  Cut(3);
  // All the sweep happens without it.
  EXPECT_TRUE(WaitForSweeps(*cluster_, {sweep}, absl::Seconds(60)));
  EXPECT_FALSE((*client)->Poll().has_value()) << ReadFile(seen).value_or("");
  Heal(3);
  const bool ended = PollUntil(absl::Seconds(60),
                               [&] { return (*client)->Poll().has_value(); });
  const std::string text = ReadFile(seen).value_or("");
  ASSERT_TRUE(ended) << text;
  EXPECT_EQ((*client)->Poll()->exit_status, 0) << text;
  EXPECT_THAT(text, HasSubstr("8"));
  ExpectAudited({sweep});
}

TEST_F(PartitionTest, LinksThatDelayAndLosePacketsLoseNoResults) {
  std::string left_out;
  for (int host = 1; host <= kHosts; ++host) {
    const auto disturbed = hosts_->Disturb(host, absl::Milliseconds(40), 5);
    ASSERT_TRUE(disturbed.ok()) << disturbed.status();
    left_out = *disturbed;
    StartWorker(host, {"--slots", "2"});
  }
  std::cout << (left_out.empty() ? "delay 40 ms, loss 5 %" : left_out)
            << std::endl;
  const bool nothing = absl::StartsWith(left_out, "no delay, no loss");
  if (!nothing) CountForSummary("faults", kHosts);
  const std::string sweep = Submit(ChaosSweep("lossy", 8, 20));
  EXPECT_TRUE(WaitForSweeps(*cluster_, {sweep}, absl::Seconds(90)));
  for (int host = 1; host <= kHosts; ++host) {
    EXPECT_TRUE(hosts_->Calm(host).ok());
  }
  ExpectAudited({sweep});
  if (nothing) GTEST_SKIP() << left_out;
}

}  // namespace
}  // namespace foldfarm
