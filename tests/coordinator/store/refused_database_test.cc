// Databases that are not this program's to open: they stay as they are, down to
// the last byte of what their own program left in the log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "coordinator/store/open_database.h"
#include "coordinator/store/schema.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Code = absl::StatusCode;

class RefusedDatabaseTest : public ::testing::Test {
 protected:
  RefusedDatabaseTest()
      : directory_(*MakeTemporaryDirectory("foldfarm-refused-")),
        database_(JoinPath(directory_, "farm.db")),
        log_(absl::StrCat(database_, "-wal")),
        shared_memory_(absl::StrCat(database_, "-shm")) {}
  ~RefusedDatabaseTest() override {
    RemoveRecursively(directory_).IgnoreError();
  }

  // By another program, which ends well.
  void Write(const std::string& sql) {
    auto connection = *Connection::Open(database_, /*read_only=*/false);
    ASSERT_TRUE(connection->Execute(sql).ok());
  }

  // By one that is killed: all of it stays in the log.
  void WriteAndDie(const std::string& sql) {
    auto connection = *Connection::Open(database_, /*read_only=*/false);
    ASSERT_TRUE(connection->Execute(sql).ok());
    connection->KeepLogOnClose();
    connection.reset();
    ASSERT_GT(FileSize(log_).value_or(0), 0);
  }

  int64_t VersionWithoutLog() {
    auto connection = *Connection::OpenAsItLies(database_);
    Statement version = connection->Prepare("PRAGMA user_version");
    EXPECT_TRUE(*version.Step());
    return version.Int(0);
  }

  // All files, but for what a start makes anew.
  std::map<std::string, std::string> Files() {
    std::map<std::string, std::string> files;
    const std::vector<std::string> names = ListDirectory(directory_).value();
    for (const std::string& name : names) {
      if (name == "lock" || absl::EndsWith(name, "-shm")) continue;
      files[name] = *ReadFile(JoinPath(directory_, name));
    }
    return files;
  }

  // How it is refused, without a change.
  absl::Status Refusal() {
    const auto before = Files();
    const absl::Status status = Store::Open(directory_).status();
    EXPECT_TRUE(Files() == before) << status;
    return status;
  }

  const std::string directory_;
  const std::string database_;
  const std::string log_;
  const std::string shared_memory_;
};

TEST_F(RefusedDatabaseTest, ANewerOneStaysWithAllThatLiesBesideIt) {
  Write("CREATE TABLE t(x); PRAGMA user_version = 1000");
  ASSERT_TRUE(
      WriteFileDurably(absl::StrCat(database_, ".backup-1"), "half").ok());
  const absl::Status status = Refusal();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("start the newer foldfarm-coordinator"));
}

TEST_F(RefusedDatabaseTest, ANewerOneThatWasClosedGetsNoLog) {
  ASSERT_TRUE(Store::Open(directory_).ok());
  Write("PRAGMA user_version = 1000");
  ASSERT_FALSE(FileExists(log_));
  EXPECT_EQ(Refusal().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(FileExists(shared_memory_));
}

TEST_F(RefusedDatabaseTest, ANewerOneIsKnownByItsLogWhichStays) {
  ASSERT_TRUE(Store::Open(directory_).ok());
  WriteAndDie("PRAGMA user_version = 1000; CREATE TABLE later(x)");
  ASSERT_EQ(VersionWithoutLog(), SchemaVersion());
  for (const bool shared : {true, false}) {
    // Without: the folder was copied, or the machine started anew.
    if (!shared) unlink(shared_memory_.c_str());
    ASSERT_EQ(FileExists(shared_memory_), shared);
    const absl::Status status = Refusal();
    EXPECT_EQ(status.code(), Code::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("has schema version 1000"));
  }
}

TEST_F(RefusedDatabaseTest, AFarmThatIsAllInItsLogIsOpened) {
  {
    auto connection = *Connection::Open(database_, /*read_only=*/false);
    ASSERT_TRUE(connection->Execute("PRAGMA journal_mode = WAL").ok());
    ASSERT_TRUE(Migrate(*connection).ok());
    connection->KeepLogOnClose();
  }
  ASSERT_EQ(VersionWithoutLog(), 0);
  ASSERT_TRUE(Store::Open(directory_).ok());
  EXPECT_EQ(VersionWithoutLog(), SchemaVersion());
}

TEST_F(RefusedDatabaseTest, WhatIsNoDatabaseStaysWithWhatSeemsItsLog) {
  ASSERT_TRUE(WriteFileDurably(database_, std::string(8192, 'x')).ok());
  EXPECT_EQ(Refusal().code(), Code::kDataLoss);
  ASSERT_TRUE(WriteFileDurably(log_, std::string(9000, 'y')).ok());
  EXPECT_EQ(Refusal().code(), Code::kDataLoss);
}

TEST_F(RefusedDatabaseTest, AnotherProgramsDatabaseGetsNoTables) {
  for (const int version : {0, 1, -1}) {
    WriteAndDie(absl::StrCat("PRAGMA journal_mode = WAL; CREATE TABLE ",
                             "bookmark", version + 1,
                             "(x); PRAGMA user_version = ", version));
    const absl::Status status = Refusal();
    EXPECT_EQ(status.code(), Code::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(version == 1 ? "it has no table \"job\""
                                       : "it has a table \"bookmark1\""));
  }
}

}  // namespace
}  // namespace foldfarm
