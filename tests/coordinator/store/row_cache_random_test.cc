// Whatever the writer does, the rows that it keeps are those of the tables.
#include <gtest/gtest.h>

#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "coordinator/store/open_database.h"
#include "coordinator/store/row_cache.h"
#include "coordinator/store/tx.h"
#include "tests/coordinator/store/made_rows.h"
#include "tests/coordinator/store/row_text.h"

namespace foldfarm {
namespace {

// A writer that does what the queue does with jobs and attempts, in any order,
// and beside it a reader that asks the tables.
class RandomWritesTest : public ::testing::TestWithParam<int> {
 protected:
  RandomWritesTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-rows-")),
        random_(static_cast<unsigned>(GetParam())) {
    auto connection = OpenDatabase(JoinPath(directory_, "farm.db"), {});
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    Begin();
  }
  ~RandomWritesTest() override {
    tx_.reset();
    connection_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  Reader reader() { return Reader(*connection_); }

  // As the store does: a transaction, and its own Tx.
  void Begin() {
    ASSERT_TRUE(connection_->Execute("BEGIN IMMEDIATE").ok());
    tx_ = std::make_unique<Tx>(*connection_, &cache_);
  }
  void Commit() {
    ASSERT_TRUE(connection_->Execute("COMMIT").ok());
    Begin();
  }
  // The tokens of undone attempts are given again.
  void Undo() {
    ASSERT_TRUE(connection_->Execute("ROLLBACK").ok());
    cache_.Clear();
    Begin();
  }

  int Between(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random_);
  }
  bool Chance(int of) { return Between(1, of) == 1; }
  absl::Time RandomTime() {
    return kMadeTime + absl::Nanoseconds(std::uniform_int_distribution<int64_t>(
                           0, 1'000'000'000'000)(random_));
  }
  absl::Time RandomTimeOrNever() {
    return Chance(3) ? absl::InfinitePast() : RandomTime();
  }
  double RandomDouble() {
    if (Chance(10)) return std::numeric_limits<double>::infinity();
    return std::uniform_real_distribution<double>(0.01, 10)(random_);
  }
  std::string RandomText() {
    if (Chance(5)) return "";
    return absl::StrCat("µs ", Between(1, 1'000'000));
  }

  // From the cache or past it: what is read is in the cache from then on.
  JobRow FindJob(JobId id) {
    return Chance(2) ? **tx_->FindJob(id) : **reader().FindJob(id);
  }
  AttemptRow FindAttempt(FencingToken token) {
    return Chance(2) ? **tx_->FindAttempt(token)
                     : **reader().FindAttempt(token);
  }

  // Changes what UpdateJob() writes, besides the state and what hangs on it.
  void ChangeJob(JobRow& row) {
    row.slots = Between(1, 64);
    row.attempt_count = Between(0, 1000);
    row.failed_count = Between(0, 1000);
    row.lost_count = Between(0, 1000);
    row.not_before = RandomTimeOrNever();
    row.cancel_requested = Chance(2);
    row.epoch = Between(0, 1000);
    row.epochs = Between(0, 1000);
    row.log_loss.reset();
    if (!Chance(3)) row.log_loss = RandomDouble();
    if (Chance(10)) row.log_loss = std::numeric_limits<double>::quiet_NaN();
    row.seconds_per_epoch = RandomDouble();
    row.error = RandomText();
    row.checkpoint_epoch = Between(0, 1000);
    row.change = ++change_;
    row.dropped = Chance(2);
    if (Chance(2)) return;
    // UpdateJob() writes none of these.
    row.sweep = {Between(100, 200)};
    row.position = Between(100, 200);
    row.model = RandomText();
    row.model_index = Between(100, 200);
    row.fold = Between(100, 200);
    row.needs_exec = Chance(2);
    row.result_key = RandomText();
    row.reused_from = {Between(100, 200)};
    row.create_time = RandomTime();
    row.paused = Chance(2);
    row.model_override.emplace().set_name(RandomText());
    row.worker = RandomText();
    row.start_time = RandomTime();
  }

