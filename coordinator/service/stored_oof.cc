#include "coordinator/service/stored_oof.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/oof_reader.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

// "fold 2", "folds 1, 3".
std::string FoldNames(const std::vector<int>& folds) {
  return absl::StrCat(folds.size() == 1 ? "fold " : "folds ",
                      absl::StrJoin(folds, ", "));
}

// "fold 2 failed: ...; folds 1, 3 are pending".
std::string WhyIncomplete(const std::vector<const JobRow*>& jobs) {
  std::vector<std::string> reasons;
  const auto with_error = [&](v1::Job::State state, absl::string_view verb) {
    for (const JobRow* job : jobs) {
      if (job->state != state) continue;
      reasons.push_back(absl::StrCat("fold ", job->fold, " ", verb,
                                     job->error.empty() ? "" : ": ",
                                     job->error));
    }
  };
  const auto together = [&](v1::Job::State state, absl::string_view doing) {
    std::vector<int> folds;
    for (const JobRow* job : jobs) {
      if (job->state == state) folds.push_back(job->fold);
    }
    if (folds.empty()) return;
    std::sort(folds.begin(), folds.end());
    reasons.push_back(absl::StrCat(
        FoldNames(folds), folds.size() == 1 ? " is " : " are ", doing));
  };
  with_error(v1::Job::FAILED, "failed");
  with_error(v1::Job::CANCELLED, "was cancelled");
  together(v1::Job::RUNNING, "running");
  together(v1::Job::PENDING, "pending");
  if (reasons.empty()) return "its jobs leave no out-of-fold predictions";
  return absl::StrJoin(reasons, "; ");
}

v1::IncompleteModel Incomplete(const std::string& model, std::string reason) {
  v1::IncompleteModel incomplete;
  incomplete.set_model(model);
  incomplete.set_reason(std::move(reason));
  return incomplete;
}

}  // namespace

absl::StatusOr<StoredOof> ReadStoredOof(Store& store, const std::string& name) {
  StoredOof stored;
  std::vector<JobRow> jobs;
  std::map<JobId, v1::ArtifactRef> files;
  std::map<std::string, double> seconds;
  FOLDFARM_RETURN_IF_ERROR(
      store.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(stored.sweep, ResolveSweep(reader, name));
        FOLDFARM_RETURN_IF_ERROR(CheckTrains(stored.sweep));
        const SweepId id = stored.sweep.id;
        FOLDFARM_ASSIGN_OR_RETURN(stored.folds, reader.ListFolds(id));
        FOLDFARM_ASSIGN_OR_RETURN(jobs, reader.ListJobs(id));
        FOLDFARM_ASSIGN_OR_RETURN(
            files, reader.ListResults(id, std::string(kOofFile)));
        FOLDFARM_ASSIGN_OR_RETURN(seconds, reader.SecondsByModel(id));
        return absl::OkStatus();
      }));
  absl::flat_hash_map<std::string, std::vector<const JobRow*>> jobs_of;
  for (const JobRow& job : jobs) jobs_of[job.model].push_back(&job);
  for (const v1::ModelSpec& spec : stored.sweep.spec.models()) {
    std::vector<const JobRow*>& of_model = jobs_of[spec.name()];
    absl::c_sort(of_model, [](const JobRow* a, const JobRow* b) {
      return a->fold < b->fold;
    });
    StoredOof::Model model{spec};
    for (const JobRow* job : of_model) {
      const auto file = files.find(job->id);
      if (file != files.end()) model.digests.push_back(file->second.digest());
    }
    if (model.digests.size() != stored.folds.size()) {
      stored.incomplete.push_back(
          Incomplete(spec.name(), WhyIncomplete(of_model)));
      continue;
    }
    const auto ran = seconds.find(spec.name());
    if (ran != seconds.end()) model.seconds = ran->second;
    stored.complete.push_back(std::move(model));
  }
  return stored;
}

absl::StatusOr<LoadedOof> LoadOof(const StoredOof& stored, ArtifactFiles& files,
                                  bool with_draws) {
  LoadedOof loaded;
  FOLDFARM_ASSIGN_OR_RETURN(
      OofReader reader,
      OofReader::Open(files, stored.sweep.dataset.digest(), stored.folds,
                      /*only=*/std::nullopt));
  FOLDFARM_RETURN_IF_ERROR(ValidateOof(reader.matrix()));
  for (const StoredOof::Model& model : stored.complete) {
    const absl::Status added =
        reader.AddModel(model.spec, model.digests, with_draws);
    if (added.ok()) continue;
    loaded.unreadable.push_back(Incomplete(
        model.spec.name(),
        absl::StrCat("its predictions cannot be read: ", added.message())));
  }
  loaded.prevalence = reader.prevalence();
  loaded.only_trained = reader.only_trained();
  loaded.oof = std::move(reader).Take();
  return loaded;
}

}  // namespace foldfarm
