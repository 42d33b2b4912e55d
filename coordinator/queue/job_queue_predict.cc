// The part of JobQueue that turns trained networks into jobs that predict.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/attempt_files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/sweep/predict_alike.h"
#include "common/sweep/sweep.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/prediction_plan.h"
#include "coordinator/queue/sweep_plan.h"

namespace foldfarm {
namespace {

constexpr char kExecObstacle[] =
    "it is a user's program (arch: exec), which only trains";

// "fold 2 is failed", "folds 1, 3 are pending"; empty when all succeeded.
std::string UnfinishedFolds(const std::vector<const JobRow*>& jobs) {
  std::map<v1::Job::State, std::vector<int>> folds;
  for (const JobRow* job : jobs) {
    if (job->state != v1::Job::SUCCEEDED) {
      folds[job->state].push_back(job->fold);
    }
  }
  return absl::StrJoin(folds, ", ", [](std::string* out, const auto& entry) {
    const bool one = entry.second.size() == 1;
    absl::StrAppend(out, one ? "fold " : "folds ",
                    absl::StrJoin(entry.second, ", "), one ? " is " : " are ",
                    absl::AsciiStrToLower(v1::Job::State_Name(entry.first)));
  });
}

// A sweep's models with the networks of all folds.
absl::StatusOr<std::vector<PredictingModel>> ReadModels(const Reader& reader,
                                                        const SweepRow& sweep) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                            reader.ListJobs(sweep.id));
  std::vector<PredictingModel> models;
  for (const v1::ModelSpec& spec : sweep.spec.models()) {
    PredictingModel& model = models.emplace_back();
    model.spec = spec;
    std::vector<const JobRow*> own;
    for (const JobRow& job : jobs) {
      if (job.model == spec.name()) own.push_back(&job);
    }
    absl::c_sort(own, [](const JobRow* a, const JobRow* b) {
      return a->fold < b->fold;
    });
    model.obstacle =
        spec.arch().has_exec() ? kExecObstacle : UnfinishedFolds(own);
    if (!model.obstacle.empty()) continue;
    if (own.size() != static_cast<size_t>(sweep.folds)) {
      model.obstacle =
          absl::StrCat("it has ", own.size(), " of ", sweep.folds, " folds");
      continue;
    }
    model.spec = ModelOf(*own.front(), sweep.spec);
    for (const JobRow* job : own) {
      if (!PredictAlike(model.spec, ModelOf(*job, sweep.spec))) {
        model.obstacle = absl::StrCat(
            "its folds ", own.front()->fold, " and ", job->fold,
            " were retried with options of what they are fed or of their "
            "architecture that differ");
        break;
      }
      FOLDFARM_ASSIGN_OR_RETURN(
          std::vector<v1::ArtifactRef> files,
          reader.ListArtifacts(job->id, ArtifactKind::kResult));
      files.erase(std::remove_if(files.begin(), files.end(),
                                 [](const v1::ArtifactRef& file) {
                                   return file.name() == kOofFile;
                                 }),
                  files.end());
      if (files.empty()) {
        model.obstacle =
            absl::StrCat("its result of fold ", job->fold, " has no weights");
        break;
      }
      model.files.push_back(std::move(files));
    }
  }
  return models;
}

// "mars-predict-test": of letters that a sweep's name may have.
std::string PredictionName(const std::string& source,
                           const std::string& samples) {
  const std::string suffix = absl::StrCat(
      "-predict-", absl::StrReplaceAll(samples, {{" ", "-"}, {",", "-"}}));
  return absl::StrCat(
      source.substr(0,
                    kMaxSweepName - std::min(kMaxSweepName - 1, suffix.size())),
      suffix);
}

}  // namespace

