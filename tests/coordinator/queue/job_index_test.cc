#include "coordinator/queue/job_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
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

JobIndex::Asker Asker(int free_slots = 1, int slots = 1, int64_t session = 1) {
  return {.session = {session},
          .free_slots = free_slots,
          .slots = std::max(slots, free_slots)};
}

JobIndex::Asker WithoutPrograms() {
  JobIndex::Asker asker = Asker();
  asker.allow_exec = false;
  return asker;
}

// Takes all jobs that fit one after another: "1.0 2.0 1.1".
std::string Order(JobIndex& index, int free_slots = 1) {
  std::string order;
  while (const auto entry = index.Take(Asker(free_slots))) {
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
  EXPECT_EQ(index.Take(Asker())->sweep.value, 1);
  index.EndRunning({1}, 1);
  EXPECT_EQ(index.Take(Asker())->sweep.value, 1);
  EXPECT_EQ(index.Take(Asker())->sweep.value, 2);
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

constexpr absl::Time kUntil = absl::FromUnixSeconds(100);

// The next job for `asker`, "2.0", or "2.0 kept" when slots are kept for it.
std::string Next(JobIndex& index, const JobIndex::Asker& asker) {
  const auto entry = index.Take(asker);
  if (!entry.has_value()) return "nothing";
  std::string next = absl::StrCat(entry->sweep.value, ".", entry->position);
  if (entry->slots > asker.free_slots) {
    index.PutBack(*entry);
    index.Reserve(*entry, asker.session, kUntil);
    absl::StrAppend(&next, " kept");
  } else {
    index.EndReservation(entry->job);
  }
  return next;
}

// A sweep of small jobs, and a job of two slots of a sweep that comes first.
void AddSmallAndWide(JobIndex& index, int priority_of_wide = 0) {
  index.AddRunning({1}, 0, 2);
  for (int position = 0; position < 9; ++position) {
    index.Add(Entry(1, position));
  }
  index.Add(Entry(2, 0, /*slots=*/2, priority_of_wide));
}

TEST(JobIndexTest, AJobOfSeveralSlotsDoesNotStarveBehindAnotherSweep) {
  for (const int priority : {0, 5}) {
    JobIndex index;
    AddSmallAndWide(index, priority);
    EXPECT_EQ(Next(index, Asker(1, 2)), "2.0 kept");
    EXPECT_EQ(index.Reservations().at({2000}).session, WorkerSession{1});
    index.EndRunning({1}, 1);
    EXPECT_EQ(Next(index, Asker(1, 2)), "2.0 kept");
    index.EndRunning({1}, 1);
    EXPECT_EQ(Next(index, Asker(2, 2)), "2.0");
    EXPECT_TRUE(index.Reservations().empty());
    EXPECT_EQ(Next(index, Asker(1, 2)), "1.0");
  }
}

TEST(JobIndexTest, OnlyWhatComesFirstHasSlotsKept) {
  JobIndex index;
  AddSmallAndWide(index, /*priority_of_wide=*/-1);
  EXPECT_EQ(Next(index, Asker(1, 2)), "1.0");
}

TEST(JobIndexTest, AWorkerThatIsTooSmallOrBusyKeepsNothing) {
  JobIndex index;
  AddSmallAndWide(index);
  EXPECT_EQ(Next(index, Asker(0, 2)), "nothing");
  EXPECT_EQ(Next(index, Asker(1, 1)), "1.0");
  EXPECT_TRUE(index.Reservations().empty());
}

TEST(JobIndexTest, OneWorkerKeepsSlotsForAJobAndAnyMayTakeIt) {
  JobIndex index;
  AddSmallAndWide(index);
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/1)), "2.0 kept");
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "1.0");
  EXPECT_EQ(Next(index, Asker(2, 2, /*session=*/3)), "2.0");
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/1)), "1.1");
}

TEST(JobIndexTest, SlotsThatAreKeptCountForTheFairShare) {
  JobIndex index;
  index.AddRunning({1}, 0, 1);
  index.Add(Entry(1, 0));
  index.Add(Entry(2, 0, /*slots=*/2));
  index.Add(Entry(2, 1, /*slots=*/2));
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/1)), "2.0 kept");
  // Two against one.
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "1.0");
  // It keeps what it began, whoever has less now.
  index.AddRunning({2}, 0, 2);
  index.Add(Entry(1, 1));
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/1)), "2.0 kept");
}

TEST(JobIndexTest, HigherPriorityTakesSlotsThatAreKept) {
  JobIndex index;
  AddSmallAndWide(index);
  EXPECT_EQ(Next(index, Asker(1, 2)), "2.0 kept");
  index.Add(Entry(3, 0, 1, /*priority=*/1));
  EXPECT_EQ(Next(index, Asker(1, 2)), "3.0");
  EXPECT_EQ(Next(index, Asker(1, 2)), "2.0 kept");
  // It keeps slots for one job alone.
  index.Add(Entry(4, 0, /*slots=*/2, /*priority=*/1));
  EXPECT_EQ(Next(index, Asker(1, 2)), "4.0 kept");
  EXPECT_EQ(index.Reservations().size(), 1u);
}

TEST(JobIndexTest, ASweepThatHasSmallJobsTooIsNotKeptWaiting) {
  JobIndex index;
  index.Add(Entry(1, 0, /*slots=*/2));
  index.Add(Entry(1, 1));
  EXPECT_EQ(Next(index, Asker(1, 2)), "1.1");
}

TEST(JobIndexTest, SlotsAreKeptNoLongerThanTheirWorkerAsks) {
  JobIndex index;
  AddSmallAndWide(index);
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/1)), "2.0 kept");
  EXPECT_EQ(index.NextWake(), kUntil);
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "1.0");
  index.Wake(kUntil);
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "2.0 kept");
  // Nor for a job that is gone.
  index.Remove(Entry(2, 0, /*slots=*/2));
  EXPECT_TRUE(index.Reservations().empty());
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "1.1");
}

TEST(JobIndexTest, ReservationsFollowTheirWorker) {
  JobIndex index;
  AddSmallAndWide(index);
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/1)), "2.0 kept");
  // It has registered anew.
  index.MoveReservations({1}, {7});
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "1.0");
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/7)), "2.0 kept");
  // A job that is taken and put back is kept for as before.
  index.PutBack(*index.Take(Asker(2, 2, /*session=*/2)));
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "1.1");
  // The worker is drained.
  index.EndReservationsOf({7});
  EXPECT_EQ(Next(index, Asker(1, 2, /*session=*/2)), "2.0 kept");
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
  EXPECT_EQ(index.Take(WithoutPrograms())->position, 1);
  EXPECT_TRUE(index.empty(/*allow_exec=*/false));
  EXPECT_FALSE(index.Take(WithoutPrograms()).has_value());
  EXPECT_FALSE(index.empty());
  EXPECT_EQ(index.Take(Asker())->position, 0);
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