  // The same of UpdateAttempt().
  void ChangeAttempt(AttemptRow& row) {
    row.outcome = static_cast<v1::Attempt::State>(Between(0, 6));
    row.session = {Between(1, 1000)};
    row.device = RandomText();
    row.start_time = RandomTime();
    row.end_time = RandomTimeOrNever();
    row.lease_until = RandomTime();
    row.heartbeat_time = RandomTimeOrNever();
    row.exit_status = Between(0, 255);
    row.signal = Between(0, 64);
    row.error = RandomText();
    row.resumed_epoch = Between(0, 1000);
    row.log_tail.clear();
    for (int i = Between(0, 3); i > 0; --i) {
      row.log_tail.push_back(RandomText());
    }
    row.uncharged = Chance(2);
    row.peak_memory_bytes = int64_t{Between(0, 1 << 30)} << 10;
    row.cpu_seconds = RandomDouble();
    row.metrics.clear();
    for (int i = Between(0, 2); i > 0; --i) {
      row.metrics[absl::StrCat("metric", i)] = RandomDouble();
    }
    if (Chance(2)) return;
    // UpdateAttempt() writes none of these.
    row.number = Between(100, 200);
    row.worker = RandomText();
    row.granted_by = {Between(100, 200)};
  }

  // From any state, though the queue knows only one.
  void Grant(JobRow row) {
    AttemptRow attempt = NewAttempt(row);
    ChangeAttempt(attempt);  // More than InsertAttempt() writes.
    attempt.number = Between(1, 1000);
    attempt.worker = RandomText();
    attempt.granted_by = {Between(0, 1000)};
    if (Chance(8)) attempt.state = v1::Attempt::LOST;
    const FencingToken token = *tx_->InsertAttempt(attempt);
    tokens_.insert(token);
    if (Chance(4)) ExpectTheTables();
    if (Chance(6)) return;  // Its job never hears of it.
    const FencingToken former = row.token;
    ChangeJob(row);
    row.state = v1::Job::RUNNING;
    row.end_time = absl::InfinitePast();
    row.token = token;
    ASSERT_TRUE(tx_->UpdateJob(row, former).ok());
  }

  void ReportRunning(JobRow row) {
    const int what = Between(1, 3);
    if (what != 1) {
      AttemptRow attempt = FindAttempt(row.token);
      ChangeAttempt(attempt);
      ASSERT_TRUE(tx_->UpdateAttempt(attempt).ok());
    }
    if (what != 2) {
      ChangeJob(row);
      ASSERT_TRUE(tx_->UpdateJob(row, row.token).ok());
    }
  }

  void EndRunning(JobRow row) {
    AttemptRow attempt = FindAttempt(row.token);
    ChangeAttempt(attempt);
    attempt.state = static_cast<v1::Attempt::State>(Between(2, 6));
    attempt.end_time = RandomTime();
    ASSERT_TRUE(tx_->UpdateAttempt(attempt).ok());
    if (Chance(4)) ExpectTheTables();
    ChangeJob(row);
    row.state = static_cast<v1::Job::State>(Between(3, 5));
    row.end_time = RandomTime();
    if (Chance(3)) {
      row.state = v1::Job::PENDING;
      row.end_time = absl::InfinitePast();
    }
    ASSERT_TRUE(tx_->UpdateJob(row, row.token).ok());
  }

  // One that does not run is cancelled, tried again or only counted otherwise.
  void ChangeWaiting(JobRow row) {
    ChangeJob(row);
    if (Chance(2)) {
      const bool cancel = row.state == v1::Job::PENDING;
      row.state = cancel ? v1::Job::CANCELLED : v1::Job::PENDING;
      row.end_time = cancel ? RandomTime() : absl::InfinitePast();
    }
    ASSERT_TRUE(tx_->UpdateJob(row, row.token).ok());
  }

