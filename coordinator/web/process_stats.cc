#include "coordinator/web/process_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"

namespace foldfarm {
namespace {

// Fields of /proc/PID/stat after the name in parentheses, counted from 3.
enum StatField {
  kFirst = 3,
  kUser = 14,
  kSystem = 15,
  kStart = 22,
  kVirtual = 23,
  kResident = 24
};

double Field(const std::vector<std::string>& fields, StatField field) {
  const size_t index = static_cast<size_t>(field - kFirst);
  double value = 0;
  if (index < fields.size() && absl::SimpleAtod(fields[index], &value)) {
    return value;
  }
  return 0;
}

// Seconds since 1970 when the machine started.
double BootTime() {
  const auto text = ReadFile("/proc/stat");
  if (!text.ok()) return 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") &&
        absl::SimpleAtod(line, &seconds)) {
      return seconds;
    }
  }
  return 0;
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  const auto text = ReadFile("/proc/self/stat");
  const size_t name_end = text.ok() ? text->rfind(')') : std::string::npos;
  if (name_end != std::string::npos) {
    const std::vector<std::string> fields =
        absl::StrSplit(text->substr(name_end + 1), ' ', absl::SkipEmpty());
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    stats.cpu_seconds = (Field(fields, kUser) + Field(fields, kSystem)) / ticks;
    stats.start_time_seconds = BootTime() + Field(fields, kStart) / ticks;
    stats.virtual_memory_bytes = Field(fields, kVirtual);
    stats.resident_memory_bytes =
        Field(fields, kResident) * static_cast<double>(sysconf(_SC_PAGESIZE));
  }
  const auto descriptors = ListDirectory("/proc/self/fd");
  if (descriptors.ok()) {
    stats.open_fds = static_cast<double>(descriptors->size());
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    stats.max_fds = static_cast<double>(limit.rlim_cur);
  }
  return stats;
}

}  // namespace foldfarm
