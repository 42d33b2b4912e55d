#include "worker/agent/trainer_devices.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/base/utf8.h"
#include "worker/agent/devices.h"

namespace foldfarm {
namespace {

constexpr size_t kMostOutput = 1 << 16;
constexpr size_t kMostWords = 300;

// Reads from `descriptor` to its end. Errors: DEADLINE_EXCEEDED at `end`.
absl::StatusOr<std::string> ReadUntil(int descriptor, absl::Duration end,
                                      Clock& clock) {
  std::string output;
  while (true) {
    const absl::Duration left = end - clock.Monotonic();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("it does not answer");
    }
    pollfd readable{descriptor, POLLIN, 0};
    const int ready = poll(
        &readable, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready <= 0) continue;
    char bytes[4096];
    const ssize_t n = read(descriptor, bytes, sizeof(bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return output;
    if (output.size() < kMostOutput) {
      output.append(bytes, static_cast<size_t>(n));
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<std::string>> AskTrainerForDevices(
    const std::string& trainer, Clock& clock, absl::Duration patience) {
  const absl::Duration end = clock.Monotonic() + patience;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return ErrnoStatus("pipe", "cannot create");
  }
  SubprocessOptions command;
  command.argv = {trainer, "devices"};
  // What CUDA complains about goes there, too.
  command.descriptors = {{1, ends[1]}, {2, ends[1]}};
  auto process = Subprocess::Spawn(command);
  close(ends[1]);
  absl::StatusOr<std::string> output = std::string();
  if (process.ok()) output = ReadUntil(ends[0], end, clock);
  close(ends[0]);
  FOLDFARM_RETURN_IF_ERROR(process.status());
  FOLDFARM_RETURN_IF_ERROR(output.status());
  const ExitState exit = (*process)->Wait();
  std::vector<std::string> devices;
  std::vector<std::string> others;
  for (const absl::string_view line :
       absl::StrSplit(*output, '\n', absl::SkipWhitespace())) {
    const bool device = line == "cpu" || absl::StartsWith(line, "cuda:");
    (device ? devices : others).emplace_back(line);
  }
  const std::string words = CleanText(absl::StrJoin(others, "; "), kMostWords);
  if (exit.signal != 0 || exit.exit_status != 0 || devices.empty()) {
    return absl::UnimplementedError(absl::StrCat(
        exit.signal != 0 ? absl::StrCat("it died of signal ", exit.signal)
                         : absl::StrCat("exit status ", exit.exit_status),
        words.empty() ? "" : ": ", words));
  }
  if (!words.empty()) SPDLOG_WARN("trainer={} says: {}", trainer, words);
  return devices;
}

absl::StatusOr<std::vector<std::string>> UsableDevices(
    absl::string_view text, const std::string& trainer, bool allow_exec,
    Clock& clock) {
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<std::string> named, ParseDevices(text));
  if (named == std::vector<std::string>{"cpu"}) return named;
  const absl::StatusOr<std::vector<std::string>> seen =
      AskTrainerForDevices(trainer, clock);
  if (!seen.ok()) {
    SPDLOG_WARN("trainer={} cannot be asked which GPUs it sees, using {}: {}",
                trainer, absl::StrJoin(named, ","), seen.status().ToString());
    return named;
  }
  absl::StatusOr<std::vector<std::string>> chosen = ChooseDevices(text, *seen);
  if (allow_exec && (!chosen.ok() || *chosen != named)) {
    SPDLOG_WARN(
        "trainer={} sees only {}, users' programs perhaps {}: of what this "
        "worker gets, networks of the farm's own cannot be trained",
        trainer, absl::StrJoin(*seen, ","), absl::StrJoin(named, ","));
    return named;
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<std::string> devices,
                            std::move(chosen));
  if (text == "auto" && devices == std::vector<std::string>{"cpu"}) {
    SPDLOG_WARN(
        "this box has {} GPUs, but trainer={} sees none: jobs run on the CPU. "
        "Build the trainer against a CUDA LibTorch, or say --device cpu",
        named.size(), trainer);
  }
  return devices;
}

}  // namespace foldfarm
