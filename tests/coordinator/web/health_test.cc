#include "coordinator/web/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/rpc/retry.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// Holds up whoever writes, as a disk does.
class HungDisk : public StoreListener {
 public:
  absl::Status BeforeBatch(Tx&) override {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&runs_));
    return absl::OkStatus();
  }
  absl::Status AfterBatch(Tx&) override { return absl::OkStatus(); }
  absl::Status Reload(Tx&) override { return absl::OkStatus(); }
  void Committed() override {}

  void Set(bool hung) {
    absl::MutexLock lock(&mu_);
    runs_ = !hung;
  }

 private:
  absl::Mutex mu_;
  bool runs_ ABSL_GUARDED_BY(mu_) = true;
};

// Asks on a thread of its own.
class Asker {
 public:
  explicit Asker(Health& health)
      : thread_([this, &health] {
          status_ = health.Check();
          answered_.Notify();
        }) {}
  ~Asker() { thread_.join(); }

  bool WaitFor(absl::Duration time) {
    return answered_.WaitForNotificationWithTimeout(time);
  }
  // REQUIRES: WaitFor() was true.
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
  absl::Notification answered_;
  std::thread thread_;
};

class HealthTest : public ::testing::Test {
 protected:
  HealthTest() : directory_(*MakeTemporaryDirectory("foldfarm-health-")) {
    spdlog::set_level(spdlog::level::err);
    store_ = *Store::Open(directory_);
    store_->SetListener(&disk_);
  }
  ~HealthTest() override {
    disk_.Set(false);
    store_->SetListener(nullptr);
    store_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  // Moves the clock on until `asker` has its answer.
  bool AdvanceUntilAnswered(Asker& asker) {
    for (int i = 0; i < 500; ++i) {
      if (asker.WaitFor(absl::Milliseconds(10))) return true;
      clock_.Advance(absl::Seconds(1));
    }
    return false;
  }

  const std::string directory_;
  FakeClock clock_;
  HungDisk disk_;
  std::unique_ptr<Store> store_;
};

TEST_F(HealthTest, ADiskThatHangsHoldsNobodyWhoAsks) {
  Health health(*store_, clock_, directory_);
  ASSERT_TRUE(health.Check().ok());
  clock_.Advance(absl::Seconds(1));
  disk_.Set(true);
  {
    Asker first(health), second(health);
    for (Asker* asker : {&first, &second}) {
      const bool answered = AdvanceUntilAnswered(*asker);
      EXPECT_TRUE(answered);
      // Also where nobody was answered, the test must come to its end.
      if (!answered) disk_.Set(false);
      if (!answered) continue;
      EXPECT_EQ(asker->status().code(), absl::StatusCode::kUnavailable);
      EXPECT_THAT(std::string(asker->status().message()),
                  HasSubstr("has not answered for"));
    }
    // Who comes later need not wait: the clock stands still.
    Asker later(health);
    EXPECT_TRUE(later.WaitFor(absl::Seconds(10)));
    disk_.Set(false);
  }
  bool healthy = false;
  for (int i = 0; i < 1000 && !healthy; ++i) {
    clock_.Advance(absl::Seconds(1));
    WaitUnlessCancelled(Clock::Real(), absl::Milliseconds(10),
                        [] { return false; });
    Asker asker(health);
    healthy = asker.WaitFor(absl::Seconds(10)) && asker.status().ok();
  }
  EXPECT_TRUE(healthy) << "it recovers with the disk";
}

TEST_F(HealthTest, AnAnswerIsGoodForASecond) {
  Health health(*store_, clock_, directory_);
  const std::string file = JoinPath(directory_, "healthz");
  ASSERT_TRUE(health.Check().ok());
  ASSERT_TRUE(RemoveRecursively(file).ok());
  EXPECT_TRUE(health.Check().ok());
  EXPECT_FALSE(ReadFile(file).ok());
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(health.Check().ok());
  EXPECT_TRUE(ReadFile(file).ok());
}

}  // namespace
}  // namespace foldfarm
