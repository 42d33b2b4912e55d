// Attempts of users' programs: small shell scripts that behave well and badly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/worker/agent/fake_coordinator.h"
#include "worker/agent/attempt_runner.h"
#include "worker/agent/exec_program.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Says that it has started, and that it is done, in a shell script.
constexpr char kStarted[] =
    R"(echo '{"event":"started","epochs":3,"resumed_epoch":0}' >&3
)";
constexpr char kFinished[] = R"(echo x > oof.safetensors
echo '{"event":"finished","files":["oof.safetensors"]}' >&3
)";

class ExecAttemptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = MakeTemporaryDirectory("exec").value();
    options_.scratch = JoinPath(dir_, "scratch");
    ASSERT_TRUE(MakeDirectories(options_.scratch).ok());
    options_.device = "cpu";
    options_.allow_exec = true;
    options_.trainer.program = "/nonexistent/foldfarm-trainer";
    options_.trainer.supervisor = FOLDFARM_BIN_DIR "/foldfarm-worker";
    options_.trainer.threads = 2;
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(dir_).ok()); }

  // A lease on a job that runs `script` in a shell.
  v1::Lease LeaseFor(const std::string& script) {
    const int64_t token = coordinator_.AddProgram("mine", "./program.sh");
    coordinator_.AddInput(token, "program.sh",
                          absl::StrCat("#!/bin/sh\n", script));
    absl::MutexLock lock(&coordinator_.mu);
    v1::Lease lease = coordinator_.queue.back();
    coordinator_.queue.pop_back();
    v1::AttemptSpec& spec = *lease.mutable_spec();
    spec.set_job("s1/mine/0");
    spec.set_attempt(1);
    v1::ExecSpec& exec = *spec.mutable_model()->mutable_arch()->mutable_exec();
    exec.set_epochs(3);
    return lease;
  }

  v1::FinishAttemptRequest Run(const v1::Lease& lease) {
    token_ = lease.token();
    DatasetCache cache(dir_, coordinator_);
    AttemptRunner runner(options_, lease, coordinator_, cache, Clock::Real(),
                         control_);
    const auto request = runner.Run();
    EXPECT_TRUE(request.has_value());
    at_fault_ = runner.worker_at_fault();
    return request.value_or(v1::FinishAttemptRequest());
  }
  v1::FinishAttemptRequest Run(const std::string& script) {
    return Run(LeaseFor(script));
  }

  FakeCoordinator::Heard Heard() {
    absl::MutexLock lock(&coordinator_.mu);
    return coordinator_.heard[token_];
  }

  std::string dir_;
  FakeCoordinator coordinator_;
  AttemptRunner::Options options_;
  AttemptControl control_{Clock::Real()};
  int64_t token_ = 0;
  bool at_fault_ = false;
};

TEST_F(ExecAttemptTest, AProgramGetsItsJobAndLittleElse) {
  setenv("FOLDFARM_TOKEN", "secret", 1);
  v1::Lease lease = LeaseFor(absl::StrCat(
      "env | sort; pwd; cat config.json; ls /proc/self/fd | tr '\\n' ' '\n",
      "grep -c s1/mine/0 attempt.json\n", kStarted, kFinished));
  auto& config = *lease.mutable_spec()
                      ->mutable_model()
                      ->mutable_arch()
                      ->mutable_exec()
                      ->mutable_config();
  (*config.mutable_fields())["depth"].set_number_value(7);
  const auto request = Run(lease);
  EXPECT_EQ(request.outcome(), v1::Attempt::SUCCEEDED) << request.error();
  ASSERT_THAT(request.artifacts(), SizeIs(1)) << "weights are optional";
  const auto heard = Heard();
  EXPECT_EQ(heard.device, "cpu");
  for (const char* line :
       {"info: OMP_NUM_THREADS=2",
        "info: CUDA_VISIBLE_DEVICES=", "info: FOLDFARM_JOB=s1/mine/0",
        "info: FOLDFARM_DEVICE=cpu", "info:  \"depth\": 7"}) {
    EXPECT_THAT(heard.lines, Contains(line));
  }
  EXPECT_THAT(heard.lines, Contains(HasSubstr(options_.scratch)));
  // Its pipes and the folder that ls reads; then its job, found once.
  EXPECT_THAT(heard.lines, Contains("info: 0 1 2 3 4 1"));
  EXPECT_THAT(heard.lines, Not(Contains(HasSubstr("secret"))));
  unsetenv("FOLDFARM_TOKEN");
}

TEST_F(ExecAttemptTest, AWorkerThatWasNotAllowedToHandsItBackUncharged) {
  options_.allow_exec = false;
  const auto request = Run("touch /tmp/never");
  EXPECT_EQ(request.outcome(), v1::Attempt::PREEMPTED);
  EXPECT_THAT(request.error(), HasSubstr("--allow-exec"));
  EXPECT_TRUE(at_fault_) << "asks for no other at once";
}

