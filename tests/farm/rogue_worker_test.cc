// A worker that lies: about whose attempt it has, what came out of it and when.
//
// Whatever it says, an honest worker then trains the sweep to its end, and the
// farm is audited.
#include "tests/testing/rogue_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <iostream>
#include <limits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/chaos_farm.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int kRogueEpochs = 6;

class RogueWorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.lease_seconds = 2;
    options.heartbeat_seconds = 0.3;
    auto cluster = TestCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", kChaosSamples).ok());
    rogue_ = std::make_unique<RogueWorker>(cluster_->endpoint());
    ASSERT_TRUE(rogue_->Register("rogue", 64).ok());
  }

  void Submit(int models) {
    const auto sweep =
        cluster_->Submit(ChaosSweep("rogue", models, kRogueEpochs), "tiny");
    ASSERT_TRUE(sweep.ok()) << sweep.status();
    sweep_ = *sweep;
  }

  // Lets an honest worker train what is left, and audits.
  void ExpectAllIsWell() {
    ASSERT_TRUE(cluster_->StartWorker("honest", {"--slots", "2"}).ok());
    EXPECT_TRUE(WaitForSweeps(*cluster_, {sweep_}, absl::Seconds(60)));
    const AuditReport report =
        AuditFarm(*cluster_, {sweep_}, {.samples = kChaosSamples});
    std::cout << report.ToString() << std::endl;
    EXPECT_TRUE(report.findings.empty()) << report.ToString();
  }

  // Counts a call that was refused, as it must be.
  void ExpectRefused(const absl::Status& status, absl::StatusCode code,
                     const std::string& what) {
    EXPECT_EQ(status.code(), code) << what << ": " << status;
    CountForSummary("faults", 1);
  }

  v1::GetJobResponse Job(const std::string& name) {
    const auto job = cluster_->GetJob(name);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.value_or(v1::GetJobResponse());
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<RogueWorker> rogue_;
  std::string sweep_;
};

TEST_F(RogueWorkerTest, AStaleTokenWritesNothing) {
  Submit(1);
  const std::vector<v1::Lease> leases = rogue_->Acquire(1);
  ASSERT_EQ(leases.size(), 1u);
  const v1::Lease& lease = leases.front();
  const std::string& job = lease.spec().job();
  ASSERT_TRUE(rogue_->Report(lease.token(), 1, 2, 0.25).ok());
  const auto lost = cluster_->WaitForJob(job, [](const auto& now) {
    return now.attempts(0).state() == v1::Attempt::LOST;
  });
  ASSERT_TRUE(lost.ok()) << lost.status();
  ExpectRefused(rogue_->Report(lease.token(), 3, 4, 0.75),
                absl::StatusCode::kAborted, "a report");
  ExpectRefused(
      rogue_->Finish(rogue_->Success(
          lease.token(), TinyOof(RogueWorker::Samples(lease), 0.75f))),
      absl::StatusCode::kAborted, "a result");
  EXPECT_EQ(rogue_->Heartbeat({lease.token()}), v1::HeartbeatResponse::STALE);
  // Nor does a new session that claims to hold it.
  ASSERT_TRUE(rogue_->Register("rogue", 1, {lease.token()}).ok());
  EXPECT_EQ(rogue_->Heartbeat({lease.token()}), v1::HeartbeatResponse::STALE);
  const auto metrics = cluster_->GetMetrics(job);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->epochs_size(), 2);
  ExpectAllIsWell();
}

