#include "common/ensemble/prediction_scores.h"

#include <utility>

#include "common/ensemble/ranking.h"

namespace foldfarm {
namespace {

// Sets the intervals of `scores`.
void AddIntervals(const OofMatrix& oof, absl::Span<const double> probabilities,
                  const std::vector<LabelRanking>& rankings,
                  const BootstrapDraws& draws, OofScores& scores) {
  const auto interval =
      [&](absl::FunctionRef<double(size_t sample, size_t cell)> value) {
        return IntervalOf(SampleSums(oof, probabilities, value).Means(draws));
      };
  scores.log_loss_interval = interval([&](size_t sample, size_t cell) {
    return CrossEntropy(oof.truth[cell],
                        Shrink(probabilities[cell],
                               ShrinkConstant(oof.instrument_types[sample])));
  });
  scores.log_loss_shrink_0002_interval = interval([&](size_t, size_t cell) {
    return CrossEntropy(oof.truth[cell],
                        Shrink(probabilities[cell], kShrinkCommercial));
  });
  scores.accuracy_interval = interval([&](size_t, size_t cell) {
    return IsRight(oof.truth[cell], probabilities[cell]) ? 1.0 : 0.0;
  });
  std::vector<double> auc, average_precision;
  for (size_t draw = 0; draw < draws.size(); ++draw) {
    MeanRanking mean;
    for (const LabelRanking& ranking : rankings) {
      mean.Add(ranking.Score(draws.counts(draw)));
    }
    auc.push_back(mean.Value().auc);
    average_precision.push_back(mean.Value().average_precision);
  }
  scores.auc_interval = IntervalOf(std::move(auc));
  scores.average_precision_interval = IntervalOf(std::move(average_precision));
}

std::optional<Interval> LabelInterval(const OofMatrix& oof,
                                      absl::Span<const double> probabilities,
                                      size_t label,
                                      const BootstrapDraws& draws) {
  std::vector<bool> alone(oof.num_labels(), false);
  alone[label] = true;
  const std::vector<double> only =
      OnlyLabels(oof, {probabilities.begin(), probabilities.end()}, alone);
  return IntervalOf(SampleSums(oof, only, [&](size_t, size_t cell) {
                      return CrossEntropy(
                          oof.truth[cell],
                          Shrink(only[cell], kShrinkCommercial));
                    }).Means(draws));
}

}  // namespace

PredictionScorer::PredictionScorer(const OofMatrix& oof, bool with_intervals)
    : oof_(oof) {
  if (with_intervals) draws_.emplace(oof.num_samples());
  for (auto& [instrument, samples] : SamplesByInstrument(oof)) {
    OofMatrix part = SelectSamples(oof, samples);
    part.models.clear();
    Part& added = instruments_.emplace_back();
    if (with_intervals) added.draws.emplace(samples.size());
    added.samples = samples;
    added.oof = std::move(part);
  }
}

PredictionScores PredictionScorer::Score(
    absl::Span<const double> probabilities) const {
  PredictionScores all;
  all.scores = foldfarm::Score(oof_, probabilities);
  all.fold_log_loss = FoldLogLoss(oof_, probabilities);
  const std::vector<double> log_loss = LabelLogLoss(oof_, probabilities);
  const std::vector<LabelRanking> rankings = RankLabels(oof_, probabilities);
  if (draws_) {
    AddIntervals(oof_, probabilities, rankings, *draws_, all.scores);
  }
  for (size_t l = 0; l < rankings.size(); ++l) {
    if (rankings[l].samples() == 0) continue;
    const RankingScores ranking = rankings[l].Score();
    OofLabelScores& label = all.labels.emplace_back();
    label.label = l;
    label.log_loss = log_loss[l];
    label.auc = ranking.auc;
    label.average_precision = ranking.average_precision;
    label.positive = rankings[l].positive();
    label.samples = rankings[l].samples();
    if (draws_) {
      label.log_loss_interval = LabelInterval(oof_, probabilities, l, *draws_);
    }
  }
  for (const Part& part : instruments_) {
    const std::vector<double> rows =
        SelectRows(probabilities, oof_.num_labels(), part.samples);
    OofInstrumentScores& instrument = all.instruments.emplace_back();
    instrument.instrument_type = part.oof.instrument_types[0];
    instrument.scores = foldfarm::Score(part.oof, rows);
    if (part.draws) {
      AddIntervals(part.oof, rows, RankLabels(part.oof, rows), *part.draws,
                   instrument.scores);
    }
  }
  return all;
}

}  // namespace foldfarm
