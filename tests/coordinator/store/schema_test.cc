// A farm of an older program: what it had is there after its tables were
// changed.
#include "coordinator/store/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "coordinator/store/open_database.h"
#include "coordinator/store/tx.h"
#include "tests/coordinator/store/row_text.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Metrics = std::map<std::string, double>;

constexpr JobId kSucceeded{11}, kRunning{12}, kReused{13};

absl::Time Micros(int64_t micros) { return absl::FromUnixMicros(micros); }

// SQL of a blob that holds the message.
template <typename Message>
std::string Literal(const Message& message) {
  return absl::StrCat("x'", absl::BytesToHexString(message.SerializeAsString()),
                      "'");
}

std::string Literal(const Metrics& metrics) {
  v1::GetMetricsResponse message;
  message.mutable_result()->insert(metrics.begin(), metrics.end());
  return Literal(message);
}

// The first column of every row.
std::vector<std::string> Rows(Connection& connection, const char* sql) {
  std::vector<std::string> rows;
  Statement s = connection.Prepare(sql);
  while (true) {
    const absl::StatusOr<bool> row = s.Step();
    EXPECT_TRUE(row.ok()) << sql << ": " << row.status();
    if (!row.ok() || !*row) return rows;
    rows.push_back(s.Text(0));
  }
}