TEST_F(RogueWorkerTest, SomeoneElsesAttemptIsOutOfReach) {
  Submit(2);
  RogueWorker victim(cluster_->endpoint());
  ASSERT_TRUE(victim.Register("victim", 1).ok());
  const std::vector<v1::Lease> leases = victim.Acquire(1);
  ASSERT_EQ(leases.size(), 1u);
  const v1::Lease& lease = leases.front();
  const std::string oof = TinyOof(RogueWorker::Samples(lease), 0.5f);
  v1::FinishAttemptRequest failure;
  failure.set_session(rogue_->session());
  failure.set_token(lease.token());
  failure.set_outcome(v1::Attempt::FAILED);
  failure.set_failure_kind(v1::FAILURE_KIND_PERMANENT);
  EXPECT_THAT(
      rogue_->Finish(failure).code(),
      AnyOf(absl::StatusCode::kAborted, absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(
      rogue_->Finish(rogue_->Success(lease.token(), oof)).code(),
      AnyOf(absl::StatusCode::kAborted, absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(rogue_->Heartbeat({lease.token()}), v1::HeartbeatResponse::STALE);
  // Claiming it at registration does not take it away from who holds it.
  ASSERT_TRUE(rogue_->Register("rogue", 64, {lease.token()}).ok());
  EXPECT_EQ(rogue_->Heartbeat({lease.token()}), v1::HeartbeatResponse::STALE);
  EXPECT_EQ(victim.Heartbeat({lease.token()}), v1::HeartbeatResponse::CONTINUE);
  CountForSummary("faults", 5);
  const v1::GetJobResponse job = Job(lease.spec().job());
  ASSERT_EQ(job.attempts_size(), 1);
  EXPECT_EQ(job.attempts(0).state(), v1::Attempt::RUNNING);
  EXPECT_EQ(job.attempts(0).worker(), "victim");
  // Its holder ends it.
  const int epochs = lease.spec().model().train().epochs();
  ASSERT_TRUE(victim.Report(lease.token(), 1, epochs, 0.5).ok());
  ASSERT_TRUE(victim.Finish(victim.Success(lease.token(), oof)).ok());
  ExpectAllIsWell();
}

TEST_F(RogueWorkerTest, CompletingTwiceKeepsTheFirstResult) {
  Submit(1);
  const std::vector<v1::Lease> leases = rogue_->Acquire(2);
  ASSERT_EQ(leases.size(), 2u);
  const v1::Lease& lease = leases.front();
  const std::vector<std::string> samples = RogueWorker::Samples(lease);
  for (const v1::Lease& each : leases) {
    ASSERT_TRUE(rogue_->Report(each.token(), 1, kRogueEpochs, 0.5).ok());
  }
  const v1::FinishAttemptRequest first =
      rogue_->Success(lease.token(), TinyOof(samples, 0.25f));
  ASSERT_TRUE(rogue_->Finish(first).ok());
  const v1::GetJobResponse before = Job(lease.spec().job());
  EXPECT_TRUE(rogue_->Finish(first).ok()) << "repeating is harmless";
  // Another result, a failure, and the wish for more: nothing changes.
  rogue_->Finish(rogue_->Success(lease.token(), TinyOof(samples, 0.75f)))
      .IgnoreError();
  v1::FinishAttemptRequest failure = first;
  failure.set_outcome(v1::Attempt::FAILED);
  ExpectRefused(rogue_->Finish(failure), absl::StatusCode::kAborted,
                "a failure after success");
  ExpectRefused(rogue_->Report(lease.token(), 1, kRogueEpochs, 0.1),
                absl::StatusCode::kAborted, "a report after success");
  const v1::GetJobResponse after = Job(lease.spec().job());
  EXPECT_EQ(after.ShortDebugString(), before.ShortDebugString());
  const auto metrics = cluster_->GetMetrics(lease.spec().job());
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->epochs(0).values().at("log_loss"), 0.5);
  EXPECT_EQ(rogue_
                ->Finish(rogue_->Success(
                    leases[1].token(),
                    TinyOof(RogueWorker::Samples(leases[1]), 0.5f)))
                .code(),
            absl::StatusCode::kOk);
  ExpectAllIsWell();
}

TEST_F(RogueWorkerTest, PredictionsThatAreNotOfTheFoldAreRefused) {
  Submit(12);
  const std::vector<v1::Lease> leases = rogue_->Acquire(24);
  ASSERT_EQ(leases.size(), 24u);
  const std::vector<std::string> samples = RogueWorker::Samples(leases[0]);
  const std::vector<std::string> others = RogueWorker::Samples(leases.back());
  ASSERT_NE(samples, others) << "of two folds";
  const std::vector<std::string> labels = {"a", "b"};
  const auto one_is = [&](float value) {
    std::vector<float> values(samples.size() * 2, 0.5f);
    values[3] = value;
    return TinyOofOf(samples, labels, values);
  };
  std::vector<std::string> missing = samples, extra = samples, twice = samples;
  missing.pop_back();
  extra.push_back(others.front());
  twice.push_back(samples.front());
  const std::string right = TinyOof(samples, 0.5f);
  std::string format = right;
  format.replace(format.find("foldfarm-oof"), 12, "foldfarm-xxx");
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"is missing", TinyOof(missing, 0.5f)},
      {"twice or is not of", TinyOof(extra, 0.5f)},
      {"twice or is not of", TinyOof(twice, 0.5f)},
      {"twice or is not of", TinyOof(others, 0.5f)},
      {"expected a number in", one_is(std::numeric_limits<float>::quiet_NaN())},
      {"expected a number in", one_is(1.5f)},
      {"expected a number in", one_is(-0.25f)},
      {"expected a number in", one_is(std::numeric_limits<float>::infinity())},
      {"labels are", TinyOof(samples, 0.5f, {"b", "a"})},
      {"format is", format},
      {"", right.substr(0, right.size() - 5)},
      {"", ""},
  };
  // Jobs of the first fold, each failing once; the next lease is its second.
  size_t next = 0;
  for (const v1::Lease& lease : leases) {
    if (lease.spec().fold() != leases[0].spec().fold()) continue;
    const auto& [message, oof] = wrong[next++];
    const absl::Status status =
        rogue_->Finish(rogue_->Success(lease.token(), oof));
    ExpectRefused(status, absl::StatusCode::kInvalidArgument, message);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    const v1::GetJobResponse job = Job(lease.spec().job());
    EXPECT_EQ(job.attempts(0).state(), v1::Attempt::FAILED);
    EXPECT_EQ(job.artifacts_size(), 0);
  }
  EXPECT_EQ(next, wrong.size());
  // What it holds of the other fold is handed back with its next start.
  ASSERT_TRUE(rogue_->Register("rogue", 1).ok());
  ExpectAllIsWell();
}

TEST_F(RogueWorkerTest, MetricsFromThePastAndFromNowhereChangeNothing) {
  Submit(1);
  const std::vector<v1::Lease> leases = rogue_->Acquire(2);
  ASSERT_EQ(leases.size(), 2u);
  const v1::Lease& lease = leases.front();
  // To epoch 4 with a checkpoint there, which the next attempt resumes from.
  ASSERT_TRUE(rogue_->Report(lease.token(), 1, 4, 0.5).ok());
  v1::ReportProgressRequest checkpoint;
  checkpoint.set_token(lease.token());
  checkpoint.set_checkpoint_epoch(4);
  *checkpoint.add_checkpoint() = *rogue_->Upload("c", "state.safetensors");
  ASSERT_TRUE(
      rogue_->Call(&RogueWorker::Service::ReportProgress, checkpoint).ok());
  for (const v1::Lease& each : leases) {
    v1::FinishAttemptRequest back;
    back.set_session(rogue_->session());
    back.set_token(each.token());
    back.set_outcome(v1::Attempt::PREEMPTED);
    ASSERT_TRUE(rogue_->Finish(back).ok());
  }
  std::vector<v1::Lease> again = rogue_->Acquire(2);
  ASSERT_EQ(again.size(), 2u);
  if (again[0].spec().job() != lease.spec().job())
    std::swap(again[0], again[1]);
  ASSERT_EQ(again[0].checkpoint_epoch(), 4);
  const int64_t token = again[0].token();
  // Epochs before those that it trains are not its own to tell.
  rogue_->Report(token, 2, 3, 9.0).IgnoreError();
  for (const int epoch : {0, -1, std::numeric_limits<int>::min()}) {
    ExpectRefused(rogue_->Report(token, epoch, epoch, 0.1),
                  absl::StatusCode::kInvalidArgument, absl::StrCat(epoch));
  }
  ExpectRefused(rogue_->Report(token, kRogueEpochs + 1, kRogueEpochs + 1, 0.1),
                absl::StatusCode::kInvalidArgument, "after the last");
  const auto metrics = cluster_->GetMetrics(lease.spec().job());
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  ASSERT_EQ(metrics->epochs_size(), 4);
  for (const v1::EpochMetrics& epoch : metrics->epochs()) {
    EXPECT_EQ(epoch.values().at("log_loss"), 0.5) << epoch.epoch();
  }
  ASSERT_TRUE(rogue_->Report(token, 5, kRogueEpochs, 0.5).ok());
  ASSERT_TRUE(rogue_->Report(again[1].token(), 1, kRogueEpochs, 0.5).ok());
  for (const v1::Lease& each : again) {
    EXPECT_TRUE(
        rogue_
            ->Finish(rogue_->Success(each.token(),
                                     TinyOof(RogueWorker::Samples(each), 0.5f)))
            .ok());
  }
  ExpectAllIsWell();
}

}  // namespace
}  // namespace foldfarm
