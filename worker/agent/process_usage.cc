#include "worker/agent/process_usage.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"

namespace foldfarm {
namespace {

struct Process {
  pid_t parent = 0;
  ProcessUsage usage;
};

std::vector<pid_t> ListProcesses() {
  std::vector<pid_t> pids;
  const auto names = ListDirectory("/proc");
  if (!names.ok()) return pids;
  for (const std::string& name : *names) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(name, &pid)) pids.push_back(pid);
  }
  return pids;
}

bool ReadProcess(pid_t pid, Process& process) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return false;
  // "PID (NAME) STATE PPID ...", where the name may hold anything. The fields
  // after it, counted from STATE: see proc(5).
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return false;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(*text).substr(name_end + 1), ' ', absl::SkipEmpty());
  if (fields.size() < 22 || !absl::SimpleAtoi(fields[1], &process.parent)) {
    return false;
  }
  int64_t ticks = 0;
  for (const size_t field : {11u, 12u, 13u, 14u}) {  // utime to cstime.
    int64_t value = 0;
    if (absl::SimpleAtoi(fields[field], &value)) ticks += value;
  }
  int64_t pages = 0;
  if (!absl::SimpleAtoi(fields[21], &pages)) return false;
  process.usage.cpu_seconds =
      static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  process.usage.memory_bytes = pages * sysconf(_SC_PAGESIZE);
  return true;
}

std::vector<pid_t> ProcessesIn(const std::string& folder) {
  std::vector<pid_t> found;
  for (const pid_t pid : ListProcesses()) {
    char path[PATH_MAX];
    const ssize_t n = readlink(absl::StrCat("/proc/", pid, "/cwd").c_str(),
                               path, sizeof(path));
    if (n <= 0 || pid == getpid()) continue;
    const absl::string_view cwd(path, static_cast<size_t>(n));
    if (cwd == folder || absl::StartsWith(cwd, absl::StrCat(folder, "/"))) {
      found.push_back(pid);
    }
  }
  return found;
}

}  // namespace

std::map<pid_t, ProcessUsage> MeasureProcessTrees(
    const std::vector<pid_t>& roots) {
  std::map<pid_t, ProcessUsage> sums;
  if (roots.empty()) return sums;
  std::map<pid_t, Process> processes;
  for (const pid_t pid : ListProcesses()) {
    Process process;
    if (ReadProcess(pid, process)) processes[pid] = process;
  }
  const std::set<pid_t> wanted(roots.begin(), roots.end());
  for (const auto& [pid, process] : processes) {
    pid_t up = pid;
    // Bounded: parents may change while we read.
    for (int depth = 0; depth < 64 && up > 1 && wanted.count(up) == 0;
         ++depth) {
      const auto found = processes.find(up);
      up = found == processes.end() ? 0 : found->second.parent;
    }
    if (wanted.count(up) == 0) continue;
    ProcessUsage& sum = sums[up];
    sum.memory_bytes += process.usage.memory_bytes;
    sum.peak_memory_bytes = sum.memory_bytes;
    sum.cpu_seconds += process.usage.cpu_seconds;
  }
  return sums;
}

int KillProcessesIn(const std::string& folder) {
  std::set<pid_t> killed;
  for (int look = 0; look < 100; ++look) {
    const std::vector<pid_t> living = ProcessesIn(folder);
    if (living.empty()) break;
    for (const pid_t pid : living) {
      killed.insert(pid);
      kill(pid, SIGKILL);
    }
    poll(nullptr, 0, /*timeout=*/20);  // The kernel needs a moment.
  }
  return static_cast<int>(killed.size());
}

}  // namespace foldfarm
