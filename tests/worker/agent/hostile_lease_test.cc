// Leases of a coordinator that means harm: whatever they name, the daemon
// writes in its own folder only, and goes on with what is right.
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/worker/agent/agent_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

constexpr const char* kHostileNames[] = {
    "../x",       "/etc/foldfarm-hostile", "a/../../b", "..", "", "a/b",
    "..\\escaped"};

class HostileLeaseTest : public AgentTest {
 protected:
  void SetUp() override {
    AgentTest::SetUp();
    options_.dir = JoinPath(dir_, "home");
  }

  // Changes the lease that was added last.
  void Change(const std::function<void(v1::Lease&)>& change) {
    absl::MutexLock lock(&coordinator_.mu);
    change(coordinator_.queue.back());
  }

  // One attempt a name fails for good, one more succeeds.
  void ExpectRefused(
      const std::function<void(v1::Lease&, const std::string& name)>& change) {
    std::vector<int64_t> tokens;
    for (const char* name : kHostileNames) {
      tokens.push_back(coordinator_.AddLease("succeed"));
      Change([&](v1::Lease& lease) { change(lease, name); });
    }
    const int64_t good = coordinator_.AddLease("succeed");
    Start();
    for (size_t i = 0; i < tokens.size(); ++i) {
      ASSERT_TRUE(WaitForFinish(tokens[i])) << kHostileNames[i];
      EXPECT_EQ(Finish(tokens[i]).outcome(), v1::Attempt::FAILED)
          << kHostileNames[i];
      EXPECT_EQ(Finish(tokens[i]).failure_kind(), v1::FAILURE_KIND_PERMANENT)
          << kHostileNames[i];
    }
    ASSERT_TRUE(WaitForFinish(good));
    EXPECT_EQ(Finish(good).outcome(), v1::Attempt::SUCCEEDED);
    EXPECT_THAT(*ListDirectory(dir_), ElementsAre("home"));
    EXPECT_THAT(*ListDirectory(options_.dir),
                ElementsAre("cache", "scratch", "scratch.lock"));
    EXPECT_FALSE(FileExists("/etc/foldfarm-hostile"));
  }
};

TEST_F(HostileLeaseTest, NamesOfInputsLeadNowhere) {
  const v1::ArtifactRef file = coordinator_.Store("bytes", "");
  ExpectRefused([&](v1::Lease& lease, const std::string& name) {
    v1::ArtifactRef& input = *lease.add_inputs();
    input = file;
    input.set_name(name);
  });
}

TEST_F(HostileLeaseTest, NamesOfFormerResultsLeadNowhere) {
  const v1::ArtifactRef file = coordinator_.Store("bytes", "");
  ExpectRefused([&](v1::Lease& lease, const std::string& name) {
    lease.mutable_spec()->add_predict_samples("S0");
    v1::ArtifactRef& input = *lease.add_inputs();
    input = file;
    input.set_name(name);
  });
}

TEST_F(HostileLeaseTest, NamesOfCheckpointsLeadNowhere) {
  const v1::ArtifactRef file = coordinator_.Store("bytes", "");
  ExpectRefused([&](v1::Lease& lease, const std::string& name) {
    lease.set_checkpoint_epoch(1);
    v1::ArtifactRef& checkpoint = *lease.add_checkpoint();
    checkpoint = file;
    checkpoint.set_name(name);
  });
}

TEST_F(HostileLeaseTest, DigestsOfDatasetsLeadNowhere) {
  ExpectRefused([&](v1::Lease& lease, const std::string& name) {
    lease.mutable_dataset()->set_digest(name);
  });
}

TEST_F(HostileLeaseTest, ALinkInTheCacheIsReplacedAndNotWrittenThrough) {
  const std::string precious = JoinPath(dir_, "precious");
  ASSERT_TRUE(WriteFileAtomically(precious, "precious").ok());
  const std::string cache = JoinPath(options_.dir, "cache");
  ASSERT_TRUE(MakeDirectories(cache).ok());
  const int64_t token = coordinator_.AddLease("succeed");
  std::string cached;
  Change([&](v1::Lease& lease) {
    cached = JoinPath(cache, lease.dataset().digest());
  });
  ASSERT_EQ(symlink(precious.c_str(), cached.c_str()), 0);
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(ReadFile(precious).value(), "precious");
  EXPECT_EQ(ReadFile(cached).value(), "dataset");
}

}  // namespace
}  // namespace foldfarm
