#include "coordinator/store/sqlite.h"

#include <sqlite3.h>

#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "coordinator/store/log_files.h"

namespace foldfarm {
namespace {

// Marks a status of an fsync that failed.
constexpr char kSyncFailure[] = "foldfarm/fsync";

// A disk that is full or fails is UNAVAILABLE: a worker keeps its result and
// repeats until somebody has made room.
absl::Status SqliteStatus(sqlite3* db, int code, absl::string_view what) {
  const std::string message =
      absl::StrCat("database: ", what, ": ",
                   db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code));
  // Besides what was returned: a statement that fails for this reason may say
  // only that it failed.
  const int extended = db != nullptr ? sqlite3_extended_errcode(db) : code;
  if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC) {
    absl::Status status = absl::UnavailableError(message);
    status.SetPayload(kSyncFailure, absl::Cord());
    return status;
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    case SQLITE_CANTOPEN:
      return absl::FailedPreconditionError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

bool IsSyncFailure(const absl::Status& status) {
  return status.GetPayload(kSyncFailure).has_value();
}

Statement::Statement(sqlite3* db, sqlite3_stmt* statement, absl::Status error)
    : db_(db), statement_(statement), error_(std::move(error)) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void Statement::Note(int code) {
  if (code != SQLITE_OK && error_.ok()) {
    error_ = SqliteStatus(db_, code, "cannot bind");
  }
}

void Statement::BindOne(int index, int64_t value) {
  if (error_.ok()) Note(sqlite3_bind_int64(statement_, index, value));
}

void Statement::BindOne(int index, double value) {
  if (error_.ok()) Note(sqlite3_bind_double(statement_, index, value));
}

void Statement::BindOne(int index, std::nullptr_t) {
  if (error_.ok()) Note(sqlite3_bind_null(statement_, index));
}

void Statement::BindOne(int index, absl::string_view text) {
  // A null pointer would bind NULL.
  if (error_.ok()) {
    Note(sqlite3_bind_text64(statement_, index,
                             text.data() != nullptr ? text.data() : "",
                             text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
}

void Statement::BindOne(int index, Blob blob) {
  if (error_.ok()) {
    Note(sqlite3_bind_blob64(
        statement_, index,
        blob.bytes.data() != nullptr ? blob.bytes.data() : "",
        blob.bytes.size(), SQLITE_STATIC));
  }
}

void Statement::BindOne(int index, absl::Time time) {
  if (time == absl::InfinitePast()) {
    BindOne(index, nullptr);
  } else {
    BindOne(index, absl::ToUnixMicros(time));
  }
}

absl::StatusOr<bool> Statement::Step() {
  if (!error_.ok()) return error_;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  error_ = SqliteStatus(db_, code, sqlite3_sql(statement_));
  return error_;
}

absl::Status Statement::Run() {
  while (true) {
    const absl::StatusOr<bool> row = Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
  }
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::Double(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Statement::Text(int column) const {
  return std::string(Bytes(column));
}

absl::string_view Statement::Bytes(int column) const {
  const char* data =
      static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? absl::string_view()
                         : absl::string_view(data, static_cast<size_t>(size));
}

absl::Time Statement::Time(int column) const {
  return IsNull(column) ? absl::InfinitePast()
                        : absl::FromUnixMicros(Int(column));
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(
    const std::string& path, bool read_only) {
  return OpenName(path, path,
                  read_only ? SQLITE_OPEN_READONLY
                            : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenAsItLies(
    const std::string& path) {
  const std::string uri = absl::StrCat(
      // What follows two slashes is a host, here none.
      absl::StartsWith(path, "/") ? "file://" : "file:",
      absl::StrReplaceAll(path, {{"%", "%25"}, {"?", "%3f"}, {"#", "%23"}}),
      "?immutable=1");
  return OpenName(path, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenName(
    const std::string& path, const std::string& name, int flags) {
  // Nobody asks how much memory SQLite holds, and counting takes a lock for
  // each piece. Must come before SQLite's first use.
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(configured);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &db,
                                   flags | SQLITE_OPEN_NOMUTEX, GatheringVfs());
  if (code != SQLITE_OK) {
    const absl::Status status =
        SqliteStatus(db, code, absl::StrCat("cannot open ", path));
    sqlite3_close(db);
    return status;
  }
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, 5000);
  return std::unique_ptr<Connection>(new Connection(db));
}

Connection::Connection(sqlite3* db) : db_(db) {
  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Connection*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      this);
}

absl::StatusOr<int64_t> Connection::PageBytes() {
  Statement read = Prepare("PRAGMA page_size");
  const absl::StatusOr<bool> row = read.Step();
  if (!row.ok()) return row.status();
  return read.Int(0);
}

std::vector<std::string> Connection::statements() const {
  std::vector<std::string> all;
  for (const auto& [sql, statement] : cache_) all.push_back(sql);
  return all;
}

void Connection::KeepLogOnClose() {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Connection::~Connection() {
  for (const auto& [sql, statement] : cache_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

absl::Status Connection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : SqliteStatus(db_, code, sql);
}

Statement Connection::Prepare(const char* sql) {
  sqlite3_stmt*& statement = cache_[sql];
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                        &statement, nullptr);
    if (code != SQLITE_OK) {
      return Statement(db_, nullptr, SqliteStatus(db_, code, sql));
    }
  }
  return Statement(db_, statement, absl::OkStatus());
}

int64_t Connection::last_insert_id() const {
  return sqlite3_last_insert_rowid(db_);
}
int Connection::changes() const { return sqlite3_changes(db_); }
bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(db_) == 0;
}

}  // namespace foldfarm
