#include "coordinator/cli/status_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/eta.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/prediction_text.h"
#include "coordinator/cli/sweep_summary.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/watch_state.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Align = Column::Align;

constexpr size_t kMostLookUps = 40;
constexpr absl::Duration kLookUpTimeout = absl::Seconds(3);
constexpr size_t kCurve = 12;
constexpr size_t kMostFailures = 12;

// A cell of the grid: the score of a job that is done, else how far it is or
// its state.
Cell GridCell(const v1::Job& job) {
  const Style style = StateStyle(job.state());
  if (job.state() == v1::Job::SUCCEEDED && job.has_log_loss()) {
    return Cell(FormatScore(job.log_loss()), style);
  }
  if (job.state() == v1::Job::RUNNING && job.epochs() > 0) {
    return Cell(absl::StrFormat("%.0f %%", std::floor(100 * JobShare(job))),
                style);
  }
  if (job.state() == v1::Job::PENDING) {
    const Cell mark = JobMark(job);
    return mark.style == Style::kWarning ? Cell("again", Style::kWarning)
                                         : Cell("·", Style::kDim);
  }
  return Cell(StateName(job.state()), style);
}

std::string Grid(const std::vector<ModelSummary>& models,
                 const Estimate& estimate, size_t width, bool colour) {
  std::set<int> folds;
  double best = std::numeric_limits<double>::infinity();
  size_t complete = 0;
  for (const ModelSummary& model : models) {
    for (const v1::Job* job : model.jobs) folds.insert(job->fold());
    if (model.succeeded == static_cast<int>(model.jobs.size()) &&
        !std::isnan(model.score)) {
      ++complete;
      best = std::min(best, model.score);
    }
  }
  // The score tells models apart, so the folds' go first where room is scarce.
  std::vector<Column> columns = {{"MODEL", Align::kLeft, true},
                                 {"SCORE", Align::kRight}};
  for (const int fold : folds) {
    columns.push_back(
        {absl::StrCat("FOLD ", fold), Align::kRight, false, 0, true});
  }
  columns.push_back({"LOG LOSS", Align::kLeft, false, 0, true});
  columns.push_back({"LEFT", Align::kLeft, false, 0, true});
  Table table(columns);
  for (const ModelSummary& model : models) {
    const bool is_best = complete > 1 && model.score == best;
    std::vector<Cell> row = {
        model.model,
        Cell(FormatScore(model.score), is_best ? Style::kGood : Style::kPlain)};
    std::map<int, const v1::Job*> by_fold;
    for (const v1::Job* job : model.jobs) by_fold[job->fold()] = job;
    for (const int fold : folds) {
      const auto job = by_fold.find(fold);
      row.push_back(job == by_fold.end() ? Cell("") : GridCell(*job->second));
    }
    row.push_back(Cell(Sparkline(model.curve, kCurve), Style::kActive));
    const auto left = estimate.models.find(model.model);
    row.push_back(left == estimate.models.end() ? Cell("")
                                                : ShortLeftText(left->second));
    table.AddRow(std::move(row));
  }
  return table.empty() ? "" : table.Render(width, colour);
}

// "How good": the best complete model, and the ensemble. Where that is known, a
// model's score is over all samples at once, as the ensemble's is.
std::string BestText(const std::vector<ModelSummary>& models,
                     const StatusInput& input, size_t width) {
  std::vector<std::string> parts;
  if (input.ensemble.has_value() && !input.ensemble->models().empty()) {
    parts.push_back(absl::StrCat(
        "ensemble of ", input.ensemble->models_size(), ": log loss ",
        FormatScore(input.ensemble->ensemble().log_loss_shrink_0002()),
        ", accuracy ", FormatPercent(input.ensemble->ensemble().accuracy())));
    const v1::ModelScores& best = input.ensemble->models(0);  // Best first.
    parts.push_back(
        absl::StrCat("best model: ", best.model(), " ",
                     FormatScore(best.scores().log_loss_shrink_0002())));
    return WrapParts(parts, "; ", width);
  }
  const ModelSummary* best = nullptr;
  for (const ModelSummary& model : models) {
    if (std::isnan(model.score) ||
        model.succeeded < static_cast<int>(model.jobs.size())) {
      continue;
    }
    if (best == nullptr || model.score < best->score) best = &model;
  }
  if (best != nullptr) {
    parts.push_back(absl::StrCat("best model: ", best->model, " ",
                                 FormatScore(best->score)));
  }
  return WrapParts(parts, "; ", width);
}

