// The daemon against a coordinator in memory and a trainer that only pretends.
#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/worker/agent/agent_fixture.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(AgentTest, DeliversMetricsLogAndResultOfASuccess) {
  const int64_t token = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  const auto finish = Finish(token);
  EXPECT_EQ(finish.outcome(), v1::Attempt::SUCCEEDED);
  ASSERT_EQ(finish.artifacts_size(), 2);
  EXPECT_EQ(finish.artifacts(0).name(), "weights.safetensors");
  EXPECT_EQ(finish.artifacts(1).name(), "oof.safetensors");
  EXPECT_DOUBLE_EQ(finish.metrics().at("log_loss"), 0.693);
  const auto heard = Heard(token);
  EXPECT_EQ(heard.device, "cpu");
  EXPECT_EQ(heard.epochs.size(), 3u) << "all before the result";
  EXPECT_THAT(heard.lines, ElementsAre("info: threads 1"));
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_EQ(coordinator_.artifacts.count(finish.artifacts(1).digest()), 1u);
  EXPECT_EQ(coordinator_.registrations[0].slots(), 1);
}

TEST_F(AgentTest, ASuccessDeliversItsLastCheckpointBeforeItsResult) {
  // Long enough away for all of its three epochs.
  coordinator_.SetFault([](const std::string& call) {
    return call == "Upload" ? absl::UnavailableError("away") : absl::OkStatus();
  });
  const int64_t token = coordinator_.AddLease("slow");
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.heard[token].epochs.count(3) > 0; }));
  EXPECT_THAT(Heard(token).finishes, IsEmpty());
  coordinator_.ComeBack();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(Heard(token).checkpoint_epoch, 3);
  EXPECT_EQ(Heard(token).checkpoint.size(), 2u);
}

TEST_F(AgentTest, AnAttemptFindsTheFilesItStartsWith) {
  const int64_t token = coordinator_.AddLease("list_folder");
  coordinator_.AddInput(token, "init.weights", "weights");
  coordinator_.AddInput(token, "run me.sh", "#!/bin/sh");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::SUCCEEDED);
  const auto lines = Heard(token).lines;
  EXPECT_THAT(lines, Contains(HasSubstr("init.weights 444")));
  EXPECT_THAT(lines, Contains(HasSubstr("run me.sh 755")));
}

TEST_F(AgentTest, AFileThatWouldReplaceTheFarmsEndsTheAttemptForGood) {
  std::map<int64_t, std::string> names;
  for (const char* name : {"attempt.json", "../escaped", "checkpoint"}) {
    const int64_t token = coordinator_.AddLease("succeed");
    coordinator_.AddInput(token, name, "x");
    names[token] = name;
  }
  Start();
  for (const auto& [token, name] : names) {
    ASSERT_TRUE(WaitForFinish(token));
    const auto finish = Finish(token);
    EXPECT_EQ(finish.outcome(), v1::Attempt::FAILED);
    EXPECT_EQ(finish.failure_kind(), v1::FAILURE_KIND_PERMANENT);
    EXPECT_THAT(finish.error(), HasSubstr(name));
  }
}

TEST_F(AgentTest, AFailureCarriesItsWordsAndTheEndOfTheLog) {
  const int64_t bad = coordinator_.AddLease("bad_configuration");
  const int64_t failed = coordinator_.AddLease("fail");
  const int64_t memory = coordinator_.AddLease("out_of_memory");
  const int64_t crash = coordinator_.AddLease("crash");
  const int64_t lost = coordinator_.AddLease("lose_result");
  Start();
  for (const int64_t token : {bad, failed, memory, crash, lost}) {
    ASSERT_TRUE(WaitForFinish(token));
    EXPECT_EQ(Finish(token).outcome(), v1::Attempt::FAILED);
  }
  EXPECT_EQ(Finish(bad).failure_kind(), v1::FAILURE_KIND_PERMANENT);
  EXPECT_THAT(Finish(bad).error(), HasSubstr("no such luck"));
  EXPECT_THAT(Finish(bad).log_tail(), ElementsAre("the last words"));
  EXPECT_EQ(Finish(failed).failure_kind(), v1::FAILURE_KIND_RETRYABLE);
  EXPECT_EQ(Finish(failed).exit_status(), 70);
  EXPECT_EQ(Finish(memory).failure_kind(), v1::FAILURE_KIND_OUT_OF_MEMORY);
  EXPECT_EQ(Finish(crash).signal(), SIGABRT);
  EXPECT_THAT(Finish(lost).error(), HasSubstr("weights.safetensors"));
  EXPECT_THAT(Finish(lost).artifacts(), IsEmpty());
}

