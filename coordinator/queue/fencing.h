// The comparison that keeps two attempts of a job from both writing.
//
// Pure; compared in the transaction that writes, on rows read in it.
#ifndef FOLDFARM_COORDINATOR_QUEUE_FENCING_H_
#define FOLDFARM_COORDINATOR_QUEUE_FENCING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/ids.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

// Whether the attempt `token`, which is in state `attempt`, may write about its
// job, whose newest attempt is `newest`.
inline bool MayWrite(FencingToken token, v1::Attempt::State attempt,
                     FencingToken newest) {
  return attempt == v1::Attempt::RUNNING && token == newest;
}

// What an attempt that may not is told: ABORTED.
inline absl::Status StaleToken(int64_t token) {
  return absl::AbortedError(
      absl::StrCat("attempt ", token,
                   " is not the newest of its job; kill its trainer and "
                   "acquire new work"));
}

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_FENCING_H_
