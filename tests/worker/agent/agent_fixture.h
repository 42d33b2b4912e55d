// A daemon in this process, between a coordinator in memory and a trainer that
// only pretends.
#ifndef FOLDFARM_TESTS_WORKER_AGENT_AGENT_FIXTURE_H_
#define FOLDFARM_TESTS_WORKER_AGENT_AGENT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "common/base/files.h"
#include "tests/worker/agent/fake_coordinator.h"
#include "worker/agent/agent.h"

namespace foldfarm {

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = MakeTemporaryDirectory("agent").value();
    options_.name = "w";
    options_.dir = dir_;
    options_.trainer = FOLDFARM_BIN_DIR "/foldfarm-fake-trainer";
    options_.acquire_wait = absl::Seconds(5);
  }

  void TearDown() override {
    if (agent_ != nullptr) {
      agent_->Kill();
      Join().IgnoreError();
      agent_.reset();
    }
    const auto scratch = ListDirectory(JoinPath(dir_, "scratch"));
    if (scratch.ok()) {
      EXPECT_THAT(*scratch, ::testing::IsEmpty()) << "nothing is left behind";
    }
    EXPECT_TRUE(RemoveRecursively(dir_).ok());
  }

  void Start() {
    auto agent = Agent::Create(options_, coordinator_, Clock::Real());
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
    thread_ = std::thread([this] { result_ = agent_->Run(); });
  }

  absl::Status Join() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }

  absl::Status DrainAndJoin() {
    agent_->Drain();
    return Join();
  }

  bool WaitForFinish(int64_t token) {
    return coordinator_.WaitUntil(
        [&] { return !coordinator_.heard[token].finishes.empty(); });
  }

  bool WaitForStart(int64_t token) {
    return coordinator_.WaitUntil(
        [&] { return coordinator_.heard[token].started; });
  }

  // The only result that was delivered for `token`.
  v1::FinishAttemptRequest Finish(int64_t token) {
    absl::MutexLock lock(&coordinator_.mu);
    const auto& finishes = coordinator_.heard[token].finishes;
    EXPECT_EQ(finishes.size(), 1u);
    return finishes.empty() ? v1::FinishAttemptRequest() : finishes[0];
  }

  FakeCoordinator::Heard Heard(int64_t token) {
    absl::MutexLock lock(&coordinator_.mu);
    return coordinator_.heard[token];
  }

  void Answer(int64_t token, v1::HeartbeatResponse::Action action) {
    absl::MutexLock lock(&coordinator_.mu);
    coordinator_.actions[token] = action;
  }

  std::string dir_;
  FakeCoordinator coordinator_;
  AgentOptions options_;
  std::unique_ptr<Agent> agent_;
  std::thread thread_;
  absl::Status result_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_AGENT_AGENT_FIXTURE_H_
