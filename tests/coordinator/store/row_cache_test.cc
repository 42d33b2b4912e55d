// The rows that the writer keeps are undone with the work that wrote them, and
// no others than the tables have. (row_cache_random_test.cc: in any order.)
#include "coordinator/store/row_cache.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "common/base/files.h"
#include "coordinator/store/store.h"
#include "tests/coordinator/store/made_rows.h"
#include "tests/coordinator/store/row_text.h"

namespace foldfarm {
namespace {

// Grants the job as it is in the table.
absl::StatusOr<FencingToken> Grant(Tx& tx, JobId id) {
  JobRow job = **tx.FindJob(id);
  const auto token = tx.InsertAttempt(NewAttempt(job));
  if (!token.ok()) return token.status();
  const FencingToken former = job.token;
  job.token = *token;
  job.state = v1::Job::RUNNING;
  const absl::Status updated = tx.UpdateJob(job, former);
  if (!updated.ok()) return updated;
  return token;
}

class RowCacheTest : public ::testing::Test {
 protected:
  RowCacheTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-rows-")),
        store_(*Store::Open(directory_)) {}
  ~RowCacheTest() override {
    store_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  // Work that sees the tables.
  static absl::Status ExpectTheTables(Tx& tx, JobId job, FencingToken token) {
    const Reader& reader = tx;
    EXPECT_EQ(Text(*tx.FindJob(job)), Text(*reader.FindJob(job)));
    EXPECT_EQ(Text(*tx.FindAttempt(token)), Text(*reader.FindAttempt(token)));
    return absl::OkStatus();
  }

  const std::string directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(RowCacheTest, WorkThatFailsLeavesNothingBehind) {
  JobId job, other;
  std::string before;
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    const auto jobs = AddJobs(tx, 2);
                    if (!jobs.ok()) return jobs.status();
                    job = (*jobs)[0];
                    other = (*jobs)[1];
                    before = Text(*tx.FindJob(job));
                    return absl::OkStatus();
                  })
                  .ok());
  FencingToken undone;
  EXPECT_EQ(store_
                ->RunAndWait([&](Tx& tx) -> absl::Status {
                  undone = *Grant(tx, job);
                  EXPECT_EQ((*tx.FindJob(job))->state, v1::Job::RUNNING);
                  return absl::AbortedError("no");
                })
                .code(),
            absl::StatusCode::kAborted);
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    EXPECT_EQ(Text(*tx.FindJob(job)), before);
                    EXPECT_EQ(Text(*tx.FindAttempt(undone)), "none");
                    return ExpectTheTables(tx, job, undone);
                  })
                  .ok());
  // Its token goes to nobody else.
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    EXPECT_GT((*Grant(tx, other)).value, undone.value);
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    EXPECT_EQ(Text(*tx.FindAttempt(undone)), "none");
                    return ExpectTheTables(tx, job, undone);
                  })
                  .ok());
}

TEST_F(RowCacheTest, ARunningJobIsAsItWasBeforeWorkThatFails) {
  JobId job;
  FencingToken token;
  std::string job_before, attempt_before;
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    job = (*AddJobs(tx, 1))[0];
                    token = *Grant(tx, job);
                    job_before = Text(*tx.FindJob(job));
                    attempt_before = Text(*tx.FindAttempt(token));
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_FALSE(store_
                   ->RunAndWait([&](Tx& tx) -> absl::Status {
                     JobRow row = **tx.FindJob(job);
                     AttemptRow attempt = **tx.FindAttempt(token);
                     attempt.device = "cuda:0";
                     row.epoch = 9;
                     EXPECT_TRUE(tx.UpdateAttempt(attempt).ok());
                     EXPECT_TRUE(tx.UpdateJob(row, token).ok());
                     EXPECT_TRUE(
                         tx.ExtendLease(token, kMadeTime, kMadeTime).ok());
                     return absl::AbortedError("no");
                   })
                   .ok());
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    EXPECT_EQ(Text(*tx.FindJob(job)), job_before);
                    EXPECT_EQ(Text(*tx.FindAttempt(token)), attempt_before);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(RowCacheTest, WorkThatFailsBetweenOthersLeavesTheirRows) {
  JobId granted, failed;
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    const auto jobs = AddJobs(tx, 2);
                    if (!jobs.ok()) return jobs.status();
                    granted = (*jobs)[0];
                    failed = (*jobs)[1];
                    return absl::OkStatus();
                  })
                  .ok());
  // Holds the pen until the others wait: they share a transaction.
  absl::Notification writes, others_wait;
  std::thread first([&] {
    EXPECT_TRUE(store_
                    ->RunAndWait([&](Tx&) {
                      writes.Notify();
                      others_wait.WaitForNotification();
                      return absl::OkStatus();
                    })
                    .ok());
  });
  writes.WaitForNotification();
  absl::BlockingCounter answers(3);
  FencingToken kept, undone;
  store_->Run(
      [&](Tx& tx) -> absl::Status {
        kept = *Grant(tx, granted);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        answers.DecrementCount();
      });
  store_->Run(
      [&](Tx& tx) -> absl::Status {
        undone = *Grant(tx, failed);
        return absl::AbortedError("no");
      },
      [&](const absl::Status& status) {
        EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
        answers.DecrementCount();
      });
  store_->Run(
      [&](Tx& tx) -> absl::Status {
        EXPECT_EQ((*tx.FindJob(granted))->token, kept);
        EXPECT_EQ((*tx.FindJob(failed))->state, v1::Job::PENDING);
        EXPECT_EQ(Text(*tx.FindAttempt(undone)), "none");
        EXPECT_TRUE(ExpectTheTables(tx, granted, kept).ok());
        return ExpectTheTables(tx, failed, undone);
      },
      [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        answers.DecrementCount();
      });
  others_wait.Notify();
  answers.Wait();
  first.join();
}