struct BadProgram {
  const char* name;
  const char* script;
  v1::FailureKind kind;
  const char* error;
};

class BadProgramTest : public ExecAttemptTest,
                       public ::testing::WithParamInterface<BadProgram> {};

TEST_P(BadProgramTest, EndsAsOneClearFailure) {
  const auto request =
      Run(absl::StrCat("echo last words\n", GetParam().script));
  EXPECT_EQ(request.outcome(), v1::Attempt::FAILED);
  EXPECT_EQ(request.failure_kind(), GetParam().kind);
  EXPECT_THAT(request.error(), AllOf(HasSubstr("program \"./program.sh\""),
                                     HasSubstr(GetParam().error)));
  EXPECT_THAT(request.log_tail(), Contains("last words"));
  EXPECT_THAT(request.artifacts(), IsEmpty());
}

constexpr v1::FailureKind kRetryable = v1::FAILURE_KIND_RETRYABLE;

INSTANTIATE_TEST_SUITE_P(
    Programs, BadProgramTest,
    ::testing::Values(
        BadProgram{"ExitsAtOnce", "exit 0", kRetryable,
                   "status 0 but never said \"finished\""},
        BadProgram{"ExitsWithOne", "exit 1", kRetryable, "status 1"},
        BadProgram{"ExitsWithAnUnknownCode", "exit 213", kRetryable,
                   "status 213"},
        BadProgram{"RefusesItsConfiguration",
                   "echo '{\"event\":\"failed\",\"message\":\"no l2\"}' >&3\n"
                   "exit 64",
                   v1::FAILURE_KIND_PERMANENT, "no l2"},
        BadProgram{"IsOutOfMemory", "exit 71", v1::FAILURE_KIND_OUT_OF_MEMORY,
                   "out of memory"},
        BadProgram{"StopsUnasked", "exit 75", kRetryable, "nobody asked"},
        BadProgram{"Crashes", "kill -SEGV $$", kRetryable,
                   "signal 11 (Segmentation fault)"},
        BadProgram{"LeavesNoOof",
                   "echo '{\"event\":\"finished\",\"files\":[]}' >&3",
                   kRetryable, "expected oof.safetensors among them"},
        BadProgram{
            "NamesAnOofThatIsNotThere",
            "echo '{\"event\":\"finished\",\"files\":[\"oof.safetensors\"]}' "
            ">&3",
            kRetryable, "oof.safetensors: cannot stat"},
        BadProgram{
            "LinksItsOofElsewhere",
            "ln -s /etc/passwd oof.safetensors\n"
            "echo '{\"event\":\"finished\",\"files\":[\"oof.safetensors\"]}' "
            ">&3",
            kRetryable, "expected a regular file"},
        BadProgram{
            "LeavesAPipeForAnOof",
            "mkfifo oof.safetensors\n"
            "echo '{\"event\":\"finished\",\"files\":[\"oof.safetensors\"]}' "
            ">&3",
            kRetryable, "expected a regular file"}),
    [](const auto& info) { return std::string(info.param.name); });

struct BadCommand {
  const char* name;
  const char* command;
  const char* program;  // The file program.sh.
  const char* error;
};

class BadCommandTest : public ExecAttemptTest,
                       public ::testing::WithParamInterface<BadCommand> {};