  void Wish(JobRow row) {
    row.paused = Chance(2);
    row.slots = Between(1, 64);
    row.result_key = RandomText();
    row.model_override.reset();
    if (!Chance(3)) row.model_override.emplace().set_name(RandomText());
    row.change = ++change_;
    ASSERT_TRUE(tx_->UpdateWish(row).ok());
  }

  // Any attempt, whatever its job does by now.
  void Extend() {
    if (tokens_.empty()) return;
    ASSERT_TRUE(
        tx_->ExtendLease(AnyToken(), RandomTime(), RandomTimeOrNever()).ok());
  }

  // One that ended long ago, or whose job has another by now.
  void ChangeAnyAttempt() {
    if (tokens_.empty()) return;
    const auto found = *reader().FindAttempt(AnyToken());
    if (!found.has_value()) return;
    AttemptRow attempt = *found;
    ChangeAttempt(attempt);
    ASSERT_TRUE(tx_->UpdateAttempt(attempt).ok());
  }

  void UpdateUnderAStaleToken(JobRow row) {
    ChangeJob(row);
    EXPECT_EQ(tx_->UpdateJob(row, FencingToken{row.token.value + 1}).code(),
              absl::StatusCode::kAborted);
  }

  FencingToken AnyToken() {
    return *std::next(tokens_.begin(),
                      Between(0, static_cast<int>(tokens_.size()) - 1));
  }

  void Change(JobId id) {
    const JobRow row = FindJob(id);
    const bool running = row.state == v1::Job::RUNNING;
    switch (Between(1, 10)) {
      case 1:
        return Wish(row);
      case 2:
        return Extend();
      case 3:
        return ChangeAnyAttempt();
      case 4:
        return UpdateUnderAStaleToken(row);
      case 5:
      case 6:
        return running ? EndRunning(row) : ChangeWaiting(row);
      case 7:
        return Grant(row);
      default:
        if (running) return ReportRunning(row);
        return row.state == v1::Job::PENDING ? Grant(row) : ChangeWaiting(row);
    }
  }

  // Every job and every attempt there ever was.
  void ExpectTheTables() {
    for (const JobId id : jobs_) {
      const JobRow* const kept = cache_.FindJob(id);
      kept_jobs_ += kept != nullptr && kept->state == v1::Job::RUNNING;
      EXPECT_EQ(Text(*tx_->FindJob(id)), Text(*reader().FindJob(id)));
    }
    for (const FencingToken token : tokens_) {
      kept_attempts_ += cache_.FindAttempt(token) != nullptr;
      EXPECT_EQ(Text(*tx_->FindAttempt(token)),
                Text(*reader().FindAttempt(token)));
    }
  }

  const std::string directory_;
  std::mt19937 random_;
  std::unique_ptr<Connection> connection_;
  RowCache cache_;
  std::unique_ptr<Tx> tx_;
  std::vector<JobId> jobs_;
  // Also those of attempts that were undone.
  std::set<FencingToken> tokens_;
  int64_t change_ = 0;
  // How often a row was compared that the cache had.
  int kept_jobs_ = 0, kept_attempts_ = 0;
};

TEST_P(RandomWritesTest, KeptRowsAreThoseOfTheTables) {
  jobs_ = *AddJobs(*tx_, 4);
  Commit();
  for (int step = 1; step <= 300; ++step) {
    SCOPED_TRACE(absl::StrCat("seed ", GetParam(), ", step ", step));
    const JobId id = jobs_[static_cast<size_t>(Between(0, 3))];
    // What nobody reads in between is not in the cache.
    for (int i = Between(1, 3); i > 0; --i) Change(id);
    ExpectTheTables();
    if (step % 10 == 0) {
      if (Chance(5)) {
        Undo();
        ExpectTheTables();
      } else {
        Commit();
      }
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(kept_jobs_, 100);
  EXPECT_GT(kept_attempts_, 100);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomWritesTest, ::testing::Range(1, 21));

}  // namespace
}  // namespace foldfarm
