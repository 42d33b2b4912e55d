#include "coordinator/cli/ensemble_tables.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

using Align = Column::Align;

Column Name(const char* header) { return {header, Align::kLeft, true}; }
Column Number(const char* header, bool optional = false) {
  return {header, Align::kRight, false, 0, optional};
}
Column Text(const char* header, bool optional = false) {
  return {header, Align::kLeft, false, 0, optional};
}

std::string JoinScores(const google::protobuf::RepeatedField<double>& scores) {
  return absl::StrJoin(scores, " ", [](std::string* out, double value) {
    absl::StrAppend(out, FormatScore(value));
  });
}

}  // namespace

std::vector<Column> PartialTable::Wanted(
    const std::vector<std::pair<Column, bool>>& columns) {
  std::vector<Column> wanted;
  for (const auto& [column, is_wanted] : columns) {
    if (is_wanted) wanted.push_back(column);
  }
  return wanted;
}

PartialTable::PartialTable(std::vector<std::pair<Column, bool>> columns)
    : table_(Wanted(columns)) {
  for (const auto& column : columns) wanted_.push_back(column.second);
}

void PartialTable::AddRow(std::vector<Cell> cells) {
  std::vector<Cell> wanted;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (wanted_[i]) wanted.push_back(std::move(cells[i]));
  }
  table_.AddRow(std::move(wanted));
}

std::string IntervalText(const v1::Interval& interval,
                         std::string (*format)(double)) {
  // One that is not set is [0, 0], which no figure has but an exact one.
  if (interval.low() == 0 && interval.high() == 0) return "-";
  return absl::StrCat(format(interval.low()), " to ", format(interval.high()));
}

std::string Section(const std::string& title, const Table& table, size_t width,
                    bool colour) {
  if (table.empty()) return "";
  return absl::StrCat("\n", Heading(title, colour), "\n",
                      table.Render(width, colour));
}

std::string MatrixText(const std::string& title,
                       const std::vector<std::string>& names,
                       const std::vector<std::string>& headers,
                       const std::vector<std::vector<std::string>>& cells,
                       size_t width, bool colour) {
  if (names.empty() || headers.empty()) return "";
  constexpr size_t kGap = 2;
  size_t name_width = 0;
  for (const std::string& name : names) {
    name_width = std::max(name_width, DisplayWidth(name));
  }
  if (width > 0) name_width = std::min(name_width, width / 3);
  std::string text = absl::StrCat("\n", Heading(title, colour), "\n");
  for (size_t begin = 0; begin < headers.size();) {
    std::vector<Column> columns;
    columns.push_back({"", Align::kLeft, true, name_width});
    size_t used = name_width;
    size_t end = begin;
    for (; end < headers.size(); ++end) {
      size_t widest = DisplayWidth(headers[end]);
      for (const auto& row : cells) {
        widest = std::max(widest, DisplayWidth(row[end]));
      }
      used += kGap + widest;
      if (width > 0 && used > width && end > begin) break;
      columns.push_back(Number(headers[end].c_str()));
    }
    Table table(std::move(columns));
    for (size_t r = 0; r < names.size(); ++r) {
      std::vector<Cell> row = {names[r]};
      for (size_t c = begin; c < end; ++c) row.push_back(cells[r][c]);
      table.AddRow(std::move(row));
    }
    absl::StrAppend(&text, begin == 0 ? "" : "\n", table.Render(width, colour));
    begin = end;
  }
  return text;
}

