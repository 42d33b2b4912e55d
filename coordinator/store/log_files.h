// How SQLite writes the database's log: a transaction in one piece.
//
// SQLite writes each page of a transaction with two system calls, one for its
// head and one for its bytes. A dozen pages are two dozen calls, which cost
// more than all else that a commit does but its flush. Here what is appended to
// the log is gathered and written at once, before it is flushed, and before
// anything is read.
//
// Needs `PRAGMA synchronous = FULL`: others see a transaction once the log is
// flushed, so no reader looks for pages that are still being gathered.
#ifndef FOLDFARM_COORDINATOR_STORE_LOG_FILES_H_
#define FOLDFARM_COORDINATOR_STORE_LOG_FILES_H_

namespace foldfarm {

// The name of a SQLite VFS that treats the log so and leaves all other files to
// the system's own. Registered with the first call; thread-safe.
const char* GatheringVfs();

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_LOG_FILES_H_
