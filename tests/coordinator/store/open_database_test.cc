// What happens to a database before a coordinator uses it.
#include "coordinator/store/open_database.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "coordinator/store/garbage.h"
#include "coordinator/store/schema.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

class OpenDatabaseTest : public ::testing::Test {
 protected:
  OpenDatabaseTest() : directory_(*MakeTemporaryDirectory("foldfarm-open-")) {}
  ~OpenDatabaseTest() override { RemoveRecursively(directory_).IgnoreError(); }

  std::string database() const { return JoinPath(directory_, "farm.db"); }

  static int Version(const std::string& path) {
    auto connection = *Connection::Open(path, /*read_only=*/true);
    Statement version = connection->Prepare("PRAGMA user_version");
    EXPECT_TRUE(*version.Step());
    return static_cast<int>(version.Int(0));
  }

  // A farm of the first schema, with a dataset in it.
  void MakeVersionOne() {
    auto connection = *Connection::Open(database(), false);
    ASSERT_TRUE(Migrate(*connection, 1).ok());
    v1::Dataset dataset;
    dataset.set_name("old");
    const std::string bytes = dataset.SerializeAsString();
    ASSERT_TRUE(connection
                    ->Prepare("INSERT INTO dataset(name, digest, dataset) "
                              "VALUES('old', 'x', ?)")
                    .Bind(Blob{bytes})
                    .Run()
                    .ok());
  }

  // A store with so many datasets that the file has pages to damage.
  void Fill(int datasets) {
    auto store = *Store::Open(directory_);
    ASSERT_TRUE(store
                    ->RunAndWait([&](Tx& tx) -> absl::Status {
                      for (int i = 0; i < datasets; ++i) {
                        v1::Dataset dataset;
                        dataset.set_name(absl::StrCat("dataset", i));
                        dataset.set_digest(std::string(500, 'd'));
                        const auto added = tx.InsertDataset(dataset);
                        if (!added.ok()) return added.status();
                      }
                      return absl::OkStatus();
                    })
                    .ok());
  }

  const std::string directory_;
};

