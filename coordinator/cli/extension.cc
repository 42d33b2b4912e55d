#include "coordinator/cli/extension.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/sweep/check_model.h"
#include "common/sweep/kept_checkpoint.h"
#include "common/sweep/set_options.h"

namespace foldfarm {
namespace {

constexpr char kSuffix[] = "-extended";
// As the coordinator has it.
constexpr size_t kMaxName = 64;

std::string ExtendedName(const std::string& name) {
  return absl::StrCat(name.substr(0, kMaxName - (sizeof(kSuffix) - 1)),
                      kSuffix);
}

// Models of which the sweep cancelled a job by itself: such jobs say why.
std::set<std::string> DroppedModels(absl::Span<const v1::Job> jobs) {
  std::set<std::string> models;
  for (const v1::Job& job : jobs) {
    if (job.state() == v1::Job::CANCELLED && !job.error().empty()) {
      models.insert(job.model());
    }
  }
  return models;
}

void SetOptionsOf(v1::ModelSpec& model, SetOptions& set, SweepErrors& errors) {
  set.ApplyTo(model);
  if (!model.stages().empty()) {
    set.ApplyTo(*model.mutable_stages()->rbegin()->mutable_train());
  }
  const v1::TrainSpec& train = LastTrain(model);
  SweepErrors own("");
  CheckTrain(train, train, OptionPlaces(nullptr, {}, {}), own);
  for (const std::string& message : own.Messages()) {
    errors.AddElsewhere(absl::StrCat("model '", model.name(), "': ", message));
  }
}

}  // namespace

absl::StatusOr<Extension> ExtendSweep(const v1::Sweep& source,
                                      absl::Span<const v1::Job> jobs,
                                      const std::vector<std::string>& sets,
                                      const std::string& name) {
  if (!source.prediction().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("sweep ", source.id(), " predicts ", source.prediction(),
                     "; expected one that trained"));
  }
  SweepErrors errors("--set");
  SetOptions set = ParseSetOptions(sets, errors);
  FOLDFARM_RETURN_IF_ERROR(errors.ToStatus());

  Extension extension;
  v1::SweepSpec& spec = extension.spec;
  spec = source.spec();
  spec.clear_screen();
  spec.clear_stop_when();
  spec.clear_models();
  spec.set_name(ExtendedName(source.name()));
  set.ApplyTo(spec);
  if (!name.empty()) spec.set_name(name);
  spec.set_extends(source.id());
  const std::set<std::string> dropped = DroppedModels(jobs);
  for (const v1::ModelSpec& model : source.spec().models()) {
    const char* const why = model.arch().has_none()           ? "arch none"
                            : dropped.count(model.name()) > 0 ? "dropped"
                                                              : nullptr;
    if (why != nullptr) {
      extension.left_out.push_back(absl::StrCat(model.name(), " (", why, ")"));
      continue;
    }
    *spec.add_models() = model;
    SetOptionsOf(*spec.mutable_models()->rbegin(), set, errors);
  }
  if (spec.models().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sweep ", source.id(),
        " has nothing to train on: ", absl::StrJoin(extension.left_out, ", ")));
  }
  set.ReportUnused(errors);
  FOLDFARM_RETURN_IF_ERROR(errors.ToStatus());
  return extension;
}

}  // namespace foldfarm
