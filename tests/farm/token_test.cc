// Tokens that are replaced while the farm runs, with the real programs: nothing
// is restarted and no attempt is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_access.h"
#include "tests/testing/programs.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Farm = v1::FarmService::StubInterface;

constexpr char kPerson[] = "person-0123456789";
constexpr char kOld[] = "old-worker-0123456789";
constexpr char kNew[] = "new-worker-0123456789";
constexpr absl::Duration kPatience = absl::Seconds(60);

class TokenTest : public ::testing::Test {
 protected:
  TokenTest()
      : folder_(*MakeTemporaryDirectory("tokens")),
        tokens_(JoinPath(folder_, "tokens")),
        token_(JoinPath(folder_, "worker.token")) {
    Tell(absl::StrCat("client me ", kPerson, "\nworker one ", kOld, "\n"),
         tokens_);
    Tell(absl::StrCat(kOld, "\n"), token_);
    // No lease runs out while the worker is refused.
    auto cluster = TestCluster::Start({
        .lease_seconds = 120,
        .coordinator_flags = {"--tokens", tokens_},
        .token = kPerson,
    });
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    EXPECT_TRUE(cluster_->AddDataset("tiny", 16).ok());
  }
  ~TokenTest() override {
    cluster_.reset();
    EXPECT_TRUE(RemoveRecursively(folder_).ok());
  }

  // Replaces a file that only its owner can read.
  static void Tell(const std::string& text, const std::string& path) {
    const std::string next = absl::StrCat(path, ".next");
    ASSERT_TRUE(WriteFileAtomically(next, text).ok());
    ASSERT_EQ(chmod(next.c_str(), 0600), 0);
    ASSERT_TRUE(PublishFile(next, path).ok());
  }

  int CountInWorkersLog(const std::string& text) const {
    int count = 0;
    const auto log = ReadFile(cluster_->worker_log("one"));
    for (const auto line : absl::StrSplit(log.value_or(""), '\n')) {
      count += line.find(text) != absl::string_view::npos;
    }
    return count;
  }

  const std::string folder_;
  const std::string tokens_;
  const std::string token_;
  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(TokenTest, AWorkerWhoseTokenIsReplacedKeepsItsAttempts) {
  ASSERT_TRUE(cluster_->StartWorker("one", {"--token-file", token_}).ok());
  const auto sweep = cluster_->Submit(
      "name: test\nfolds: {count: 2}\ndefaults: {train: {epochs: 3000}}\n"
      "models:\n  - {name: slow, arch: {none: {}}}\n",
      "tiny");
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  const std::string job = absl::StrCat(*sweep, "/slow/0");
  const auto epochs_beyond = [&](int epoch) {
    const auto now = cluster_->WaitForJob(
        job, [&](const auto& now) { return now.job().epoch() > epoch; });
    EXPECT_TRUE(now.ok()) << now.status();
    return now.ok() ? now->job().epoch() : 0;
  };
  const int before = epochs_beyond(0);

  // The coordinator no longer knows the worker's token.
  Tell(absl::StrCat("client me ", kPerson, "\nworker one ", kNew, "\n"),
       tokens_);
  ASSERT_TRUE(PollUntil(
      kPatience, [&] { return CountInWorkersLog("refuses this worker") > 0; }));
  EXPECT_THAT(ReadFile(cluster_->worker_log("one")).value(),
              HasSubstr("does not know the token"));
  EXPECT_EQ(cluster_->Trainers("one").size(), 1u);

  // The old one is of no use to anybody.
  const auto access = ToFarmChannel({.token = kOld}, cluster_->endpoint());
  ASSERT_TRUE(access.ok()) << access.status();
  const auto stub =
      v1::FarmService::NewStub(MakeChannel(cluster_->endpoint(), *access));
  EXPECT_TRUE(absl::IsUnauthenticated(
      UnaryCall(*stub, &Farm::ListSweeps, v1::ListSweepsRequest(), kPatience)
          .status()));

  // A person brings the new one.
  Tell(absl::StrCat(kNew, "\n"), token_);
  epochs_beyond(before);
  EXPECT_TRUE(PollUntil(
      kPatience, [&] { return CountInWorkersLog("is back after") > 0; }));
  EXPECT_EQ(CountInWorkersLog("refuses this worker"), 1);
  const auto details = cluster_->GetJob(job);
  ASSERT_TRUE(details.ok()) << details.status();
  EXPECT_EQ(details->attempts_size(), 1);
  EXPECT_EQ(details->job().state(), v1::Job::RUNNING);
  EXPECT_EQ(*cluster_->Cancel(*sweep), 2);
}

TEST_F(TokenTest, AWorkerThatNeverHadAGoodTokenIsToldSo) {
  Tell("nobody-0123456789\n", token_);
  ASSERT_TRUE(cluster_->StartWorker("one", {"--token-file", token_}).ok());
  // It ends by itself, so that there is nothing to stop.
  const ExitState exit = cluster_->WaitForWorker("one");
  EXPECT_EQ(exit.exit_status, 1);
}

}  // namespace
}  // namespace foldfarm
