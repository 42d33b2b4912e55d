// What Linux says of this process, for the metrics named process_*.
#ifndef FOLDFARM_COORDINATOR_WEB_PROCESS_STATS_H_
#define FOLDFARM_COORDINATOR_WEB_PROCESS_STATS_H_

namespace foldfarm {

struct ProcessStats {
  double cpu_seconds = 0;
  double open_fds = 0;
  double max_fds = 0;
  double virtual_memory_bytes = 0;
  double resident_memory_bytes = 0;
  // Since 1970.
  double start_time_seconds = 0;
};

// From /proc; what cannot be read is 0. Source: proc(5), /proc/PID/stat.
ProcessStats ReadProcessStats();

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_PROCESS_STATS_H_
