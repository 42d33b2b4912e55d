// What happens to a database before it is used, in this order:
//   1. a folder on a network file system is refused;
//   2. a database of a newer program, or of another, is refused before a byte
//      of it or of its log changes;
//   3. the log of a coordinator that died is copied into the database and
//      flushed, whatever an earlier flush of it has said;
//   4. the database is read for damage;
//   5. one of an older program is copied to DATABASE.vN and then migrated;
//   6. one that was put back from a copy gets new numbers, see CopyDatabase();
//   7. the log gets its room on disk at once: a commit that makes no file grow
//      needs one write to the disk and not two.
#ifndef FOLDFARM_COORDINATOR_STORE_OPEN_DATABASE_H_
#define FOLDFARM_COORDINATOR_STORE_OPEN_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/store.h"

namespace foldfarm {

// Every connection that writes: an answer means that it is on disk. (The log is
// copied when Connection::log_pages says so; PRAGMA wal_autocheckpoint would
// take that hook away.)
inline constexpr char kSyncPragma[] = "PRAGMA synchronous = FULL;";

// Of a new database; one that is there keeps the pages that it has. A commit
// writes each page that it touches, whole, and most touch a row here and a row
// there; a flush takes the longer the more there is. SQLite's usual page has
// twice the size. (In a smaller one rows of metrics begin to need a second.)
inline constexpr char kPagePragma[] = "PRAGMA page_size = 2048;";

// Exit status of a coordinator whose disk failed (EX_IOERR of sysexits.h).
inline constexpr int kExitDiskFailed = 74;

// The connection that writes. REQUIRES: the caller holds the folder's lock.
// Errors: see Store::Open.
absl::StatusOr<std::unique_ptr<Connection>> OpenDatabase(
    const std::string& path, const StoreOptions& options);

// Name of a network file system by its statfs(2) type, or "" of a local one.
std::string NetworkFileSystem(int64_t type);

// The first fencing token that was never given out.
absl::StatusOr<int64_t> NextToken(Connection& connection);

// Reads the database for damage. Errors: DATA_LOSS with the first findings.
absl::Status CheckIntegrity(Connection& connection);

// Writes a consistent copy to `to`, which must not exist, and flushes it.
// Others may write meanwhile.
//
// The copy is marked as such. Put in the place of a database that went on, it
// knows nothing of the sessions and fencing tokens that were given out since,
// and would give them to others while their workers live. So whoever opens it
// begins both at the time in microseconds, which no count has reached.
absl::Status CopyDatabase(Connection& connection, const std::string& to);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_OPEN_DATABASE_H_
