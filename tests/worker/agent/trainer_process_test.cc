#include "worker/agent/trainer_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "common/base/files.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using Kind = TrainerEvent::Kind;

class Listener : public TrainerListener {
 public:
  void OnEvent(const TrainerEvent& event) override {
    events.push_back(event);
    if (on_event) on_event(event);
  }
  void OnLine(absl::string_view level, const std::string& text) override {
    lines.push_back(std::string(level) + ": " + text);
  }
  std::vector<TrainerEvent> events;
  std::vector<std::string> lines;
  std::function<void(const TrainerEvent&)> on_event;
};

class TrainerProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { dir_ = MakeTemporaryDirectory("trainer").value(); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(dir_).ok()); }

  absl::StatusOr<TrainerExit> Run(const std::string& behaviour) {
    EXPECT_TRUE(WriteFileAtomically(JoinPath(dir_, "attempt.json"),
                                    R"({"job":"s1/m/0","device":"cpu",
                                "validationSamples":["S0"],
                                "model":{"name":")" +
                                        behaviour + R"(","train":{}}})")
                    .ok());
    options_.program = FOLDFARM_BIN_DIR "/foldfarm-fake-trainer";
    options_.folder = dir_;
    return RunTrainer(options_, control_, Clock::Real(), listener_);
  }

  // Stops the attempt when the trainer says that it has started.
  void StopAtStart(StopReason reason) {
    listener_.on_event = [this, reason](const TrainerEvent& event) {
      if (event.kind == Kind::kStarted) control_.Stop(reason);
    };
  }

  std::string dir_;
  TrainerOptions options_;
  AttemptControl control_{Clock::Real()};
  Listener listener_;
};

TEST_F(TrainerProcessTest, HearsEverythingThatASuccessfulTrainerSays) {
  options_.threads = 3;
  const auto exit = Run("succeed");
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->state.exit_status, 0);
  ASSERT_EQ(listener_.events.size(), 5u);
  EXPECT_EQ(listener_.events[0].kind, Kind::kStarted);
  EXPECT_EQ(listener_.events[3].epoch, 3);
  EXPECT_EQ(listener_.events[4].kind, Kind::kFinished);
  EXPECT_THAT(listener_.lines, Contains("info: threads 3"));
}

TEST_F(TrainerProcessTest, SurvivesGarbageOnEveryChannel) {
  const auto exit = Run("garbled");
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->state.exit_status, 0);
  EXPECT_EQ(listener_.events.back().kind, Kind::kFinished);
  EXPECT_EQ(
      std::count_if(listener_.events.begin(), listener_.events.end(),
                    [](const auto& e) { return e.kind == Kind::kCheckpoint; }),
      0);
  EXPECT_THAT(listener_.lines, Contains("info: bad utf-8 ?( and a bell ?"));
  EXPECT_THAT(listener_.lines, Contains("error: no end"));
  EXPECT_THAT(listener_.lines, Contains("error: " + std::string(4096, 'e')));
  EXPECT_THAT(listener_.lines, Contains(HasSubstr("not a plain name")));
  for (const std::string& line : listener_.lines) {
    EXPECT_LT(line.size(), 5000u);
  }
}

TEST_F(TrainerProcessTest, ADrainedTrainerLeavesACheckpoint) {
  StopAtStart(StopReason::kDrain);
  const auto exit = Run("wait");
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->state.exit_status, kExitStopped);
  EXPECT_EQ(listener_.events.back().kind, Kind::kCheckpoint);
  EXPECT_TRUE(
      FileExists(JoinPath(dir_, "checkpoint-000001/state.safetensors")));
}

TEST_F(TrainerProcessTest, ATrainerThatIgnoresTheStopIsKilledAfterTheGrace) {
  options_.cancel_grace = absl::Milliseconds(50);
  StopAtStart(StopReason::kCancel);
  const auto exit = Run("ignore_stop");
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->state.signal, SIGKILL);
  EXPECT_FALSE(exit->out_of_memory) << "it was we";
}

TEST_F(TrainerProcessTest, AnAbandonedTrainerIsKilledAtOnce) {
  StopAtStart(StopReason::kAbandon);
  const auto exit = Run("wait");
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->state.signal, SIGKILL);
}

TEST_F(TrainerProcessTest, ACrashIsSeenAsItsSignal) {
  const auto exit = Run("crash");
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->state.signal, SIGABRT);
}

TEST_F(TrainerProcessTest, AProgramThatIsNotThereIsAnError) {
  options_.folder = dir_;
  options_.program = "/nonexistent/trainer";
  const auto exit = RunTrainer(options_, control_, Clock::Real(), listener_);
  EXPECT_EQ(exit.status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace foldfarm
