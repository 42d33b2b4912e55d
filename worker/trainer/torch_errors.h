// The one place where Torch's exceptions become a Status.
#ifndef FOLDFARM_WORKER_TRAINER_TORCH_ERRORS_H_
#define FOLDFARM_WORKER_TRAINER_TORCH_ERRORS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace foldfarm {

// What `work` returns or, when it throws: RESOURCE_EXHAUSTED when memory ran
// out, else INTERNAL with what the exception said.
absl::Status CatchTorchErrors(absl::FunctionRef<absl::Status()> work);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_TORCH_ERRORS_H_
