// SQLite behind absl::Status: a connection with a cache of prepared statements.
//
// Not thread-safe: a connection and its statements belong to one thread at a
// time.
#ifndef FOLDFARM_COORDINATOR_STORE_SQLITE_H_
#define FOLDFARM_COORDINATOR_STORE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace foldfarm {

// Bytes that are bound as a BLOB.
struct Blob {
  absl::string_view bytes;
};

// One use of a prepared statement: bind, step, read columns. Resets the
// statement when it goes. What goes wrong while binding shows in Step().
//
// Times are stored as integer microseconds since the epoch; infinite past is
// NULL.
class Statement {
 public:
  Statement(sqlite3* db, sqlite3_stmt* statement, absl::Status error);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds all parameters in order.
  template <typename... Values>
  Statement& Bind(const Values&... values) {
    int index = 0;
    (BindOne(++index, values), ...);
    return *this;
  }

  // Binds one parameter (from 1) anew.
  template <typename Value>
  Statement& BindAt(int index, const Value& value) {
    BindOne(index, value);
    return *this;
  }

  // True when there is a row to read.
  absl::StatusOr<bool> Step();
  // Steps to the end.
  absl::Status Run();

  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;
  // Valid until the next Step().
  absl::string_view Bytes(int column) const;
  absl::Time Time(int column) const;

 private:
  void BindOne(int index, int64_t value);
  void BindOne(int index, int value) {
    BindOne(index, static_cast<int64_t>(value));
  }
  void BindOne(int index, bool value) {
    BindOne(index, static_cast<int64_t>(value));
  }
  void BindOne(int index, double value);
  void BindOne(int index, std::nullptr_t);
  // Text must outlive the statement's use.
  void BindOne(int index, absl::string_view text);
  void BindOne(int index, const std::string& text) {
    BindOne(index, absl::string_view(text));
  }
  void BindOne(int index, const char* text) {
    BindOne(index, absl::string_view(text));
  }
  void BindOne(int index, Blob blob);
  void BindOne(int index, absl::Time time);
  void Note(int code);

  sqlite3* const db_;
  sqlite3_stmt* const statement_;
  absl::Status error_;
};

// Whether a call failed since an fsync did: what was written before may or may
// not be on disk.
bool IsSyncFailure(const absl::Status& status);

class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(
      const std::string& path, bool read_only);
  // Reads the file alone, as it lies there: neither its log nor its rollback
  // journal, without locks, and nothing is made beside it.
  // REQUIRES: nobody writes it.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenAsItLies(
      const std::string& path);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs statements that have no parameters and whose rows nobody reads.
  absl::Status Execute(const std::string& sql);

  // `sql` is a string literal: its address is the key of the cache. Do not nest
  // two uses of the same statement.
  Statement Prepare(const char* sql);

  // Size of the database's pages.
  absl::StatusOr<int64_t> PageBytes();
  // Pages of the write-ahead log after the last commit; WAL only, and then the
  // log is never copied into the database by itself.
  int log_pages() const { return log_pages_; }
  // Statements prepared so far, for tests that look at their plans.
  std::vector<std::string> statements() const;
  // Leaves the log as it is when this is closed.
  void KeepLogOnClose();

  int64_t last_insert_id() const;
  // Rows that the last statement changed.
  int changes() const;
  bool in_transaction() const;

 private:
  // `name` is the path or its URI; `flags` are SQLITE_OPEN_...
  static absl::StatusOr<std::unique_ptr<Connection>> OpenName(
      const std::string& path, const std::string& name, int flags);
  explicit Connection(sqlite3* db);
  sqlite3* const db_;
  int log_pages_ = 0;
  absl::flat_hash_map<const char*, sqlite3_stmt*> cache_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_SQLITE_H_
