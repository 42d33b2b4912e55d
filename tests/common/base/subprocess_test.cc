// Children: how they start, what they inherit, and that none is left behind.
#include "common/base/subprocess.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "common/base/files.h"

namespace foldfarm {
namespace {

using testing::HasSubstr;

// Both ends of a pipe; whatever reads it sees the end once all writers died, so
// a test waits for processes without asking a clock.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close(ends_[0]);
    CloseWriter();
  }
  int writer() const { return ends_[1]; }
  void CloseWriter() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }

  // What comes until a line ends or all writers are gone.
  std::string ReadLine() {
    std::string line;
    char c;
    while (WaitForData() && read(ends_[0], &c, 1) == 1 && c != '\n') line += c;
    return line;
  }

  // True once every writer is gone.
  bool AtEnd() {
    char c;
    return WaitForData() && read(ends_[0], &c, 1) == 0;
  }

 private:
  // Not for ever: a broken test fails instead of hanging.
  bool WaitForData() {
    pollfd entry{ends_[0], POLLIN, 0};
    return poll(&entry, 1, 20'000) == 1;
  }

  int ends_[2];
};

std::unique_ptr<Subprocess> Spawn(SubprocessOptions options) {
  auto child = Subprocess::Spawn(options);
  EXPECT_TRUE(child.ok()) << child.status();
  return std::move(child).value();
}

TEST(SubprocessTest, TellsHowAChildEnded) {
  auto child = Spawn({.argv = {"sh", "-c", "exit 75"}});
  const ExitState ended = child->Wait();
  EXPECT_EQ(ended.exit_status, 75);
  EXPECT_EQ(ended.signal, 0);
  ASSERT_TRUE(child->Poll().has_value());
  EXPECT_EQ(child->Poll()->exit_status, 75);
  child->Signal(SIGKILL);  // Of no consequence after the end.

  EXPECT_EQ(Spawn({.argv = {"sh", "-c", "kill -SEGV $$"}})->Wait().signal,
            SIGSEGV);
}

TEST(SubprocessTest, PollDoesNotWait) {
  auto child = Spawn({.argv = {"sleep", "600"}});
  EXPECT_FALSE(child->Poll().has_value());
  child->Signal(SIGTERM);
  EXPECT_EQ(child->Wait().signal, SIGTERM);
}

TEST(SubprocessTest, AProgramThatDoesNotExistIsAnErrorNotAChild) {
  const auto by_path = Subprocess::Spawn({.argv = {"/no/such/program"}});
  EXPECT_TRUE(absl::IsNotFound(by_path.status())) << by_path.status();
  EXPECT_THAT(std::string(by_path.status().message()),
              HasSubstr("/no/such/program"));
  EXPECT_TRUE(absl::IsNotFound(
      Subprocess::Spawn({.argv = {"no-such-program"}}).status()));
  const auto folder = Subprocess::Spawn(
      {.argv = {"true"}, .working_directory = "/no/such/folder"});
  EXPECT_TRUE(absl::IsNotFound(folder.status())) << folder.status();
  const auto text = Subprocess::Spawn({.argv = {"/etc/passwd"}});
  EXPECT_TRUE(absl::IsPermissionDenied(text.status())) << text.status();
}

TEST(SubprocessTest, AChildGetsItsFolderEnvironmentAndDescriptors) {
  const std::string directory = *MakeTemporaryDirectory("subprocess_test");
  Pipe out;
  auto child =
      Spawn({.argv = {"sh", "-c", "echo \"$PWD $FOLDFARM_X $HOME\" >&3"},
             .working_directory = directory,
             .environment = {{"FOLDFARM_X", "x y"}, {"HOME", "/nowhere"}},
             .descriptors = {{3, out.writer()}}});
  EXPECT_EQ(out.ReadLine(), directory + " x y /nowhere");
  EXPECT_EQ(child->Wait().exit_status, 0);
  ASSERT_TRUE(RemoveRecursively(directory).ok());
}

