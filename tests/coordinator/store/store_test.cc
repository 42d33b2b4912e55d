#include "coordinator/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/files.h"
#include "coordinator/store/schema.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : directory_(*MakeTemporaryDirectory("foldfarm-store-")) {}
  ~StoreTest() override { RemoveRecursively(directory_).IgnoreError(); }

  std::string database() const { return JoinPath(directory_, "farm.db"); }

  static absl::Status AddDataset(Tx& tx, const std::string& name) {
    v1::Dataset dataset;
    dataset.set_name(name);
    dataset.set_digest("d");
    return tx.InsertDataset(dataset).status();
  }

  static size_t Datasets(Store& store) {
    size_t count = 0;
    EXPECT_TRUE(store
                    .Read([&](const Reader& reader) -> absl::Status {
                      count = reader.ListDatasets()->size();
                      return absl::OkStatus();
                    })
                    .ok());
    return count;
  }

  // A sweep with one job, for tests about jobs.
  static absl::StatusOr<JobRow> AddJob(Tx& tx) {
    absl::Status status = AddDataset(tx, "d");
    if (!status.ok()) return status;
    SweepRow sweep;
    sweep.request_id = "r";
    sweep.dataset_id = 1;
    sweep.create_time = absl::UnixEpoch();
    auto id = tx.InsertSweep(sweep);
    if (!id.ok()) return id.status();
    JobRow job;
    job.sweep = *id;
    job.model = "m";
    job.create_time = absl::UnixEpoch();
    job.change = 1;
    auto job_id = tx.InsertJob(job);
    if (!job_id.ok()) return job_id.status();
    job.id = *job_id;
    return job;
  }

  const std::string directory_;
};

TEST_F(StoreTest, AnEmptyDatabaseIsBroughtToTodaysSchema) {
  ASSERT_TRUE(Connection::Open(database(), false).ok());
  ASSERT_TRUE(Store::Open(directory_).ok());
  auto connection = *Connection::Open(database(), true);
  Statement version = connection->Prepare("PRAGMA user_version");
  ASSERT_TRUE(*version.Step());
  EXPECT_EQ(version.Int(0), SchemaVersion());
}

TEST_F(StoreTest, ANewerSchemaIsRefused) {
  {
    auto connection = *Connection::Open(database(), false);
    ASSERT_TRUE(connection->Execute("PRAGMA user_version = 1000").ok());
  }
  const absl::Status status = Store::Open(directory_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("has schema version 1000"));
}

TEST_F(StoreTest, AFarmOfTheFirstSchemaOpensWithItsJobs) {
  {
    auto connection = *Connection::Open(database(), false);
    ASSERT_TRUE(Migrate(*connection, 1).ok());
    v1::Dataset dataset;
    dataset.set_name("d");
    const std::string bytes = dataset.SerializeAsString();
    ASSERT_TRUE(connection
                    ->Prepare("INSERT INTO dataset(name, digest, dataset) "
                              "VALUES('d', 'x', ?)")
                    .Bind(Blob{bytes})
                    .Run()
                    .ok());
    ASSERT_TRUE(
        connection
            ->Execute("INSERT INTO sweep VALUES(3, 'r', 's', 1, x'', 0, 1, 2, "
                      "0, 1000000); INSERT INTO job(sweep_id, position, model, "
                      "model_index, fold, state, slots, result_key, create_us, "
                      "change) VALUES(3, 0, 'm', 0, 0, 1, 2, 'k', 1000000, 1)")
            .ok());
  }
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)
                  ->Read([&](const Reader& reader) -> absl::Status {
                    const auto jobs = reader.ListOpenJobs();
                    EXPECT_EQ(jobs->size(), 1u);
                    EXPECT_EQ(jobs->at(0).model, "m");
                    EXPECT_EQ(jobs->at(0).slots, 2);
                    EXPECT_FALSE(jobs->at(0).needs_exec);
                    EXPECT_TRUE(reader.ListWeights()->empty());
                    EXPECT_TRUE(reader.ListInputs({3})->empty());
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(StoreTest, AFileThatAttemptsStartWithCountsAsUsed) {
  auto store = *Store::Open(directory_);
  ASSERT_TRUE(store
                  ->RunAndWait([](Tx& tx) -> absl::Status {
                    const auto job = AddJob(tx);
                    if (!job.ok()) return job.status();
                    InputRow input;
                    input.file.set_name("train.py");
                    input.file.set_digest("program");
                    absl::Status status = tx.InsertInput(job->sweep, input);
                    v1::Weights weights;
                    weights.set_name("w");
                    weights.set_digest("weights");
                    status.Update(tx.InsertWeights(weights));
                    EXPECT_TRUE(*tx.IsArtifactUsed("program"));
                    EXPECT_TRUE(*tx.IsArtifactUsed("weights"));
                    EXPECT_FALSE(*tx.IsArtifactUsed("other"));
                    return status;
                  })
                  .ok());
}

TEST_F(StoreTest, AMigrationThatFailsLeavesTheOldVersion) {
  {
    auto connection = *Connection::Open(database(), false);
    ASSERT_TRUE(Migrate(*connection, 1).ok());
    // In the way of the second step's last table.
    ASSERT_TRUE(connection->Execute("CREATE TABLE input(x)").ok());
  }
  EXPECT_FALSE(Store::Open(directory_).ok());
  auto connection = *Connection::Open(database(), true);
  Statement version = connection->Prepare("PRAGMA user_version");
  ASSERT_TRUE(*version.Step());
  EXPECT_EQ(version.Int(0), 1);
  Statement weights = connection->Prepare(
      "SELECT count(*) FROM sqlite_master WHERE name = 'weights'");
  ASSERT_TRUE(*weights.Step());
  EXPECT_EQ(weights.Int(0), 0);
}

TEST_F(StoreTest, ASecondCoordinatorFailsAtOnceAndSaysWhy) {
  auto first = Store::Open(directory_);
  ASSERT_TRUE(first.ok());
  const absl::Status second = Store::Open(directory_).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()),
              HasSubstr("another coordinator serves"));
}