absl::StatusOr<std::vector<PredictingModel>> JobQueue::BundleModels(
    const v1::SubmitPredictionRequest& request) {
  std::vector<PredictingModel> models;
  for (const v1::BundleModel& bundled : request.bundle()) {
    PredictingModel& model = models.emplace_back();
    model.spec = bundled.model();
    if (model.spec.arch().has_exec()) model.obstacle = kExecObstacle;
    for (const v1::BundleModel::Fold& fold : bundled.folds()) {
      std::vector<v1::ArtifactRef>& files = model.files.emplace_back();
      for (const v1::ArtifactRef& file : fold.files()) {
        absl::StatusOr<v1::ArtifactRef> stored =
            StoredInput(file.name(), file.digest());
        if (!stored.ok()) {
          return Annotate(stored.status(),
                          absl::StrCat("bundle ", request.source(), ", model ",
                                       model.spec.name()));
        }
        files.push_back(*std::move(stored));
      }
    }
  }
  return models;
}

absl::StatusOr<v1::SubmitSweepResponse> JobQueue::SubmitPrediction(
    const v1::SubmitPredictionRequest& request, const SweepRow* source) {
  FOLDFARM_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  PredictionOptions options;
  std::vector<PredictingModel> models;
  std::vector<std::string> trained_labels;
  if (source != nullptr) {
    options.source = SweepName(source->id);
    if (source->spec.has_prediction()) {
      return absl::FailedPreconditionError(
          absl::StrCat("sweep ", options.source, " predicts itself, with ",
                       source->spec.prediction().source(), "; name that one"));
    }
    FOLDFARM_RETURN_IF_ERROR(
        store_.Read([&](const Reader& reader) -> absl::Status {
          FOLDFARM_ASSIGN_OR_RETURN(models, ReadModels(reader, *source));
          return absl::OkStatus();
        }));
    trained_labels = LabelNames(source->dataset);
    options.seed = source->spec.has_seed() ? source->spec.seed() : 1;
    options.tta = TtaDraws(source->spec);
  } else {
    options.source = request.source();
    if (!IsValidName(options.source, kMaxSweepName)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the bundle's name is \"", options.source, "\", expected 1 to ",
          kMaxSweepName, " of [A-Za-z0-9._-]"));
    }
    FOLDFARM_ASSIGN_OR_RETURN(models, BundleModels(request));
    trained_labels.assign(request.bundle_labels().begin(),
                          request.bundle_labels().end());
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      models, ChooseModels(std::move(models), options.source,
                           std::vector<std::string>(request.models().begin(),
                                                    request.models().end())));
  const std::string& dataset_name =
      request.dataset().empty() && source != nullptr ? source->dataset.name()
                                                     : request.dataset();
  FOLDFARM_ASSIGN_OR_RETURN(const StoredDataset dataset,
                            OpenDataset(dataset_name));
  FOLDFARM_RETURN_IF_ERROR(CheckSameLabels(dataset.header->labels, dataset_name,
                                           trained_labels, options.source));
  FOLDFARM_ASSIGN_OR_RETURN(
      options.sample_ids,
      SelectSamples(*dataset.header, dataset_name, request.split(),
                    std::vector<std::string>(request.sample_ids().begin(),
                                             request.sample_ids().end())));
  const size_t count = options.sample_ids.size();
  options.samples = !request.split().empty() ? request.split()
                    : count == 1             ? "1 sample"
                                             : absl::StrCat(count, " samples");
  options.name = PredictionName(
      source != nullptr ? source->name : options.source, options.samples);
  if (request.tta() != 0) options.tta = request.tta();
  options.shares = request.shares();
  options.priority = request.priority();
  FOLDFARM_ASSIGN_OR_RETURN(const PredictionPlan made,
                            PlanPrediction(options, models, *dataset.header,
                                           dataset.row.dataset.digest()));
  v1::SubmitSweepRequest submit;
  submit.set_request_id(request.request_id());
  submit.set_no_reuse(request.no_reuse());
  v1::SubmitSweepResponse response;
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    return DoSubmit(tx, submit, made.spec, dataset.row, made.plan, made.inputs,
                    response);
  }));
  SPDLOG_INFO("sweep={} source={} samples={} jobs={} reused={} submitted",
              response.sweep(), options.source, count, response.jobs(),
              response.reused());
  return response;
}

}  // namespace foldfarm