// Failures, and why jobs wait, each reason once.
std::string Troubles(const StatusInput& input, absl::Time now, size_t width,
                     bool colour) {
  std::string text;
  std::vector<std::pair<std::string, std::string>> failed;
  struct Wait {
    std::string why;
    std::string shown;  // With the time of the first job.
    std::vector<std::string> jobs;
  };
  std::vector<Wait> waiting;
  for (const v1::Job& job : input.jobs.jobs()) {
    if (job.state() == v1::Job::FAILED) {
      failed.emplace_back(job.name(), job.error());
      continue;
    }
    if (job.state() != v1::Job::PENDING) continue;
    std::string why = job.waiting_reason();
    std::string shown = absl::StrCat("waiting: ", why);
    const absl::Time again = ToTime(job.not_before_time());
    // Of a job that backs off, what it failed for says more than until when.
    if (!job.error().empty() && (why.empty() || again > now)) {
      why = FirstLine(job.error());
      shown = absl::StrCat(
          "tried again",
          again > now ? absl::StrCat(" ", FormatRelative(again, now)) : "",
          ": ", why);
    }
    if (why.empty()) continue;
    const auto same =
        std::find_if(waiting.begin(), waiting.end(),
                     [&](const Wait& other) { return other.why == why; });
    if (same != waiting.end()) {
      same->jobs.push_back(job.name());
    } else {
      waiting.push_back({why, shown, {job.name()}});
    }
  }
  for (size_t i = 0; i < failed.size() && i < kMostFailures; ++i) {
    std::string error = failed[i].second;
    while (!error.empty() && error.back() == '\n') error.pop_back();
    absl::StrAppend(&text, "\n", Paint("✗ ", Style::kBad, colour),
                    Paint(failed[i].first, Style::kBad, colour), ": ", error);
  }
  if (failed.size() > kMostFailures) {
    absl::StrAppend(&text, "\nand ", failed.size() - kMostFailures,
                    " more; all: foldfarm jobs ", input.sweep.id(),
                    " --state failed");
  }
  for (const Wait& wait : waiting) {
    const std::string who = wait.jobs.size() == 1
                                ? wait.jobs[0]
                                : absl::StrCat(wait.jobs[0], " and ",
                                               wait.jobs.size() - 1, " more");
    // Whole, however narrow the terminal is: nothing else says it.
    const std::string line = absl::StrCat("↻ ", who, " ", wait.shown);
    absl::StrAppend(&text, "\n",
                    Paint(WrapParts(absl::StrSplit(line, ' '), " ", width),
                          Style::kWarning, colour));
  }
  if (!text.empty()) absl::StrAppend(&text, "\n");
  if (!failed.empty()) {
    absl::StrAppend(&text, "\nWhat happened: foldfarm job ", failed[0].first,
                    "\nTry the failed jobs again: foldfarm retry ",
                    input.sweep.id(), "\n");
  }
  return text;
}

}  // namespace

