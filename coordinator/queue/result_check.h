// Whether files are a result, and their predictions those of the job's fold.
#ifndef FOLDFARM_COORDINATOR_QUEUE_RESULT_CHECK_H_
#define FOLDFARM_COORDINATOR_QUEUE_RESULT_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// Checks the names of a result's or checkpoint's files: plain, each once, at
// most kMaxResultFiles (attempt_files.h). Errors: INVALID_ARGUMENT.
absl::Status CheckArtifactNames(absl::Span<const v1::ArtifactRef* const> refs);

// Checks that a result has what its model must leave: out-of-fold predictions
// and weights, but none of a user's program and of no network; when it
// `predicts`, predictions alone.
// Errors: INVALID_ARGUMENT naming the file that is missing.
absl::Status CheckArtifactsComplete(
    absl::Span<const v1::ArtifactRef* const> refs, const v1::ModelSpec& model,
    bool predicts);

// Checks predictions for the fold's `validation_samples`: each sample once, in
// any order, and no other; exactly `labels`, in that order; probabilities, and
// the draws they are means of, finite and in [0, 1].
//
// Errors: INVALID_ARGUMENT naming the sample, label and value at fault, or what
// is malformed; UNAVAILABLE when the file cannot be read, whatever is in it.
absl::Status CheckOofFile(const std::string& path, const v1::AttemptSpec& fold,
                          const std::vector<std::string>& labels);

// The same for what an attempt that predicts left, for the part's
// `predict_samples`, with exactly `tta` draws; of no network, whose draws are
// all equal, one is enough.
absl::Status CheckPredictionsFile(const std::string& path,
                                  const v1::AttemptSpec& part,
                                  const v1::ModelSpec& model, int tta,
                                  const std::vector<std::string>& labels);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_RESULT_CHECK_H_
