// What happens to workers, with real programs: drained by a person, without
// room on their disk, killed, cut off from the coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Farm = v1::FarmService::StubInterface;

// A file system of 2 MiB; unmounted at the end.
class TinyDisk {
 public:
  explicit TinyDisk(const std::string& path) : path_(path) {
    error_ = !MakeDirectories(path).ok()                                ? EIO
             : mount("tmpfs", path.c_str(), "tmpfs", 0, "size=2m") != 0 ? errno
                                                                        : 0;
  }
  ~TinyDisk() {
    if (error_ == 0) umount2(path_.c_str(), MNT_DETACH);
  }
  int error() const { return error_; }

 private:
  const std::string path_;
  int error_ = 0;
};

class WorkersTest : public ::testing::Test {
 protected:
  WorkersTest() {
    auto cluster = TestCluster::Start({});
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    EXPECT_TRUE(cluster_->AddDataset("tiny", 16).ok());
  }

  std::string Submit(const std::string& model, int epochs) {
    const auto sweep = cluster_->Submit(
        absl::StrCat("name: test\nfolds: {count: 2}\ntta: 1\n"
                     "defaults: {train: {epochs: ",
                     epochs, ", batch: 4}}\nmodels:\n  - {name: ", model,
                     ", arch: {conv1d: {widths: [4], kernel: 3}}}\n"),
        "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }

  void StartWorker(const std::string& name,
                   const std::vector<std::string>& flags = {}) {
    const absl::Status status = cluster_->StartWorker(name, flags);
    EXPECT_TRUE(status.ok()) << status;
  }

  v1::GetJobResponse WaitFor(
      const std::string& job,
      const std::function<bool(const v1::GetJobResponse&)>& condition) {
    const auto response = cluster_->WaitForJob(job, condition);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(v1::GetJobResponse());
  }

  v1::GetJobResponse WaitForSuccess(const std::string& job) {
    return WaitFor(job, [](const v1::GetJobResponse& now) {
      return now.job().state() == v1::Job::SUCCEEDED;
    });
  }

  static bool HasCheckpoint(const v1::GetJobResponse& now) {
    return now.job().state() == v1::Job::RUNNING && now.checkpoint_epoch() > 0;
  }

  v1::Worker GetWorker(const std::string& name) {
    const auto reply = UnaryCall(cluster_->farm(), &Farm::ListWorkers,
                                 v1::ListWorkersRequest(), absl::Seconds(10));
    EXPECT_TRUE(reply.ok()) << reply.status();
    for (const v1::Worker& worker : reply->workers()) {
      if (worker.name() == name) return worker;
    }
    return {};
  }

  // Runs the command; what it said on stdout and stderr.
  std::string Run(std::vector<std::string> arguments, int expected_status) {
    const std::string out = JoinPath(cluster_->folder(), "out");
    arguments.insert(arguments.begin(), FOLDFARM_BIN_DIR "/foldfarm");
    arguments.insert(arguments.end(), {"--coordinator", cluster_->endpoint()});
    SubprocessOptions command;
    FILE* file = std::fopen(out.c_str(), "we");
    if (file == nullptr) return "";
    command.argv = arguments;
    command.descriptors = {{1, fileno(file)}, {2, fileno(file)}};
    const auto process = Subprocess::Spawn(command);
    EXPECT_TRUE(process.ok()) << process.status();
    EXPECT_EQ((*process)->Wait().exit_status, expected_status);
    std::fclose(file);
    return ReadFile(out).value_or("");
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(WorkersTest, ADrainedWorkerKeepsNoJobAndGetsNoneUntilItIsUndrained) {
  StartWorker("old");
  const std::string job = absl::StrCat(Submit("slow.a", 160), "/slow.a/0");
  WaitFor(job, HasCheckpoint);
  EXPECT_THAT(Run({"drain", "old", "--reason", "new fans"}, 0),
              HasSubstr("old gets no more jobs"));
  const v1::GetJobResponse back =
      WaitFor(job, [](const v1::GetJobResponse& now) {
        return now.job().state() == v1::Job::PENDING;
      });
  EXPECT_EQ(back.attempts(0).state(), v1::Attempt::PREEMPTED);
  EXPECT_GE(back.checkpoint_epoch(), back.job().epoch()) << "nothing is lost";
  EXPECT_EQ(back.job().failed_count(), 0);
  EXPECT_GT(back.attempts(0).cpu_seconds(), 0);
  EXPECT_GT(back.attempts(0).peak_memory_bytes(), 1 << 20);
  EXPECT_EQ(GetWorker("old").state(), v1::Worker::DRAINING);
  EXPECT_THAT(Run({"workers"}, 0), HasSubstr("new fans"));

  // The drain outlives both programs.
  cluster_->KillCoordinator();
  cluster_->KillWorker("old");
  ASSERT_TRUE(cluster_->StartCoordinator().ok());
  StartWorker("old");
  StartWorker("new");
  const v1::GetJobResponse done = WaitForSuccess(job);
  EXPECT_EQ(done.job().worker(), "new");
  EXPECT_EQ(done.attempts(1).resumed_epoch(), back.checkpoint_epoch());
  EXPECT_EQ(GetWorker("old").state(), v1::Worker::DRAINING);

  EXPECT_EQ(cluster_->StopWorker("new").exit_status, 0);
  EXPECT_THAT(Run({"undrain", "old"}, 0), HasSubstr("online"));
  const std::string next = absl::StrCat(Submit("succeed", 2), "/succeed/0");
  EXPECT_EQ(WaitForSuccess(next).job().worker(), "old");
  EXPECT_THAT(Run({"drain", "odl"}, 1), HasSubstr("did you mean old"));
}

TEST_F(WorkersTest, AWorkerWithoutRoomIsPutIntoQuarantineAndCostsJobsNothing) {
  TinyDisk disk(JoinPath(cluster_->folder(), "tiny-disk"));
  if (disk.error() != 0) {
    GTEST_SKIP() << "cannot mount a small file system: "
                 << std::strerror(disk.error());
  }
  StartWorker("full",
              {"--dir", JoinPath(cluster_->folder(), "tiny-disk/workers")});
  const std::string job = absl::StrCat(Submit("fill_disk", 2), "/fill_disk/0");
  const v1::GetJobResponse back =
      WaitFor(job, [](const v1::GetJobResponse& now) {
        return now.attempts_size() == 1 &&
               now.attempts(0).state() == v1::Attempt::FAILED;
      });
  EXPECT_TRUE(back.attempts(0).uncharged());
  EXPECT_THAT(back.attempts(0).error(), HasSubstr("no room"));
  EXPECT_EQ(back.job().failed_count(), 0);
  EXPECT_EQ(back.job().state(), v1::Job::PENDING);
  const v1::Worker full = GetWorker("full");
  EXPECT_EQ(full.state(), v1::Worker::QUARANTINED);
  EXPECT_THAT(full.state_reason(), HasSubstr("no room"));
  EXPECT_THAT(Run({"workers"}, 0), HasSubstr("foldfarm undrain full"));

  StartWorker("roomy");
  const v1::GetJobResponse done = WaitForSuccess(job);
  EXPECT_EQ(done.job().worker(), "roomy");
  EXPECT_EQ(done.attempts_size(), 2);
  cluster_->KillWorker("full");
}

TEST_F(WorkersTest, AResultThatWasMadeWhileTheCoordinatorWasAwayIsDelivered) {
  StartWorker("one");
  const std::string job = absl::StrCat(Submit("slow.a", 100), "/slow.a/0");
  WaitFor(job, HasCheckpoint);
  cluster_->KillCoordinator();
  // The trainer ends in the meantime; only the daemon holds its result.
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
  ASSERT_TRUE(cluster_->StartCoordinator().ok());
  const v1::GetJobResponse done = WaitForSuccess(job);
  EXPECT_EQ(done.attempts_size(), 1);
  EXPECT_EQ(done.job().lost_count(), 0);
  const auto metrics = cluster_->GetMetrics(job);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->epochs_size(), 100);
}

TEST_F(WorkersTest, ATrainerMayBeNamedFromTheWorkersFolderOn) {
  WorkerLaunch launch;
  launch.trainer =
      std::filesystem::relative(FOLDFARM_BIN_DIR "/foldfarm-fake-trainer");
  ASSERT_NE(launch.trainer[0], '/');
  ASSERT_TRUE(cluster_->StartWorker("w", launch).ok());
  WaitForSuccess(absl::StrCat(Submit("succeed", 1), "/succeed/0"));
}

TEST_F(WorkersTest, AKilledDaemonTakesEvenAStubbornTrainerWithIt) {
  StartWorker("doomed", {"--slots", "2"});
  const std::string sweep = Submit("ignore_stop", 2);
  for (const char* fold : {"0", "1"}) {
    WaitFor(absl::StrCat(sweep, "/ignore_stop/", fold),
            [](const v1::GetJobResponse& now) {
              return now.attempts_size() == 1 &&
                     !now.attempts(0).device().empty();
            });
  }
  EXPECT_EQ(cluster_->Trainers().size(), 2u);
  cluster_->KillWorker("doomed");
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
}

TEST_F(WorkersTest, ATimeLimitHandsTheJobBackAndExitsWithStatusZero) {
  StartWorker("lent", {"--time-limit", "10s"});
  const std::string job = absl::StrCat(Submit("slow.a", 4000), "/slow.a/0");
  const v1::GetJobResponse back =
      WaitFor(job, [](const v1::GetJobResponse& now) {
        return now.attempts_size() == 1 &&
               now.attempts(0).state() == v1::Attempt::PREEMPTED;
      });
  EXPECT_GT(back.checkpoint_epoch(), 0);
  EXPECT_EQ(back.job().failed_count(), 0);
  EXPECT_EQ(cluster_->StopWorker("lent").exit_status, 0);
}

}  // namespace
}  // namespace foldfarm