absl::StatusOr<StatusInput> GatherStatus(FarmClient& client, v1::Sweep sweep) {
  StatusInput input;
  input.sweep = std::move(sweep);
  v1::ListJobsRequest list;
  list.set_sweep(input.sweep.id());
  FOLDFARM_ASSIGN_OR_RETURN(input.jobs, client.Call(&Farm::ListJobs, list));
  if (!input.sweep.has_end_time()) {
    auto workers = client.Call(&Farm::ListWorkers, {}, kLookUpTimeout);
    if (workers.ok()) input.workers = *std::move(workers);
  }
  const std::vector<v1::Job> jobs(input.jobs.jobs().begin(),
                                  input.jobs.jobs().end());
  for (const std::string& job : JobsToLookUp(jobs, kMostLookUps)) {
    v1::GetMetricsRequest request;
    request.set_job(job);
    const auto metrics =
        client.Call(&Farm::GetMetrics, request, kLookUpTimeout);
    if (absl::IsUnavailable(metrics.status())) break;
    if (metrics.ok()) input.history.Add(job, *metrics);
  }
  // A sweep that predicts has nothing to score.
  if (input.sweep.succeeded() > 0 && input.sweep.prediction().empty()) {
    v1::GetEnsembleRequest request;
    request.set_sweep(input.sweep.id());
    auto ensemble = client.Call(&Farm::GetEnsemble, request, kLookUpTimeout);
    if (ensemble.ok()) input.ensemble = *std::move(ensemble);
  }
  // What an interrupt ended is not merely absent.
  if (InterruptScope::Interrupted()) return absl::CancelledError("Stopped.");
  return input;
}

std::string StatusText(const StatusInput& input, absl::Time now,
                       absl::TimeZone zone, size_t width, bool colour) {
  const v1::Sweep& sweep = input.sweep;
  const std::vector<v1::Job> jobs(input.jobs.jobs().begin(),
                                  input.jobs.jobs().end());
  EtaInput eta;
  eta.jobs = jobs;
  eta.now = now;
  eta.history = &input.history;
  std::vector<v1::Worker> workers;
  if (input.workers.has_value()) {
    workers.assign(input.workers->workers().begin(),
                   input.workers->workers().end());
    eta.workers = workers;
  }
  eta.prediction_epochs = PredictionEpochs(sweep.spec().tta(), sweep.folds());
  const Estimate estimate = EstimateRemaining(eta);
  const std::vector<ModelSummary> models = SummarizeModels(jobs, input.history);

  const Cell state = SweepStateCell(sweep);
  std::string text =
      absl::StrCat(Heading(absl::StrCat(sweep.id(), " ", sweep.name()), colour),
                   "  ", Paint(state.text, state.style, colour), "  ",
                   Paint(SinceText(sweep, now), Style::kDim, colour), "\n");
  double share = 0;
  for (const v1::Job& job : jobs) share += JobShare(job);
  if (!jobs.empty()) share /= static_cast<double>(jobs.size());
  const std::string left = LeftUntilText(estimate.sweep, now, zone);
  absl::StrAppend(
      &text, ProgressBar(share, width > 0 && width < 60 ? 12 : 24, colour),
      absl::StrFormat(" %.0f %%", std::floor(share * 100)),
      left.empty() ? "" : absl::StrCat("  ", left), "\n", CountsText(sweep));
  if (input.workers.has_value()) {
    const Cell use = WorkersText(workers);
    absl::StrAppend(&text, "; ", Paint(use.text, use.style, colour));
  }
  absl::StrAppend(
      &text, "\n",
      WrapParts({absl::StrCat("dataset ", sweep.dataset()),
                 sweep.prediction().empty()
                     ? absl::StrCat(FormatPlural(sweep.models(), "model"),
                                    " × ", FormatPlural(sweep.folds(), "fold"))
                     : DescribePrediction(sweep),
                 absl::StrCat("priority ", sweep.priority())},
                ", ", width),
      "\n");
  if (!sweep.note().empty()) {
    absl::StrAppend(&text, Paint(sweep.note(), Style::kWarning, colour), "\n");
  }
  const std::string best = BestText(models, input, width);
  if (!best.empty()) {
    absl::StrAppend(&text, Paint(best, Style::kGood, colour), "\n");
  }
  // Parts of a prediction have no scores and can be many.
  const std::string grid = sweep.prediction().empty()
                               ? Grid(models, estimate, width, colour)
                               : PredictionTable(input.jobs, width, colour);
  if (!grid.empty()) absl::StrAppend(&text, "\n", grid);
  absl::StrAppend(&text, Troubles(input, now, width, colour));
  return text;
}

}  // namespace foldfarm
