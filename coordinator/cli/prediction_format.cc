#include "coordinator/cli/prediction_format.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/predict_data.h"

namespace foldfarm {
namespace {

constexpr size_t kIdsNamed = 3;

}  // namespace

absl::StatusOr<std::optional<SubmissionFormat>> FindFormat(
    const std::string& named, const std::string& directory,
    const std::vector<std::string>& labels) {
  std::string path = named;
  if (path.empty() && !directory.empty()) {
    path = JoinPath(directory, "submission_format.csv");
    if (!FileExists(path)) return std::nullopt;
  }
  if (path.empty()) return std::nullopt;
  FOLDFARM_ASSIGN_OR_RETURN(SubmissionFormat format,
                            ReadSubmissionFormat(path));
  // Tells columns that no submission can have before anything runs.
  FOLDFARM_RETURN_IF_ERROR(MakeSubmission(labels, {}, &format, {}).status());
  return format;
}

absl::Status CheckFormat(const Console& console, const std::string& named,
                         const std::vector<std::string>& ids,
                         std::optional<SubmissionFormat>& format) {
  if (!format.has_value() || ids.empty()) return absl::OkStatus();
  const std::set<std::string> rows(format->sample_ids.begin(),
                                   format->sample_ids.end());
  if (std::any_of(ids.begin(), ids.end(),
                  [&](const std::string& id) { return rows.count(id) > 0; })) {
    return absl::OkStatus();
  }
  const std::string what = absl::StrCat(
      "has a row of none of the ",
      FormatPlural(static_cast<int64_t>(ids.size()), "sample"), " to predict");
  if (!named.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--format ", format->path, " ", what, " (", NameSome(ids, kIdsNamed),
        "), so nothing was written; name the format of these samples, or its "
        "samples with --split or --samples"));
  }
  console.Warn(absl::StrCat(format->path, " ", what,
                            " and is ignored: every sample gets a row, "
                            "labels in the order of the models"));
  format.reset();
  return absl::OkStatus();
}

}  // namespace foldfarm
