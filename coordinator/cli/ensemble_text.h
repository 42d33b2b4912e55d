// An ensemble's figures as people read them.
//
// Every figure is one of GetEnsembleResponse, where it is computed; none is
// made here. Pure functions; thread-safe. `width` is the terminal's, 0:
// unlimited.
#ifndef FOLDFARM_COORDINATOR_CLI_ENSEMBLE_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_ENSEMBLE_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Models best first, the ensemble, the prior; what was left out and why.
std::string EnsembleScoresText(const v1::GetEnsembleResponse& reply,
                               size_t width, bool colour);

// The same with the growth, labels and instruments of the ensemble.
std::string EnsembleText(const v1::GetEnsembleResponse& reply, size_t width,
                         bool colour);

// Everything in the reply, which is one of GetEnsembleRequest.full.
std::string FullEnsembleText(const v1::GetEnsembleResponse& reply, size_t width,
                             bool colour);

// One model beside the ensemble.
// Errors: NOT_FOUND, naming a near miss; FAILED_PRECONDITION, saying why, when
// the model is left out.
absl::StatusOr<std::string> ModelText(const v1::GetEnsembleResponse& reply,
                                      const std::string& model, size_t width,
                                      bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_ENSEMBLE_TEXT_H_
