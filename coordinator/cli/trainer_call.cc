#include "coordinator/cli/trainer_call.h"

#include <fcntl.h>
#include <unistd.h>

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/rpc/retry.h"
#include "coordinator/cli/interrupt.h"

namespace foldfarm {
namespace {

constexpr int kBadConfiguration = 64;  // The trainer's exit statuses.
constexpr int kOutOfMemory = 71;

// What the trainer said last, without its name before it.
std::string LastWords(const std::string& log) {
  const absl::StatusOr<std::string> text = ReadFile(log);
  if (!text.ok()) return "";
  absl::string_view said = absl::StripAsciiWhitespace(*text);
  said = said.substr(said.rfind('\n') == said.npos ? 0 : said.rfind('\n') + 1);
  absl::ConsumePrefix(&said, "foldfarm-trainer: ");
  return std::string(said);
}

}  // namespace

absl::StatusOr<std::string> FindTrainer(const std::string& given,
                                        absl::string_view purpose) {
  const std::string trainer =
      given.empty() ? JoinPath(ProgramDirectory(), "foldfarm-trainer") : given;
  if (access(trainer.c_str(), X_OK) != 0) {
    return ErrnoStatus(trainer,
                       absl::StrCat("cannot run the program that ", purpose));
  }
  return trainer;
}

absl::Status CallTrainer(Clock& clock, const TrainerCall& call) {
  const std::string log = JoinPath(call.folder, "trainer.log");
  const int descriptor =
      open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return ErrnoStatus(log, "cannot open");
  SubprocessOptions options;
  options.argv = {call.trainer, call.command, call.folder};
  options.descriptors = {{1, descriptor}, {2, descriptor}};
  auto process = Subprocess::Spawn(options);
  close(descriptor);
  if (!process.ok()) return process.status();
  std::optional<ExitState> end;
  while (!(end = (*process)->Poll()).has_value()) {
    if (call.progress) call.progress(LastWords(log));
    if (!WaitUnlessCancelled(clock, absl::Milliseconds(20),
                             &InterruptScope::Interrupted)) {
      return absl::CancelledError("Stopped; nothing was written.");
    }
  }
  if (end->signal != 0) {
    return absl::InternalError(
        absl::StrCat(call.trainer, " was killed by signal ", end->signal));
  }
  if (end->exit_status == 0) return absl::OkStatus();
  const std::string why = LastWords(log);
  if (end->exit_status == kBadConfiguration) {
    return absl::InvalidArgumentError(why);
  }
  if (end->exit_status == kOutOfMemory) {
    return absl::ResourceExhaustedError(
        absl::StrCat("not enough memory to ", call.command));
  }
  return absl::InternalError(absl::StrCat(call.trainer, " ended with status ",
                                          end->exit_status, ": ", why));
}

}  // namespace foldfarm
