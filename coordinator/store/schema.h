// The database's tables and how older ones become today's.
#ifndef FOLDFARM_COORDINATOR_STORE_SCHEMA_H_
#define FOLDFARM_COORDINATOR_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "coordinator/store/sqlite.h"

namespace foldfarm {

// Version of the tables that this program writes (PRAGMA user_version).
int SchemaVersion();

// Brings the database to version `to`, each step in one transaction. Tests stop
// at an older one.
// Errors: FAILED_PRECONDITION when a newer program wrote it.
absl::Status Migrate(Connection& connection, int to = SchemaVersion());

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_SCHEMA_H_
