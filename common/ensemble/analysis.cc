#include "common/ensemble/analysis.h"

#include <algorithm>
#include <utility>

namespace foldfarm {

std::vector<double> CorrelationMatrix(const OofMatrix& oof) {
  const size_t models = oof.models.size();
  std::vector<double> matrix(models * models, 1.0);
  for (size_t i = 0; i < models; ++i) {
    for (size_t j = i + 1; j < models; ++j) {
      const double r = PearsonCorrelation(oof.models[i].probabilities,
                                          oof.models[j].probabilities);
      matrix[i * models + j] = r;
      matrix[j * models + i] = r;
    }
  }
  return matrix;
}

std::vector<TtaPoint> TtaCurve(const OofMatrix& oof) {
  const size_t cells = oof.truth.size();
  size_t most = 0;
  for (const OofModel& model : oof.models) {
    most = std::max(most, model.draws.size() / cells);
  }
  std::vector<TtaPoint> curve;
  for (size_t count = 1; most > 0; count = std::min(count * 2, most)) {
    OofMatrix of_draws;
    of_draws.labels = oof.labels;
    of_draws.sample_ids = oof.sample_ids;
    for (const OofModel& model : oof.models) {
      OofModel& shown = of_draws.models.emplace_back();
      shown.has_label = model.has_label;
      shown.probabilities = model.probabilities;
      if (count >= model.draws.size() / cells) continue;
      for (size_t i = 0; i < cells; ++i) {
        double sum = 0;
        for (size_t d = 0; d < count; ++d) sum += model.draws[d * cells + i];
        shown.probabilities[i] = sum / static_cast<double>(count);
      }
    }
    curve.push_back({static_cast<int>(count),
                     ShrunkLogLoss(oof.truth, MeanOfModels(of_draws))});
    if (count == most) break;
  }
  return curve;
}

EnsembleAnalysis AnalyzeEnsemble(const OofMatrix& oof,
                                 const AnalysisOptions& options) {
  EnsembleAnalysis analysis;
  const PredictionScorer scorer(oof, options.full);
  const std::vector<double> mean = MeanOfModels(oof);
  const std::vector<double> prior = PriorPredictions(oof);
  for (size_t i = 0; i < oof.models.size(); ++i) {
    const OofModel& model = oof.models[i];
    ModelAnalysis& added = analysis.models.emplace_back();
    added.model = i;
    added.name = model.name;
    static_cast<PredictionScores&>(added) = scorer.Score(model.probabilities);
    added.correlation = PearsonCorrelation(model.probabilities, mean);
    added.prior_log_loss =
        ShrunkLogLoss(oof.truth, model.has_label.empty()
                                     ? prior
                                     : OnlyLabels(oof, prior, model.has_label));
  }
  std::stable_sort(analysis.models.begin(), analysis.models.end(),
                   [](const ModelAnalysis& a, const ModelAnalysis& b) {
                     return a.scores.log_loss_shrink_0002 <
                            b.scores.log_loss_shrink_0002;
                   });
  const std::vector<double> correlations = CorrelationMatrix(oof);
  for (ModelAnalysis& model : analysis.models) {
    for (const ModelAnalysis& other : analysis.models) {
      model.correlations.push_back(
          correlations[model.model * oof.models.size() + other.model]);
    }
  }
  analysis.ensemble = scorer.Score(mean);
  analysis.growth = GrowEnsemble(oof);
  const std::vector<bool> predicted = PredictedLabels(oof);
  analysis.prior = scorer.Score(OnlyLabels(oof, prior, predicted)).scores;
  for (size_t l = 0; l < predicted.size(); ++l) {
    (predicted[l] ? analysis.labels : analysis.unpredicted_labels)
        .push_back(oof.labels[l]);
  }
  if (!options.full) return analysis;
  analysis.growth_with_replacement = GrowWithReplacement(oof);
  analysis.elimination = EliminateBackward(oof);
  analysis.tta = TtaCurve(oof);
  analysis.shrink = FitShrink(oof, mean);
  analysis.weightings =
      CompareWeightings(oof, BootstrapDraws(oof.num_samples()));
  for (Weighting& weighting : analysis.weightings) {
    std::vector<double> in_order;
    for (const ModelAnalysis& model : analysis.models) {
      in_order.push_back(weighting.weights[model.model]);
    }
    weighting.weights = std::move(in_order);
  }
  return analysis;
}

}  // namespace foldfarm
