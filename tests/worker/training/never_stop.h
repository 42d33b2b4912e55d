// Trainings that nobody stops.
#ifndef FOLDFARM_TESTS_WORKER_TRAINING_NEVER_STOP_H_
#define FOLDFARM_TESTS_WORKER_TRAINING_NEVER_STOP_H_

#include "worker/training/test_time.h"

namespace foldfarm {

inline const StopRequested kNeverStop = [] { return false; };

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_TRAINING_NEVER_STOP_H_
