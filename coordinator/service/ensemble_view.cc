#include "coordinator/service/ensemble_view.h"

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/ensemble/analysis.h"
#include "common/ensemble/oof.h"
#include "coordinator/service/farm_view.h"
#include "coordinator/service/stored_oof.h"

namespace foldfarm {
namespace {

constexpr int kRowsPerPiece = 200;

// What an analysis is computed from. A sweep's id stands for its dataset, folds
// and models.
std::string ResultsKey(const StoredOof& stored, bool full) {
  std::string key = absl::StrCat(full ? "full " : "", stored.sweep.id.value);
  for (const StoredOof::Model& model : stored.complete) {
    absl::StrAppend(&key, " ", model.spec.name());
    for (const std::string& digest : model.digests) {
      absl::StrAppend(&key, " ", digest);
    }
  }
  return key;
}

// `to` returns the message's interval.
template <typename Mutable>
void SetInterval(const std::optional<Interval>& from, const Mutable& to) {
  if (!from.has_value()) return;
  v1::Interval* const interval = to();
  interval->set_low(from->low);
  interval->set_high(from->high);
}

void SetScores(const OofScores& from, v1::Scores* to) {
  to->set_log_loss(from.log_loss);
  to->set_log_loss_shrink_0002(from.log_loss_shrink_0002);
  to->set_log_loss_clip_1e_3(from.log_loss_clip_1e_3);
  to->set_log_loss_clip_1e_2(from.log_loss_clip_1e_2);
  to->set_accuracy(from.accuracy);
  to->set_samples(from.samples);
  to->set_auc(from.auc);
  to->set_average_precision(from.average_precision);
  SetInterval(from.log_loss_interval,
              [&] { return to->mutable_log_loss_interval(); });
  SetInterval(from.log_loss_shrink_0002_interval,
              [&] { return to->mutable_log_loss_shrink_0002_interval(); });
  SetInterval(from.accuracy_interval,
              [&] { return to->mutable_accuracy_interval(); });
  SetInterval(from.auc_interval, [&] { return to->mutable_auc_interval(); });
  SetInterval(from.average_precision_interval,
              [&] { return to->mutable_average_precision_interval(); });
}

template <typename LabelList, typename InstrumentList>
void SetParts(const OofMatrix& oof, const PredictionScores& from,
              LabelList* labels, InstrumentList* instruments) {
  for (const OofLabelScores& scores : from.labels) {
    v1::LabelScores& to = *labels->Add();
    to.set_label(oof.labels[scores.label]);
    to.set_log_loss(scores.log_loss);
    if (!std::isnan(scores.auc)) {
      to.set_auc(scores.auc);
      to.set_average_precision(scores.average_precision);
    }
    to.set_positive(scores.positive);
    to.set_samples(scores.samples);
    SetInterval(scores.log_loss_interval,
                [&] { return to.mutable_log_loss_interval(); });
  }
  for (const OofInstrumentScores& scores : from.instruments) {
    v1::InstrumentScores& to = *instruments->Add();
    to.set_instrument_type(scores.instrument_type);
    SetScores(scores.scores, to.mutable_scores());
  }
}

void SetModel(const OofMatrix& oof, const ModelAnalysis& from,
              v1::ModelScores* to) {
  to->set_model(from.name);
  SetScores(from.scores, to->mutable_scores());
  for (const double loss : from.fold_log_loss) to->add_fold_log_loss(loss);
  to->set_correlation(from.correlation);
  to->set_prior_log_loss(from.prior_log_loss);
  for (const double r : from.correlations) to->add_correlations(r);
  const OofModel& predictions = oof.models[from.model];
  for (size_t k = 0; k < predictions.has_label.size(); ++k) {
    if (predictions.Predicts(k)) to->add_labels(oof.labels[k]);
  }
  SetParts(oof, from, to->mutable_label_scores(), to->mutable_instruments());
}

void SetSteps(const OofMatrix& oof, const std::vector<SelectionStep>& from,
              google::protobuf::RepeatedPtrField<v1::GrowthStep>* to) {
  for (const SelectionStep& step : from) {
    v1::GrowthStep& added = *to->Add();
    added.set_model(oof.models[step.model].name);
    added.set_log_loss(step.log_loss);
  }
}

void SetIncomplete(const v1::IncompleteModel& model,
                   v1::GetEnsembleResponse& response) {
  response.add_incomplete_models(model.model());
  *response.add_incomplete() = model;
}

// What only a full analysis has.
void SetFull(const OofMatrix& oof, const EnsembleAnalysis& from,
             v1::GetEnsembleResponse& to) {
  SetSteps(oof, from.growth_with_replacement,
           to.mutable_growth_with_replacement());
  SetSteps(oof, from.elimination, to.mutable_elimination());
  for (const TtaPoint& point : from.tta) {
    v1::TtaPoint& added = *to.add_tta();
    added.set_draws(point.draws);
    added.set_log_loss(point.log_loss);
  }
  for (const ShrinkFit& fit : from.shrink) {
    v1::ShrinkFit& added = *to.add_shrink();
    added.set_instrument_type(fit.instrument_type);
    added.set_constant(fit.constant);
    added.set_log_loss(fit.log_loss);
    added.set_nested_log_loss(fit.nested_log_loss);
  }
  for (const Weighting& weighting : from.weightings) {
    v1::Weighting& added = *to.add_weightings();
    added.set_name(weighting.name);
    for (const double weight : weighting.weights) added.add_weights(weight);
    added.set_nested_log_loss(weighting.nested_log_loss);
    added.set_gain(weighting.gain);
    SetInterval(weighting.gain_interval,
                [&] { return added.mutable_gain_interval(); });
    added.set_log_loss(weighting.log_loss);
  }
}

// All that follows from the predictions alone. Seconds are not set.
absl::StatusOr<v1::GetEnsembleResponse> Analyze(const StoredOof& stored,
                                                ArtifactFiles& files,
                                                bool full) {
  FOLDFARM_ASSIGN_OR_RETURN(const LoadedOof loaded,
                            LoadOof(stored, files, full));
  const OofMatrix& oof = loaded.oof;
  v1::GetEnsembleResponse response;
  for (const v1::IncompleteModel& model : loaded.unreadable) {
    SetIncomplete(model, response);
  }
  if (oof.models.empty()) {
    for (const std::string& label : oof.labels) response.add_labels(label);
    SetScores(Score(oof, PriorPredictions(oof)), response.mutable_prior());
    return response;
  }
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof, {.full = full});
  for (const ModelAnalysis& model : analysis.models) {
    SetModel(oof, model, response.add_models());
  }
  SetScores(analysis.ensemble.scores, response.mutable_ensemble());
  for (const double loss : analysis.ensemble.fold_log_loss) {
    response.add_fold_log_loss(loss);
  }
  SetParts(oof, analysis.ensemble, response.mutable_label_scores(),
           response.mutable_instruments());
  SetScores(analysis.prior, response.mutable_prior());
  SetSteps(oof, analysis.growth, response.mutable_growth());
  for (const std::string& label : analysis.labels) response.add_labels(label);
  for (const OofLabelScores& label : analysis.ensemble.labels) {
    response.add_label_log_loss(label.log_loss);
  }
  for (const std::string& label : analysis.unpredicted_labels) {
    response.add_unpredicted_labels(label);
  }
  SetFull(oof, analysis, response);
  return response;
}

}  // namespace

