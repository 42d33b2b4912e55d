#include "worker/agent/progress_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/worker/agent/fake_coordinator.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kToken = 7;

class ProgressReporterTest : public ::testing::Test {
 protected:
  void SetUp() override { dir_ = MakeTemporaryDirectory("report").value(); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(dir_).ok()); }

  void AddEpoch(int epoch) {
    TrainerEvent event;
    event.kind = TrainerEvent::Kind::kEpoch;
    event.epoch = epoch;
    event.metrics["log_loss"] = 0.5;
    reporter_->AddEpoch(event);
  }

  std::string AddCheckpoint(int epoch) {
    TrainerEvent event;
    event.kind = TrainerEvent::Kind::kCheckpoint;
    event.epoch = epoch;
    event.path = absl::StrCat("checkpoint-", epoch);
    const std::string path = JoinPath(dir_, event.path);
    EXPECT_TRUE(MakeDirectories(path).ok());
    for (const char* name : {"weights.safetensors", "state.safetensors"}) {
      EXPECT_TRUE(
          WriteFileAtomically(JoinPath(path, name), absl::StrCat(name, epoch))
              .ok());
    }
    reporter_->AddCheckpoint(event);
    return path;
  }

  FakeCoordinator::Heard Heard() {
    absl::MutexLock lock(&coordinator_.mu);
    return coordinator_.heard[kToken];
  }

  void Start() {
    reporter_ = std::make_unique<ProgressReporter>(coordinator_, Clock::Real(),
                                                   control_, kToken, dir_);
  }

  std::string dir_;
  FakeCoordinator coordinator_;
  AttemptControl control_{Clock::Real()};
  std::unique_ptr<ProgressReporter> reporter_;
};

TEST_F(ProgressReporterTest, DeliversEveryEpochOnceAndLinesInOrder) {
  Start();
  for (int i = 1; i <= 1200; ++i) AddEpoch(i);
  for (int i = 1; i <= 2500; ++i) reporter_->AddLine("info", absl::StrCat(i));
  EXPECT_TRUE(reporter_->Flush(true));
  const auto heard = Heard();
  ASSERT_EQ(heard.epochs.size(), 1200u);
  for (const auto& [epoch, times] : heard.epochs) EXPECT_EQ(times, 1) << epoch;
  ASSERT_EQ(heard.lines.size(), 2500u);
  EXPECT_EQ(heard.lines[0], "info: 1");
  EXPECT_EQ(heard.lines[2499], "info: 2500");
  EXPECT_EQ(reporter_->LogTail().size(), 200u);
  EXPECT_EQ(reporter_->LogTail().back(), "2500");
}

TEST_F(ProgressReporterTest, KeepsEverythingWhileTheCoordinatorIsAway) {
  coordinator_.GoAway();
  Start();
  AddEpoch(1);
  AddCheckpoint(1);
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["ReportProgress"] >= 2; }));
  AddEpoch(2);
  coordinator_.ComeBack();
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_EQ(Heard().epochs.size(), 2u);
  EXPECT_EQ(Heard().checkpoint_epoch, 1);
}

TEST_F(ProgressReporterTest, ALostReplyIsMadeGoodByRepeating) {
  bool lost = false;
  coordinator_.SetFault([&lost](const std::string& call) {
    if (call != "ReportProgress reply" || lost) return absl::OkStatus();
    lost = true;
    return absl::UnavailableError("connection reset");
  });
  Start();
  AddEpoch(1);
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_EQ(Heard().epochs[1], 2) << "storing (job, epoch) once is the "
                                     "coordinator's part";
}

TEST_F(ProgressReporterTest, OnlyTheNewestOfWaitingCheckpointsIsSent) {
  coordinator_.GoAway();
  Start();
  const std::string first = AddCheckpoint(1);
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["Upload"] >= 1; }));
  const std::string second = AddCheckpoint(2);
  const std::string third = AddCheckpoint(3);
  EXPECT_FALSE(FileExists(second));
  coordinator_.ComeBack();
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_EQ(Heard().checkpoint_epoch, 3);
  ASSERT_EQ(Heard().checkpoint.size(), 2u);
  EXPECT_EQ(Heard().checkpoint[1].name(), "weights.safetensors");
  EXPECT_FALSE(FileExists(first));
  EXPECT_FALSE(FileExists(third));
}

