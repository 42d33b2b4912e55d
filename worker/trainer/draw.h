// The images that a model gets, for people to look at.
//
// DIR/draw.json says of what:
//   {"model": ModelSpec as proto3 JSON, "samples": ["S0754"],
//    "train_samples": [ids to mix with and to take SAM backgrounds from],
//    "draws": 9, "seed": 1}
// DIR/dataset.safetensors is the prepared dataset. Written is
// DIR/images.safetensors:
//
//   SAMPLE/GROUP         F32 [draws, 100, 80], rows m/z, columns temperature
//   SAMPLE/GROUP/labels  F32 [draws, L]
//
// for these groups, where the model has them; draw j shows the same scans in
// each:
//   fixed        one image without chance: nearest scans, mean offsets
//   plain        scans and offsets drawn, nothing else
//   augment      plain, times the random factors
//   baseline     plain, the baseline subtracted
//   mixing       plain, mixed with a train sample
//   sam_augment  plain, made to look like the SAM testbed's; commercial samples
//   training     all of it, each with its probability: what training draws
//
// Metadata: format "foldfarm-images", format_version "1", samples and groups
// (JSON arrays, in order).
#ifndef FOLDFARM_WORKER_TRAINER_DRAW_H_
#define FOLDFARM_WORKER_TRAINER_DRAW_H_

#include <string>

#include "absl/status/status.h"

namespace foldfarm {

// Errors: INVALID_ARGUMENT for a draw.json that makes no sense or names unknown
// samples; RESOURCE_EXHAUSTED when memory ran out; others when files cannot be
// read or written.
absl::Status DrawImages(const std::string& directory);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_DRAW_H_
