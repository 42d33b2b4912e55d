// Trainings whose learning rate is high when they end.
#ifndef FOLDFARM_COMMON_SWEEP_SCHEDULE_ADVICE_H_
#define FOLDFARM_COMMON_SWEEP_SCHEDULE_ADVICE_H_

#include <string>
#include <vector>

#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// A line for people about each number of epochs that ends in the first half of
// a period of warm restarts, with the number of epochs that ended the period
// before. The last epoch's weights are a model's, and there the rate is near
// its peak. Models whose weights are averaged (ema, swa_start) or taken from
// another epoch (early_stopping) are left out, and those that end before any
// restart. `spec` is expanded (sweep.h). Pure.
std::vector<std::string> ScheduleAdvice(const v1::SweepSpec& spec);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_SCHEDULE_ADVICE_H_
