#include "coordinator/store/open_database.h"

#include <sys/vfs.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/store/schema.h"

namespace foldfarm {
namespace {

// What the log grows to before it is copied, and a little more.
constexpr int64_t kLogBytes = int64_t{10} << 20;

// PRAGMA application_id of a copy: "copy".
constexpr int64_t kCopyMark = 0x636f7079;

absl::StatusOr<int64_t> Number(Connection& connection, const char* sql) {
  Statement read = connection.Prepare(sql);
  FOLDFARM_ASSIGN_OR_RETURN(const bool row, read.Step());
  return row ? read.Int(0) : 0;
}

// Numbers that nobody was given before or after the copy was made.
absl::Status RenumberCopy(Connection& connection, const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t mark,
                            Number(connection, "PRAGMA application_id"));
  if (mark != kCopyMark) return absl::OkStatus();
  const int64_t first = absl::ToUnixMicros(Clock::Real().Now());
  std::string sql = "BEGIN IMMEDIATE;";
  for (const char* counter : {"worker", "attempt"}) {
    absl::StrAppend(
        &sql, "INSERT INTO sqlite_sequence(name, seq) SELECT '", counter,
        "', 0 WHERE NOT EXISTS(SELECT 1 FROM sqlite_sequence WHERE name = '",
        counter, "');UPDATE sqlite_sequence SET seq = max(seq, ", first,
        ") WHERE name = '", counter, "';");
  }
  FOLDFARM_RETURN_IF_ERROR(connection.Execute(
      absl::StrCat(sql, "PRAGMA application_id = 0; COMMIT;")));
  SPDLOG_WARN(
      "database={} is a copy; sessions and attempts are counted from {} on, so "
      "that workers of the farm that it was copied from are not taken for "
      "others",
      path, first);
  return absl::OkStatus();
}

absl::Status CheckFileSystem(const std::string& path,
                             const StoreOptions& options) {
  struct statfs info;
  const std::string folder = DirectoryOf(path);
  if (statfs(folder.c_str(), &info) != 0) {
    return ErrnoStatus(folder, "cannot look at the file system");
  }
  const std::string name = NetworkFileSystem(info.f_type);
  if (name.empty()) return absl::OkStatus();
  if (options.allow_network_file_system) {
    SPDLOG_WARN(
        "{} is on {}: no other host may use it, and a reply is only as durable "
        "as that file system's flush",
        folder, name);
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      folder, " is on ", name,
      ", where the database's shared memory and locks are not safe; choose a "
      "folder on a local disk (backups may go there), or say "
      "--allow-network-fs if no other host ever uses it"));
}

// Refuses what is no database of this program or an older one, and changes
// neither it nor its log. Who opens it to write does, just by closing it again:
// the log is copied into the database and goes.
absl::Status CheckFormat(const std::string& path) {
  // Not there, or only made.
  if (FileSize(path).value_or(0) == 0) return absl::OkStatus();
  // What is committed may be in the log alone. To read that, the database's
  // shared memory (-shm) is made anew; it holds nothing of its own.
  const bool logged = FileSize(absl::StrCat(path, "-wal")).value_or(0) > 0;
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection,
                            logged ? Connection::Open(path, /*read_only=*/true)
                                   : Connection::OpenAsItLies(path));
  connection->KeepLogOnClose();
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t version,
                            Number(*connection, "PRAGMA user_version"));
  // Says so, and stops there.
  if (version > SchemaVersion()) return Migrate(*connection);
  // A farm's first tables and its version come in one transaction.
  const bool made = version > 0;
  Statement tables = connection->Prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND (name = 'job' "
      "OR NOT ?) LIMIT 1");
  tables.Bind(made);
  FOLDFARM_ASSIGN_OR_RETURN(const bool found, tables.Step());
  if (version >= 0 && found == made) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "is a database of another program: its version is ", version, " and ",
      found ? absl::StrCat("it has a table \"",
                           absl::CHexEscape(tables.Text(0).substr(0, 80)), "\"")
            : std::string("it has no table \"job\""),
      "; choose another folder for the farm"));
}

// Names the database, and says what to do about a damaged one.
absl::Status Explain(const absl::Status& status, const std::string& path) {
  if (!absl::IsDataLoss(status)) return Annotate(status, path);
  return absl::DataLossError(absl::StrCat(
      path, ": ", status.message(),
      "; the database is damaged. Keep a copy of the folder, then put the "
      "newest backup in its place (foldfarm backup made it); deploy/README.md "
      "says how to save what can be read without one"));
}

// Copies that nobody came to fetch whole.
void RemoveCopies(const std::string& path) {
  const std::string folder = DirectoryOf(path);
  const std::string prefix = absl::StrCat(BaseName(path), ".backup-");
  const auto names = ListDirectory(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!absl::StartsWith(name, prefix)) continue;
    unlink(JoinPath(folder, name).c_str());
  }
}

