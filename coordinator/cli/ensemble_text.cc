#include "coordinator/cli/ensemble_text.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"
#include "coordinator/cli/ensemble_tables.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

using Align = Column::Align;

constexpr char kLeftOut[] = "Not complete on all folds, hence not counted";

// ".97": two decimals of a correlation.
std::string ShortCorrelation(double value) {
  std::string text = absl::StrFormat("%.2f", value);
  const size_t zero = text.find('0');
  if (std::abs(value) < 0.995 && zero != std::string::npos) text.erase(zero, 1);
  return text;
}

// Labels that models do not have, and models that were left out.
std::string LeftOutText(const v1::GetEnsembleResponse& reply, size_t width,
                        bool colour) {
  std::string text;
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
  return text + Section(kLeftOut, IncompleteTable(reply), width, colour);
}

// Models best first, the ensemble, the prior.
std::string HeadText(const v1::GetEnsembleResponse& reply, size_t width,
                     bool colour) {
  if (reply.models().empty()) {
    return "No model is complete on all folds yet.\n";
  }
  return absl::StrCat("Out-of-fold scores on ",
                      FormatPlural(reply.ensemble().samples(), "sample"),
                      ": log loss with probabilities shrunk by 0.002\n\n",
                      ScoresTable(reply).Render(width, colour));
}

std::string GrowthText(const v1::GetEnsembleResponse& reply, size_t width,
                       bool colour) {
  if (reply.growth_size() < 2) return "";
  return Section("Growth, the most helpful model first",
                 StepTable(reply.growth(), "ADDED", 1, +1), width, colour);
}

std::string PartsText(const v1::GetEnsembleResponse& reply, size_t width,
                      bool colour) {
  return absl::StrCat(
      Section("The ensemble by label", LabelTable(reply.label_scores()), width,
              colour),
      Section("The ensemble by instrument",
              InstrumentTable(reply.instruments()), width, colour));
}

// All forms of the log loss, and the intervals of the other scores.
std::string FormsText(const v1::GetEnsembleResponse& reply, size_t width,
                      bool colour) {
  const auto number = [](const char* header) {
    return Column{header, Align::kRight};
  };
  Table forms({{"MODEL", Align::kLeft, true},
               number("SHRUNK"),
               number("BY INSTRUMENT"),
               number("CLIP 1e-3"),
               number("CLIP 1e-2")});
  Table intervals({{"MODEL", Align::kLeft, true},
                   number("ACCURACY"),
                   number("AUC"),
                   number("AP")});
  const auto add = [&](const std::string& name, const v1::Scores& scores) {
    forms.AddRow({name, FormatScore(scores.log_loss_shrink_0002()),
                  FormatScore(scores.log_loss()),
                  FormatScore(scores.log_loss_clip_1e_3()),
                  FormatScore(scores.log_loss_clip_1e_2())});
    intervals.AddRow(
        {name, IntervalText(scores.accuracy_interval(), FormatPercent),
         IntervalText(scores.auc_interval(), FormatScore),
         IntervalText(scores.average_precision_interval(), FormatScore)});
  };
  for (const v1::ModelScores& model : reply.models()) {
    add(model.model(), model.scores());
  }
  add("ensemble", reply.ensemble());
  add("prior", reply.prior());
  return absl::StrCat(
      Section("Log loss: shrunk by 0.002, by instrument (0.002; SAM testbed "
              "0.01), clipped",
              forms, width, colour),
      Section("95 % intervals", intervals, width, colour));
}

// A row a model and one of the ensemble; `row_of` gives its cells, named by
// `headers`.
template <typename ModelRow>
std::string ByModel(const v1::GetEnsembleResponse& reply,
                    const std::string& title,
                    const std::vector<std::string>& headers,
                    const ModelRow& model_row,
                    std::vector<std::string> ensemble_row, size_t width,
                    bool colour) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> cells;
  for (const v1::ModelScores& model : reply.models()) {
    names.push_back(model.model());
    cells.push_back(model_row(model));
    cells.back().resize(headers.size(), "-");
  }
  names.push_back("ensemble");
  cells.push_back(std::move(ensemble_row));
  cells.back().resize(headers.size(), "-");
  return MatrixText(title, names, headers, cells, width, colour);
}

std::vector<std::string> Scored(
    const google::protobuf::RepeatedField<double>& scores) {
  std::vector<std::string> cells;
  for (const double score : scores) cells.push_back(FormatScore(score));
  return cells;
}