TEST_F(AgentTest, ATrainerThatDoesNotRunHereIsTheWorkersFault) {
  options_.trainer = JoinPath(dir_, "trainer");
  ASSERT_TRUE(WriteFileAtomically(options_.trainer,
                                  "#!/bin/sh\necho libtorch.so: cannot open "
                                  ">&2\nexit 127\n")
                  .ok());
  ASSERT_EQ(chmod(options_.trainer.c_str(), 0755), 0);
  const int64_t token = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::FAILED);
  EXPECT_EQ(Finish(token).failure_kind(), v1::FAILURE_KIND_WORKER);
  EXPECT_THAT(Finish(token).error(),
              HasSubstr("does not run on this machine (libtorch.so: cannot "
                        "open)"));
}

TEST_F(AgentTest, AFileThatIsDamagedAtTheCoordinatorEndsTheAttempt) {
  coordinator_.SetFault([](const std::string& call) {
    return call == "Download" ? absl::DataLossError("it has another digest")
                              : absl::OkStatus();
  });
  const int64_t token = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::FAILED);
  EXPECT_EQ(Finish(token).failure_kind(), v1::FAILURE_KIND_RETRYABLE);
  EXPECT_THAT(Finish(token).error(), HasSubstr("another digest"));
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_EQ(coordinator_.calls["Download"], 3);
}

TEST(PatienceTest, WhatMayPassByItselfIsWaitedForWithoutEnd) {
  Patience patience;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(
        patience.TryAgain(absl::UnavailableError("away"), absl::Hours(1)));
  }
  EXPECT_FALSE(patience.TryAgain(absl::NotFoundError("gone"), absl::Hours(1)));
  EXPECT_FALSE(patience.TryAgain(absl::OkStatus(), absl::Hours(1)));
}

TEST(PatienceTest, WhatMayBeThisBoxesOwnTroubleIsNot) {
  Patience patience;
  const absl::Status failing = absl::InternalError("Input/output error");
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(patience.TryAgain(failing, absl::Minutes(1))) << i;
  }
  EXPECT_FALSE(patience.TryAgain(failing, absl::Minutes(1)));
  EXPECT_TRUE(
      patience.TryAgain(absl::UnavailableError("away"), absl::Minutes(1)));
}

// A daemon that is busy for weeks.
TEST_F(AgentTest, JobsThatFollowOneAnotherLeaveNothingBehind) {
  std::vector<int64_t> tokens;
  for (int i = 0; i < 60; ++i)
    tokens.push_back(coordinator_.AddLease("succeed"));
  Start();
  const auto mappings = [] {
    const auto maps = ReadFile("/proc/self/maps");
    return std::count(maps->begin(), maps->end(), '\n');
  };
  ASSERT_TRUE(WaitForFinish(tokens[9]));
  const auto before = mappings();
  ASSERT_TRUE(WaitForFinish(tokens.back()));
  // A thread that is not joined keeps two.
  EXPECT_LT(mappings() - before, 50);
}

TEST_F(AgentTest, HeartbeatsGoOnWhateverTheTrainerDoes) {
  const int64_t token = coordinator_.AddLease("ignore_stop");
  Start();
  EXPECT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.heartbeats[token] >= 10; }));
}

TEST_F(AgentTest, ACancelledJobLeavesACheckpointAndEndsAsCancelled) {
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  Answer(token, v1::HeartbeatResponse::CANCEL);
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::CANCELLED);
  EXPECT_EQ(Heard(token).checkpoint_epoch, 1);
}

TEST_F(AgentTest, ACancelledTrainerThatDoesNotStopIsKilled) {
  options_.cancel_grace = absl::Milliseconds(50);
  const int64_t token = coordinator_.AddLease("ignore_stop");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  Answer(token, v1::HeartbeatResponse::CANCEL);
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::CANCELLED);
  EXPECT_EQ(Finish(token).signal(), SIGKILL);
}

