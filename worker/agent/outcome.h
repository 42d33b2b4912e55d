// What the end of a trainer means for its attempt. Pure.
#ifndef FOLDFARM_WORKER_AGENT_OUTCOME_H_
#define FOLDFARM_WORKER_AGENT_OUTCOME_H_

#include <optional>
#include <string>

#include "foldfarm/v1/worker.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/trainer_event.h"
#include "worker/agent/trainer_process.h"

namespace foldfarm {

// Fills outcome, failure_kind, error, exit_status, signal and metrics.
//
// `last_word` is the trainer's finished or failed event, if it sent one;
// `reason` why it was told to stop, if it was. A trainer that finished before
// it heard of a drain has finished; one that ends otherwise while the worker
// drains is handed back, whatever it died of; a cancelled one is CANCELLED. A
// bad configuration is a failure always. `who` names the program in the error.
//
// REQUIRES: reason is not kAbandon.
v1::FinishAttemptRequest JudgeExit(const TrainerExit& exit,
                                   const std::optional<TrainerEvent>& last_word,
                                   StopReason reason,
                                   const std::string& who = "the trainer");

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_OUTCOME_H_
