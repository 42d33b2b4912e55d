// The program foldfarm-worker, from outside.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "tests/testing/signal_mask.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Nobody listens there.
constexpr char kNowhere[] = "127.0.0.1:1";

class WorkerMainTest : public ::testing::Test {
 protected:
  WorkerMainTest() : directory_(*MakeTemporaryDirectory("worker-main-")) {}
  ~WorkerMainTest() override { RemoveRecursively(directory_).IgnoreError(); }

  struct Ended {
    int exit_status = -1;
    std::string output;
  };

  // Runs it to its end.
  Ended Run(const std::vector<std::string>& arguments) {
    const std::string path = JoinPath(directory_, "output");
    const int file =
        open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    EXPECT_GE(file, 0);
    SubprocessOptions options;
    options.argv = {absl::StrCat(FOLDFARM_BIN_DIR, "/foldfarm-worker"), "--dir",
                    JoinPath(directory_, "cache")};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.descriptors = {{1, file}, {2, file}};
    const auto child = Subprocess::Spawn(options);
    close(file);
    EXPECT_TRUE(child.ok()) << child.status();
    if (!child.ok()) return {};
    const ExitState end = (*child)->Wait();
    EXPECT_EQ(end.signal, 0);
    return {end.exit_status, ReadFile(path).value_or("")};
  }

  // Runs it without a coordinator; `act` is told its process, which has its
  // signals blocked and waits for them.
  Ended RunAndAct(const std::function<void(pid_t)>& act) {
    const std::string path = JoinPath(directory_, "output");
    SubprocessOptions options;
    options.argv = {absl::StrCat(FOLDFARM_BIN_DIR, "/foldfarm-worker"),
                    "--dir",
                    JoinPath(directory_, "cache"),
                    "--coordinator",
                    kNowhere,
                    "--device",
                    "cpu",
                    "--trainer",
                    absl::StrCat(FOLDFARM_BIN_DIR, "/foldfarm-fake-trainer"),
                    "--log-file",
                    path};
    const auto child = Subprocess::Spawn(options);
    EXPECT_TRUE(child.ok()) << child.status();
    if (!child.ok()) return {};
    while (!BlocksOrEnded((*child)->pid(), SIGTERM)) sched_yield();
    act((*child)->pid());
    const ExitState end = (*child)->Wait();
    EXPECT_EQ(end.signal, 0);
    return {end.exit_status, ReadFile(path).value_or("")};
  }

  // Runs it until it is tired of a coordinator that is not there.
  Ended RunAlone(const std::string& device, const std::string& trainer) {
    return Run({"--coordinator", kNowhere, "--exit-when-idle", "0.25",
                "--device", device, "--trainer", trainer});
  }

  // A trainer that runs `script` when it is asked for its devices.
  std::string TrainerThat(const std::string& script) {
    const std::string path = JoinPath(directory_, "trainer");
    EXPECT_TRUE(
        WriteFileAtomically(path, absl::StrCat("#!/bin/sh\n[ \"$1\" = devices "
                                               "] || exit 64\n",
                                               script, "\n"))
            .ok());
    EXPECT_EQ(chmod(path.c_str(), 0755), 0);
    return path;
  }

  const std::string directory_;
};

TEST_F(WorkerMainTest, AWrongNumberIsToldWithWhatIsExpected) {
  const std::vector<std::vector<std::string>> cases = {
      {"--max-jobs", "0", "got 0, expected more than 0"},
      {"--exit-when-idle", "-1", "got -1, expected more than 0"},
      {"--drain-timeout", "x", "got \"x\", expected a number, more than 0"},
      {"--cache-size", "-1", "got -1, expected at least 0"},
      {"--slots", "0", "got 0, expected 1 to 1024"},
      {"--threads", "1025", "got 1025, expected 1 to 1024"}};
  for (const std::vector<std::string>& one : cases) {
    const Ended ended = Run({one[0], one[1]});
    EXPECT_EQ(ended.exit_status, 2);
    EXPECT_EQ(ended.output,
              absl::StrCat("foldfarm-worker: ", one[0], ": ", one[2],
                           "\nSee foldfarm-worker --help.\n"));
  }
}

