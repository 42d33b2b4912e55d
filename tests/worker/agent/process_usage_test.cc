#include "worker/agent/process_usage.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "worker/agent/attempt_folder.h"

namespace foldfarm {
namespace {

// A shell and a child of it that both wait in `folder`.
std::unique_ptr<Subprocess> StartTree(const std::string& folder) {
  SubprocessOptions options;
  options.argv = {"/bin/sh", "-c", "sleep 1000 & echo ready; wait"};
  options.working_directory = folder;
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  options.descriptors = {{1, fds[1]}};
  auto process = Subprocess::Spawn(options);
  EXPECT_TRUE(process.ok()) << process.status();
  close(fds[1]);
  char c = 0;
  EXPECT_EQ(read(fds[0], &c, 1), 1) << "it is up";
  close(fds[0]);
  return *std::move(process);
}

TEST(ProcessUsageTest, SumsOverATreeOfProcesses) {
  const std::string folder = MakeTemporaryDirectory("usage").value();
  const auto process = StartTree(folder);
  const pid_t self = getpid();
  const auto usage = MeasureProcessTrees({process->pid(), self, 999999999});
  ASSERT_EQ(usage.size(), 2u) << "who is not there is left out";
  EXPECT_GT(usage.at(process->pid()).memory_bytes, 100'000);
  EXPECT_GT(usage.at(self).memory_bytes, 1'000'000);
  // A tree inside another counts once, at its own root.
  const auto all = MeasureProcessTrees({self});
  EXPECT_GE(
      all.at(self).memory_bytes,
      usage.at(self).memory_bytes + usage.at(process->pid()).memory_bytes / 2);
  EXPECT_TRUE(RemoveRecursively(folder).ok());
}

TEST(ProcessUsageTest, ADaemonKillsWhatADeadOneLeftInItsFolder) {
  const std::string folder = MakeTemporaryDirectory("strays").value();
  const std::string attempt = JoinPath(folder, "scratch/w/7-abc");
  const std::string other = JoinPath(folder, "scratch/w2/8-abc");
  ASSERT_TRUE(MakeDirectories(attempt).ok());
  ASSERT_TRUE(MakeDirectories(other).ok());
  const auto stray = StartTree(attempt);
  const auto others = StartTree(other);
  const auto lock = FileLock::Acquire(JoinPath(folder, "scratch/w2.lock"));
  ASSERT_TRUE(lock.ok());
  const auto scratch = ScratchFolder::Create(folder, "w");
  ASSERT_TRUE(scratch.ok()) << scratch.status();
  EXPECT_EQ(stray->Wait().signal, SIGKILL);
  EXPECT_FALSE(others->Poll().has_value()) << "its daemon lives";
  EXPECT_EQ(KillProcessesIn(attempt), 0) << "the child of the shell, too";
  EXPECT_TRUE(RemoveRecursively(folder).ok());
}

}  // namespace
}  // namespace foldfarm
