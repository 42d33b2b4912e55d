// Jobs that run and their attempts, as the writer sees them: what a lease wrote
// need not be read again when its attempt reports or ends.
//
// A mirror, exact to the column: whoever changes a row here has changed the
// table's. Undone writes empty it. It holds what the writer has met, and no
// more than some thousands.
//
// Not thread-safe: of who writes.
#ifndef FOLDFARM_COORDINATOR_STORE_ROW_CACHE_H_
#define FOLDFARM_COORDINATOR_STORE_ROW_CACHE_H_

#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "coordinator/store/rows.h"

namespace foldfarm {

class RowCache {
 public:
  // Null when they are not here; until the next call.
  const JobRow* FindJob(JobId id) const;
  const AttemptRow* FindAttempt(FencingToken token) const;

  // A row was read from the table.
  void NoteRead(const JobRow& row);
  // The columns were written that Tx::UpdateJob() writes.
  void NoteUpdate(const JobRow& row);
  // The columns were written that Tx::InsertAttempt() writes; `row.token` is
  // set.
  void NoteInsert(const AttemptRow& row);
  // The columns were written that Tx::UpdateAttempt() writes.
  void NoteUpdate(const AttemptRow& row);
  void NoteExtension(FencingToken token, absl::Time lease_until,
                     absl::Time heartbeat_time);
  // Something else was written.
  void Forget(JobId id);
  void Clear();

 private:
  struct Entry {
    std::optional<JobRow> job;
    // Runs; the job's newest.
    std::optional<AttemptRow> attempt;
  };
  AttemptRow* MutableAttempt(FencingToken token);
  void MakeRoom();

  absl::flat_hash_map<JobId, Entry> entries_;
  // Of the attempts above.
  absl::flat_hash_map<FencingToken, JobId> jobs_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_ROW_CACHE_H_