TEST_F(OpenDatabaseTest, AnOlderSchemaIsBackedUpBeforeItIsMigrated) {
  MakeVersionOne();
  {
    auto store = Store::Open(directory_);
    ASSERT_TRUE(store.ok()) << store.status();
  }
  EXPECT_EQ(Version(database()), SchemaVersion());
  const std::string backup = absl::StrCat(database(), ".v1");
  EXPECT_EQ(Version(backup), 1);
  // The backup is a farm of its own.
  const std::string other = JoinPath(directory_, "other");
  ASSERT_TRUE(MakeDirectories(other).ok());
  ASSERT_TRUE(
      WriteFileDurably(JoinPath(other, "farm.db"), *ReadFile(backup)).ok());
  auto store = Store::Open(other);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)
                  ->Read([](const Reader& reader) -> absl::Status {
                    EXPECT_TRUE(reader.FindDataset("old")->has_value());
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(OpenDatabaseTest, ANewDatabaseHasSmallPagesAndAnOlderOneItsOwn) {
  Fill(10);
  EXPECT_EQ(*(*Connection::Open(database(), true))->PageBytes(), 2048);
  ASSERT_TRUE(RemoveRecursively(directory_).ok());
  ASSERT_TRUE(MakeDirectories(directory_).ok());
  MakeVersionOne();
  ASSERT_EQ(*(*Connection::Open(database(), true))->PageBytes(), 4096);
  Fill(10);
  EXPECT_EQ(*(*Connection::Open(database(), true))->PageBytes(), 4096);
}

TEST_F(OpenDatabaseTest, ACopyGivesOutNoNumberThatWasGivenOut) {
  const auto register_worker = [](Store& store) {
    WorkerSession session;
    EXPECT_TRUE(store
                    .RunAndWait([&](Tx& tx) -> absl::Status {
                      const auto inserted = tx.InsertWorker(
                          {.name = "w", .start_time = Clock::Real().Now()});
                      if (inserted.ok()) session = *inserted;
                      return inserted.status();
                    })
                    .ok());
    return session.value;
  };
  const auto next_token = [](const std::string& path) {
    return *NextToken(**Connection::Open(path, /*read_only=*/true));
  };
  const std::string other = JoinPath(directory_, "other");
  const std::string copy = JoinPath(other, "farm.db");
  ASSERT_TRUE(MakeDirectories(other).ok());
  const int64_t begin = absl::ToUnixMicros(Clock::Real().Now());
  {
    auto store = *Store::Open(directory_);
    EXPECT_EQ(register_worker(*store), 1);
    EXPECT_EQ(next_token(database()), 1);
    ASSERT_TRUE(store->Copy(copy).ok());
  }
  int64_t session = 0, token = 0;
  {
    auto store = *Store::Open(other);
    session = register_worker(*store);
    EXPECT_GT(session, begin);
    token = next_token(copy);
    EXPECT_GT(token, begin);
  }
  // From then on it is a farm like any other, and so is the first.
  EXPECT_EQ(register_worker(**Store::Open(other)), session + 1);
  EXPECT_EQ(next_token(copy), token);
  EXPECT_EQ(register_worker(**Store::Open(directory_)), 2);
}

TEST_F(OpenDatabaseTest, AFarmOfTodayIsNotBackedUp) {
  ASSERT_TRUE(Store::Open(directory_).ok());
  ASSERT_TRUE(Store::Open(directory_).ok());
  const auto names = *ListDirectory(directory_);
  for (const std::string& name : names) {
    EXPECT_THAT(name, ::testing::Not(HasSubstr("farm.db.v")));
  }
}

TEST_F(OpenDatabaseTest, ADamagedDatabaseIsRefusedWithAdvice) {
  Fill(2000);
  // The middle of the file is another file's.
  std::string bytes = *ReadFile(database());
  ASSERT_GT(bytes.size(), 200000u);
  for (size_t i = 50000; i < 150000; ++i) bytes[i] = static_cast<char>(i * 7);
  ASSERT_TRUE(WriteFileDurably(database(), bytes).ok());
  const absl::Status status = Store::Open(directory_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("newest backup"));
}

TEST_F(OpenDatabaseTest, NetworkFileSystemsAreKnownByTheirType) {
  EXPECT_EQ(NetworkFileSystem(0x6969), "NFS");
  EXPECT_EQ(NetworkFileSystem(static_cast<int32_t>(0xfe534d42)), "SMB");
  EXPECT_EQ(NetworkFileSystem(0x01021997), "9p");
  EXPECT_EQ(NetworkFileSystem(0xef53), "");      // ext4
  EXPECT_EQ(NetworkFileSystem(0x58465342), "");  // xfs
}

TEST_F(OpenDatabaseTest, ACopyIsWholeWhileOthersWrite) {
  Fill(500);
  auto store = *Store::Open(directory_);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      EXPECT_TRUE(store
                      ->RunAndWait([&](Tx& tx) -> absl::Status {
                        // Both or none.
                        for (const char* half : {"a", "b"}) {
                          v1::Dataset dataset;
                          dataset.set_name(absl::StrCat(half, i));
                          const auto added = tx.InsertDataset(dataset);
                          if (!added.ok()) return added.status();
                        }
                        return absl::OkStatus();
                      })
                      .ok());
    }
  });
  for (int round = 0; round < 5; ++round) {
    const std::string copy = JoinPath(directory_, absl::StrCat("copy", round));
    ASSERT_TRUE(MakeDirectories(copy).ok());
    ASSERT_TRUE(store->Copy(JoinPath(copy, "farm.db")).ok());
    auto restored = Store::Open(copy);
    ASSERT_TRUE(restored.ok()) << restored.status();
    ASSERT_TRUE((*restored)
                    ->Read([](const Reader& reader) -> absl::Status {
                      const size_t datasets = reader.ListDatasets()->size();
                      EXPECT_GE(datasets, 500u);
                      EXPECT_EQ(datasets % 2, 0u);
                      return absl::OkStatus();
                    })
                    .ok());
  }
  stop = true;
  writer.join();
}

TEST_F(OpenDatabaseTest, AfterACleanStopNothingIsInTheLog) {
  Fill(100);
  EXPECT_EQ(FileSize(absl::StrCat(database(), "-wal")).value_or(0), 0);
}

// Garbage.
class GarbageTest : public OpenDatabaseTest {
 protected:
  GarbageTest()
      : store_(*Store::Open(directory_)),
        files_(*ArtifactFiles::Open(directory_)) {}

  std::string Put(const std::string& bytes) {
    const std::string digest = Sha256Hex(bytes);
    const auto upload =
        *files_->BeginUpload(digest, static_cast<int64_t>(bytes.size()), 0);
    EXPECT_TRUE(upload->Append(bytes).ok());
    EXPECT_TRUE(upload->Finish().ok());
    return digest;
  }

