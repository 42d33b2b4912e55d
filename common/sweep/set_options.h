// `--set KEY=VALUE`: options of the command line over those of a sweep file.
//
// KEY is a path, "train.epochs"; VALUE is YAML. An option of the sweep
// ("limit_samples", "folds.count") changes the sweep; one of a model changes
// every model, over its own options and those of its stages. An option of an
// architecture ("arch.rnn.hidden") changes the models of that architecture.
#ifndef FOLDFARM_COMMON_SWEEP_SET_OPTIONS_H_
#define FOLDFARM_COMMON_SWEEP_SET_OPTIONS_H_

#include <string>
#include <vector>

#include "common/sweep/sweep_errors.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// Not thread-safe.
struct SetOptions {
  // One that changes models.
  struct OfModels {
    std::string text;  // KEY=VALUE.
    v1::ModelSpec model;
    bool used = false;
  };
  v1::SweepSpec sweep;
  std::vector<OfModels> models;  // In the order in which they were given.

  // Another way to cut folds replaces the former one.
  void ApplyTo(v1::SweepSpec& spec) const;
  void ApplyTo(v1::ModelSpec& model);
  void ApplyTo(v1::TrainSpec& train) const;

  // Names what changed no model, once all were changed.
  void ReportUnused(SweepErrors& errors) const;
};

// Mistakes go to `errors` as "--set KEY=VALUE: ...".
SetOptions ParseSetOptions(const std::vector<std::string>& sets,
                           SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_SET_OPTIONS_H_
