// What speaks for a label of a sample, by all networks of a bundle.
//
// DIR/explain.json says of what:
//   {"bundle": folder, "sample": features file, "label": "carbonate",
//    "instrument": "" (as metadata.csv, else guessed), "draws": 4,
//    "threads": 2, "device": "cpu"}
// Written is DIR/explain.safetensors:
//
//   image      F32 [100, 80]  the sample as the models get it, without chance,
//                             rows m/z, columns temperature; by the model of
//                             the largest weight, scaled to [0, 1]
//   evidence   F32 [100, 80]  log-odds lost by hiding the 72 degrees C around a
//                             cell of one m/z: see occlusion.h
//   mz         F32 [100]      log-odds lost by hiding an m/z as a whole
//
// averaged over draws, folds and, by weight, the models that have the label.
// Models that predict whatever the sample (arch none) have no evidence and are
// left out. Metadata: format "foldfarm-explanation", format_version "1", and
// "explanation", a JSON object: sample, label, instrument_type, probability and
// the models' spread, low and high around it (all shrunk by the constant of the
// sample's instrument), log_odds (of the networks, not shrunk), first_celsius,
// step_celsius, min_clip and log_space of the image, models, left_out, draws,
// bundle, warnings.
#ifndef FOLDFARM_WORKER_TRAINER_EXPLAIN_H_
#define FOLDFARM_WORKER_TRAINER_EXPLAIN_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace foldfarm {

// Errors: INVALID_ARGUMENT for an explain.json that makes no sense, a label
// that the bundle lacks, a bundle that was changed or a sample that cannot be
// read; CANCELLED when `stop` says so between batches; others as Open's.
absl::Status ExplainSample(const std::string& directory,
                           const std::function<bool()>& stop);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_EXPLAIN_H_
