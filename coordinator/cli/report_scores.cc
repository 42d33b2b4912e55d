// Summary and scores; see report_sections.h.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

// A figure with its interval below it, when there is one.
HtmlCell WithInterval(const std::string& figure, bool has,
                      const v1::Interval& interval,
                      std::string (*format)(double)) {
  std::string html = EscapeHtml(figure);
  if (has) {
    absl::StrAppend(&html, "<small>", format(interval.low()), "&#8211;",
                    format(interval.high()), "</small>");
  }
  return HtmlCell::Raw(std::move(html));
}

HtmlCell LogLossCell(const v1::Scores& scores) {
  return WithInterval(FormatScore(scores.log_loss_shrink_0002()),
                      scores.has_log_loss_shrink_0002_interval(),
                      scores.log_loss_shrink_0002_interval(), &FormatScore);
}

HtmlCell AccuracyCell(const v1::Scores& scores) {
  return WithInterval(FormatPercent(scores.accuracy()),
                      scores.has_accuracy_interval(),
                      scores.accuracy_interval(), &FormatPercent);
}

// Areas under curves are not there when the coordinator did not compute them.
bool HasRanking(const v1::GetEnsembleResponse& reply) {
  return reply.ensemble().auc() != 0;
}

void AppendRanking(const v1::GetEnsembleResponse& reply,
                   const v1::Scores& scores, std::vector<HtmlCell>& cells) {
  if (!HasRanking(reply)) return;
  cells.push_back(WithInterval(FormatScore(scores.auc()),
                               scores.has_auc_interval(), scores.auc_interval(),
                               &FormatScore));
  cells.push_back(WithInterval(FormatScore(scores.average_precision()),
                               scores.has_average_precision_interval(),
                               scores.average_precision_interval(),
                               &FormatScore));
}

template <typename Values>
std::string ByFold(const Values& losses) {
  return absl::StrJoin(losses, " ", [](std::string* out, double value) {
    absl::StrAppend(out, FormatScore(value));
  });
}

std::string ModelsTable(const ReportData& data) {
  const v1::GetEnsembleResponse& reply = data.ensemble;
  std::vector<HtmlColumn> columns = {
      {"Model"}, {"Log loss", true}, {"Accuracy", true}};
  if (HasRanking(reply)) {
    columns.push_back({"AUC", true});
    columns.push_back({"Average precision", true});
  }
  columns.push_back({"Correlation", true});
  columns.push_back({"By fold", true});
  columns.push_back({"Time", true});
  HtmlTable table(
      "Models, best first, the ensemble and the prior: log loss of "
      "out-of-fold probabilities shrunk by 0.002",
      columns);
  double seconds = 0;
  for (const v1::ModelScores& model : reply.models()) {
    std::string name = model.model();
    if (!model.labels().empty()) {
      absl::StrAppend(&name, " (", FormatPlural(model.labels_size(), "label"),
                      ")");
    }
    std::vector<HtmlCell> cells = {name, LogLossCell(model.scores()),
                                   AccuracyCell(model.scores())};
    AppendRanking(reply, model.scores(), cells);
    cells.push_back(FormatScore(model.correlation()));
    cells.push_back(HtmlCell(ByFold(model.fold_log_loss()), "folds"));
    cells.push_back(HumanDuration(absl::Seconds(model.seconds())));
    table.AddRow(cells);
    seconds += model.seconds();
  }
  std::vector<HtmlCell> ensemble = {
      absl::StrCat("ensemble of ", reply.models_size()),
      LogLossCell(reply.ensemble()), AccuracyCell(reply.ensemble())};
  AppendRanking(reply, reply.ensemble(), ensemble);
  ensemble.push_back("");
  ensemble.push_back(HtmlCell(ByFold(reply.fold_log_loss()), "folds"));
  ensemble.push_back(HumanDuration(absl::Seconds(seconds)));
  table.AddRow(ensemble, "total");
  std::vector<HtmlCell> prior = {"prior", LogLossCell(reply.prior()),
                                 AccuracyCell(reply.prior())};
  AppendRanking(reply, reply.prior(), prior);
  prior.insert(prior.end(), {HtmlCell(""), HtmlCell(""), HtmlCell("")});
  table.AddRow(prior, "quiet");
  return table.Render("wide");
}