TEST_F(ProgressReporterTest, ACheckpointNeverArrivesBeforeItsEpochs) {
  coordinator_.GoAway();
  Start();
  AddEpoch(1);
  AddCheckpoint(1);
  // The next epoch ends, and leaves its checkpoint, while a report without it
  // is on its way.
  bool added = false;
  coordinator_.SetFault([&](const std::string& call) {
    if (call == "ReportProgress reply" && !added) {
      added = true;
      AddEpoch(2);
      AddCheckpoint(2);
    }
    return absl::OkStatus();
  });
  bool epoch_was_there = false;
  ASSERT_TRUE(coordinator_.WaitUntil([&] {
    const auto& heard = coordinator_.heard[kToken];
    epoch_was_there = heard.epochs.count(2) > 0;
    return heard.checkpoint_epoch == 2;
  }));
  EXPECT_TRUE(epoch_was_there);
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_EQ(Heard().epochs[2], 1);
}

TEST_F(ProgressReporterTest, ALongBacklogOfEpochsArrivesBeforeItsCheckpoint) {
  coordinator_.GoAway();
  Start();
  AddEpoch(1);
  AddCheckpoint(1);
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["ReportProgress"] >= 1; }));
  // While the first report is on its way, training goes on.
  bool once = false;
  coordinator_.SetFault([this, &once](const std::string& call) {
    if (call == "ReportProgress" && !once) {
      once = true;
      for (int epoch = 2; epoch <= 5000; ++epoch) AddEpoch(epoch);
      AddCheckpoint(5000);
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.heard[kToken].checkpoint_epoch == 5000; }));
  EXPECT_FALSE(Heard().checkpoint_ahead);
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_EQ(Heard().epochs.size(), 5000u);
}

TEST_F(ProgressReporterTest, ACheckpointWithoutItsFilesIsDroppedNotRepeated) {
  Start();
  TrainerEvent event;
  event.kind = TrainerEvent::Kind::kCheckpoint;
  event.epoch = 4;
  event.path = "nowhere";
  reporter_->AddCheckpoint(event);
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_EQ(Heard().checkpoint_epoch, 0);
}

TEST_F(ProgressReporterTest, ALogWithoutEndEndsWithANote) {
  Start();
  const std::string line(4096, 'x');
  for (int i = 0; i < 5000; ++i) reporter_->AddLine("info", line);
  reporter_->AddLine("info", "the last");
  EXPECT_TRUE(reporter_->Flush(true));
  EXPECT_THAT(Heard().lines.back(), HasSubstr("the log ends here"));
  EXPECT_EQ(reporter_->LogTail().back(), "the last");
}

TEST_F(ProgressReporterTest, ASuccessDoesNotWaitForACheckpointOnItsWay) {
  coordinator_.SetFault([](const std::string& call) {
    return call == "Upload" ? absl::UnavailableError("slow") : absl::OkStatus();
  });
  Start();
  AddEpoch(1);
  AddCheckpoint(1);
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["Upload"] >= 1; }));
  EXPECT_TRUE(reporter_->Flush(/*with_checkpoint=*/false));
  EXPECT_EQ(Heard().epochs.size(), 1u);
}

TEST_F(ProgressReporterTest, AStaleTokenAbandonsTheAttempt) {
  coordinator_.SetFault([](const std::string& call) {
    return call == "ReportProgress" ? absl::AbortedError("stale")
                                    : absl::OkStatus();
  });
  Start();
  AddEpoch(1);
  EXPECT_TRUE(control_.WaitAtLeast(StopReason::kAbandon, absl::Seconds(20)));
  EXPECT_FALSE(reporter_->Flush(true));
}

TEST_F(ProgressReporterTest, KeepsTheNewestLinesAndCountsTheRest) {
  coordinator_.GoAway();
  Start();
  for (int i = 1; i <= 10'100; ++i) reporter_->AddLine("info", absl::StrCat(i));
  coordinator_.ComeBack();
  EXPECT_TRUE(reporter_->Flush(true));
  const auto heard = Heard();
  EXPECT_EQ(heard.lines.size(), 10'000u);
  EXPECT_THAT(heard.lines[0], HasSubstr("101 lines were dropped"));
  EXPECT_EQ(heard.lines.back(), "info: 10100");
}

}  // namespace
}  // namespace foldfarm
