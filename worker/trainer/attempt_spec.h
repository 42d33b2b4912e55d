// What an attempt has to do: AttemptSpec of job.proto, read from its proto3
// JSON without Protobuf.
//
// Names are accepted as proto3 JSON spells them (lowerCamelCase, enums as
// "OPTIMIZER_ADAMW") and as the sweep file does (snake_case, "adamw"), so that
// a person can write attempt.json too. What is absent has sweep.proto's
// default.
#ifndef FOLDFARM_WORKER_TRAINER_ATTEMPT_SPEC_H_
#define FOLDFARM_WORKER_TRAINER_ATTEMPT_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/models/model_options.h"
#include "worker/render/render_options.h"
#include "worker/training/train_options.h"

namespace foldfarm {

struct AttemptSpec {
  std::string job;
  int fold = 0;
  uint32_t seed = 0;
  int tta = 16;
  std::vector<std::string> train_samples;
  std::vector<std::string> validation_samples;
  std::vector<std::string> predict_samples;  // Not empty: no training.
  std::string device = "cpu";
  int threads = 1;
  int attempt = 1;

  // The model.
  std::string model_name;
  std::string model_json;  // The whole ModelSpec, to go into weights files.
  RenderOptions render;
  TrainOptions train;
  std::vector<StageOptions> stages;  // Empty: one, `train`.
  std::vector<std::string> labels;   // Empty: all.
  InitOptions init;
  ArchOptions arch;
};

// `name` stands in messages. Errors: INVALID_ARGUMENT naming the field: not
// JSON, an unknown key, a wrong type, an unknown enum value, a number that
// makes no sense, no architecture or several.
absl::StatusOr<AttemptSpec> ParseAttemptSpec(absl::string_view json,
                                             absl::string_view name);

// Reads a ModelSpec alone; what concerns the job keeps its defaults. Errors: as
// above.
absl::StatusOr<AttemptSpec> ParseModelSpec(absl::string_view json,
                                           absl::string_view name);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_ATTEMPT_SPEC_H_
