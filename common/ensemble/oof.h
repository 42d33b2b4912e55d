// Out-of-fold (OOF) predictions of several models, side by side.
//
// Every train sample is predicted once a model, by the network that did not see
// it. A model may predict some of the labels only: its other cells are NaN, and
// so is an ensemble's where no model says anything. Every score leaves them
// out.
//
// All arrays are row-major and share the order of `sample_ids` and
// `labels`, so that a model's predictions are one flat span that the functions
// of scores.h take.
//
// Plain values: thread-safe as long as nobody writes.
#ifndef FOLDFARM_COMMON_ENSEMBLE_OOF_H_
#define FOLDFARM_COMMON_ENSEMBLE_OOF_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace foldfarm {

// One model's predictions of all samples.
struct OofModel {
  std::string name;
  // [samples, labels]: means over the TTA draws, in [0, 1]; NaN for labels that
  // the model does not predict.
  std::vector<double> probabilities;
  // [draws, samples, labels], or empty: what `probabilities` is the mean of.
  std::vector<double> draws;
  // [labels]: which it predicts; empty: all.
  std::vector<bool> has_label;

  bool Predicts(size_t label) const {
    return has_label.empty() || has_label[label];
  }
};

struct OofMatrix {
  std::vector<std::string> labels;
  std::vector<std::string> sample_ids;
  // A sample's instrument: "commercial" or "sam_testbed".
  std::vector<std::string> instrument_types;
  // A sample's fold, 0-based.
  std::vector<int> folds;
  // [samples, labels], 0 or 1.
  std::vector<double> truth;
  std::vector<OofModel> models;

  size_t num_samples() const { return sample_ids.size(); }
  size_t num_labels() const { return labels.size(); }
};

// Checks that all arrays fit each other and hold what they should.
//
// Errors: INVALID_ARGUMENT naming the model, sample and label at fault: no
// samples or labels, an array of another size, a duplicate sample or model, a
// negative fold, truth outside [0, 1], a probability that is not a number in
// [0, 1], one for a label that the model does not predict, a model of no label.
absl::Status ValidateOof(const OofMatrix& oof);
// The same for one model that need not be in the matrix.
absl::Status ValidateOofModel(const OofMatrix& oof, const OofModel& model);

// The plain mean of models, [samples, labels]; a label's is over the models
// that predict it, NaN where none does. `models` holds indices.
// REQUIRES: `oof` is valid, `models` is not empty.
std::vector<double> MeanOfModels(const OofMatrix& oof,
                                 absl::Span<const size_t> models);
// Of all models.
std::vector<double> MeanOfModels(const OofMatrix& oof);

// [labels]: which any model predicts.
std::vector<bool> PredictedLabels(const OofMatrix& oof);

// `probabilities` with NaN for every label that is not in `labels`.
std::vector<double> OnlyLabels(const OofMatrix& oof,
                               std::vector<double> probabilities,
                               const std::vector<bool>& labels);

// The rows of `samples` of a [samples, labels] array.
std::vector<double> SelectRows(absl::Span<const double> values,
                               size_t num_labels,
                               absl::Span<const size_t> samples);

// The matrix of those samples only, without the models' single draws.
// REQUIRES: `oof` is valid, `samples` is not empty.
OofMatrix SelectSamples(const OofMatrix& oof, absl::Span<const size_t> samples);

// Samples by instrument, in order of its name.
std::map<std::string, std::vector<size_t>> SamplesByInstrument(
    const OofMatrix& oof);

// A fold's samples, and all others: what a nested figure scores, and what it
// fits on.
struct FoldSplit {
  std::vector<size_t> held_out;
  std::vector<size_t> others;
};
// By fold; empty with fewer than two folds, where there is nothing to fit on.
std::vector<FoldSplit> SplitFolds(const OofMatrix& oof);

// What a constant prediction knows: each label's prevalence among the samples
// of the OTHER folds, [samples, labels]. With one fold alone (a hold-out) there
// are no others, and the prevalence is over all samples. REQUIRES: `oof` is
// valid; its models do not matter.
std::vector<double> PriorPredictions(const OofMatrix& oof);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_OOF_H_