TEST_P(BadCommandTest, IsNeverTriedAgainAndSaysWhatIsMissing) {
  const int64_t token = coordinator_.AddProgram("mine", GetParam().command);
  coordinator_.AddInput(token, "program.sh", GetParam().program);
  v1::Lease lease;
  {
    absl::MutexLock lock(&coordinator_.mu);
    lease = coordinator_.queue.back();
    coordinator_.queue.pop_back();
  }
  const auto request = Run(lease);
  EXPECT_EQ(request.outcome(), v1::Attempt::FAILED);
  EXPECT_EQ(request.failure_kind(), v1::FAILURE_KIND_PERMANENT);
  EXPECT_THAT(request.error(), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Commands, BadCommandTest,
    ::testing::Values(
        BadCommand{"NotInPath", "no-such-program", "",
                   "program no-such-program is not in this worker's PATH ("},
        BadCommand{"NotInTheFolder", "./train.py", "",
                   "program ./train.py cannot be found"},
        BadCommand{"NotAtItsPath", "/no/such/python3", "",
                   "program /no/such/python3 cannot be found"},
        BadCommand{"NotExecutable", "/etc/passwd", "", "is not executable"},
        BadCommand{"AFolder", "/usr", "", "is not a file"},
        BadCommand{"NoInterpreterNamed", "./program.sh", "echo hello\n",
                   "#!/usr/bin/python3"},
        BadCommand{"NoSuchInterpreter", "./program.sh", "#!/no/such/python\n",
                   "interpreter that its first line names"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(ExecAttemptTest, GarbageOnItsChannelsDoesNotHarmASuccess) {
  const auto request = Run(absl::StrCat(kStarted,
                                        R"(echo 'not json' >&3
echo '{"event":"epoch","epoch":1,"metrics":{"log_loss":NaN}}' >&3
echo '{"event":"epoch","epoch":1,"metrics":{"log_loss":null,"a":1}}' >&3
echo '{"event":"epoch","epoch":2}' >&3
echo '{"event":"epoch","epoch":1,"metrics":{"a":2}}' >&3
echo '{"event":"started","epochs":9}' >&3
echo '{"event":"started","epochs":9,"resumed_epoch":0}' >&3
head -c 3000000 /dev/zero | tr '\0' x >&3; echo >&3
head -c 100000 /dev/zero; echo
printf '\377\376\n' >&2
)",
                                        kFinished));
  EXPECT_EQ(request.outcome(), v1::Attempt::SUCCEEDED) << request.error();
  const auto heard = Heard();
  EXPECT_THAT(heard.epochs, SizeIs(2));
  EXPECT_THAT(heard.lines, Contains(HasSubstr("no NaN and no Infinity")));
  EXPECT_THAT(heard.lines, Contains("warning: epoch 1 after epoch 2: ignored"));
  EXPECT_THAT(heard.lines, Contains(HasSubstr("a second \"started\"")));
  EXPECT_THAT(heard.lines, Contains("error: ??"));
}

TEST_F(ExecAttemptTest, AProgramThatNeverSaysStartedIsStartedAllTheSame) {
  const auto request =
      Run(absl::StrCat(R"(echo '{"event":"epoch","epoch":1}' >&3
)",
                       kFinished));
  EXPECT_EQ(request.outcome(), v1::Attempt::SUCCEEDED) << request.error();
  EXPECT_TRUE(Heard().started);
  EXPECT_EQ(Heard().device, "cpu");
}

TEST_F(ExecAttemptTest, CheckpointsOfAnyPlainFilesAreStoredAndCannotLeadAway) {
  const auto request = Run(absl::StrCat(kStarted, R"(say() { echo "$1" >&3; }
say '{"event":"epoch","epoch":1}'
mkdir good; echo a > good/model.txt; echo b > 'good/state 2.bin'
say '{"event":"checkpoint","epoch":1,"path":"good"}'
mkdir linked; ln -s /etc/passwd linked/model.txt
say '{"event":"checkpoint","epoch":1,"path":"linked"}'
ln -s /etc outside
say '{"event":"checkpoint","epoch":1,"path":"outside"}'
say '{"event":"checkpoint","epoch":1,"path":"../.."}'
say '{"event":"checkpoint","epoch":1,"path":"attempt.json"}'
say '{"event":"checkpoint","epoch":1,"path":"nowhere"}'
say '{"event":"checkpoint","epoch":9,"path":"good"}'
exit 1
)"));
  EXPECT_EQ(request.outcome(), v1::Attempt::FAILED);
  const auto heard = Heard();
  for (const char* complaint :
       {"outside is not a folder", "not a plain name",
        "attempt.json is not a folder", "nowhere is not a folder",
        "checkpoint of epoch 9 after epoch 1",
        "model.txt is not a regular file"}) {
    EXPECT_THAT(heard.lines, Contains(HasSubstr(complaint)));
  }
}

TEST_F(ExecAttemptTest, ACheckpointComesBackAsTheProgramWroteIt) {
  const auto failed = Run(absl::StrCat(kStarted, R"(
echo '{"event":"epoch","epoch":2}' >&3
mkdir state; echo 'two epochs' > state/notes.txt; echo w > state/w
echo '{"event":"checkpoint","epoch":2,"path":"state"}' >&3
exit 1
)"));
  EXPECT_EQ(failed.outcome(), v1::Attempt::FAILED);
  const auto stored = Heard();
  ASSERT_EQ(stored.checkpoint_epoch, 2);
  ASSERT_THAT(stored.checkpoint, SizeIs(2));

  v1::Lease lease = LeaseFor(absl::StrCat("cat checkpoint/notes.txt\n", R"(
echo '{"event":"started","epochs":3,"resumed_epoch":2}' >&3
echo '{"event":"epoch","epoch":2}' >&3
echo '{"event":"epoch","epoch":3}' >&3
)",
                                          kFinished));
  for (const auto& artifact : stored.checkpoint) {
    *lease.add_checkpoint() = artifact;
  }
  lease.set_checkpoint_epoch(2);
  const auto request = Run(lease);
  EXPECT_EQ(request.outcome(), v1::Attempt::SUCCEEDED) << request.error();
  EXPECT_EQ(Heard().resumed_epoch, 2);
  EXPECT_THAT(Heard().lines, Contains("info: two epochs"));
  EXPECT_THAT(Heard().epochs, SizeIs(1)) << "epoch 2 is of the past";
}

// Waits until the script has said a line that holds `text`.
bool WaitForLine(FakeCoordinator& coordinator, int64_t token,
                 const std::string& text) {
  return coordinator.WaitUntil([&] {
    for (const std::string& line : coordinator.heard[token].lines) {
      if (absl::StrContains(line, text)) return true;
    }
    return false;
  });
}

// True when no process `pid` is left but a zombie.
bool IsGone(const std::string& pid) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
  return !text.ok() || text->empty();
}

// The last word of the line that holds `text`.
std::string PidFrom(const std::vector<std::string>& lines,
                    const std::string& text) {
  for (const std::string& line : lines) {
    if (absl::StrContains(line, text)) return line.substr(line.rfind(' ') + 1);
  }
  return "";
}

// Two that nobody waits for, one of them in a session of its own.
constexpr char kFamily[] = R"(sleep 600 & echo "child $!"
setsid sh -c 'echo "stray $$"; exec sleep 600' &
)";

TEST_F(ExecAttemptTest, ACancelReachesEveryProcessOfTheFamily) {
  const v1::Lease lease = LeaseFor(
      absl::StrCat(kFamily, "trap 'echo asked; exit 75' TERM\n", kStarted,
                   "echo ready; while :; do sleep 0.05; done\n"));
  std::thread canceller([&] {
    EXPECT_TRUE(WaitForLine(coordinator_, lease.token(), "ready"));
    EXPECT_TRUE(WaitForLine(coordinator_, lease.token(), "stray"));
    control_.Stop(StopReason::kCancel);
  });
  options_.trainer.cancel_grace = absl::Seconds(2);
  const auto request = Run(lease);
  canceller.join();
  EXPECT_EQ(request.outcome(), v1::Attempt::CANCELLED);
  EXPECT_EQ(request.exit_status(), 75);
  EXPECT_THAT(Heard().lines, Contains("info: asked"));
  EXPECT_TRUE(IsGone(PidFrom(Heard().lines, "child")));
  EXPECT_TRUE(IsGone(PidFrom(Heard().lines, "stray")));
}

TEST_F(ExecAttemptTest, WhatAProgramLeavesRunningEndsWithIt) {
  const auto request =
      Run(absl::StrCat(kFamily, "sleep 0.2\n", kStarted, kFinished));
  EXPECT_EQ(request.outcome(), v1::Attempt::SUCCEEDED) << request.error();
  EXPECT_TRUE(IsGone(PidFrom(Heard().lines, "child")));
  EXPECT_TRUE(IsGone(PidFrom(Heard().lines, "stray")));
}

TEST_F(ExecAttemptTest, AProgramThatRunsTooLongFailsWithItsCheckpoint) {
  v1::Lease lease = LeaseFor(absl::StrCat(
      R"(trap 'mkdir c; echo s > c/s
echo "{\"event\":\"checkpoint\",\"epoch\":1,\"path\":\"c\"}" >&3; exit 75' TERM
)",
      kStarted, "echo '{\"event\":\"epoch\",\"epoch\":1}' >&3\n",
      "while :; do sleep 0.02; done\n"));
  lease.mutable_spec()
      ->mutable_model()
      ->mutable_arch()
      ->mutable_exec()
      ->set_timeout_minutes(0.3 / 60);
  const auto request = Run(lease);
  EXPECT_EQ(request.outcome(), v1::Attempt::FAILED);
  EXPECT_EQ(request.failure_kind(), v1::FAILURE_KIND_RETRYABLE);
  EXPECT_THAT(request.error(), HasSubstr("timeout_minutes"));
  EXPECT_EQ(Heard().checkpoint_epoch, 1);
}

TEST_F(ExecAttemptTest, AProgramThatIgnoresTheTimeoutIsKilled) {
  options_.trainer.cancel_grace = absl::Milliseconds(50);
  v1::Lease lease = LeaseFor(absl::StrCat("trap '' TERM\n", kStarted,
                                          "while :; do sleep 0.02; done\n"));
  lease.mutable_spec()
      ->mutable_model()
      ->mutable_arch()
      ->mutable_exec()
      ->set_timeout_minutes(0.2 / 60);
  const auto request = Run(lease);
  EXPECT_EQ(request.signal(), SIGKILL);
  EXPECT_EQ(request.failure_kind(), v1::FAILURE_KIND_RETRYABLE);
  EXPECT_THAT(request.error(), HasSubstr("timeout_minutes"));
}

}  // namespace
}  // namespace foldfarm
