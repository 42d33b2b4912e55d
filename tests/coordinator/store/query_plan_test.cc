// What the farm asks its database while it runs never reads a whole table that
// grows with the farm: a hundred thousand jobs must not slow the next lease.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "coordinator/store/open_database.h"
#include "coordinator/store/tx.h"

namespace foldfarm {
namespace {

// The steps of a plan that read all of a table or an index of it.
std::vector<std::string> FullScans(Connection& connection,
                                   const std::string& sql) {
  std::vector<std::string> scans;
  // The connection knows a statement by its text's address, for ever.
  static auto* const texts = new std::deque<std::string>;
  texts->push_back(absl::StrCat("EXPLAIN QUERY PLAN ", sql));
  Statement plan = connection.Prepare(texts->back().c_str());
  while (true) {
    const absl::StatusOr<bool> row = plan.Step();
    EXPECT_TRUE(row.ok()) << sql << ": " << row.status();
    if (!row.ok() || !*row) return scans;
    const std::string step = plan.Text(3);
    for (const char* table : {"job", "j", "attempt", "a", "metric", "log_line",
                              "event", "job_artifact", "r", "trained"}) {
      // SEARCH without an index: for a least or greatest value, all rows.
      if (step == absl::StrCat("SCAN ", table) ||
          step == absl::StrCat("SEARCH ", table) ||
          absl::StartsWith(step, absl::StrCat("SCAN ", table, " "))) {
        scans.push_back(step);
      }
    }
  }
}

class QueryPlanTest : public ::testing::Test {
 protected:
  QueryPlanTest() : directory_(*MakeTemporaryDirectory("foldfarm-plan-")) {
    auto connection = OpenDatabase(JoinPath(directory_, "farm.db"), {});
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }
  ~QueryPlanTest() override {
    connection_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  const std::string directory_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(QueryPlanTest, AScanIsRecognized) {
  EXPECT_FALSE(
      FullScans(*connection_, "SELECT * FROM job WHERE fold = 3").empty());
  EXPECT_FALSE(FullScans(*connection_, "SELECT max(change) FROM job").empty());
  EXPECT_TRUE(
      FullScans(*connection_, "SELECT * FROM job WHERE id = 3").empty());
}

TEST_F(QueryPlanTest, NothingOnTheWayOfAJobReadsAWholeTable) {
  Tx tx(*connection_);
  const JobId job{1};
  const SweepId sweep{1};
  const FencingToken token{1};
  // The calls of lease, heartbeat, report, finish, expiry; the answers do not
  // matter.
  tx.FindJob(job).status().IgnoreError();
  tx.FindJob(sweep, "m", 0).status().IgnoreError();
  tx.FindResult("key").status().IgnoreError();
  tx.FindAttempt(token).status().IgnoreError();
  tx.ListAttempts(job).status().IgnoreError();
  tx.ListArtifacts(job, ArtifactKind::kCheckpoint).status().IgnoreError();
  tx.IsArtifactUsed("digest").status().IgnoreError();
  tx.FindSweep(sweep).status().IgnoreError();
  tx.FindSweepByRequest("r").status().IgnoreError();
  tx.ListFolds(sweep).status().IgnoreError();
  tx.ListInputs(sweep).status().IgnoreError();
  tx.InsertJob({}).status().IgnoreError();
  tx.UpdateJob({}, token).IgnoreError();
  tx.InsertAttempt({}).status().IgnoreError();
  tx.UpdateAttempt({}).IgnoreError();
  tx.ExtendLease(token, absl::UnixEpoch(), absl::UnixEpoch()).IgnoreError();
  v1::ArtifactRef ref;
  tx.AddArtifacts(job, ArtifactKind::kResult, {ref}).IgnoreError();
  tx.SetArtifacts(job, ArtifactKind::kResult, {ref}).IgnoreError();
  tx.SetResultMetrics(job, {{"log_loss", 0.5}}).IgnoreError();
  tx.PutMetrics(job, {}).IgnoreError();
  tx.DropMetricsAfter(job, 1).IgnoreError();
  tx.PutLogLine(job, token, {}).IgnoreError();
  tx.InsertEvent(absl::UnixEpoch(), job, token, v1::Job::PENDING, "")
      .IgnoreError();
  // What people look at while the farm runs.
  tx.ListJobs(sweep, 7).status().IgnoreError();
  tx.CountJobs(sweep).status().IgnoreError();
  tx.ListCompletions(sweep).status().IgnoreError();
  tx.ListMetrics(job, 3).status().IgnoreError();
  tx.ListLog(job, token, 0, 100).status().IgnoreError();
  tx.ListResults(sweep, "oof.safetensors").status().IgnoreError();
  tx.SecondsByModel(sweep).status().IgnoreError();
  tx.ResultMetrics(job).status().IgnoreError();

  int plans = 0;
  for (const std::string& sql : connection_->statements()) {
    if (absl::StartsWith(sql, "SAVEPOINT") || absl::StartsWith(sql, "PRAGMA")) {
      continue;
    }
    ++plans;
    EXPECT_THAT(FullScans(*connection_, sql), ::testing::IsEmpty()) << sql;
  }
  EXPECT_GE(plans, 30);
}

}  // namespace
}  // namespace foldfarm
