#include "coordinator/queue/job_index.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

JobIndex::Entry Entry(int64_t sweep, int position, int slots = 1,
                      int priority = 0) {
  return {.job = {sweep * 1000 + position},
          .sweep = {sweep},
          .priority = priority,
          .position = position,
          .slots = slots};
}

// Takes all jobs that fit one after another: "1.0 2.0 1.1".
std::string Order(JobIndex& index, int free_slots = 1) {
  std::string order;
  while (const auto entry = index.Take(free_slots)) {
    absl::StrAppend(&order, order.empty() ? "" : " ", entry->sweep.value, ".",
                    entry->position);
  }
  return order;
}

TEST(JobIndexTest, ASweepsJobsComeInItsOwnOrder) {
  JobIndex index;
  for (const int position : {2, 0, 1}) index.Add(Entry(1, position));
  EXPECT_EQ(Order(index), "1.0 1.1 1.2");
  EXPECT_TRUE(index.empty());
}

TEST(JobIndexTest, SweepsOfOnePriorityShareFairly) {
  JobIndex index;
  for (int position = 0; position < 3; ++position) {
    index.Add(Entry(1, position));
    index.Add(Entry(2, position));
  }
  EXPECT_EQ(Order(index), "1.0 2.0 1.1 2.1 1.2 2.2");
}

TEST(JobIndexTest, FairnessCountsSlotsThatRunAlready) {
  JobIndex index;
  index.AddRunning({1}, 0, 2);
  for (int position = 0; position < 3; ++position) {
    index.Add(Entry(1, position));
    index.Add(Entry(2, position));
  }
  EXPECT_EQ(Order(index), "2.0 2.1 1.0 2.2 1.1 1.2");
}

TEST(JobIndexTest, ASweepWhoseJobEndedIsServedAgain) {
  JobIndex index;
  index.Add(Entry(1, 0));
  index.Add(Entry(1, 1));
  index.Add(Entry(2, 0));
  index.Add(Entry(2, 1));
  EXPECT_EQ(index.Take(1)->sweep.value, 1);
  index.EndRunning({1}, 1);
  EXPECT_EQ(index.Take(1)->sweep.value, 1);
  EXPECT_EQ(index.Take(1)->sweep.value, 2);
}

TEST(JobIndexTest, HigherPriorityGoesFirst) {
  JobIndex index;
  index.Add(Entry(1, 0));
  index.Add(Entry(2, 0, 1, /*priority=*/5));
  index.Add(Entry(2, 1, 1, /*priority=*/5));
  EXPECT_EQ(Order(index), "2.0 2.1 1.0");
}

TEST(JobIndexTest, AJobThatDoesNotFitIsPassedOver) {
  JobIndex index;
  index.Add(Entry(1, 0, /*slots=*/4));
  index.Add(Entry(1, 1, /*slots=*/1));
  EXPECT_EQ(Order(index, 2), "1.1");
  EXPECT_EQ(Order(index, 4), "1.0");
}

TEST(JobIndexTest, ABackoffEndsAtItsTime) {
  JobIndex index;
  JobIndex::Entry entry = Entry(1, 0);
  entry.not_before = absl::FromUnixSeconds(100);
  index.Add(entry);
  EXPECT_EQ(index.NextWake(), absl::FromUnixSeconds(100));
  index.Wake(absl::FromUnixSeconds(99));
  EXPECT_TRUE(index.empty());
  index.Wake(absl::FromUnixSeconds(100));
  EXPECT_EQ(Order(index), "1.0");
  EXPECT_EQ(index.NextWake(), absl::InfiniteFuture());
}

TEST(JobIndexTest, ARemovedJobIsNotTaken) {
  JobIndex index;
  index.Add(Entry(1, 0));
  index.Add(Entry(1, 1));
  index.Remove(Entry(1, 0));
  EXPECT_EQ(Order(index), "1.1");
}

TEST(JobIndexTest, ProgramsOfUsersGoOnlyWhereTheyMayRun) {
  JobIndex index;
  JobIndex::Entry program = Entry(1, 0);
  program.needs_exec = true;
  index.Add(program);
  index.Add(Entry(1, 1));
  EXPECT_FALSE(index.empty(/*allow_exec=*/false));
  EXPECT_EQ(index.Take(1, /*allow_exec=*/false)->position, 1);
  EXPECT_TRUE(index.empty(/*allow_exec=*/false));
  EXPECT_FALSE(index.Take(1, /*allow_exec=*/false).has_value());
  EXPECT_FALSE(index.empty());
  EXPECT_EQ(index.Take(1)->position, 0);
  EXPECT_TRUE(index.empty());
}

TEST(JobIndexTest, WhereProgramsMayRunTheSweepsOrderHolds) {
  JobIndex index;
  for (int position = 0; position < 4; ++position) {
    JobIndex::Entry entry = Entry(1, position);
    entry.needs_exec = position % 2 == 0;
    index.Add(entry);
  }
  JobIndex::Entry cancelled = Entry(1, 2);
  cancelled.needs_exec = true;
  index.Remove(cancelled);
  EXPECT_EQ(Order(index), "1.0 1.1 1.3");
}

}  // namespace
}  // namespace foldfarm