std::string MatricesText(const v1::GetEnsembleResponse& reply, size_t width,
                         bool colour) {
  std::vector<std::string> folds;
  for (int fold = 0; fold < reply.fold_log_loss_size(); ++fold) {
    folds.push_back(absl::StrCat("FOLD ", fold));
  }
  std::string text = ByModel(
      reply, "Log loss by fold", folds,
      [](const v1::ModelScores& model) {
        return Scored(model.fold_log_loss());
      },
      Scored(reply.fold_log_loss()), width, colour);

  const std::vector<std::string> labels(reply.labels().begin(),
                                        reply.labels().end());
  const auto by_label = [&](const auto& scores) {
    std::vector<std::string> cells(labels.size(), "-");
    for (const v1::LabelScores& label : scores) {
      const auto at = std::find(labels.begin(), labels.end(), label.label());
      if (at != labels.end()) {
        cells[at - labels.begin()] = FormatScore(label.log_loss());
      }
    }
    return cells;
  };
  text += ByModel(
      reply, "Log loss by label", labels,
      [&](const v1::ModelScores& model) {
        return by_label(model.label_scores());
      },
      by_label(reply.label_scores()), width, colour);

  std::vector<std::string> instruments;
  for (const v1::InstrumentScores& instrument : reply.instruments()) {
    instruments.push_back(instrument.instrument_type());
  }
  const auto by_instrument = [](const auto& of) {
    std::vector<std::string> cells;
    for (const v1::InstrumentScores& instrument : of) {
      cells.push_back(FormatScore(instrument.scores().log_loss_shrink_0002()));
    }
    return cells;
  };
  return text + ByModel(
                    reply, "Log loss by instrument", instruments,
                    [&](const v1::ModelScores& model) {
                      return by_instrument(model.instruments());
                    },
                    by_instrument(reply.instruments()), width, colour);
}

std::string CorrelationText(const v1::GetEnsembleResponse& reply, size_t width,
                            bool colour) {
  std::vector<std::string> names, headers;
  std::vector<std::vector<std::string>> cells;
  for (const v1::ModelScores& model : reply.models()) {
    headers.push_back(absl::StrCat(headers.size() + 1));
    names.push_back(absl::StrCat(headers.size(), " ", model.model()));
    std::vector<std::string>& row = cells.emplace_back();
    for (const double r : model.correlations()) {
      row.push_back(ShortCorrelation(r));
    }
    row.push_back(ShortCorrelation(model.correlation()));
  }
  headers.push_back("mean");
  return MatrixText("Pearson correlation of the models, and with their mean",
                    names, headers, cells, width, colour);
}

std::string FittedText(const v1::GetEnsembleResponse& reply, size_t width,
                       bool colour) {
  std::string text = absl::StrCat(
      Section("Test-time augmentation: the ensemble by draws averaged",
              TtaTable(reply), width, colour),
      Section("Shrink constant", ShrinkTable(reply), width, colour),
      Section("Weights, and what they gain on the plain mean",
              WeightingTable(reply), width, colour));
  if (reply.weightings_size() > 0) {
    absl::StrAppend(
        &text, reply.fold_log_loss_size() < 2
                   ? "There is one fold only, so nothing can be fitted on "
                     "others: no nested figures.\n"
                   : "Nested: fitted on the other folds, scored on each fold\n"
                     "Fitted: on the same samples, which flatters\n");
  }
  return text + Section("Weights fitted on all samples", WeightsTable(reply),
                        width, colour);
}

// What is said of one model: its figure and the ensemble's.
class BesideTable {
 public:
  explicit BesideTable(const char* what)
      : table_({{what, Align::kLeft, true},
                {"MODEL", Align::kRight},
                {"95 %", Align::kLeft, false, 0, true},
                {"ENSEMBLE", Align::kRight}}) {}

  void Add(const std::string& what, double of_model,
           const v1::Interval& interval, double of_ensemble,
           std::string (*format)(double) = FormatScore) {
    table_.AddRow({what, format(of_model),
                   Cell(IntervalText(interval, format), Style::kDim),
                   Cell(format(of_ensemble), Style::kDim)});
  }
  const Table& table() const { return table_; }

 private:
  Table table_;
};

absl::Status UnknownModel(const v1::GetEnsembleResponse& reply,
                          const std::string& name) {
  std::vector<std::string> names;
  for (const v1::ModelScores& model : reply.models()) {
    names.push_back(model.model());
  }
  for (const v1::IncompleteModel& model : reply.incomplete()) {
    if (model.model() == name) {
      return absl::FailedPreconditionError(absl::StrCat(
          name,
          " is not complete on all folds, hence not scored: ", model.reason()));
    }
    names.push_back(model.model());
  }
  const std::string nearest = Nearest(name, names);
  return absl::NotFoundError(absl::StrCat(
      "no model \"", name, "\" in ", reply.sweep(),
      nearest.empty() ? "" : absl::StrCat(", did you mean ", nearest, "?")));
}

}  // namespace