  void Name(const std::string& digest) {
    EXPECT_TRUE(store_
                    ->RunAndWait([&](Tx& tx) -> absl::Status {
                      v1::Dataset dataset;
                      dataset.set_name(digest);
                      dataset.set_digest(digest);
                      return tx.InsertDataset(dataset).status();
                    })
                    .ok());
  }

  bool Stored(const std::string& digest) {
    return files_->GetStat(digest)->complete;
  }

  GarbageReport Collect(absl::Duration later, bool dry_run = false) {
    const auto report = CollectGarbage(
        *store_, *files_, Clock::Real().Now() + later, {.dry_run = dry_run});
    EXPECT_TRUE(report.ok()) << report.status();
    return *report;
  }

  std::unique_ptr<Store> store_;
  std::unique_ptr<ArtifactFiles> files_;
};

TEST_F(GarbageTest, WhatNothingNamesGoesWhenItIsOld) {
  const std::string named = Put("named"), unnamed = Put("unnamed");
  Name(named);
  EXPECT_EQ(Collect(absl::Minutes(10)).files, 0);
  EXPECT_TRUE(Stored(unnamed));
  EXPECT_EQ(Collect(absl::Hours(2), /*dry_run=*/true).files, 1);
  EXPECT_TRUE(Stored(unnamed));
  const GarbageReport report = Collect(absl::Hours(2));
  EXPECT_EQ(report.files, 1);
  EXPECT_EQ(report.size_bytes, 7);
  EXPECT_EQ(report.kept_files, 1);
  EXPECT_FALSE(Stored(unnamed));
  EXPECT_TRUE(Stored(named));
  EXPECT_EQ(files_->StoredBytes(), 5);
}

TEST_F(GarbageTest, AFileThatSomebodyAskedForIsYoungAgain) {
  const std::string digest = Put("bytes");
  const std::string path = *files_->Find(digest);
  const timespec old[2] = {{.tv_sec = 1000, .tv_nsec = 0},
                           {.tv_sec = 1000, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
  // Who uploads what is stored already is about to name it.
  EXPECT_EQ(*files_->BeginUpload(digest, 5, 0), nullptr);
  EXPECT_EQ(Collect(absl::ZeroDuration()).files, 0);
  EXPECT_TRUE(Stored(digest));
}

TEST_F(GarbageTest, WhatIsNamedInTheSameTransactionIsRefusedAndNotLost) {
  const std::string digest = Put("bytes");
  absl::Status seen;
  // As the collector does; then, before the commit, somebody looks.
  ASSERT_TRUE(store_
                  ->RunAndWait([&](Tx& tx) -> absl::Status {
                    tx.AfterCommit([condemned = ArtifactFiles::Condemned(
                                        *files_, {digest})](
                                       const absl::Status& s) mutable {
                      if (s.ok()) condemned.Delete();
                    });
                    seen = files_->Find(digest).status();
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(seen.code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Stored(digest));
  Put("bytes");
  EXPECT_TRUE(Stored(digest));
}

TEST_F(GarbageTest, UndoneWorkSparesWhatItCondemned) {
  const std::string digest = Put("bytes");
  EXPECT_FALSE(store_
                   ->RunAndWait([&](Tx& tx) -> absl::Status {
                     EXPECT_TRUE(tx.BeginWrite().ok());
                     tx.AfterCommit([condemned = ArtifactFiles::Condemned(
                                         *files_, {digest})](
                                        const absl::Status& s) mutable {
                       if (s.ok()) condemned.Delete();
                     });
                     return absl::AbortedError("no");
                   })
                   .ok());
  EXPECT_TRUE(Stored(digest));
}

TEST_F(GarbageTest, AStoreThatIsFullRefusesUploadsAndSaysWhatToDo) {
  files_ = *ArtifactFiles::Open(directory_, {.max_bytes = 10});
  Put("12345");
  const absl::Status full =
      files_->BeginUpload(Sha256Hex("123456"), 6, 0).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("--max-store"));
  Put("abcde");
}

TEST_F(GarbageTest, AnUploadLeavesTheDatabaseItsRoomOnTheDisk) {
  files_ = *ArtifactFiles::Open(
      directory_, {.spare_bytes = std::numeric_limits<int64_t>::max() / 2});
  EXPECT_EQ(files_->BeginUpload(Sha256Hex("x"), 1, 0).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace foldfarm