// Before the first transaction: nothing in the log counts. Zeroes, not a hole:
// writing into a hole changes the file system's tables.
absl::Status ReserveLog(const std::string& path) {
  const std::string log = absl::StrCat(path, "-wal");
  const int64_t size = FileSize(log).value_or(0);
  if (size >= kLogBytes) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file,
                            AppendFile::Open(log));
  // Page by page: what is written at once the kernel also keeps as one large
  // folio, and goes through all its blocks for each page that changes.
  const std::string zeroes(4096, '\0');
  absl::Status status;
  while (status.ok() && file->size() < kLogBytes) status = file->Append(zeroes);
  if (status.ok()) return file->Sync();
  // A disk that is nearly full: the log grows as it must.
  return file->Truncate(0);
}

}  // namespace

std::string NetworkFileSystem(int64_t type) {
  // linux/magic.h, and what is not there from the file systems' own sources.
  switch (static_cast<uint32_t>(type)) {
    case 0x6969:
      return "NFS";
    case 0x517b:
    case 0xff534d42:
    case 0xfe534d42:
      return "SMB";
    case 0x01021997:
      return "9p";
    case 0x00c36400:
      return "Ceph";
    case 0x0bd00bd0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0x19830326:
      return "BeeGFS";
    case 0x5346414f:
    case 0x6b414653:
      return "AFS";
    default:
      return "";
  }
}

absl::Status CheckIntegrity(Connection& connection) {
  Statement check = connection.Prepare("PRAGMA quick_check(5)");
  std::vector<std::string> findings;
  while (true) {
    const absl::StatusOr<bool> row = check.Step();
    if (!row.ok()) {
      findings.push_back(std::string(row.status().message()));
      break;
    }
    if (!*row) break;
    findings.push_back(check.Text(0));
  }
  if (findings.size() == 1 && findings[0] == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrJoin(findings, "; "));
}

absl::StatusOr<int64_t> NextToken(Connection& connection) {
  FOLDFARM_ASSIGN_OR_RETURN(
      const int64_t last,
      Number(connection,
             "SELECT max(ifnull((SELECT max(token) FROM attempt), 0), "
             "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'attempt'), "
             "0))"));
  return last + 1;
}

absl::Status CopyDatabase(Connection& connection, const std::string& to) {
  FOLDFARM_RETURN_IF_ERROR(connection.Execute(absl::StrCat(
      "VACUUM INTO '", absl::StrReplaceAll(to, {{"'", "''"}}), "'")));
  {
    FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Connection> copy,
                              Connection::Open(to, /*read_only=*/false));
    FOLDFARM_RETURN_IF_ERROR(
        copy->Execute(absl::StrCat("PRAGMA application_id = ", kCopyMark)));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file,
                            AppendFile::Open(to));
  FOLDFARM_RETURN_IF_ERROR(file->Sync());
  return SyncDirectory(DirectoryOf(to));
}

absl::StatusOr<std::unique_ptr<Connection>> OpenDatabase(
    const std::string& path, const StoreOptions& options) {
  FOLDFARM_RETURN_IF_ERROR(CheckFileSystem(path, options));
  FOLDFARM_RETURN_IF_ERROR(Explain(CheckFormat(path), path));
  RemoveCopies(path);
  FOLDFARM_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                            Connection::Open(path, /*read_only=*/false));
  const auto prepare = [&]() -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t version,
                              Number(*connection, "PRAGMA user_version"));
    FOLDFARM_RETURN_IF_ERROR(connection->Execute(
        absl::StrCat(kPagePragma,
                     "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; "
                     "PRAGMA temp_store = MEMORY;",
                     kSyncPragma)));
    FOLDFARM_RETURN_IF_ERROR(
        connection->Execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    if (options.check_integrity && version > 0) {
      const absl::Duration begin = Clock::Real().Monotonic();
      FOLDFARM_RETURN_IF_ERROR(CheckIntegrity(*connection));
      SPDLOG_INFO(
          "database={} size={} checked in {}", path, FileSize(path).value_or(0),
          absl::FormatDuration(absl::Trunc(Clock::Real().Monotonic() - begin,
                                           absl::Milliseconds(1))));
    }
    if (version > 0 && version < SchemaVersion()) {
      const std::string backup = absl::StrCat(path, ".v", version);
      const std::string part = absl::StrCat(backup, ".part");
      unlink(part.c_str());
      FOLDFARM_RETURN_IF_ERROR(CopyDatabase(*connection, part));
      FOLDFARM_RETURN_IF_ERROR(PublishFile(part, backup));
      SPDLOG_WARN(
          "database={} version={} is brought to version {}; as it was: "
          "{}",
          path, version, SchemaVersion(), backup);
    }
    FOLDFARM_RETURN_IF_ERROR(Migrate(*connection));
    FOLDFARM_RETURN_IF_ERROR(RenumberCopy(*connection, path));
    FOLDFARM_RETURN_IF_ERROR(
        connection->Execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    return ReserveLog(path);
  };
  FOLDFARM_RETURN_IF_ERROR(Explain(prepare(), path));
  return connection;
}

}  // namespace foldfarm