Table ScoresTable(const v1::GetEnsembleResponse& reply) {
  PartialTable table(
      {{Name("MODEL"), true},
       {Number("LOG LOSS"), true},
       {Text("95 %"), reply.ensemble().has_log_loss_shrink_0002_interval()},
       {Number("ACCURACY"), true},
       {Number("AUC", true), true},
       {Number("AP", true), true},
       {Number("CORRELATION", true), true},
       {Text("BY FOLD", true), true},
       {Number("TIME"), true}});
  double seconds = 0;
  for (const v1::ModelScores& model : reply.models()) {
    const v1::Scores& scores = model.scores();
    // Of a model that predicts some labels: the prior's on the same ones.
    const double prior = model.labels().empty()
                             ? reply.prior().log_loss_shrink_0002()
                             : model.prior_log_loss();
    const bool beats_prior = scores.log_loss_shrink_0002() < prior;
    seconds += model.seconds();
    table.AddRow(
        {model.model(),
         Cell(FormatScore(scores.log_loss_shrink_0002()),
              beats_prior ? Style::kPlain : Style::kWarning),
         Cell(IntervalText(scores.log_loss_shrink_0002_interval(), FormatScore),
              Style::kDim),
         FormatPercent(scores.accuracy()), FormatScore(scores.auc()),
         FormatScore(scores.average_precision()),
         FormatScore(model.correlation()), JoinScores(model.fold_log_loss()),
         HumanDuration(absl::Seconds(model.seconds()))});
  }
  const auto add = [&](Cell name, const v1::Scores& scores, Style style,
                       std::string folds, std::string time) {
    table.AddRow(
        {std::move(name),
         Cell(FormatScore(scores.log_loss_shrink_0002()), style),
         Cell(IntervalText(scores.log_loss_shrink_0002_interval(), FormatScore),
              Style::kDim),
         Cell(FormatPercent(scores.accuracy()), style),
         Cell(FormatScore(scores.auc()), style),
         Cell(FormatScore(scores.average_precision()), style), "",
         Cell(std::move(folds), style), std::move(time)});
  };
  add(Cell(absl::StrCat("ensemble of ", reply.models_size()), Style::kHeader),
      reply.ensemble(), Style::kGood, JoinScores(reply.fold_log_loss()),
      HumanDuration(absl::Seconds(seconds)));
  add(Cell("prior", Style::kDim), reply.prior(), Style::kDim, "", "");
  return table.table();
}

Table LabelTable(
    const google::protobuf::RepeatedPtrField<v1::LabelScores>& of) {
  PartialTable table(
      {{Name("LABEL"), true},
       {Number("LOG LOSS"), true},
       {Text("95 %"), !of.empty() && of.Get(0).has_log_loss_interval()},
       {Number("AUC"), true},
       {Number("AP"), true},
       {Text("PRESENT IN", true), true}});
  for (const v1::LabelScores& label : of) {
    table.AddRow({label.label(), FormatScore(label.log_loss()),
                  Cell(IntervalText(label.log_loss_interval(), FormatScore),
                       Style::kDim),
                  label.has_auc() ? FormatScore(label.auc()) : "-",
                  label.has_average_precision()
                      ? FormatScore(label.average_precision())
                      : "-",
                  absl::StrCat(FormatCount(label.positive()), " of ",
                               FormatCount(label.samples()))});
  }
  return table.table();
}

Table InstrumentTable(
    const google::protobuf::RepeatedPtrField<v1::InstrumentScores>& of) {
  PartialTable table(
      {{Name("INSTRUMENT"), true},
       {Number("SAMPLES"), true},
       {Number("LOG LOSS"), true},
       {Text("95 %"),
        !of.empty() && of.Get(0).scores().has_log_loss_shrink_0002_interval()},
       {Number("SHRUNK FOR IT"), true},
       {Number("ACCURACY"), true},
       {Number("AUC", true), true},
       {Number("AP", true), true}});
  for (const v1::InstrumentScores& instrument : of) {
    const v1::Scores& scores = instrument.scores();
    table.AddRow(
        {instrument.instrument_type(), FormatCount(scores.samples()),
         FormatScore(scores.log_loss_shrink_0002()),
         Cell(IntervalText(scores.log_loss_shrink_0002_interval(), FormatScore),
              Style::kDim),
         FormatScore(scores.log_loss()), FormatPercent(scores.accuracy()),
         FormatScore(scores.auc()), FormatScore(scores.average_precision())});
  }
  return table.table();
}

