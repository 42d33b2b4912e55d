// Programs that stand still and clocks that jump: frozen workers, a frozen
// coordinator, a worker's machine whose time is set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/rpc/retry.h"
#include "tests/testing/chaos_farm.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

constexpr double kLeaseSeconds = 2;

class StrainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.lease_seconds = kLeaseSeconds;
    options.heartbeat_seconds = 0.3;
    auto cluster = TestCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", kChaosSamples).ok());
  }

  std::string Submit(const std::string& yaml) {
    const auto sweep = cluster_->Submit(yaml, "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }

  v1::GetJobResponse WaitForJob(
      const std::string& job,
      const std::function<bool(const v1::GetJobResponse&)>& condition) {
    const auto response = cluster_->WaitForJob(job, condition);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(v1::GetJobResponse());
  }

  // Lets a stretch of real time pass: what is tested is that nothing happens
  // in it.
  static void Pass(absl::Duration time) {
    WaitUnlessCancelled(Clock::Real(), time, [] { return false; });
  }

  void ExpectAudited(const std::set<std::string>& sweeps) {
    EXPECT_TRUE(WaitForSweeps(*cluster_, sweeps, absl::Seconds(90)));
    const AuditReport report =
        AuditFarm(*cluster_, sweeps, {.samples = kChaosSamples});
    std::cout << report.ToString() << std::endl;
    EXPECT_TRUE(report.findings.empty()) << report.ToString();
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(StrainTest, WorkersFrozenForLongerThanTheirLeaseDoubleNothing) {
  for (const char* worker : {"one", "two", "three"}) {
    ASSERT_TRUE(cluster_->StartWorker(worker, {"--slots", "2"}).ok());
  }
  Killer chance(*cluster_, ChaosSeed());
  SweepSource source(cluster_->endpoint(), "tiny", 6, 20);
  const int freezes = FromEnvironment("FOLDFARM_CHAOS_FREEZES", 3);
  for (int i = 0; i < freezes; ++i) {
    // Not its trainers: they train to their end meanwhile.
    const std::vector<std::string> workers = cluster_->Workers();
    const std::string& worker = workers[chance.Choose(workers.size())];
    cluster_->SignalWorker(worker, SIGSTOP);
    Pass(absl::Seconds(kLeaseSeconds * (0.9 + 0.6 * chance.Random())));
    cluster_->SignalWorker(worker, SIGCONT);
    CountForSummary("faults", 1);
  }
  ExpectAudited(source.Stop());
}

TEST_F(StrainTest, ACoordinatorThatStoodStillTakesNoLeaseAway) {
  ASSERT_TRUE(cluster_->StartWorker("one", {"--slots", "2"}).ok());
  const std::string sweep = Submit(ChaosSweep("still", 1, 300));
  const std::string job = absl::StrCat(sweep, "/slow.m0/0");
  WaitForJob(job, [](const auto& now) { return now.job().epoch() > 5; });
  // A laptop that sleeps, a machine that is moved: it was not the workers that
  // were silent.
  cluster_->SignalCoordinator(SIGSTOP);
  Pass(absl::Seconds(2 * kLeaseSeconds));
  cluster_->SignalCoordinator(SIGCONT);
  CountForSummary("faults", 1);
  const v1::GetJobResponse done = WaitForJob(job, [](const auto& now) {
    return now.job().state() == v1::Job::SUCCEEDED;
  });
  EXPECT_EQ(done.attempts_size(), 1);
  EXPECT_EQ(done.job().lost_count(), 0);
  // It still notices who is gone.
  const std::string next = Submit(ChaosSweep("gone", 1, 150));
  const std::string lost = absl::StrCat(next, "/slow.m0/0");
  WaitForJob(lost, [](const auto& now) { return now.job().epoch() > 5; });
  cluster_->KillWorker("one");
  WaitForJob(lost, [](const auto& now) {
    return now.attempts(0).state() == v1::Attempt::LOST;
  });
  ASSERT_TRUE(cluster_->StartWorker("two", {"--slots", "2"}).ok());
  ExpectAudited({sweep, next});
}

TEST_F(StrainTest, AWorkerWhoseClockJumpsKeepsItsLease) {
  const std::string path = JoinPath(cluster_->folder(), "offset");
  const auto set = [&](absl::Duration offset) {
    const int64_t nanos = absl::ToInt64Nanoseconds(offset);
    // In place: the worker has the file mapped.
    std::FILE* file = std::fopen(path.c_str(), "r+b");
    if (file == nullptr) file = std::fopen(path.c_str(), "wb");
    ASSERT_NE(file, nullptr) << path;
    EXPECT_EQ(std::fwrite(&nanos, sizeof(nanos), 1, file), 1u);
    std::fclose(file);
  };
  set(absl::ZeroDuration());
  ASSERT_TRUE(
      cluster_
          ->StartWorker(
              "jumpy",
              WorkerLaunch{
                  .environment = {{"LD_PRELOAD", FOLDFARM_JUMPING_CLOCK},
                                  {"FOLDFARM_CLOCK_OFFSET", path}}})
          .ok());
  const std::string sweep = Submit(ChaosSweep("jumpy", 1, 650));
  const std::string job = absl::StrCat(sweep, "/slow.m0/0");
  WaitForJob(job, [](const auto& now) { return now.job().epoch() > 5; });
  for (const absl::Duration offset :
       {absl::Hours(1), -absl::Hours(1), absl::Hours(24 * 365),
        absl::ZeroDuration()}) {
    const v1::GetJobResponse before = *cluster_->GetJob(job);
    set(offset);
    CountForSummary("faults", 1);
    // By the coordinator's clock, which stays as it is.
    const int64_t from = before.attempts(0).last_heartbeat_time().seconds() +
                         static_cast<int64_t>(kLeaseSeconds);
    const v1::GetJobResponse after =
        WaitForJob(job, [&](const v1::GetJobResponse& now) {
          return now.attempts(0).state() != v1::Attempt::RUNNING ||
                 now.attempts(0).last_heartbeat_time().seconds() > from;
        });
    ASSERT_EQ(after.attempts(0).state(), v1::Attempt::RUNNING)
        << "lost after the clock jumped to " << offset;
    EXPECT_GT(after.job().epoch(), before.job().epoch());
  }
  const v1::GetJobResponse done = WaitForJob(job, [](const auto& now) {
    return now.job().state() == v1::Job::SUCCEEDED;
  });
  EXPECT_EQ(done.attempts_size(), 1);
  ExpectAudited({sweep});
}

}  // namespace
}  // namespace foldfarm
