#include "coordinator/queue/job_state.h"

namespace foldfarm {

std::optional<v1::Job::State> NextJobState(v1::Job::State state,
                                           JobEvent event) {
  using Job = v1::Job;
  switch (state) {
    case Job::PENDING:
      switch (event) {
        case JobEvent::kGrant:
          return Job::RUNNING;
        case JobEvent::kReuse:
          return Job::SUCCEEDED;
        case JobEvent::kCancel:
          return Job::CANCELLED;
        default:
          return std::nullopt;
      }
    case Job::RUNNING:
      switch (event) {
        case JobEvent::kSucceed:
          return Job::SUCCEEDED;
        case JobEvent::kGiveBack:
          return Job::PENDING;
        case JobEvent::kGiveUp:
          return Job::FAILED;
        case JobEvent::kCancel:
          return Job::CANCELLED;
        default:
          return std::nullopt;
      }
    case Job::FAILED:
    case Job::CANCELLED:
      if (event == JobEvent::kReopen) return Job::PENDING;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

bool IsFinal(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED ||
         state == v1::Job::CANCELLED;
}

absl::string_view JobStateName(v1::Job::State state) {
  return v1::Job::State_Name(state);
}

}  // namespace foldfarm
