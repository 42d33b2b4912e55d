// Which submission format a prediction is written in.
#ifndef FOLDFARM_COORDINATOR_CLI_PREDICTION_FORMAT_H_
#define FOLDFARM_COORDINATOR_CLI_PREDICTION_FORMAT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/submission.h"

namespace foldfarm {

// The format in `named`, or else the submission_format.csv of `directory`, if
// there is one; nothing without either.
//
// Errors: those of ReadSubmissionFormat; those of MakeSubmission for columns
// that predictions of `labels` cannot have.
absl::StatusOr<std::optional<SubmissionFormat>> FindFormat(
    const std::string& named, const std::string& directory,
    const std::vector<std::string>& labels);

// Looks whether `format`, if there is one, has a row of any sample in `ids`
// (empty: not known yet): otherwise the table would have no rows. One that was
// only found, `named` being empty, is then of other samples: warns and drops
// it. Errors: INVALID_ARGUMENT for one that was named.
absl::Status CheckFormat(const Console& console, const std::string& named,
                         const std::vector<std::string>& ids,
                         std::optional<SubmissionFormat>& format);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PREDICTION_FORMAT_H_
