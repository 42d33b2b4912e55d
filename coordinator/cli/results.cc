#include "coordinator/cli/results.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/metrics_table.h"
#include "coordinator/cli/oof_table.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/table.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Align = Column::Align;

std::string ScoresTable(const v1::GetEnsembleResponse& reply, size_t width,
                        bool colour) {
  Table table({{"MODEL", Align::kLeft, true},
               {"LOG LOSS", Align::kRight},
               {"ACCURACY", Align::kRight},
               {"CORRELATION", Align::kRight, false, 0, true},
               {"BY FOLD", Align::kLeft, false, 0, true},
               {"TIME", Align::kRight}});
  for (const v1::ModelScores& model : reply.models()) {
    // Of a model that predicts some labels: the prior's on the same ones.
    const double prior = model.labels().empty()
                             ? reply.prior().log_loss_shrink_0002()
                             : model.prior_log_loss();
    const bool beats_prior = model.scores().log_loss_shrink_0002() < prior;
    table.AddRow({model.model(),
                  Cell(FormatScore(model.scores().log_loss_shrink_0002()),
                       beats_prior ? Style::kPlain : Style::kWarning),
                  FormatPercent(model.scores().accuracy()),
                  FormatScore(model.correlation()),
                  absl::StrJoin(model.fold_log_loss(), " ",
                                [](std::string* out, double value) {
                                  absl::StrAppend(out, FormatScore(value));
                                }),
                  HumanDuration(absl::Seconds(model.seconds()))});
  }
  double seconds = 0;
  for (const v1::ModelScores& model : reply.models())
    seconds += model.seconds();
  table.AddRow(
      {Cell(absl::StrCat("ensemble of ", reply.models_size()), Style::kHeader),
       Cell(FormatScore(reply.ensemble().log_loss_shrink_0002()), Style::kGood),
       Cell(FormatPercent(reply.ensemble().accuracy()), Style::kGood), "", "",
       HumanDuration(absl::Seconds(seconds))});
  table.AddRow(
      {Cell("prior", Style::kDim),
       Cell(FormatScore(reply.prior().log_loss_shrink_0002()), Style::kDim),
       Cell(FormatPercent(reply.prior().accuracy()), Style::kDim), "", "", ""});
  return table.Render(width, colour);
}

absl::StatusOr<v1::ListJobsResponse> ListJobs(FarmClient& client,
                                              const std::string& sweep) {
  v1::ListJobsRequest request;
  request.set_sweep(sweep);
  return client.Call(&Farm::ListJobs, request);
}

}  // namespace

std::string EnsembleText(const v1::GetEnsembleResponse& reply, size_t width,
                         bool colour) {
  std::string text;
  if (reply.models().empty()) {
    text = "No model is complete on all folds yet.\n";
  } else {
    text = absl::StrCat("Out-of-fold scores on ",
                        FormatPlural(reply.ensemble().samples(), "sample"),
                        ": log loss with probabilities shrunk by 0.002\n\n",
                        ScoresTable(reply, width, colour));
    if (reply.growth_size() > 1) {
      Table growth({{"MODELS", Align::kRight},
                    {"ADDED", Align::kLeft, true},
                    {"LOG LOSS", Align::kRight},
                    {"CHANGE", Align::kRight}});
      double last = std::numeric_limits<double>::quiet_NaN();
      int count = 0;
      for (const v1::GrowthStep& step : reply.growth()) {
        const double change = step.log_loss() - last;
        growth.AddRow(
            {absl::StrCat(++count), step.model(), FormatScore(step.log_loss()),
             count == 1 ? Cell("")
                        : Cell(FormatSigned(change),
                               change < 0 ? Style::kGood : Style::kWarning)});
        last = step.log_loss();
      }
      absl::StrAppend(&text, "\n",
                      Heading("Growth, the most helpful model first", colour),
                      "\n", growth.Render(width, colour));
    }
    Table labels({{"LABEL", Align::kLeft, true}, {"LOG LOSS", Align::kRight}});
    for (int i = 0;
         i < std::min(reply.labels_size(), reply.label_log_loss_size()); ++i) {
      labels.AddRow({reply.labels(i), FormatScore(reply.label_log_loss(i))});
    }
    if (!labels.empty()) {
      absl::StrAppend(&text, "\n", Heading("The ensemble by label", colour),
                      "\n", labels.Render(width, colour));
    }
  }
  for (const v1::ModelScores& model : reply.models()) {
    if (model.labels().empty()) continue;
    absl::StrAppend(&text, "\n", model.model(), " predicts and is scored on ",
                    absl::StrJoin(model.labels(), ", "), " (prior ",
                    FormatScore(model.prior_log_loss()), ")\n");
  }
  if (!reply.models().empty() && !reply.unpredicted_labels().empty()) {
    absl::StrAppend(
        &text, "\n",
        Paint(absl::StrCat("Labels that no model predicts, hence not scored: ",
                           absl::StrJoin(reply.unpredicted_labels(), ", ")),
              Style::kWarning, colour),
        "\n");
  }
  if (!reply.incomplete_models().empty()) {
    absl::StrAppend(
        &text, "\n",
        Paint(absl::StrCat("Not complete on all folds, hence not counted: ",
                           absl::StrJoin(reply.incomplete_models(), ", ")),
              Style::kWarning, colour),
        "\n");
  }
  return text;
}

absl::StatusOr<int64_t> WriteOof(FarmClient& client, const std::string& sweep,
                                 const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const OofTable table, FetchOof(client, sweep));
  if (table.oof.models.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no model of ", sweep,
        " is complete on all folds, so there is nothing to write; see foldfarm "
        "status ",
        sweep));
  }
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(path, OofCsv(table)));
  return static_cast<int64_t>(table.oof.num_samples());
}

absl::StatusOr<int64_t> WriteMetrics(FarmClient& client,
                                     const std::string& sweep,
                                     const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse list,
                            ListJobs(client, sweep));
  std::vector<JobMetrics> all;
  for (const v1::Job& job : list.jobs()) {
    v1::GetMetricsRequest request;
    request.set_job(job.name());
    FOLDFARM_ASSIGN_OR_RETURN(v1::GetMetricsResponse metrics,
                              client.Call(&Farm::GetMetrics, request));
    if (metrics.epochs().empty()) continue;
    all.push_back({job, std::move(metrics)});
  }
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(path, MetricsCsv(all)));
  return static_cast<int64_t>(all.size());
}

}  // namespace foldfarm
