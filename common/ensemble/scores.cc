#include "common/ensemble/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/ensemble/ranking.h"

namespace foldfarm {
namespace {

// A running mean of what was predicted.
struct Mean {
  void Add(double value) {
    if (std::isnan(value)) return;
    sum += value;
    ++count;
  }
  double Value() const {
    return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / count;
  }
  double sum = 0;
  double count = 0;
};

bool IsConstant(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(),
                     [&](double value) { return value == values[0]; });
}

}  // namespace

double CrossEntropy(double truth, double p) {
  if (truth == 1.0) return -std::log(p);
  if (truth == 0.0) return -std::log1p(-p);
  return -(truth * std::log(p) + (1.0 - truth) * std::log1p(-p));
}

double ShrinkConstant(absl::string_view instrument_type) {
  return instrument_type == "sam_testbed" ? kShrinkSamTestbed
                                          : kShrinkCommercial;
}

double ShrunkLogLoss(absl::Span<const double> truth,
                     absl::Span<const double> probabilities, double c) {
  Mean mean;
  for (size_t i = 0; i < truth.size(); ++i) {
    mean.Add(CrossEntropy(truth[i], Shrink(probabilities[i], c)));
  }
  return mean.Value();
}

double InstrumentLogLoss(const OofMatrix& oof,
                         absl::Span<const double> probabilities) {
  const size_t labels = oof.num_labels();
  Mean mean;
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    const double c = ShrinkConstant(oof.instrument_types[i]);
    for (size_t cell = i * labels; cell < (i + 1) * labels; ++cell) {
      mean.Add(CrossEntropy(oof.truth[cell], Shrink(probabilities[cell], c)));
    }
  }
  return mean.Value();
}

double ClippedLogLoss(absl::Span<const double> truth,
                      absl::Span<const double> probabilities, double epsilon) {
  Mean mean;
  for (size_t i = 0; i < truth.size(); ++i) {
    mean.Add(CrossEntropy(
        truth[i], std::clamp(probabilities[i], epsilon, 1.0 - epsilon)));
  }
  return mean.Value();
}

double Accuracy(absl::Span<const double> truth,
                absl::Span<const double> probabilities) {
  Mean mean;
  for (size_t i = 0; i < truth.size(); ++i) {
    if (std::isnan(probabilities[i])) continue;
    mean.Add(IsRight(truth[i], probabilities[i]) ? 1.0 : 0.0);
  }
  return mean.Value();
}

double PearsonCorrelation(absl::Span<const double> all_a,
                          absl::Span<const double> all_b) {
  std::vector<double> a, b;
  for (size_t i = 0; i < all_a.size(); ++i) {
    if (std::isnan(all_a[i]) || std::isnan(all_b[i])) continue;
    a.push_back(all_a[i]);
    b.push_back(all_b[i]);
  }
  if (a.empty()) return 0.0;
  // Asked of the values: the mean of a constant is off by a rounding.
  if (IsConstant(a) || IsConstant(b)) return 0.0;
  Mean a_mean, b_mean;
  for (double value : a) a_mean.Add(value);
  for (double value : b) b_mean.Add(value);
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double da = a[i] - a_mean.Value();
    const double db = b[i] - b_mean.Value();
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  if (aa == 0.0 || bb == 0.0) return 0.0;  // Differences too small to square.
  return std::clamp(ab / std::sqrt(aa) / std::sqrt(bb), -1.0, 1.0);
}

std::vector<double> LabelLogLoss(const OofMatrix& oof,
                                 absl::Span<const double> probabilities) {
  std::vector<Mean> means(oof.num_labels());
  for (size_t cell = 0; cell < oof.truth.size(); ++cell) {
    means[cell % oof.num_labels()].Add(CrossEntropy(
        oof.truth[cell], Shrink(probabilities[cell], kShrinkCommercial)));
  }
  std::vector<double> values;
  for (const Mean& mean : means) values.push_back(mean.Value());
  return values;
}

std::vector<double> FoldLogLoss(const OofMatrix& oof,
                                absl::Span<const double> probabilities) {
  const int largest = *std::max_element(oof.folds.begin(), oof.folds.end());
  std::vector<Mean> means(static_cast<size_t>(largest) + 1);
  for (size_t cell = 0; cell < oof.truth.size(); ++cell) {
    const int fold = oof.folds[cell / oof.num_labels()];
    means[static_cast<size_t>(fold)].Add(CrossEntropy(
        oof.truth[cell], Shrink(probabilities[cell], kShrinkCommercial)));
  }
  std::vector<double> values;
  for (const Mean& mean : means) values.push_back(mean.Value());
  return values;
}

OofScores Score(const OofMatrix& oof, absl::Span<const double> probabilities) {
  OofScores scores;
  scores.log_loss = InstrumentLogLoss(oof, probabilities);
  scores.log_loss_shrink_0002 = ShrunkLogLoss(oof.truth, probabilities);
  scores.log_loss_clip_1e_3 = ClippedLogLoss(oof.truth, probabilities, 1e-3);
  scores.log_loss_clip_1e_2 = ClippedLogLoss(oof.truth, probabilities, 1e-2);
  scores.accuracy = Accuracy(oof.truth, probabilities);
  scores.samples = static_cast<int>(oof.num_samples());
  MeanRanking ranking;
  for (const LabelRanking& label : RankLabels(oof, probabilities)) {
    ranking.Add(label.Score());
  }
  scores.auc = ranking.Value().auc;
  scores.average_precision = ranking.Value().average_precision;
  return scores;
}

}  // namespace foldfarm
