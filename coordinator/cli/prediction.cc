#include "coordinator/cli/prediction.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_context.h"
#include "common/rpc/status.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/live_area.h"
#include "coordinator/cli/oof_table.h"
#include "coordinator/cli/output_file.h"
#include "coordinator/cli/predict_bundle.h"
#include "coordinator/cli/predict_source.h"
#include "coordinator/cli/prediction_format.h"
#include "coordinator/cli/prediction_text.h"
#include "coordinator/cli/submission.h"
#include "coordinator/cli/sweep_watcher.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Json = nlohmann::ordered_json;

constexpr absl::Duration kTick = absl::Milliseconds(200);
constexpr size_t kRowsNamed = 20;

// One prediction, from its models to its files.
class Prediction {
 public:
  Prediction(CommandContext& context, const PredictOptions& options)
      : context_(context),
        console_(context.console),
        options_(options),
        client_(context.coordinator) {}

  absl::StatusOr<int> Execute();
  // Says of an interrupt how things stand; other statuses as they are.
  absl::Status ExplainStop(const absl::Status& status) const;

 private:
  // A file that was written.
  struct Written {
    std::string path;  // As it was asked for.
    std::string file;  // Where that leads.
    int draws = 0;
    Submission submission;
  };

  absl::Status CheckOutput() const;
  absl::Status ChooseModels();
  absl::Status Submit();
  absl::StatusOr<v1::Sweep> GetSweep();
  absl::Status Watch();
  absl::Status Write();
  // By number of draws: the samples in order.
  absl::StatusOr<std::map<int, std::vector<PredictedSample>>> Fetch();
  void Report(const Submission& submission) const;
  std::string WhyUnpredicted(const std::vector<std::string>& ids) const;
  std::string RequestId() const;
  // To predict; 0: the farm knows.
  int Draws() const {
    return options_.tta.empty()
               ? source_.tta
               : *std::max_element(options_.tta.begin(), options_.tta.end());
  }
  bool FillsPrior() const { return options_.fill == "prior"; }
  Json Summary() const;

  CommandContext& context_;
  const Console& console_;
  const PredictOptions& options_;
  FarmClient client_;
  PredictSource source_;
  ModelChoice choice_;
  PredictData data_;
  std::optional<SubmissionFormat> format_;
  std::string sweep_;       // That predicts; empty: the farm knows of none.
  bool predicted_ = false;  // All jobs are done.
  std::vector<std::string> labels_;
  std::vector<Written> written_;
};

// Nobody predicts for hours only to learn that there is no such folder.
absl::Status Prediction::CheckOutput() const {
  FOLDFARM_RETURN_IF_ERROR(CheckOutputFile(options_.out));
  for (const int draws : options_.tta) {
    if (draws == Draws()) continue;
    FOLDFARM_RETURN_IF_ERROR(CheckOutputFile(PathOfDraws(options_.out, draws)));
  }
  return absl::OkStatus();
}

absl::Status Prediction::ChooseModels() {
  FOLDFARM_ASSIGN_OR_RETURN(
      choice_, ChoosePredictingModels(client_, source_, options_.models,
                                      options_.weights));
  for (const auto& [model, why] : choice_.left_out) {
    console_.Warn(absl::StrCat("model ", model, " is left out: ", why));
  }
  if (FillsPrior() && source_.bundle.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(const OofTable table,
                              FetchOof(client_, source_.name));
    source_.prior = Prevalence(table, source_.labels);
  }
  if (FillsPrior() && source_.prior.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        source_.bundle.empty() ? "the coordinator of sweep " : "bundle ",
        source_.name,
        " does not say how common each label is, which --fill "
        "prior needs"));
  }
  return absl::OkStatus();
}

// Equal for equal predictions with the same networks.
std::string Prediction::RequestId() const {
  if (options_.no_reuse) return NewRandomId();
  std::string text =
      absl::StrCat(source_.name, "\n", data_.digest, "\n",
                   absl::StrJoin(options_.data.splits, ","), "\n",
                   absl::StrJoin(options_.data.samples, ","), "\n",
                   options_.shares, "\n", Draws());
  for (const PredictSource::Model& model : source_.models) {
    if (std::find(choice_.names.begin(), choice_.names.end(), model.name) !=
        choice_.names.end()) {
      absl::StrAppend(&text, "\n", model.name, model.version);
    }
  }
  return absl::StrCat("predict-", Sha256Hex(text));
}