std::string EnsembleScoresText(const v1::GetEnsembleResponse& reply,
                               size_t width, bool colour) {
  return absl::StrCat(HeadText(reply, width, colour),
                      LeftOutText(reply, width, colour));
}

std::string EnsembleText(const v1::GetEnsembleResponse& reply, size_t width,
                         bool colour) {
  return absl::StrCat(
      HeadText(reply, width, colour), GrowthText(reply, width, colour),
      PartsText(reply, width, colour), LeftOutText(reply, width, colour));
}

std::string FullEnsembleText(const v1::GetEnsembleResponse& reply, size_t width,
                             bool colour) {
  if (reply.models().empty()) return EnsembleText(reply, width, colour);
  std::string text = absl::StrCat(
      HeadText(reply, width, colour),
      "\n95 %: percentiles of 1,000 bootstrap draws over samples\n",
      FormsText(reply, width, colour), MatricesText(reply, width, colour),
      PartsText(reply, width, colour), GrowthText(reply, width, colour));
  absl::StrAppend(
      &text,
      Section("Growth with replacement, until nothing helps",
              StepTable(reply.growth_with_replacement(), "ADDED", 1, +1), width,
              colour),
      Section("Backward elimination, the least helpful model first",
              StepTable(reply.elimination(), "LEFT OUT",
                        reply.models_size() - 1, -1),
              width, colour),
      FittedText(reply, width, colour), CorrelationText(reply, width, colour),
      LeftOutText(reply, width, colour));
  return text;
}

absl::StatusOr<std::string> ModelText(const v1::GetEnsembleResponse& reply,
                                      const std::string& name, size_t width,
                                      bool colour) {
  int place = 0;
  while (place < reply.models_size() && reply.models(place).model() != name) {
    ++place;
  }
  if (place == reply.models_size()) return UnknownModel(reply, name);
  const v1::ModelScores& model = reply.models(place);
  const v1::Scores& own = model.scores();
  const v1::Scores& all = reply.ensemble();
  BesideTable scores("SCORE");
  scores.Add("log loss, shrunk by 0.002", own.log_loss_shrink_0002(),
             own.log_loss_shrink_0002_interval(), all.log_loss_shrink_0002());
  scores.Add("log loss, shrunk by instrument", own.log_loss(),
             own.log_loss_interval(), all.log_loss());
  scores.Add("log loss, clipped to 1e-3", own.log_loss_clip_1e_3(), {},
             all.log_loss_clip_1e_3());
  scores.Add("log loss, clipped to 1e-2", own.log_loss_clip_1e_2(), {},
             all.log_loss_clip_1e_2());
  scores.Add("accuracy", own.accuracy(), own.accuracy_interval(),
             all.accuracy(), FormatPercent);
  scores.Add("AUC", own.auc(), own.auc_interval(), all.auc());
  scores.Add("average precision", own.average_precision(),
             own.average_precision_interval(), all.average_precision());
  BesideTable folds("FOLD");
  for (int f = 0;
       f < std::min(model.fold_log_loss_size(), reply.fold_log_loss_size());
       ++f) {
    folds.Add(absl::StrCat(f), model.fold_log_loss(f), {},
              reply.fold_log_loss(f));
  }
  std::vector<std::pair<double, std::string>> others;
  for (int m = 0; m < model.correlations_size(); ++m) {
    if (m == place) continue;
    others.push_back({-model.correlations(m), reply.models(m).model()});
  }
  std::stable_sort(
      others.begin(), others.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  Table correlations(
      {{"MODEL", Align::kLeft, true}, {"CORRELATION", Align::kRight}});
  correlations.AddRow(
      {"mean of the ensemble", FormatScore(model.correlation())});
  for (const auto& [minus, other] : others) {
    correlations.AddRow({other, FormatScore(-minus)});
  }
  return absl::StrCat(
      name, ": ", place + 1, " of ", reply.models_size(), " models, scored on ",
      FormatPlural(own.samples(), "sample"), "\nTrained for ",
      HumanDuration(absl::Seconds(model.seconds())),
      "; the prior's log loss is ", FormatScore(model.prior_log_loss()), "\n\n",
      scores.table().Render(width, colour),
      Section("Log loss by fold", folds.table(), width, colour),
      Section("By label", LabelTable(model.label_scores()), width, colour),
      Section("By instrument", InstrumentTable(model.instruments()), width,
              colour),
      Section("Alike", correlations, width, colour));
}

}  // namespace foldfarm