TEST_F(WorkerMainTest, AnUnknownOptionIsToldWithTheOneThatWasMeant) {
  const Ended mistyped = Run({"--slot", "2"});
  EXPECT_EQ(mistyped.exit_status, 2);
  EXPECT_THAT(mistyped.output,
              StartsWith("foldfarm-worker: unknown option \"--slot\" (did you "
                         "mean \"--slots\"?)\n"));
  EXPECT_THAT(
      Run({"gpu1"}).output,
      StartsWith(
          "foldfarm-worker: The following argument was not expected: gpu1\n"));
}

TEST_F(WorkerMainTest, AFarmThatNeverAnsweredIsNoSuccess) {
  const Ended ended =
      RunAlone("cpu", absl::StrCat(FOLDFARM_BIN_DIR, "/foldfarm-fake-trainer"));
  EXPECT_EQ(ended.exit_status, 3) << ended.output;
  EXPECT_THAT(ended.output,
              HasSubstr("foldfarm-worker: 127.0.0.1:1: the coordinator never "
                        "answered within 250ms (--exit-when-idle): "));
}

TEST_F(WorkerMainTest, AGpuThatItsTrainerDoesNotSeeIsRefused) {
  const Ended none = RunAlone("cuda:0", TrainerThat("echo cpu"));
  EXPECT_EQ(none.exit_status, 2) << none.output;
  EXPECT_THAT(none.output,
              AllOf(HasSubstr("--device: "), HasSubstr("cuda:0"),
                    HasSubstr("--device cpu"), HasSubstr("CUDA LibTorch")));
  const std::string one_gpu = TrainerThat("echo cpu; echo cuda:0");
  const Ended second = RunAlone("cuda:0,cuda:1", one_gpu);
  EXPECT_EQ(second.exit_status, 2) << second.output;
  EXPECT_THAT(second.output, HasSubstr("does not see cuda:1"));
  EXPECT_EQ(RunAlone("cuda:0", one_gpu).exit_status, 3) << "it started";
}

TEST_F(WorkerMainTest, ATrainerThatCannotSayWhatItSeesIsTrusted) {
  for (const char* script : {"exit 64", "echo what?", "kill -9 $$"}) {
    const Ended ended = RunAlone("cuda:0", TrainerThat(script));
    EXPECT_EQ(ended.exit_status, 3) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("cannot be asked which GPUs it sees"))
        << script;
  }
}

TEST_F(WorkerMainTest, ForTheCpuTheTrainerIsNotAsked) {
  const std::string asked = JoinPath(directory_, "asked");
  const Ended ended =
      RunAlone("cpu", TrainerThat(absl::StrCat("touch ", asked)));
  EXPECT_EQ(ended.exit_status, 3) << ended.output;
  EXPECT_NE(access(asked.c_str(), F_OK), 0);
  EXPECT_THAT(ended.output, Not(HasSubstr("GPU")));
}

TEST_F(WorkerMainTest, ASignalThatComesTwiceAtOnceDrains) {
  // As timeout(1) sends it.
  const Ended ended = RunAndAct([](pid_t pid) {
    kill(pid, SIGTERM);
    kill(pid, SIGINT);
  });
  EXPECT_EQ(ended.exit_status, 0) << ended.output;
  EXPECT_THAT(ended.output, Not(HasSubstr("killing")));
}

TEST_F(WorkerMainTest, ASignalOfOthersMakesItDeafToNone) {
  const Ended ended = RunAndAct([](pid_t pid) {
    kill(pid, SIGUSR1);
    kill(pid, SIGTERM);
  });
  EXPECT_EQ(ended.exit_status, 0) << ended.output;
}

}  // namespace
}  // namespace foldfarm
