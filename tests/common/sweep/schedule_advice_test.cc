#include "common/sweep/schedule_advice.h"

#include "absl/strings/str_cat.h"
#include "common/sweep/sweep.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Advice(const std::string& train) {
  const absl::StatusOr<v1::SweepSpec> spec = ParseSweep(
      absl::StrCat("name: s\nfolds: {count: 2}\n"
                   "defaults: {train: {schedule: {kind: cosine_warm_restarts, "
                   "period: 16, mult: 1.41421}}}\n"
                   "models:\n  - {name: a, arch: {rnn: {}}, train: {",
                   train, "}}\n  - {name: b, like: a}\n"),
      "s.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? ScheduleAdvice(*spec) : std::vector<std::string>();
}

TEST(ScheduleAdviceTest, SaysWhereARestartLeavesTheLastWeightsUnsettled) {
  EXPECT_THAT(
      Advice("epochs: 1120"),
      ElementsAre("a and 1 more: epochs is 1120, 16 epochs after the "
                  "learning rate restarted, and ends near its peak; 1104 "
                  "epochs end at its lowest"));
  EXPECT_THAT(Advice("epochs: 17"),
              ElementsAre("a and 1 more: epochs is 17, 1 epoch after the "
                          "learning rate restarted, and ends near its peak; 16 "
                          "epochs end at its lowest"));
}

TEST(ScheduleAdviceTest, SaysNothingOfWhatEndsLow) {
  // 16 + 22 epochs are two periods.
  for (const char* train :
       {"epochs: 16", "epochs: 38", "epochs: 30", "epochs: 1101",
        "epochs: 1104",
        // Before any restart.
        "epochs: 3",
        // Other weights than the last ones.
        "epochs: 1120, ema: 0.99", "epochs: 1120, swa_start: 0.8",
        "epochs: 1120, early_stopping: 50",
        // Another schedule.
        "epochs: 1120, schedule: {kind: cosine}"}) {
    EXPECT_THAT(Advice(train), IsEmpty()) << train;
  }
}

}  // namespace
}  // namespace foldfarm