TEST(SubprocessTest, DescriptorsMayTradePlaces) {
  Pipe first, second;
  // Onto 3 and 4 whatever these are here, and each onto the other's number.
  auto child =
      Spawn({.argv = {"bash", "-c",
                      "echo one >&" + std::to_string(second.writer()) +
                          "; echo two >&" + std::to_string(first.writer())},
             .descriptors = {{second.writer(), first.writer()},
                             {first.writer(), second.writer()}}});
  EXPECT_EQ(first.ReadLine(), "one");
  EXPECT_EQ(second.ReadLine(), "two");
  EXPECT_EQ(child->Wait().exit_status, 0);
}

TEST(SubprocessTest, AChildInheritsNothingElse) {
  Pipe leak;
  // A descriptor that its opener forgot to mark.
  ASSERT_EQ(fcntl(leak.writer(), F_SETFD, 0), 0);
  Pipe out;
  auto child = Spawn(
      {.argv = {"sh", "-c", "ls /proc/self/fd | tr '\\n' ' ' >&3; read x"},
       .descriptors = {{3, out.writer()}}});
  out.CloseWriter();
  // `ls` has 0 to 3 and the folder it lists, tr's pipe is its 1; stdin is
  // /dev/null, so `read` ends at once.
  EXPECT_EQ(out.ReadLine(), "0 1 2 3 4 ");
  EXPECT_EQ(child->Wait().exit_status, 1);
}

TEST(SubprocessTest, ASignalReachesGrandchildrenToo) {
  Pipe alive;
  auto child = Spawn({.argv = {"sh", "-c", "sleep 600 & echo up >&3; wait"},
                      .descriptors = {{3, alive.writer()}}});
  alive.CloseWriter();
  EXPECT_EQ(alive.ReadLine(), "up");
  child->Signal(SIGKILL);
  EXPECT_EQ(child->Wait().signal, SIGKILL);
  EXPECT_TRUE(alive.AtEnd());  // The sleep held the pipe open as well.
}

TEST(SubprocessTest, DestroyingTheObjectKillsTheGroup) {
  Pipe alive;
  auto child = Spawn({.argv = {"sh", "-c", "sleep 600 & echo up >&3; wait"},
                      .descriptors = {{3, alive.writer()}}});
  alive.CloseWriter();
  EXPECT_EQ(alive.ReadLine(), "up");
  const pid_t pid = child->pid();
  child.reset();
  EXPECT_TRUE(alive.AtEnd());
  EXPECT_EQ(kill(pid, 0), -1);  // Reaped as well.
}

TEST(SubprocessTest, AChildDiesWithItsParentEvenAfterAKill) {
  Pipe alive;
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    // A daemon that starts a child and is killed before it can clean up.
    auto child = Subprocess::Spawn(
        {.argv = {"sh", "-c", "trap '' TERM; echo up >&3; exec sleep 600"},
         .descriptors = {{3, alive.writer()}}});
    close(alive.writer());
    pause();
    _exit(child.ok() ? 0 : 1);
  }
  alive.CloseWriter();
  EXPECT_EQ(alive.ReadLine(), "up");
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(alive.AtEnd());
}

TEST(SubprocessTest, AChildStartsWithDefaultSignals) {
  // The daemon ignores SIGPIPE; its trainers must not.
  const auto former = signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &old);
  Pipe out;
  auto child = Spawn(
      {.argv = {"sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status >&3"},
       .descriptors = {{3, out.writer()}}});
  out.CloseWriter();
  EXPECT_EQ(out.ReadLine(), "SigBlk:\t0000000000000000");
  EXPECT_EQ(out.ReadLine(), "SigIgn:\t0000000000000000");
  child->Wait();
  sigprocmask(SIG_SETMASK, &old, nullptr);
  signal(SIGPIPE, former);
}

TEST(ProgramDirectoryTest, IsWhereTheRunningProgramLies) {
  EXPECT_EQ(ProgramDirectory(), FOLDFARM_BIN_DIR);
}

}  // namespace
}  // namespace foldfarm