std::string OtherLossesTable(const v1::GetEnsembleResponse& reply) {
  HtmlTable table(
      "The ensemble's log loss by how probabilities are kept away "
      "from 0 and 1",
      {{"Probabilities"}, {"Ensemble", true}, {"Prior", true}});
  const v1::Scores& e = reply.ensemble();
  const v1::Scores& p = reply.prior();
  table.AddRow({"shrunk by 0.002", FormatScore(e.log_loss_shrink_0002()),
                FormatScore(p.log_loss_shrink_0002())});
  table.AddRow(
      {"shrunk by instrument: 0.002 commercial, 0.01 SAM testbed",
       WithInterval(FormatScore(e.log_loss()), e.has_log_loss_interval(),
                    e.log_loss_interval(), &FormatScore),
       FormatScore(p.log_loss())});
  table.AddRow({"clipped to 0.001", FormatScore(e.log_loss_clip_1e_3()),
                FormatScore(p.log_loss_clip_1e_3())});
  table.AddRow({"clipped to 0.01", FormatScore(e.log_loss_clip_1e_2()),
                FormatScore(p.log_loss_clip_1e_2())});
  return table.Render();
}

std::string LabelsTable(const v1::GetEnsembleResponse& reply) {
  if (reply.label_scores().empty()) {
    HtmlTable table("The ensemble by label", {{"Label"}, {"Log loss", true}});
    for (int i = 0;
         i < std::min(reply.labels_size(), reply.label_log_loss_size()); ++i) {
      table.AddRow({reply.labels(i), FormatScore(reply.label_log_loss(i))});
    }
    return table.Render();
  }
  HtmlTable table("The ensemble by label", {{"Label"},
                                            {"Present", true},
                                            {"Log loss", true},
                                            {"AUC", true},
                                            {"Average precision", true}});
  for (const v1::LabelScores& label : reply.label_scores()) {
    table.AddRow({label.label(),
                  absl::StrCat(FormatCount(label.positive()), " of ",
                               FormatCount(label.samples())),
                  WithInterval(FormatScore(label.log_loss()),
                               label.has_log_loss_interval(),
                               label.log_loss_interval(), &FormatScore),
                  label.has_auc() ? FormatScore(label.auc()) : "-",
                  label.has_average_precision()
                      ? FormatScore(label.average_precision())
                      : "-"});
  }
  return table.Render();
}

std::string InstrumentsTable(const v1::GetEnsembleResponse& reply) {
  if (reply.instruments().empty()) return "";
  HtmlTable table("The ensemble by instrument", {{"Instrument"},
                                                 {"Samples", true},
                                                 {"Log loss", true},
                                                 {"Accuracy", true}});
  for (const v1::InstrumentScores& one : reply.instruments()) {
    table.AddRow({one.instrument_type(), FormatCount(one.scores().samples()),
                  LogLossCell(one.scores()), AccuracyCell(one.scores())});
  }
  return table.Render();
}

// A figure in large letters with its name.
std::string Tile(absl::string_view name, absl::string_view figure,
                 absl::string_view note) {
  return absl::StrCat("<div class=\"tile\"><dt>", EscapeHtml(name),
                      "</dt><dd><b>", EscapeHtml(figure), "</b>",
                      note.empty() ? "" : Element("span", note), "</dd></div>");
}

std::string TilesOf(const ReportData& data) {
  const v1::GetEnsembleResponse& reply = data.ensemble;
  std::string tiles = "<dl class=\"tiles\">";
  if (!reply.models().empty()) {
    const v1::Scores& scores = reply.ensemble();
    const v1::ModelScores& best = reply.models(0);
    tiles += Tile(
        "Log loss", FormatScore(scores.log_loss_shrink_0002()),
        scores.has_log_loss_shrink_0002_interval()
            ? absl::StrCat(
                  "95 % between ",
                  FormatScore(scores.log_loss_shrink_0002_interval().low()),
                  " and ",
                  FormatScore(scores.log_loss_shrink_0002_interval().high()))
            : absl::StrCat("ensemble of ", reply.models_size()));
    tiles += Tile("Accuracy", FormatPercent(scores.accuracy()),
                  "of pairs of sample and label");
    tiles +=
        Tile("Best model", FormatScore(best.scores().log_loss_shrink_0002()),
             best.model());
    tiles += Tile("Prior", FormatScore(reply.prior().log_loss_shrink_0002()),
                  "each label's prevalence");
    tiles += Tile("Samples", FormatCount(scores.samples()),
                  absl::StrCat(FormatPlural(reply.labels_size(), "label"), ", ",
                               FormatPlural(data.sweep.folds(), "fold")));
  }
  tiles += Tile("Models",
                absl::StrCat(reply.models_size(), " of ", data.sweep.models()),
                "complete on all folds");
  const int jobs = data.sweep.pending() + data.sweep.running() +
                   data.sweep.succeeded() + data.sweep.failed() +
                   data.sweep.cancelled();
  std::vector<std::string> others;
  for (const auto& [count, name] :
       {std::pair(data.sweep.running(), "running"),
        std::pair(data.sweep.pending(), "pending"),
        std::pair(data.sweep.failed(), "failed"),
        std::pair(data.sweep.cancelled(), "cancelled")}) {
    if (count > 0) others.push_back(absl::StrCat(count, " ", name));
  }
  tiles += Tile("Jobs", absl::StrCat(data.sweep.succeeded(), " of ", jobs),
                others.empty()
                    ? "succeeded"
                    : absl::StrCat("succeeded, ", absl::StrJoin(others, ", ")));
  double seconds = 0;
  for (const v1::ModelScores& model : reply.models()) {
    seconds += model.seconds();
  }
  if (seconds > 0) {
    tiles += Tile("Training", HumanDuration(absl::Seconds(seconds)),
                  "of trainers, all jobs of these models");
  }
  return absl::StrCat(tiles, "</dl>\n");
}

}  // namespace