TEST_F(StoreTest, AnsweredWorkIsThereAfterARestart) {
  {
    auto store = *Store::Open(directory_);
    ASSERT_TRUE(
        store->RunAndWait([](Tx& tx) { return AddDataset(tx, "a"); }).ok());
  }
  auto store = *Store::Open(directory_);
  EXPECT_EQ(Datasets(*store), 1u);
}

TEST_F(StoreTest, WorkThatFailsIsUndoneAlone) {
  auto store = *Store::Open(directory_);
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, i] {
      const absl::Status status = store->RunAndWait([i](Tx& tx) {
        const absl::Status added = AddDataset(tx, absl::StrCat("d", i));
        if (!added.ok()) return added;
        return i % 2 == 0 ? absl::OkStatus() : absl::AbortedError("no");
      });
      if (!status.ok()) ++failed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 10);
  EXPECT_EQ(Datasets(*store), 10u);
}

TEST_F(StoreTest, AUniqueNameThatIsTakenIsAlreadyThere) {
  auto store = *Store::Open(directory_);
  ASSERT_TRUE(
      store->RunAndWait([](Tx& tx) { return AddDataset(tx, "a"); }).ok());
  EXPECT_EQ(
      store->RunAndWait([](Tx& tx) { return AddDataset(tx, "a"); }).code(),
      absl::StatusCode::kAlreadyExists);
}

TEST_F(StoreTest, AJobIsWrittenOnlyUnderItsNewestToken) {
  auto store = *Store::Open(directory_);
  JobRow job;
  ASSERT_TRUE(store
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    auto added = AddJob(tx);
                    if (!added.ok()) return added.status();
                    job = *added;
                    AttemptRow attempt;
                    attempt.job = job.id;
                    attempt.start_time = absl::UnixEpoch();
                    attempt.lease_until = absl::UnixEpoch();
                    const auto token = tx.InsertAttempt(attempt);
                    if (!token.ok()) return token.status();
                    job.token = *token;
                    job.state = v1::Job::RUNNING;
                    return tx.UpdateJob(job, FencingToken{0});
                  })
                  .ok());
  job.epoch = 9;
  EXPECT_EQ(store
                ->RunAndWait([&](Tx& tx) {
                  return tx.UpdateJob(job, FencingToken{job.token.value - 1});
                })
                .code(),
            absl::StatusCode::kAborted);
  ASSERT_TRUE(store
                  ->Read([&](const Reader& reader) -> absl::Status {
                    EXPECT_EQ((*reader.FindJob(job.id))->epoch, 0);
                    return absl::OkStatus();
                  })
                  .ok());
}

