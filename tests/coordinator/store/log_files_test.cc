// The database's log is written in few pieces, and is the log that SQLite
// reads.
#include "coordinator/store/log_files.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "coordinator/store/sqlite.h"

namespace foldfarm {
namespace {

// Calls of this process that wrote, by proc(5); -1: this system does not say.
int64_t WriteCalls() {
  const auto text = ReadFile("/proc/self/io");
  if (!text.ok()) return -1;
  const size_t at = text->find("syscw: ");
  return at == std::string::npos ? -1 : std::atoll(text->c_str() + at + 7);
}

class LogFilesTest : public ::testing::Test {
 protected:
  LogFilesTest() : directory_(*MakeTemporaryDirectory("foldfarm-log-")) {
    connection_ = Open();
    EXPECT_TRUE(connection_
                    ->Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = "
                              "FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, x "
                              "BLOB);")
                    .ok());
  }
  ~LogFilesTest() override {
    connection_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  std::unique_ptr<Connection> Open() {
    auto connection =
        Connection::Open(JoinPath(directory_, "db"), /*read_only=*/false);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }
  // A transaction that fills about `pages` pages of 4 KiB.
  void Fill(int pages) {
    ASSERT_TRUE(connection_->Execute("BEGIN").ok());
    for (int i = 0; i < pages; ++i) {
      ASSERT_TRUE(
          connection_->Execute("INSERT INTO t(x) VALUES(zeroblob(3900))").ok());
    }
    ASSERT_TRUE(connection_->Execute("COMMIT").ok());
  }
  int64_t Count(Connection& connection) {
    Statement s = connection.Prepare("SELECT count(*) FROM t");
    EXPECT_TRUE(s.Step().ok());
    return s.Int(0);
  }

  const std::string directory_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(LogFilesTest, ACommitOfManyPagesIsFewWrites) {
  Fill(1);  // The log's head.
  const int64_t before = WriteCalls();
  if (before < 0) GTEST_SKIP() << "/proc/self/io does not count writes";
  Fill(12);
  // Two for each page without gathering.
  EXPECT_LE(WriteCalls() - before, 4);
}

TEST_F(LogFilesTest, OthersReadWhatWasCommittedWhateverItsSize) {
  int64_t rows = 0;
  // Below, at and beyond 64 and 128 KiB, where gathering ends.
  for (const int pages : {1, 15, 16, 17, 31, 32, 33, 100, 1000}) {
    Fill(pages);
    rows += pages;
    const auto other = Open();
    EXPECT_EQ(Count(*other), rows) << pages << " pages";
  }
}

TEST_F(LogFilesTest, AConnectionReadsWhatItHasNotCommittedYet) {
  // More than the cache holds: pages go to the log and come back from it.
  ASSERT_TRUE(connection_->Execute("PRAGMA cache_size = 10").ok());
  ASSERT_TRUE(connection_->Execute("BEGIN").ok());
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(
        connection_->Execute("INSERT INTO t(x) VALUES(zeroblob(3900))").ok());
  }
  EXPECT_EQ(Count(*connection_), 200);
  EXPECT_EQ(Count(*Open()), 0);
  ASSERT_TRUE(connection_->Execute("ROLLBACK").ok());
  Fill(3);
  EXPECT_EQ(Count(*Open()), 3);
}

}  // namespace
}  // namespace foldfarm
