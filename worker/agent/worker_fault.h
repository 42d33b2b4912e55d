// Failures that are surely this box's fault and not the job's.
//
// Whoever reports one is put into quarantine, so only what no program can cause
// by itself counts. What a wrong program causes as well (a device-side assert,
// an illegal memory access, an unspecified launch failure) does not: if it is
// the box, its failures pile up and the coordinator sees that others run the
// same jobs well.
#ifndef FOLDFARM_WORKER_AGENT_WORKER_FAULT_H_
#define FOLDFARM_WORKER_AGENT_WORKER_FAULT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace foldfarm {

// The fault that the last words of our trainer tell, e.g. "the GPU has an
// uncorrectable memory error (ECC)"; empty when they tell none. Pure.
std::string WorkerFault(absl::string_view words);

// Whether such a fault is a full disk, or a used up quota. Pure.
bool IsDiskFault(absl::string_view fault);

// "no room in /var/cache/foldfarm: 12 KiB free" when less than a MiB is free
// for us there, else empty.
std::string RoomFault(const std::string& folder);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_WORKER_FAULT_H_