absl::Status Prediction::Submit() {
  v1::SubmitPredictionRequest request;
  request.set_request_id(RequestId());
  request.set_source(source_.name);
  request.mutable_bundle()->Assign(source_.bundle.begin(),
                                   source_.bundle.end());
  if (!source_.bundle.empty()) {
    request.mutable_bundle_labels()->Assign(source_.labels.begin(),
                                            source_.labels.end());
  }
  request.set_dataset(data_.dataset);
  if (options_.data.samples.empty()) {
    request.set_split(absl::StrJoin(options_.data.splits, ","));
  }
  request.mutable_sample_ids()->Assign(options_.data.samples.begin(),
                                       options_.data.samples.end());
  request.set_tta(Draws());
  request.set_shares(options_.shares);
  request.mutable_models()->Assign(choice_.names.begin(), choice_.names.end());
  request.set_priority(options_.priority);
  request.set_no_reuse(options_.no_reuse);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::SubmitSweepResponse reply,
                            client_.Call(&Farm::SubmitPrediction, request));
  sweep_ = reply.sweep();
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep sweep, GetSweep());
  console_.Note(absl::StrCat(
      sweep_, " ", DescribePrediction(sweep), ", ", sweep.succeeded(), " of ",
      FormatPlural(reply.jobs(), "job"), " done already"));
  if (sweep.failed() + sweep.cancelled() == 0) return absl::OkStatus();
  // The same command, run again after it went wrong.
  v1::RetryRequest retry;
  retry.set_target(sweep_);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::RetryResponse again,
                            client_.Call(&Farm::Retry, retry));
  console_.Note(absl::StrCat("Trying again what failed: ",
                             FormatPlural(again.jobs(), "job")));
  return absl::OkStatus();
}

absl::StatusOr<v1::Sweep> Prediction::GetSweep() {
  v1::GetSweepRequest request;
  request.set_sweep(sweep_);
  return client_.Call(&Farm::GetSweep, request);
}

absl::Status Prediction::Watch() {
  FOLDFARM_ASSIGN_OR_RETURN(v1::Sweep sweep, GetSweep());
  if (sweep.pending() + sweep.running() > 0) {
    // In line with what was said before and will be said after.
    SweepWatcher::Target target = SweepWatcher::ToErr(console_);
    target.mode = LiveArea::Mode::kInline;
    SweepWatcher watcher(client_, sweep_, context_.clock, target);
    while (!watcher.Tick(kTick)) {
      // ExplainStop says more.
      if (InterruptScope::Interrupted()) return absl::CancelledError("stopped");
    }
    FOLDFARM_RETURN_IF_ERROR(watcher.result());
    sweep = watcher.sweep();
  }
  predicted_ = sweep.state() == v1::Sweep::SUCCEEDED;
  if (predicted_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(sweep_, " is not complete, so nothing was written: ",
                   FormatPlural(sweep.failed(), "job"), " failed, ",
                   sweep.cancelled(), " cancelled; foldfarm status ", sweep_,
                   " says why, the same command tries them again"));
}

absl::StatusOr<std::map<int, std::vector<PredictedSample>>>
Prediction::Fetch() {
  v1::GetPredictionsRequest request;
  request.set_sweep(sweep_);
  for (const int draws :
       std::set<int>(options_.tta.begin(), options_.tta.end())) {
    request.add_tta(draws);
  }
  request.mutable_weights()->insert(choice_.weights.begin(),
                                    choice_.weights.end());
  CallContext call(kLargeAnswer);
  const auto stream = client_.farm().GetPredictions(&call, request);
  std::map<int, std::vector<PredictedSample>> by_draws;
  v1::GetPredictionsResponse piece;
  while (stream->Read(&piece)) {
    if (labels_.empty()) {
      labels_.assign(piece.labels().begin(), piece.labels().end());
    }
    for (const v1::GetPredictionsResponse::Row& row : piece.rows()) {
      by_draws[row.tta()].push_back(
          {row.sample_id(),
           row.instrument_type(),
           {row.probability().begin(), row.probability().end()}});
    }
  }
  FOLDFARM_RETURN_IF_ERROR(
      client_.Explain(ToStatus(stream->Finish()), /*heard=*/!by_draws.empty()));
  return by_draws;
}

absl::Status Prediction::Write() {
  FOLDFARM_ASSIGN_OR_RETURN(const auto by_draws, Fetch());
  // Before, of a split of a dataset only the farm knew the samples.
  if (!by_draws.empty()) {
    std::vector<std::string> ids;
    for (const PredictedSample& sample : by_draws.begin()->second) {
      ids.push_back(sample.id);
    }
    FOLDFARM_RETURN_IF_ERROR(
        CheckFormat(console_, options_.format, ids, format_));
  }
  const std::vector<double> prior =
      FillsPrior() ? source_.prior : std::vector<double>();
  // All or nothing: the largest number of draws comes last and is the main one.
  for (const auto& [draws, samples] : by_draws) {
    Written& written = written_.emplace_back();
    written.draws = draws;
    written.path = draws == by_draws.rbegin()->first
                       ? options_.out
                       : PathOfDraws(options_.out, draws);
    FOLDFARM_ASSIGN_OR_RETURN(written.file, FindOutputFile(written.path));
    FOLDFARM_ASSIGN_OR_RETURN(
        written.submission,
        MakeSubmission(labels_, samples,
                       format_.has_value() ? &*format_ : nullptr, prior));
  }
  for (const Written& written : written_) {
    FOLDFARM_RETURN_IF_ERROR(
        WriteFileAtomically(written.file, written.submission.csv));
  }
  return absl::OkStatus();
}