Table StepTable(const google::protobuf::RepeatedPtrField<v1::GrowthStep>& steps,
                const std::string& verb, int models, int change) {
  Table table({Number("MODELS"), Name(verb.c_str()), Number("LOG LOSS"),
               Number("CHANGE")});
  double last = std::numeric_limits<double>::quiet_NaN();
  for (const v1::GrowthStep& step : steps) {
    const double difference = step.log_loss() - last;
    table.AddRow({absl::StrCat(models), step.model(),
                  FormatScore(step.log_loss()),
                  std::isnan(difference)
                      ? Cell("")
                      : Cell(FormatSigned(difference),
                             difference < 0 ? Style::kGood : Style::kWarning)});
    last = step.log_loss();
    models += change;
  }
  return table;
}

Table TtaTable(const v1::GetEnsembleResponse& reply) {
  Table table({Number("DRAWS"), Number("LOG LOSS"), Number("CHANGE")});
  double last = std::numeric_limits<double>::quiet_NaN();
  for (const v1::TtaPoint& point : reply.tta()) {
    const double difference = point.log_loss() - last;
    table.AddRow({absl::StrCat(point.draws()), FormatScore(point.log_loss()),
                  std::isnan(difference) ? "" : FormatSigned(difference)});
    last = point.log_loss();
  }
  return table;
}

Table ShrinkTable(const v1::GetEnsembleResponse& reply) {
  Table table({Name("SAMPLES"), Number("BEST CONSTANT"), Number("AS IT IS"),
               Number("NESTED"), Number("GAIN")});
  for (const v1::ShrinkFit& fit : reply.shrink()) {
    const double gain = fit.log_loss() - fit.nested_log_loss();
    table.AddRow(
        {fit.instrument_type().empty() ? "all" : fit.instrument_type(),
         absl::StrFormat("%.5f", fit.constant()), FormatScore(fit.log_loss()),
         FormatScore(fit.nested_log_loss()),
         Cell(FormatSigned(gain), gain > 0 ? Style::kGood : Style::kPlain)});
  }
  return table;
}

Table WeightingTable(const v1::GetEnsembleResponse& reply) {
  Table table({Name("WEIGHTS"), Number("FITTED"), Number("NESTED"),
               Number("GAIN"), Text("95 %")});
  for (const v1::Weighting& weighting : reply.weightings()) {
    table.AddRow({weighting.name(), FormatScore(weighting.log_loss()),
                  FormatScore(weighting.nested_log_loss()),
                  Cell(FormatSigned(weighting.gain()),
                       weighting.gain() > 0 ? Style::kGood : Style::kPlain),
                  Cell(IntervalText(weighting.gain_interval(), FormatSigned),
                       Style::kDim)});
  }
  return table;
}

Table WeightsTable(const v1::GetEnsembleResponse& reply) {
  std::vector<Column> columns = {Name("MODEL")};
  for (const v1::Weighting& weighting : reply.weightings()) {
    columns.push_back(Number(weighting.name().c_str()));
  }
  Table table(std::move(columns));
  for (int m = 0; m < reply.models_size(); ++m) {
    std::vector<Cell> row = {reply.models(m).model()};
    for (const v1::Weighting& weighting : reply.weightings()) {
      const double weight = weighting.weights(m);
      row.push_back(weight < 5e-5 ? Cell("-", Style::kDim)
                                  : Cell(absl::StrFormat("%.4f", weight)));
    }
    table.AddRow(std::move(row));
  }
  return table;
}

Table IncompleteTable(const v1::GetEnsembleResponse& reply) {
  Table table({Name("MODEL"), Name("WHY")});
  for (const v1::IncompleteModel& model : reply.incomplete()) {
    table.AddRow({Cell(model.model(), Style::kWarning), model.reason()});
  }
  return table;
}

}  // namespace foldfarm
