#include "common/sweep/schedule_advice.h"

#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/sweep/kept_checkpoint.h"

namespace foldfarm {
namespace {

// The end of a training with warm restarts.
struct End {
  int restart = 0;  // Epochs before the last restart.
  int percent = 0;  // Of the peak rate, in the last epoch.
};

// Nothing when that is in the second half of a period, or in the first one.
std::optional<End> EarlyEnd(const v1::ScheduleSpec& schedule, int epochs) {
  End end;
  int period = schedule.period();
  while (epochs - 1 - end.restart >= period) {
    end.restart += period;
    period = static_cast<int>(period * schedule.mult());
  }
  const double share = static_cast<double>(epochs - 1 - end.restart) / period;
  if (end.restart == 0 || share >= 0.5) return std::nullopt;
  const double cosine = (1 + std::cos(std::numbers::pi * share)) / 2;
  end.percent = static_cast<int>(
      std::lround(100 * (schedule.floor() + (1 - schedule.floor()) * cosine)));
  return end;
}

}  // namespace

std::vector<std::string> ScheduleAdvice(const v1::SweepSpec& spec) {
  // By what is said of them, in the order of the first one.
  std::map<std::tuple<int, int, int>, std::pair<size_t, int>> places;
  std::vector<std::pair<std::string, std::string>> lines;  // Model, the rest.
  for (const v1::ModelSpec& model : spec.models()) {
    const v1::ArchSpec& arch = model.arch();
    const v1::TrainSpec& train = LastTrain(model);
    if (arch.has_none() || arch.has_xgboost() || arch.has_exec() ||
        train.schedule().kind() != v1::SCHEDULE_KIND_COSINE_WARM_RESTARTS ||
        train.schedule().period() < 1 || train.ema() > 0 ||
        train.swa_start() > 0 || train.early_stopping() > 0) {
      continue;
    }
    const std::optional<End> end = EarlyEnd(train.schedule(), train.epochs());
    if (!end.has_value()) continue;
    const auto [place, is_new] = places.try_emplace(
        {train.epochs(), end->restart, end->percent}, lines.size(), 0);
    ++place->second.second;
    if (!is_new) continue;
    const int after = train.epochs() - end->restart;
    lines.push_back(
        {model.name(),
         absl::StrCat(": epochs is ", train.epochs(), ", ", after,
                      after == 1 ? " epoch" : " epochs",
                      " after the learning rate restarted, and ends at ",
                      end->percent, " % of its peak; ", end->restart,
                      " epochs end at its lowest")});
  }
  std::vector<std::string> advice(lines.size());
  for (const auto& [key, place] : places) {
    const auto& [index, count] = place;
    advice[index] = absl::StrCat(
        lines[index].first,
        count == 1 ? "" : absl::StrCat(" and ", count - 1, " more"),
        lines[index].second);
  }
  return advice;
}

}  // namespace foldfarm