std::vector<std::string> LeftOut(const ReportData& data) {
  std::vector<std::string> left;
  const v1::GetEnsembleResponse& reply = data.ensemble;
  for (const std::string& model : reply.incomplete_models()) {
    const auto why = std::find_if(
        reply.incomplete().begin(), reply.incomplete().end(),
        [&](const v1::IncompleteModel& one) { return one.model() == model; });
    left.push_back(absl::StrCat(
        "model ", model, " is not complete on all folds",
        why == reply.incomplete().end() ? ""
                                        : absl::StrCat(": ", why->reason())));
  }
  if (!reply.models().empty() && !reply.unpredicted_labels().empty()) {
    left.push_back(absl::StrCat("no model predicts ",
                                absl::StrJoin(reply.unpredicted_labels(), ", "),
                                ", hence not scored"));
  }
  if (!data.spectra_missing.empty()) {
    left.push_back(
        absl::StrCat("spectra of the worst samples: ", data.spectra_missing));
  }
  return left;
}

std::string SummarySection(const ReportData& data) {
  std::string html;
  if (data.preliminary()) {
    html += Paragraph(
        absl::StrCat(
            "Preliminary: ",
            FormatPlural(data.sweep.pending() + data.sweep.running(), "job"),
            " of this sweep ",
            data.sweep.pending() + data.sweep.running() == 1 ? "is" : "are",
            " not over yet. Figures are those of the models that "
            "were complete when the report was made."),
        "notice");
  }
  if (!data.sweep.note().empty()) {
    html += Paragraph(data.sweep.note(), "notice quiet");
  }
  if (data.ensemble.models().empty()) {
    html += Paragraph(
        "No model is complete on all folds yet, so there are no scores.",
        "notice");
  }
  html += TilesOf(data);
  const std::vector<std::string> left = LeftOut(data);
  if (!left.empty()) {
    html += "<div class=\"notice\"><p>Left out:</p><ul>";
    for (const std::string& what : left) html += Element("li", what);
    html += "</ul></div>\n";
  }
  return Section("summary", "Summary", html);
}

std::string ScoresSection(const ReportData& data) {
  const v1::GetEnsembleResponse& reply = data.ensemble;
  if (reply.models().empty()) return "";
  std::string html = ModelsTable(data);
  for (const v1::ModelScores& model : reply.models()) {
    if (model.labels().empty()) continue;
    html +=
        Paragraph(absl::StrCat(model.model(), " predicts and is scored on ",
                               absl::StrJoin(model.labels(), ", "), " (prior ",
                               FormatScore(model.prior_log_loss()), ")."),
                  "quiet");
  }
  html += "<div class=\"columns\">";
  html += LabelsTable(reply);
  html += absl::StrCat("<div>", InstrumentsTable(reply),
                       OtherLossesTable(reply), "</div>");
  html += "</div>\n";
  std::string note =
      "Correlation is Pearson's, with the ensemble's mean. By fold: the log "
      "loss of each fold's samples, fold 0 first.";
  if (reply.ensemble().has_log_loss_shrink_0002_interval()) {
    absl::StrAppend(&note,
                    " Small figures are 95 % intervals: percentiles of 1,000 "
                    "bootstrap draws over samples.");
  }
  html += Paragraph(note, "quiet");
  return Section("scores", "Ensemble and models", html);
}

}  // namespace foldfarm