absl::Status ViewEnsemble(Store& store, ArtifactFiles& files,
                          EnsembleCache& cache,
                          const v1::GetEnsembleRequest& request,
                          v1::GetEnsembleResponse& response) {
  FOLDFARM_ASSIGN_OR_RETURN(const StoredOof stored,
                            ReadStoredOof(store, request.sweep()));
  FOLDFARM_ASSIGN_OR_RETURN(const EnsembleCache::Answer answer,
                            cache.Get(ResultsKey(stored, request.full()), [&] {
                              return Analyze(stored, files, request.full());
                            }));
  response = *answer;
  response.set_sweep(SweepName(stored.sweep.id));
  for (const v1::IncompleteModel& model : stored.incomplete) {
    SetIncomplete(model, response);
  }
  for (v1::ModelScores& scores : *response.mutable_models()) {
    for (const StoredOof::Model& model : stored.complete) {
      if (model.spec.name() == scores.model()) {
        scores.set_seconds(model.seconds);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ViewOof(Store& store, ArtifactFiles& files,
                     const std::string& sweep,
                     absl::FunctionRef<bool(const v1::GetOofResponse&)> send) {
  FOLDFARM_ASSIGN_OR_RETURN(const StoredOof stored,
                            ReadStoredOof(store, sweep));
  FOLDFARM_ASSIGN_OR_RETURN(const LoadedOof loaded,
                            LoadOof(stored, files, false));
  const OofMatrix& oof = loaded.oof;
  const std::vector<double> mean =
      oof.models.empty() ? std::vector<double>() : MeanOfModels(oof);
  const size_t num_labels = oof.num_labels();
  v1::GetOofResponse piece;
  for (const std::string& label : oof.labels) piece.add_labels(label);
  for (const OofModel& model : oof.models) piece.add_models(model.name);
  piece.mutable_prevalence()->Assign(loaded.prevalence.begin(),
                                     loaded.prevalence.end());
  piece.mutable_only_trained()->Assign(loaded.only_trained.begin(),
                                       loaded.only_trained.end());
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    v1::GetOofResponse::Row& row = *piece.add_rows();
    row.set_sample_id(oof.sample_ids[i]);
    row.set_fold(oof.folds[i]);
    row.set_instrument_type(oof.instrument_types[i]);
    const size_t begin = i * num_labels;
    for (size_t k = 0; k < num_labels; ++k) {
      row.add_truth(oof.truth[begin + k]);
      if (!mean.empty()) row.add_probability(mean[begin + k]);
    }
    for (const OofModel& model : oof.models) {
      for (size_t k = 0; k < num_labels; ++k) {
        row.add_model_probability(model.probabilities[begin + k]);
      }
    }
    if (piece.rows_size() == kRowsPerPiece) {
      if (!send(piece)) return absl::CancelledError("the reader has gone");
      piece.Clear();
    }
  }
  // The names go out even when there are no rows.
  if (piece.rows_size() > 0 || piece.labels_size() > 0) send(piece);
  return absl::OkStatus();
}

}  // namespace foldfarm
