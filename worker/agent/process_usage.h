// What processes and all that they started use, from /proc.
#ifndef FOLDFARM_WORKER_AGENT_PROCESS_USAGE_H_
#define FOLDFARM_WORKER_AGENT_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace foldfarm {

struct ProcessUsage {
  // Resident memory. What processes share counts at each.
  int64_t memory_bytes = 0;
  int64_t peak_memory_bytes = 0;
  // User and system time so far, ended children that were waited for included.
  double cpu_seconds = 0;
};

// By root: the sum over it and its living descendants, in one look at /proc;
// peak_memory_bytes is what is held now. A root that is gone is left out.
std::map<pid_t, ProcessUsage> MeasureProcessTrees(
    const std::vector<pid_t>& roots);

// Kills (SIGKILL) every process whose working directory lies in `folder`, and
// waits a moment for their end; returns how many there were. Attempts run in
// folders of their own, so these belong to an attempt of a daemon that died.
int KillProcessesIn(const std::string& folder);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_PROCESS_USAGE_H_
