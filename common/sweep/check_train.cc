// Options of a training that must fit each other.
#include <string>

#include "absl/strings/str_cat.h"
#include "common/sweep/check_model.h"
#include "common/sweep/message_reader.h"

namespace foldfarm {
namespace {

// An option that only one choice of another option takes.
struct OnlyWith {
  YamlPath path;
  const char* chooser;  // "loss".
  int needed;           // The enum's value.
};

std::string ChoiceName(const google::protobuf::EnumDescriptor& type,
                       int value) {
  // The unspecified one comes first and has no name.
  return EnumNames(
      type)[static_cast<size_t>(type.FindValueByNumber(value)->index() - 1)];
}

// Says which of the part's own options have no effect with `chosen`.
void CheckOnlyWith(std::initializer_list<OnlyWith> options, int chosen,
                   const google::protobuf::EnumDescriptor& type,
                   const OptionPlaces& places, SweepErrors& errors) {
  for (const OnlyWith& option : options) {
    if (chosen == option.needed || chosen == 0) continue;
    if (!places.HasOwn(option.path)) continue;
    errors.Add(places.Of(option.path),
               absl::StrCat(*(option.path.end() - 1), " has no effect with ",
                            option.chooser, " ", ChoiceName(type, chosen),
                            ", expected ", option.chooser, ": ",
                            ChoiceName(type, option.needed)));
  }
}

void CheckSchedule(const v1::TrainSpec& train, const v1::TrainSpec& written,
                   const OptionPlaces& places, SweepErrors& errors) {
  CheckOnlyWith(
      {{{"train", "schedule", "period"},
        "kind",
        v1::SCHEDULE_KIND_COSINE_WARM_RESTARTS},
       {{"train", "schedule", "mult"},
        "kind",
        v1::SCHEDULE_KIND_COSINE_WARM_RESTARTS},
       {{"train", "schedule", "warmup"}, "kind", v1::SCHEDULE_KIND_COSINE},
       {{"train", "schedule", "rise"}, "kind", v1::SCHEDULE_KIND_ONE_CYCLE},
       {{"train", "schedule", "start"}, "kind", v1::SCHEDULE_KIND_ONE_CYCLE},
       {{"train", "schedule", "milestones"}, "kind", v1::SCHEDULE_KIND_STEPS},
       {{"train", "schedule", "gamma"}, "kind", v1::SCHEDULE_KIND_STEPS}},
      written.schedule().kind(), *v1::ScheduleKind_descriptor(), places,
      errors);
  const v1::ScheduleSpec& schedule = train.schedule();
  if (schedule.kind() == v1::SCHEDULE_KIND_COSINE &&
      schedule.warmup() >= train.epochs()) {
    errors.Add(
        places.Of({"train", "schedule", "warmup"}),
        absl::StrCat("warmup is ", schedule.warmup(),
                     " epochs, expected less than epochs, ", train.epochs()));
  }
  if (schedule.kind() != v1::SCHEDULE_KIND_STEPS) return;
  if (schedule.milestones().empty()) {
    errors.Add(places.Of({"train", "schedule"}),
               "schedule of kind steps has no milestones, expected the epochs "
               "after which the rate falls, such as [60, 80]");
  }
  for (int i = 1; i < schedule.milestones_size(); ++i) {
    if (schedule.milestones(i) > schedule.milestones(i - 1)) continue;
    errors.Add(
        places.Of({"train", "schedule", "milestones"}),
        absl::StrCat("milestones has ", schedule.milestones(i), " after ",
                     schedule.milestones(i - 1), ", expected growing epochs"));
    break;
  }
}

void CheckLoss(const v1::TrainSpec& written, const OptionPlaces& places,
               SweepErrors& errors) {
  CheckOnlyWith(
      {{{"train", "focal_alpha"}, "loss", v1::LOSS_FOCAL},
       {{"train", "focal_gamma"}, "loss", v1::LOSS_FOCAL},
       {{"train", "asymmetric_gamma_pos"}, "loss", v1::LOSS_ASYMMETRIC},
       {{"train", "asymmetric_gamma_neg"}, "loss", v1::LOSS_ASYMMETRIC},
       {{"train", "asymmetric_margin"}, "loss", v1::LOSS_ASYMMETRIC}},
      written.loss(), *v1::Loss_descriptor(), places, errors);
}

}  // namespace

void CheckTrain(const v1::TrainSpec& train, const v1::TrainSpec& written,
                const OptionPlaces& places, SweepErrors& errors) {
  CheckSchedule(train, written, places, errors);
  CheckLoss(written, places, errors);
  CheckOnlyWith({{{"train", "momentum"}, "optimizer", v1::OPTIMIZER_SGD}},
                written.optimizer(), *v1::Optimizer_descriptor(), places,
                errors);
  if (train.ema() > 0 && train.swa_start() > 0) {
    errors.Add(places.Of({"train", "ema"}),
               absl::StrCat("ema is ", train.ema(), " and swa_start ",
                            train.swa_start(),
                            ", expected one average of the weights; set the "
                            "other to 0"));
  }
  if (train.swa_start() > 0 && train.early_stopping() > 0) {
    errors.Add(places.Of({"train", "early_stopping"}),
               absl::StrCat("early_stopping is ", train.early_stopping(),
                            " and swa_start ", train.swa_start(),
                            ", expected one of them: an average over the last "
                            "epochs needs all epochs"));
  }
  for (const auto& [key, needs] :
       {std::pair("swa_every", "swa_start"),
        std::pair("early_stopping_min_delta", "early_stopping")}) {
    const bool off = std::string(needs) == "swa_start"
                         ? written.swa_start() == 0
                         : written.early_stopping() == 0;
    if (off && places.HasOwn({"train", key})) {
      errors.Add(places.Of({"train", key}),
                 absl::StrCat(key, " has no effect while ", needs, " is 0"));
    }
  }
}

}  // namespace foldfarm