TEST_F(RowCacheTest, ALogLossThatIsNoNumberIsAsTheTableKeepsIt) {
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    const JobId job = (*AddJobs(tx, 1))[0];
                    const FencingToken token = *Grant(tx, job);
                    JobRow row = **tx.FindJob(job);
                    row.log_loss = std::numeric_limits<double>::quiet_NaN();
                    EXPECT_TRUE(tx.UpdateJob(row, token).ok());
                    return ExpectTheTables(tx, job, token);
                  })
                  .ok());
}

TEST_F(RowCacheTest, OfANewAttemptOnlyWhatIsWrittenIsKept) {
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    const JobId job = (*AddJobs(tx, 1))[0];
                    AttemptRow attempt = NewAttempt(**tx.FindJob(job));
                    // InsertAttempt() writes none of these.
                    attempt.outcome = v1::Attempt::FAILED;
                    attempt.device = "cuda:0";
                    attempt.end_time = kMadeTime;
                    attempt.exit_status = 1;
                    attempt.signal = 9;
                    attempt.error = "error";
                    attempt.log_tail = {"line"};
                    attempt.uncharged = true;
                    attempt.peak_memory_bytes = 1;
                    attempt.cpu_seconds = 1;
                    attempt.metrics = {{"log_loss", 0.5}};
                    return ExpectTheTables(tx, job, *tx.InsertAttempt(attempt));
                  })
                  .ok());
}

TEST_F(RowCacheTest, AJobThatDoesNotKnowItsNewAttemptYetHasTheFormersStart) {
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    const JobId job = (*AddJobs(tx, 1))[0];
                    AttemptRow attempt = NewAttempt(**tx.FindJob(job));
                    attempt.token = *tx.InsertAttempt(attempt);
                    attempt.start_time += absl::Seconds(1);
                    EXPECT_TRUE(tx.UpdateAttempt(attempt).ok());
                    return ExpectTheTables(tx, job, attempt.token);
                  })
                  .ok());
}

TEST(RowCacheSizeTest, AFullCacheForgetsAllAndGoesOn) {
  RowCache read, inserted;
  constexpr int kJobs = 10000;
  for (int i = 1; i <= kJobs; ++i) {
    JobRow job;
    job.id = {i};
    read.NoteRead(job);
    ASSERT_NE(read.FindJob(job.id), nullptr) << i;
    AttemptRow attempt;
    attempt.job = job.id;
    attempt.token = {i + kJobs};
    inserted.NoteInsert(attempt);
    ASSERT_NE(inserted.FindAttempt(attempt.token), nullptr) << i;
  }
  int jobs = 0, attempts = 0;
  for (int i = 1; i <= kJobs; ++i) {
    jobs += read.FindJob({i}) != nullptr;
    const AttemptRow* const attempt = inserted.FindAttempt({i + kJobs});
    attempts += attempt != nullptr;
    EXPECT_TRUE(attempt == nullptr || attempt->job == JobId{i}) << i;
  }
  EXPECT_LT(jobs, 5000);
  EXPECT_LT(attempts, 5000);
}

}  // namespace
}  // namespace foldfarm
