// The store on a disk that fails: what was answered is there afterwards,
// whatever happened and whenever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "coordinator/store/open_database.h"
#include "coordinator/store/store.h"
#include "tests/testing/faulty_files.h"

namespace foldfarm {
namespace {

using ::testing::IsSupersetOf;

absl::Status Add(Store& store, const std::string& name) {
  return store.RunAndWait([&](Tx& tx) -> absl::Status {
    v1::Dataset dataset;
    dataset.set_name(name);
    dataset.set_digest("d");
    return tx.InsertDataset(dataset).status();
  });
}

std::set<std::string> Names(Store& store) {
  std::set<std::string> names;
  EXPECT_TRUE(store
                  .Read([&](const Reader& reader) -> absl::Status {
                    const auto rows = reader.ListDatasets();
                    if (!rows.ok()) return rows.status();
                    for (const DatasetRow& row : *rows) {
                      names.insert(row.dataset.name());
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  return names;
}

class StoreFaultTest : public ::testing::TestWithParam<int> {
 protected:
  StoreFaultTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-fault-")),
        random_(static_cast<unsigned>(GetParam())) {
    options_.on_disk_failure = [this](const absl::Status& status) {
      ++failures_;
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    };
  }
  ~StoreFaultTest() override {
    foldfarm_set_faults("");
    RemoveRecursively(directory_).IgnoreError();
  }

  int Between(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random_);
  }

  const std::string directory_;
  std::mt19937 random_;
  StoreOptions options_;
  std::atomic<int> failures_{0};
};

TEST_P(StoreFaultTest, AFailedFlushStopsEverythingAndLosesNothingAnswered) {
  std::set<std::string> answered;
  {
    auto store = Store::Open(directory_, options_);
    ASSERT_TRUE(store.ok()) << store.status();
    const int at = Between(1, 60);
    SCOPED_TRACE(absl::StrCat("flush ", at));
    foldfarm_set_faults(absl::StrCat("fsync:farm.db-wal:", at).c_str());
    int refused = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string name = absl::StrCat("d", i);
      const absl::Status status = Add(**store, name);
      if (status.ok()) {
        EXPECT_EQ(failures_, 0) << name << " was taken after the failure";
        answered.insert(name);
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
        ++refused;
      }
    }
    EXPECT_EQ(failures_, 1);
    EXPECT_EQ(static_cast<int>(answered.size()) + refused, 100);
    // A flush a commit, and one of the new log's head.
    EXPECT_GE(static_cast<int>(answered.size()), at - 2);
    EXPECT_LT(static_cast<int>(answered.size()), at);
  }
  foldfarm_set_faults("");
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_THAT(Names(**store), IsSupersetOf(answered));
  EXPECT_TRUE(Add(**store, "new").ok());
}

TEST_P(StoreFaultTest, AFailedFlushOfTheDatabaseItselfStopsEverything) {
  std::set<std::string> answered;
  {
    auto store = Store::Open(directory_, options_);
    ASSERT_TRUE(store.ok()) << store.status();
    // The log's copier flushes it; a long log makes it run.
    foldfarm_set_faults("fsync:/farm.db$:1");
    const std::string filler(20000, 'x');
    for (int i = 0; i < 2000 && failures_ == 0; ++i) {
      const std::string name = absl::StrCat(filler, i);
      if (Add(**store, name).ok()) answered.insert(name);
    }
    EXPECT_GT(answered.size(), 10u);
  }
  // The copier says so in its own time, but before the store is gone.
  EXPECT_EQ(failures_, 1);
  foldfarm_set_faults("");
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_THAT(Names(**store), IsSupersetOf(answered));
}

TEST_P(StoreFaultTest, AFullDiskRefusesAndTheStoreGoesOnWhenThereIsRoom) {
  std::set<std::string> answered, refused;
  auto store = Store::Open(directory_, options_);
  ASSERT_TRUE(store.ok()) << store.status();
  for (int round = 0; round < 5; ++round) {
    foldfarm_set_faults(absl::StrCat("full:farm.db:", Between(1, 60)).c_str());
    for (int i = 0; i < 40; ++i) {
      const std::string name = absl::StrCat("d", round, "-", i);
      const absl::Status status = Add(**store, name);
      if (!status.ok()) {
        EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      }
      (status.ok() ? answered : refused).insert(name);
    }
    foldfarm_set_faults("");
    const std::string name = absl::StrCat("room", round);
    ASSERT_TRUE(Add(**store, name).ok());
    answered.insert(name);
  }
  EXPECT_FALSE(refused.empty());
  EXPECT_EQ(failures_, 0);
  EXPECT_EQ(Names(**store), answered);
  store->reset();
  store = Store::Open(directory_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(Names(**store), answered);
}

TEST_P(StoreFaultTest, ShortWritesAreGoneOnWith) {
  foldfarm_set_faults(absl::StrCat("short:farm.db:", Between(2, 9)).c_str());
  std::set<std::string> answered;
  {
    auto store = Store::Open(directory_, options_);
    ASSERT_TRUE(store.ok()) << store.status();
    for (int i = 0; i < 100; ++i) {
      const std::string name = absl::StrCat("d", i);
      ASSERT_TRUE(Add(**store, name).ok());
      answered.insert(name);
    }
  }
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(Names(**store), answered);
}

TEST_P(StoreFaultTest, APowerCutThatTearsTheLogsLastPageLosesNothingAnswered) {
  const std::string said = JoinPath(directory_, "said");
  const int at = Between(2, 80);
  SCOPED_TRACE(absl::StrCat("flush ", at));
  const pid_t child = fork();
  if (child == 0) {
    // Writes down what was answered, then dies in a flush.
    auto store = Store::Open(directory_);
    auto file = AppendFile::Open(said);
    if (!store.ok() || !file.ok()) _exit(1);
    foldfarm_set_faults(absl::StrCat("tear:farm.db-wal:", at).c_str());
    std::vector<std::thread> threads;
    absl::Mutex mu;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          const std::string name = absl::StrCat("d", t, "-", i);
          if (!Add(**store, name).ok()) continue;
          absl::MutexLock lock(&mu);
          if (!(*file)->Append(absl::StrCat(name, "\n")).ok()) _exit(2);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    _exit(3);
  }
  int state = 0;
  ASSERT_EQ(waitpid(child, &state, 0), child);
  ASSERT_TRUE(WIFSIGNALED(state)) << "exit status " << WEXITSTATUS(state);
  auto store = Store::Open(directory_);
  ASSERT_TRUE(store.ok()) << store.status();
  const std::vector<std::string> answered =
      absl::StrSplit(*ReadFile(said), '\n', absl::SkipEmpty());
  EXPECT_THAT(Names(**store), IsSupersetOf(answered));
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreFaultTest, ::testing::Range(1, 13));

}  // namespace
}  // namespace foldfarm
