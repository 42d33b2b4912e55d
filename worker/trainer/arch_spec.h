// The network's options: ArchSpec of sweep.proto, read from its proto3 JSON.
#ifndef FOLDFARM_WORKER_TRAINER_ARCH_SPEC_H_
#define FOLDFARM_WORKER_TRAINER_ARCH_SPEC_H_

#include <string>

#include "absl/status/status.h"
#include "worker/models/model_options.h"
#include "worker/trainer/json_fields.h"

namespace foldfarm {

// `where` names the object in messages. Errors: INVALID_ARGUMENT naming the
// field, or when there is not exactly one architecture.
absl::Status ParseArch(JsonFields fields, const std::string& where,
                       ArchOptions& arch);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_ARCH_SPEC_H_
