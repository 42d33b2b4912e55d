#include "common/sweep/schedule_advice.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/warm_restarts.h"
#include "common/sweep/kept_checkpoint.h"

namespace foldfarm {
namespace {

// Models that end alike.
struct EarlyEnd {
  int epochs = 0;
  int restart = 0;  // Epochs before the last restart.
  std::string first;
  int models = 0;
};

// Whether the last weights of a network are the ones that predict.
bool KeepsLastWeights(const v1::ModelSpec& model) {
  const v1::ArchSpec& arch = model.arch();
  const v1::TrainSpec& train = LastTrain(model);
  return !arch.has_none() && !arch.has_xgboost() && !arch.has_exec() &&
         train.ema() <= 0 && train.swa_start() <= 0 &&
         train.early_stopping() <= 0;
}

}  // namespace

std::vector<std::string> ScheduleAdvice(const v1::SweepSpec& spec) {
  std::vector<EarlyEnd> ends;
  for (const v1::ModelSpec& model : spec.models()) {
    const v1::TrainSpec& train = LastTrain(model);
    const v1::ScheduleSpec& schedule = train.schedule();
    if (!KeepsLastWeights(model) || train.epochs() < 1 ||
        schedule.kind() != v1::SCHEDULE_KIND_COSINE_WARM_RESTARTS ||
        schedule.period() < 1) {
      continue;
    }
    const int last = train.epochs() - 1;
    const RestartPeriod period =
        PeriodOf(last, schedule.period(), schedule.mult());
    if (period.begin == 0 || 2 * (last - period.begin) >= period.epochs) {
      continue;
    }
    const auto alike =
        std::find_if(ends.begin(), ends.end(), [&](const EarlyEnd& end) {
          return end.epochs == train.epochs() && end.restart == period.begin;
        });
    if (alike != ends.end()) {
      ++alike->models;
    } else {
      ends.push_back({train.epochs(), period.begin, model.name(), 1});
    }
  }
  std::vector<std::string> advice;
  for (const EarlyEnd& end : ends) {
    const int after = end.epochs - end.restart;
    advice.push_back(absl::StrCat(
        end.first,
        end.models == 1 ? "" : absl::StrCat(" and ", end.models - 1, " more"),
        ": epochs is ", end.epochs, ", ", after,
        after == 1 ? " epoch" : " epochs",
        " after the learning rate restarted, and ends near its peak; ",
        end.restart, " epochs end at its lowest"));
  }
  return advice;
}

}  // namespace foldfarm