// What the queue derives must follow the tables when writes are undone.
class Recorder : public StoreListener {
 public:
  absl::Status BeforeBatch(Tx&) override { return absl::OkStatus(); }
  absl::Status AfterBatch(Tx&) override { return absl::OkStatus(); }
  absl::Status Reload(Tx&) override {
    ++reloads;
    return absl::OkStatus();
  }
  void Committed() override { ++commits; }
  std::atomic<int> reloads{0};
  std::atomic<int> commits{0};
};

TEST_F(StoreTest, AnUndoneWriteMakesTheListenerReadAgain) {
  Recorder recorder;
  auto store = *Store::Open(directory_);
  store->SetListener(&recorder);
  EXPECT_FALSE(
      store->RunAndWait([](Tx&) { return absl::AbortedError("no"); }).ok());
  EXPECT_EQ(recorder.reloads, 0);
  EXPECT_FALSE(store
                   ->RunAndWait([](Tx& tx) {
                     EXPECT_TRUE(AddDataset(tx, "a").ok());
                     return absl::AbortedError("no");
                   })
                   .ok());
  EXPECT_EQ(recorder.reloads, 1);
  store->SetListener(nullptr);
}

TEST_F(StoreTest, OthersWriteWhileAnAnswerIsGiven) {
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok());
  absl::Notification answering, go_on;
  std::thread caller([&] {
    (*store)->Run([](Tx& tx) { return AddDataset(tx, "a"); },
                  [&](const absl::Status& status) {
                    EXPECT_TRUE(status.ok()) << status;
                    answering.Notify();
                    go_on.WaitForNotification();
                  });
  });
  answering.WaitForNotification();
  absl::Notification written;
  std::thread other([&] {
    EXPECT_TRUE(
        (*store)->RunAndWait([](Tx& tx) { return AddDataset(tx, "b"); }).ok());
    written.Notify();
  });
  EXPECT_TRUE(written.WaitForNotificationWithTimeout(absl::Seconds(30)));
  go_on.Notify();
  caller.join();
  other.join();
}

TEST_F(StoreTest, TheWriterGoesOnAndItsAnswersAreAllGivenAtTheEnd) {
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok());
  absl::Notification first_writes, second_waits, second_writes, third_waits,
      third_done, release;
  std::atomic<bool> answered = false;
  // Holds the pen until the second waits for the writer thread.
  std::thread caller([&] {
    (*store)->Run(
        [&](Tx&) {
          first_writes.Notify();
          second_waits.WaitForNotification();
          return absl::OkStatus();
        },
        [](const absl::Status&) {});
  });
  first_writes.WaitForNotification();
  (*store)->Run(
      [&](Tx& tx) {
        second_writes.Notify();
        third_waits.WaitForNotification();
        return AddDataset(tx, "second");
      },
      [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        release.WaitForNotification();
        answered = true;
      });
  second_waits.Notify();
  caller.join();
  second_writes.WaitForNotification();
  (*store)->Run([](Tx& tx) { return AddDataset(tx, "third"); },
                [&](const absl::Status& status) {
                  EXPECT_TRUE(status.ok()) << status;
                  third_done.Notify();
                });
  third_waits.Notify();
  EXPECT_TRUE(third_done.WaitForNotificationWithTimeout(absl::Seconds(30)))
      << "the second's answer holds up the third's transaction";
  EXPECT_FALSE(answered);
  std::thread releaser([&] { release.Notify(); });
  store->reset();
  EXPECT_TRUE(answered);
  releaser.join();
}

TEST_F(StoreTest, AfterCommitIsNotCalledForUndoneWork) {
  auto store = *Store::Open(directory_);
  int called = 0;
  store
      ->RunAndWait([&](Tx& tx) {
        EXPECT_TRUE(AddDataset(tx, "a").ok());
        tx.AfterCommit([&](const absl::Status&) { called += 100; });
        return absl::AbortedError("no");
      })
      .IgnoreError();
  ASSERT_TRUE(store
                  ->RunAndWait([&](Tx& tx) {
                    tx.AfterCommit([&](const absl::Status&) { ++called; });
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(called, 1);
}

}  // namespace
}  // namespace foldfarm