// A farm of version 5, the last that kept results apart from their attempts.
class VersionFiveTest : public ::testing::Test {
 protected:
  VersionFiveTest() : directory_(*MakeTemporaryDirectory("foldfarm-schema-")) {}
  ~VersionFiveTest() override {
    connection_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  void SetUp() override {
    const std::string path = JoinPath(directory_, "farm.db");
    {
      auto old = *Connection::Open(path, /*read_only=*/false);
      ASSERT_TRUE(Migrate(*old, 5).ok());
      ASSERT_NO_FATAL_FAILURE(Fill(*old));
      ASSERT_THAT(Rows(*old, "PRAGMA foreign_key_check"), IsEmpty());
      for (const JobId id : {kSucceeded, kRunning, kReused}) {
        jobs_before_.push_back(Text(*Reader(*old).FindJob(id)));
      }
      events_before_ = Rows(*old, kEvents);
      ASSERT_EQ(events_before_.size(), 3u);
    }
    auto connection = OpenDatabase(path, {});
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }

  static void Run(Connection& connection, const std::string& sql) {
    const absl::Status status = connection.Execute(sql);
    ASSERT_TRUE(status.ok()) << status;
  }

  void Fill(Connection& old) {
    v1::Dataset dataset;
    dataset.set_name("d");
    Run(old, absl::StrCat("INSERT INTO dataset VALUES(1, 'd', 'digest', ",
                          Literal(dataset), ")"));
    Run(old,
        "INSERT INTO sweep VALUES(7, 'r', 's', 1, x'', 0, 1, 3, 1, 1000, "
        "'screened', 'stopped')");
    v1::ModelSpec model;
    model.set_name("other");
    Run(old,
        absl::StrCat(
            "INSERT INTO job(id, sweep_id, position, model, model_index, fold, "
            "state, slots, attempt_count, failed_count, lost_count, token, "
            "not_before_us, cancel_requested, result_key, reused_from, epoch, "
            "epochs, log_loss, seconds_per_epoch, error, checkpoint_epoch, "
            "create_us, end_us, change, needs_exec, dropped, paused, "
            "model_override) VALUES"
            "(11, 7, 0, 'm', 0, 0, 3, 2, 2, 1, 0, 42, NULL, 0, 'key0', 0, 10, "
            "10, 0.25, 1.5, '', 8, 1001, 5001, 21, 1, 0, 0, ",
            Literal(model),
            "), (12, 7, 1, 'm', 0, 1, 2, 4, 1, 0, 3, 45, 1500, 1, 'key1', 0, "
            "6, 10, 0.75, 2.5, 'why', 5, 1002, NULL, 22, 0, 1, 1, NULL),"
            "(13, 7, 2, 'm', 0, 2, 3, 1, 0, 0, 0, 0, NULL, 0, 'key2', 11, 10, "
            "10, 0.5, 0, '', 0, 1003, 5003, 23, 0, 0, 0, NULL)"));
    // The first attempt failed, the second made the result, the third runs.
    attempts_.resize(3);
    attempts_[0] = {.token = {41},
                    .job = kSucceeded,
                    .number = 1,
                    .state = v1::Attempt::FAILED,
                    .outcome = v1::Attempt::SUCCEEDED,
                    .session = {3},
                    .worker = "gpu-1",
                    .device = "cuda:0",
                    .start_time = Micros(2001),
                    .end_time = Micros(3001),
                    .lease_until = Micros(4001),
                    .heartbeat_time = Micros(2501),
                    .exit_status = 1,
                    .signal = 9,
                    .error = "killed",
                    .resumed_epoch = 2,
                    .log_tail = {"line", "last line"},
                    .granted_by = {40},
                    .uncharged = true,
                    .peak_memory_bytes = int64_t{5} << 32,
                    .cpu_seconds = 12.25};
    attempts_[1] = {.token = {42},
                    .job = kSucceeded,
                    .number = 2,
                    .state = v1::Attempt::SUCCEEDED,
                    .outcome = v1::Attempt::SUCCEEDED,
                    .session = {4},
                    .worker = "gpu-2",
                    .device = "cuda:1",
                    .start_time = Micros(3002),
                    .end_time = Micros(5001),
                    .lease_until = Micros(6002),
                    .heartbeat_time = Micros(4502),
                    .resumed_epoch = 3,
                    .granted_by = {41},
                    .peak_memory_bytes = 4096,
                    .cpu_seconds = 0.5,
                    .metrics = result_};
    attempts_[2] = {.token = {45},
                    .job = kRunning,
                    .number = 1,
                    .state = v1::Attempt::RUNNING,
                    .session = {4},
                    .worker = "gpu-2",
                    .start_time = Micros(3003),
                    .lease_until = Micros(6003)};
    for (const AttemptRow& row : attempts_) InsertOld(old, row);
    // The rest of a row that says as little as it may.
    Run(old, "UPDATE attempt SET log_tail = NULL WHERE token = 45");
    Run(old, absl::StrCat("INSERT INTO result VALUES(11, ", Literal(result_),
                          "), (13, ", Literal(taken_over_), ")"));
    Run(old,
        "INSERT INTO event VALUES(5, 1001, 11, 0, 1, 'submitted'), "
        "(6, 2001, 11, 41, 2, 'gpu-1'), (9, 5001, 11, 42, 3, 'it''s done')");
    Run(old,
        "INSERT INTO job_artifact VALUES(11, 0, 'oof', 'digest0', 100), "
        "(11, 1, 'state', 'digest1', 101), (12, 1, 'state', 'digest2', 102), "
        "(13, 0, 'oof', 'digest0', 100)");
  }

  // The columns that version 5 had.
  static void InsertOld(Connection& old, const AttemptRow& row) {
    v1::Attempt tail;
    tail.mutable_log_tail()->Assign(row.log_tail.begin(), row.log_tail.end());
    const std::string bytes = tail.SerializeAsString();
    ASSERT_TRUE(
        old.Prepare("INSERT INTO attempt(token, job_id, number, state, "
                    "outcome, session, worker, device, start_us, end_us, "
                    "lease_until_us, heartbeat_us, exit_status, signal, error, "
                    "resumed_epoch, log_tail, granted_by, uncharged, "
                    "peak_memory_bytes, cpu_seconds) VALUES(?, ?, ?, ?, ?, ?, "
                    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .Bind(row.token.value, row.job.value, row.number,
                  static_cast<int>(row.state), static_cast<int>(row.outcome),
                  row.session.value, row.worker, row.device, row.start_time,
                  row.end_time, row.lease_until, row.heartbeat_time,
                  row.exit_status, row.signal, row.error, row.resumed_epoch,
                  Blob{bytes}, row.granted_by.value, row.uncharged,
                  row.peak_memory_bytes, row.cpu_seconds)
            .Run()
            .ok());
  }

  static constexpr char kEvents[] =
      "SELECT sequence || ' ' || time_us || ' ' || job_id || ' ' || token || "
      "' ' || state || ' ' || detail FROM event ORDER BY sequence";
  const Metrics result_ = {{"log_loss", 0.25}, {"accuracy", 0.875}};
  const Metrics taken_over_ = {{"log_loss", 0.5}};

  const std::string directory_;
  std::vector<AttemptRow> attempts_;
  std::vector<std::string> jobs_before_, events_before_;
  // Of today.
  std::unique_ptr<Connection> connection_;
};

TEST_F(VersionFiveTest, ResultsHaveTheirMetrics) {
  const Reader reader(*connection_);
  EXPECT_EQ(*reader.ResultMetrics(kSucceeded), result_);
  EXPECT_EQ(*reader.ResultMetrics(kReused), taken_over_);
  EXPECT_EQ(*reader.ResultMetrics(kRunning), Metrics());
  // One lies with its attempt, the other has none to lie with.
  EXPECT_THAT(Rows(*connection_, "SELECT job_id FROM result"),
              ElementsAre("13"));
}

TEST_F(VersionFiveTest, JobsAttemptsArtifactsAndEventsAreAsTheyWere) {
  const Reader reader(*connection_);
  std::vector<std::string> jobs;
  for (const JobId id : {kSucceeded, kRunning, kReused}) {
    jobs.push_back(Text(*reader.FindJob(id)));
  }
  EXPECT_EQ(jobs, jobs_before_);
  EXPECT_THAT(Rows(*connection_, "SELECT token FROM attempt ORDER BY token"),
              ElementsAre("41", "42", "45"));
  for (const AttemptRow& row : attempts_) {
    EXPECT_EQ(Text(*reader.FindAttempt(row.token)), Text(row));
  }
  EXPECT_EQ(reader.ListAttempts(kSucceeded)->size(), 2u);
  EXPECT_EQ(reader.ListAttempts(kRunning)->size(), 1u);
  EXPECT_THAT(
      Rows(*connection_,
           "SELECT job_id || ' ' || kind || ' ' || name || ' ' || digest || "
           "' ' || size_bytes FROM job_artifact ORDER BY job_id, kind"),
      ElementsAre("11 0 oof digest0 100", "11 1 state digest1 101",
                  "12 1 state digest2 102", "13 0 oof digest0 100"));
  EXPECT_EQ(Rows(*connection_, kEvents), events_before_);
}

TEST_F(VersionFiveTest, NewIdsAreGreaterThanAllFormer) {
  Tx tx(*connection_);
  AttemptRow attempt;
  attempt.job = kRunning;
  attempt.start_time = attempt.lease_until = Micros(7000);
  for (int64_t least = 46; least < 49; ++least) {
    const auto token = tx.InsertAttempt(attempt);
    ASSERT_TRUE(token.ok()) << token.status();
    EXPECT_GE(token->value, least);
  }
  ASSERT_TRUE(
      tx.InsertEvent(Micros(7000), kRunning, {46}, v1::Job::RUNNING, "new")
          .ok());
  const std::vector<std::string> events = Rows(*connection_, kEvents);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events.back(), "10 7000 12 46 2 new");
}

TEST_F(VersionFiveTest, OnlyFinalJobsHaveAnEnd) {
  // As it is known to who migrated it, and to who opens it later.
  for (const bool again : {false, true}) {
    if (again) {
      connection_.reset();
      connection_ = *OpenDatabase(JoinPath(directory_, "farm.db"), {});
    }
    for (int state = 0; state <= 6; ++state) {
      for (const char* end : {"NULL", "6000"}) {
        const bool ended = state >= 3 && state <= 5;
        const bool good = ended == (std::string(end) != "NULL");
        const std::string update =
            absl::StrCat("UPDATE job SET state = ", state, ", end_us = ", end,
                         " WHERE id = 12");
        const std::string insert = absl::StrCat(
            "INSERT INTO job(sweep_id, position, model, model_index, fold, "
            "state, slots, result_key, create_us, end_us, change) VALUES(7, 9, "
            "'m', 0, 9, ",
            state, ", 1, 'key', 1000, ", end, ", 30)");
        for (const std::string& sql : {update, insert}) {
          Run(*connection_, "BEGIN");
          EXPECT_EQ(
              connection_->Execute(sql).code(),
              good ? absl::StatusCode::kOk : absl::StatusCode::kAlreadyExists)
              << sql;
          Run(*connection_, "ROLLBACK");
        }
      }
    }
  }
}

TEST_F(VersionFiveTest, TheDatabaseIsSound) {
  EXPECT_THAT(Rows(*connection_, "PRAGMA integrity_check"), ElementsAre("ok"));
  EXPECT_THAT(Rows(*connection_, "PRAGMA foreign_key_check"), IsEmpty());
  EXPECT_THAT(Rows(*connection_,
                   "SELECT sql FROM sqlite_schema WHERE type = 'table' AND "
                   "name = 'job'"),
              ElementsAre(AllOf(HasSubstr("state BETWEEN 3 AND 5"),
                                Not(HasSubstr("IN (3, 4, 5)")))));
  // What was built aside has its own name now, and nothing is left of the old.
  EXPECT_THAT(Rows(*connection_,
                   "SELECT name FROM sqlite_schema WHERE name LIKE 'new_%' OR "
                   "name IN ('attempt_running', 'job_result')"),
              IsEmpty());
}

}  // namespace
}  // namespace foldfarm