TEST_F(AgentTest, AStaleAttemptIsKilledAndNothingIsReported) {
  const int64_t stale = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(stale));
  Answer(stale, v1::HeartbeatResponse::STALE);
  const int64_t next = coordinator_.AddLease("succeed");
  ASSERT_TRUE(WaitForFinish(next)) << "its slot is free again";
  EXPECT_THAT(Heard(stale).finishes, IsEmpty());
}

TEST_F(AgentTest, DrainingHandsTheJobBackWithItsCheckpoint) {
  const int64_t token = coordinator_.AddLease("wait");
  const int64_t waiting = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::PREEMPTED);
  EXPECT_EQ(Finish(token).next_leases(), 0);
  EXPECT_EQ(Heard(token).checkpoint_epoch, 1);
  EXPECT_EQ(Heard(token).epochs.size(), 1u);
  EXPECT_THAT(Heard(waiting).finishes, IsEmpty());
}

TEST_F(AgentTest, ResumesFromTheCheckpointOfTheLease) {
  TensorFileWriter state;
  state.SetMetadata("epoch", "5");
  const std::string bytes = state.Serialize();
  const int64_t token = coordinator_.AddLease("slow");
  const auto weights = coordinator_.Store("weights", "weights.safetensors");
  const auto stored = coordinator_.Store(bytes, "state.safetensors");
  {
    absl::MutexLock lock(&coordinator_.mu);
    v1::Lease& lease = coordinator_.queue.front();
    lease.mutable_spec()->mutable_model()->mutable_train()->set_epochs(7);
    *lease.add_checkpoint() = weights;
    *lease.add_checkpoint() = stored;
    lease.set_checkpoint_epoch(5);
  }
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(Heard(token).resumed_epoch, 5);
  EXPECT_EQ(Heard(token).epochs.begin()->first, 6);
}

TEST_F(AgentTest, ADrainThatNobodyHearsEndsAtItsDeadline) {
  options_.drain_timeout = absl::Milliseconds(300);
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  coordinator_.GoAway();
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_THAT(Heard(token).finishes, IsEmpty());
}

TEST_F(AgentTest, KillingEndsAtOnceAndReportsNothing) {
  const int64_t token = coordinator_.AddLease("ignore_stop");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  agent_->Kill();
  EXPECT_EQ(Join().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(Heard(token).finishes, IsEmpty());
}

TEST_F(AgentTest, LeavesAfterSoManyJobsOrWhenIdle) {
  options_.max_jobs = 2;
  for (int i = 0; i < 3; ++i) coordinator_.AddLease("succeed");
  Start();
  EXPECT_TRUE(Join().ok());
  {
    absl::MutexLock lock(&coordinator_.mu);
    EXPECT_EQ(coordinator_.queue.size(), 1u);
  }
  agent_.reset();
  options_.max_jobs = 0;
  options_.exit_when_idle = absl::Milliseconds(50);
  Start();
  EXPECT_TRUE(Join().ok());
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_THAT(coordinator_.queue, IsEmpty());
}

TEST_F(AgentTest, ABrokenInstallationHandsJobsBackUncharged) {
  const std::string trainer = JoinPath(dir_, "trainer");
  ASSERT_TRUE(WriteFileAtomically(trainer, "not a program").ok());
  ASSERT_EQ(chmod(trainer.c_str(), 0755), 0);
  options_.trainer = trainer;
  const int64_t token = coordinator_.AddLease("succeed");
  const int64_t next = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::PREEMPTED);
  EXPECT_EQ(Finish(token).next_leases(), 0) << "none at once";
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_THAT(Heard(next).finishes, IsEmpty());
}

TEST_F(AgentTest, ADatasetThatIsGoneFailsTheAttempt) {
  const int64_t token = coordinator_.AddLease("succeed");
  {
    absl::MutexLock lock(&coordinator_.mu);
    coordinator_.artifacts.clear();
  }
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::FAILED);
  EXPECT_EQ(Finish(token).failure_kind(), v1::FAILURE_KIND_RETRYABLE);
}

TEST_F(AgentTest, WithoutATrainerItDoesNotStart) {
  options_.trainer = "/nonexistent/foldfarm-trainer";
  const auto agent = Agent::Create(options_, coordinator_, Clock::Real());
  EXPECT_EQ(agent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(agent.status().message()), HasSubstr("--trainer"));
}

}  // namespace
}  // namespace foldfarm
