#include "coordinator/cli/oof_table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/ensemble/csv.h"
#include "common/rpc/call_context.h"

namespace foldfarm {
namespace {

absl::Status AddRow(const v1::GetOofResponse::Row& row, OofTable& table) {
  OofMatrix& oof = table.oof;
  const auto labels = static_cast<int>(oof.num_labels());
  const auto models = static_cast<int>(oof.models.size());
  if (row.truth_size() != labels ||
      (models > 0 && row.probability_size() != labels) ||
      row.model_probability_size() != models * labels) {
    return absl::InternalError(
        absl::StrCat("the coordinator's row of ", row.sample_id(), " has ",
                     row.model_probability_size(), " predictions, expected ",
                     models, " models x ", labels, " labels"));
  }
  oof.sample_ids.push_back(row.sample_id());
  oof.instrument_types.push_back(row.instrument_type());
  oof.folds.push_back(row.fold());
  oof.truth.insert(oof.truth.end(), row.truth().begin(), row.truth().end());
  if (models > 0) {
    table.ensemble.insert(table.ensemble.end(), row.probability().begin(),
                          row.probability().end());
  }
  for (int m = 0; m < models; ++m) {
    const auto begin = row.model_probability().begin() + m * labels;
    std::vector<double>& to = oof.models[m].probabilities;
    to.insert(to.end(), begin, begin + labels);
  }
  return absl::OkStatus();
}

// A label of which a model says nothing for any sample is not among its own.
void FindLabels(OofMatrix& oof) {
  const size_t labels = oof.num_labels();
  for (OofModel& model : oof.models) {
    model.has_label.assign(labels, false);
    for (size_t i = 0; i < model.probabilities.size(); ++i) {
      if (!std::isnan(model.probabilities[i])) {
        model.has_label[i % labels] = true;
      }
    }
  }
}

}  // namespace

absl::StatusOr<OofTable> FetchOof(FarmClient& client,
                                  const std::string& sweep) {
  CallContext call(kLargeAnswer);
  v1::GetOofRequest request;
  request.set_sweep(sweep);
  const auto stream = client.farm().GetOof(&call, request);
  OofTable table;
  v1::GetOofResponse part;
  absl::Status status;
  while (stream->Read(&part)) {
    // The names come with the first part.
    if (table.oof.labels.empty()) {
      table.oof.labels.assign(part.labels().begin(), part.labels().end());
      for (const std::string& model : part.models()) {
        table.oof.models.push_back({.name = model});
      }
      table.prevalence.assign(part.prevalence().begin(),
                              part.prevalence().end());
      table.only_trained.assign(part.only_trained().begin(),
                                part.only_trained().end());
    }
    for (const v1::GetOofResponse::Row& row : part.rows()) {
      if (status.ok()) status = AddRow(row, table);
    }
  }
  FOLDFARM_RETURN_IF_ERROR(client.Explain(ToStatus(stream->Finish()),
                                          /*heard=*/!table.oof.labels.empty()));
  FOLDFARM_RETURN_IF_ERROR(status);
  FindLabels(table.oof);
  return table;
}

std::vector<double> Prevalence(const OofTable& table,
                               const std::vector<std::string>& labels) {
  std::vector<double> prevalence;
  if (table.prevalence.size() != table.oof.num_labels()) return prevalence;
  for (const std::string& label : labels) {
    const auto known =
        std::find(table.oof.labels.begin(), table.oof.labels.end(), label);
    prevalence.push_back(
        known == table.oof.labels.end()
            ? 0.5
            : table.prevalence[known - table.oof.labels.begin()]);
  }
  return prevalence;
}

std::string OofCsv(const OofTable& table) {
  const OofMatrix& oof = table.oof;
  const size_t labels = oof.num_labels();
  std::vector<std::string> models;
  for (const OofModel& model : oof.models) models.push_back(model.name);
  std::string csv = OofCsvHeader(oof.labels, models);
  std::vector<double> row;
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    row.clear();
    for (const OofModel& model : oof.models) {
      const auto begin =
          model.probabilities.begin() + static_cast<std::ptrdiff_t>(i * labels);
      row.insert(row.end(), begin, begin + static_cast<std::ptrdiff_t>(labels));
    }
    const auto cells = [&](const std::vector<double>& values) {
      return absl::MakeConstSpan(values).subspan(i * labels, labels);
    };
    csv += OofCsvRow(oof.sample_ids[i], oof.folds[i], oof.instrument_types[i],
                     cells(oof.truth), cells(table.ensemble), row);
  }
  return csv;
}

}  // namespace foldfarm
