// A farm's files: backups while it works, garbage, and a disk that fails.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Jobs = TestCluster::Jobs;

// Of sysexits.h: input or output failed.
constexpr int kExitDiskFailed = 74;

std::string Yaml(int models) {
  std::string yaml = "name: test\nfolds: {count: 2}\ntta: 1\nmodels:\n";
  for (int i = 0; i < models; ++i) {
    absl::StrAppend(&yaml, "  - {name: succeed.m", i, ", arch: {none: {}}}\n");
  }
  return yaml;
}

size_t Succeeded(const Jobs& jobs) {
  size_t count = 0;
  for (const auto& [name, job] : jobs) {
    count += job.state() == v1::Job::SUCCEEDED;
  }
  return count;
}

// The output of `foldfarm ARGUMENTS` and its exit status.
struct Output {
  std::string text;
  int status = 0;
};
Output RunProgram(const std::string& program,
                  std::vector<std::string> arguments) {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  SubprocessOptions command;
  command.argv = {JoinPath(FOLDFARM_BIN_DIR, program)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.descriptors = {{1, fds[1]}, {2, fds[1]}};
  auto process = Subprocess::Spawn(command);
  close(fds[1]);
  Output output;
  char buffer[4096];
  ssize_t n;
  while ((n = read(fds[0], buffer, sizeof(buffer))) > 0) {
    output.text.append(buffer, static_cast<size_t>(n));
  }
  close(fds[0]);
  EXPECT_TRUE(process.ok()) << process.status();
  if (process.ok()) output.status = (*process)->Wait().exit_status;
  return output;
}

class BackupTest : public ::testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(WorkersLive, BackupTest, ::testing::Bool());

TEST_P(BackupTest, ABackupOfABusyFarmIsAFarmThatGoesOn) {
  const bool workers_live = GetParam();
  auto cluster = *TestCluster::Start({});
  ASSERT_TRUE(cluster->AddDataset("tiny", 24).ok());
  const std::string sweep = *cluster->Submit(Yaml(10), "tiny");
  ASSERT_TRUE(cluster->StartWorker("one", {"--slots", "2"}).ok());
  ASSERT_TRUE(
      cluster
          ->WaitForJobs(sweep,
                        [](const Jobs& jobs) { return Succeeded(jobs) >= 4; })
          .ok());
  const std::string file = JoinPath(cluster->folder(), "backup.db");
  const std::string artifacts = JoinPath(cluster->folder(), "saved");
  const Output backup =
      RunProgram("foldfarm", {"backup", "--coordinator", cluster->endpoint(),
                              "--out", file, "--artifacts", artifacts});
  ASSERT_EQ(backup.status, 0) << backup.text;
  EXPECT_THAT(backup.text, HasSubstr("Restore:"));
  EXPECT_FALSE(FileExists(file + ".part"));

  // The farm burns down; the backup is put in its place. Who worked for the
  // former one may still do.
  if (!workers_live) cluster->KillWorker("one");
  cluster->KillCoordinator();
  const std::string farm = JoinPath(cluster->folder(), "coordinator");
  ASSERT_TRUE(RemoveRecursively(farm).ok());
  ASSERT_TRUE(MakeDirectories(farm).ok());
  ASSERT_EQ(rename(file.c_str(), JoinPath(farm, "farm.db").c_str()), 0);
  ASSERT_EQ(rename(artifacts.c_str(), JoinPath(farm, "artifacts").c_str()), 0);
  ASSERT_TRUE(cluster->StartCoordinator().ok());
  ASSERT_TRUE(cluster->StartWorker("two", {"--slots", "2"}).ok());
  const auto jobs = cluster->WaitForJobs(
      sweep, [](const Jobs& now) { return Succeeded(now) == 20; });
  ASSERT_TRUE(jobs.ok()) << jobs.status();
}

TEST(UpkeepTest, GarbageGoesAndWhatJobsNameStays) {
  auto cluster = *TestCluster::Start({});
  ASSERT_TRUE(cluster->AddDataset("tiny", 24).ok());
  const std::string sweep = *cluster->Submit(Yaml(2), "tiny");
  ASSERT_TRUE(cluster->StartWorker("one").ok());
  ASSERT_TRUE(
      cluster
          ->WaitForJobs(sweep,
                        [](const Jobs& jobs) { return Succeeded(jobs) == 4; })
          .ok());
  const Output gc = RunProgram(
      "foldfarm",
      {"gc", "--coordinator", cluster->endpoint(), "--dry-run", "-o", "json"});
  EXPECT_EQ(gc.status, 0) << gc.text;
  EXPECT_THAT(gc.text, HasSubstr("keptFiles"));
}

TEST(UpkeepTest, ASecondCoordinatorEndsAtOnceAndSaysWhy) {
  auto cluster = *TestCluster::Start({});
  const Output second =
      RunProgram("foldfarm-coordinator",
                 {"--dir", JoinPath(cluster->folder(), "coordinator"),
                  "--listen", "127.0.0.1:0"});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.text, HasSubstr("another coordinator serves"));
}

class DiskFaultTest : public ::testing::TestWithParam<int> {};

TEST_P(DiskFaultTest, AFailedFlushEndsTheCoordinatorAndLosesNothing) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const int at = std::uniform_int_distribution<int>(12, 45)(random);
  SCOPED_TRACE(absl::StrCat("flush ", at));
  TestClusterOptions options;
  options.coordinator_environment = {
      {"LD_PRELOAD", JoinPath(FOLDFARM_BIN_DIR, "libfoldfarm-faulty-files.so")},
      {"FOLDFARM_FAULTS", absl::StrCat("fsync:farm.db-wal:", at)}};
  auto started = TestCluster::Start(options);
  ASSERT_TRUE(started.ok()) << started.status();
  auto cluster = *std::move(started);
  ASSERT_TRUE(cluster->AddDataset("tiny", 24).ok());
  const std::string sweep = *cluster->Submit(Yaml(12), "tiny");
  ASSERT_TRUE(cluster->StartWorker("one").ok());
  ASSERT_TRUE(cluster->StartWorker("two").ok());
  const ExitState end = cluster->WaitForCoordinator();
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(end.exit_status, kExitDiskFailed);
  cluster->SetCoordinatorEnvironment({});
  ASSERT_TRUE(cluster->StartCoordinator().ok());
  const auto jobs = cluster->WaitForJobs(
      sweep, [](const Jobs& now) { return Succeeded(now) == 24; });
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  for (const auto& [name, job] : *jobs) {
    const auto all = cluster->GetJob(absl::StrCat(sweep, "/", name));
    ASSERT_TRUE(all.ok()) << all.status();
    int succeeded = 0;
    for (const v1::Attempt& attempt : all->attempts()) {
      succeeded += attempt.state() == v1::Attempt::SUCCEEDED;
    }
    EXPECT_EQ(succeeded, 1) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, DiskFaultTest, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace foldfarm
