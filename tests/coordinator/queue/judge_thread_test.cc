#include "coordinator/queue/judge_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/synchronization/notification.h"
#include "common/base/log.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;

constexpr SweepId kOne{1};
constexpr SweepId kTwo{2};

TEST(JudgeThreadTest, LooksAtASweepOnceForAllThatHappenedBefore) {
  std::vector<SweepId> visits;
  absl::Notification begun, go_on;
  JudgeThread judge([&](SweepId sweep) {
    visits.push_back(sweep);
    if (visits.size() == 1) {
      begun.Notify();
      go_on.WaitForNotification();
    }
    return absl::OkStatus();
  });
  judge.Wake({kOne});
  begun.WaitForNotification();
  // During the visit: what it read may be old.
  judge.Wake({kOne});
  judge.Wake({kTwo});
  judge.Wake({kOne});
  go_on.Notify();
  judge.WaitUntilIdle();
  EXPECT_THAT(visits, ElementsAre(kOne, kOne, kTwo));
}

TEST(JudgeThreadTest, AFailedVisitIsRepeatedWhenSomethingElseHappens) {
  spdlog::set_level(spdlog::level::err);
  int visits = 0;
  JudgeThread judge([&](SweepId) {
    return ++visits < 3 ? absl::UnavailableError("disk full")
                        : absl::OkStatus();
  });
  judge.Wake({kOne});
  judge.WaitUntilIdle();
  EXPECT_EQ(visits, 1) << "it must not turn in circles";
  for (const int expected : {2, 3, 3}) {
    judge.Wake({});
    judge.WaitUntilIdle();
    EXPECT_EQ(visits, expected);
  }
}

}  // namespace
}  // namespace foldfarm