// "487 without a features file, 293 of split val".
std::string Prediction::WhyUnpredicted(
    const std::vector<std::string>& ids) const {
  const std::set<std::string> missing(data_.missing.begin(),
                                      data_.missing.end());
  std::map<std::string, int> reasons;
  for (const std::string& id : ids) {
    const auto split = data_.split_of.find(id);
    ++reasons[missing.count(id) > 0 ? "without a features file"
              : split != data_.split_of.end()
                  ? absl::StrCat("of split ", split->second,
                                 ", which --split did not name")
              : data_.split_of.empty() ? "not among the samples predicted"
                                       : "not in metadata.csv"];
  }
  return absl::StrJoin(reasons, ", ", [](std::string* out, const auto& reason) {
    absl::StrAppend(out, reason.second, " ", reason.first);
  });
}

// Says what a submission lacks.
void Prediction::Report(const Submission& submission) const {
  if (!submission.unpredicted.empty()) {
    const std::string rows = absl::StrCat(
        submission.unpredicted.size(), " of ",
        FormatPlural(static_cast<int64_t>(format_->sample_ids.size()), "row"),
        " of ", format_->path);
    const std::string why =
        absl::StrCat(" (", WhyUnpredicted(submission.unpredicted),
                     "): ", NameSome(submission.unpredicted, kRowsNamed));
    console_.Warn(
        FillsPrior()
            ? absl::StrCat(rows,
                           " have no prediction and hold each label's "
                           "prevalence instead",
                           why)
            : absl::StrCat(rows, " have no prediction and are left out", why,
                           "; --fill prior writes each label's prevalence "
                           "there"));
  }
  if (!submission.unasked.empty()) {
    console_.Warn(absl::StrCat(
        FormatPlural(static_cast<int64_t>(submission.unasked.size()), "sample"),
        " predicted but left out, for ", format_->path,
        " has no row of them: ", NameSome(submission.unasked, kRowsNamed)));
  }
}

Json Prediction::Summary() const {
  Json json;
  json["sweep"] = sweep_;
  json["source"] = source_.name;
  json["dataset"] = data_.dataset;
  json["models"] = choice_.names;
  json["weights"] = choice_.weights;
  json["leftOut"] = Json::array();
  for (const auto& [model, why] : choice_.left_out) {
    json["leftOut"].push_back({{"model", model}, {"reason", why}});
  }
  json["files"] = Json::array();
  for (const Written& written : written_) {
    json["files"].push_back({{"path", written.path},
                             {"tta", written.draws},
                             {"rows", written.submission.rows}});
  }
  const Submission& last = written_.back().submission;
  json["withoutFeatures"] = data_.missing;
  json[FillsPrior() ? "rowsOfPrior" : "rowsLeftOut"] = last.unpredicted;
  json["notAsked"] = last.unasked;
  return json;
}

absl::Status Prediction::ExplainStop(const absl::Status& status) const {
  if (!absl::IsCancelled(status) || IsInDoubt(status)) return status;
  if (sweep_.empty()) {
    return absl::CancelledError("Stopped; nothing was submitted.");
  }
  constexpr char kAgain[] = "The same command again fetches the result";
  return absl::CancelledError(
      predicted_
          ? absl::StrCat("Stopped; nothing was written. ", kAgain, ".")
          : absl::StrCat("Stopped watching; ", sweep_, " goes on predicting. ",
                         kAgain, "; foldfarm cancel ", sweep_, " ends it."));
}

absl::StatusOr<int> Prediction::Execute() {
  FOLDFARM_RETURN_IF_ERROR(CheckOutput());
  FOLDFARM_ASSIGN_OR_RETURN(
      source_, ReadPredictSource(context_, client_, options_.source));
  FOLDFARM_ASSIGN_OR_RETURN(
      format_,
      FindFormat(options_.format, options_.data.directory, source_.labels));
  FOLDFARM_RETURN_IF_ERROR(ChooseModels());
  FOLDFARM_ASSIGN_OR_RETURN(
      data_, FindPredictData(context_, client_, source_, options_.data));
  FOLDFARM_RETURN_IF_ERROR(
      CheckFormat(console_, options_.format, data_.chosen, format_));
  FOLDFARM_RETURN_IF_ERROR(Submit());
  FOLDFARM_RETURN_IF_ERROR(Watch());
  FOLDFARM_RETURN_IF_ERROR(Write());
  Report(written_.back().submission);
  for (const Written& written : written_) {
    console_.Note(
        absl::StrCat("Wrote ", FormatPlural(written.submission.rows, "row"),
                     " to ", written.path, ", the mean of ",
                     FormatPlural(written.draws, "draw"), " a sample"));
  }
  PrintSummary(context_, Summary());
  return kExitDone;
}

}  // namespace

absl::StatusOr<int> RunPrediction(CommandContext& context,
                                  const PredictOptions& options) {
  InterruptScope interrupt;
  Prediction prediction(context, options);
  const absl::StatusOr<int> result = prediction.Execute();
  if (!result.ok()) return prediction.ExplainStop(result.status());
  return result;
}

}  // namespace foldfarm
