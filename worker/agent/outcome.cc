#include "worker/agent/outcome.h"

#include <csignal>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

std::string DescribeEnd(const TrainerExit& exit, const std::string& who) {
  if (exit.timed_out) {
    return absl::StrCat(who, " ran as long as it may (timeout_minutes)");
  }
  if (exit.out_of_memory) {
    return absl::StrCat("the kernel killed ", who,
                        ": this box is out of memory");
  }
  if (exit.state.signal != 0) {
    return absl::StrCat(who, " died of signal ", exit.state.signal, " (",
                        strsignal(exit.state.signal), ")");
  }
  switch (exit.state.exit_status) {
    case kExitDone:
      return absl::StrCat(
          who, " exited with status 0 but ",
          exit.misunderstood.empty()
              ? "never said \"finished\""
              : absl::StrCat("its last word was not understood: ",
                             exit.misunderstood));
    case kExitBadConfiguration:
      return absl::StrCat(who, " refused the configuration (status 64)");
    case kExitOutOfMemory:
      return absl::StrCat(who, " ran out of memory (status 71)");
    case kExitStopped:
      return absl::StrCat(who,
                          " stopped (status 75) although nobody asked it to");
    default:
      return absl::StrCat(who, " exited with status ", exit.state.exit_status);
  }
}

v1::FailureKind KindOf(const TrainerExit& exit) {
  if (exit.timed_out) return v1::FAILURE_KIND_RETRYABLE;
  if (exit.out_of_memory) return v1::FAILURE_KIND_OUT_OF_MEMORY;
  if (exit.state.signal != 0) return v1::FAILURE_KIND_RETRYABLE;
  switch (exit.state.exit_status) {
    case kExitBadConfiguration:
      return v1::FAILURE_KIND_PERMANENT;
    case kExitOutOfMemory:
      return v1::FAILURE_KIND_OUT_OF_MEMORY;
    default:
      return v1::FAILURE_KIND_RETRYABLE;
  }
}

}  // namespace

v1::FinishAttemptRequest JudgeExit(const TrainerExit& exit,
                                   const std::optional<TrainerEvent>& last_word,
                                   StopReason reason, const std::string& who) {
  v1::FinishAttemptRequest request;
  request.set_exit_status(exit.state.exit_status);
  request.set_signal(exit.state.signal);
  if (reason == StopReason::kCancel) {
    request.set_outcome(v1::Attempt::CANCELLED);
    return request;
  }
  const bool clean = exit.state.signal == 0;
  if (clean && exit.state.exit_status == kExitDone && last_word.has_value() &&
      last_word->kind == TrainerEvent::Kind::kFinished) {
    request.set_outcome(v1::Attempt::SUCCEEDED);
    for (const auto& [name, value] : last_word->metrics) {
      (*request.mutable_metrics())[name] = value;
    }
    return request;
  }
  if (reason == StopReason::kDrain &&
      !(clean && exit.state.exit_status == kExitBadConfiguration)) {
    request.set_outcome(v1::Attempt::PREEMPTED);
    return request;
  }
  request.set_outcome(v1::Attempt::FAILED);
  request.set_failure_kind(KindOf(exit));
  request.set_error(DescribeEnd(exit, who));
  if (last_word.has_value() && last_word->kind == TrainerEvent::Kind::kFailed) {
    request.set_error(absl::StrCat(request.error(), ": ", last_word->code,
                                   last_word->code.empty() ? "" : ": ",
                                   last_word->message));
  }
  return request;
}

}  // namespace foldfarm
