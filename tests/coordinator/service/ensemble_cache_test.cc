#include "coordinator/service/ensemble_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace foldfarm {
namespace {

class EnsembleCacheTest : public ::testing::Test {
 protected:
  // An answer named after the key; counts.
  std::string Ask(const std::string& key) {
    const auto answer =
        cache_.Get(key, [&]() -> absl::StatusOr<v1::GetEnsembleResponse> {
          ++computed_;
          v1::GetEnsembleResponse response;
          response.set_sweep(key);
          return response;
        });
    return answer.ok() ? (*answer)->sweep() : "";
  }

  EnsembleCache cache_{2};
  std::atomic<int> computed_{0};
};

TEST_F(EnsembleCacheTest, TheSameKeyIsComputedOnce) {
  EXPECT_EQ(Ask("a"), "a");
  EXPECT_EQ(Ask("a"), "a");
  EXPECT_EQ(Ask("b"), "b");
  EXPECT_EQ(computed_, 2);
}

TEST_F(EnsembleCacheTest, TheOneUsedLongestAgoGoes) {
  Ask("a");
  Ask("b");
  Ask("a");
  Ask("c");  // b goes.
  EXPECT_EQ(computed_, 3);
  Ask("a");
  EXPECT_EQ(computed_, 3);
  Ask("b");
  EXPECT_EQ(computed_, 4);
}

TEST_F(EnsembleCacheTest, AnErrorIsNotKept) {
  const auto failed = cache_.Get("a", []() {
    return absl::StatusOr<v1::GetEnsembleResponse>(
        absl::DataLossError("no dataset"));
  });
  EXPECT_TRUE(absl::IsDataLoss(failed.status()));
  EXPECT_EQ(Ask("a"), "a");
}

TEST_F(EnsembleCacheTest, WhoAsksMeanwhileSharesTheAnswer) {
  absl::Notification begun, go_on;
  std::thread first([&] {
    const auto answer =
        cache_.Get("a", [&]() -> absl::StatusOr<v1::GetEnsembleResponse> {
          begun.Notify();
          go_on.WaitForNotification();
          ++computed_;
          v1::GetEnsembleResponse response;
          response.set_sweep("shared");
          return response;
        });
    EXPECT_TRUE(answer.ok());
  });
  begun.WaitForNotification();
  std::vector<std::thread> others;
  std::atomic<int> shared{0};
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] { shared += Ask("a") == "shared"; });
  }
  // Another key is not held up.
  EXPECT_EQ(Ask("b"), "b");
  go_on.Notify();
  first.join();
  for (std::thread& other : others) other.join();
  EXPECT_EQ(shared, 4);
  EXPECT_EQ(computed_, 2);
}

}  // namespace
}  // namespace foldfarm
