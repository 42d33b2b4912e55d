#include "coordinator/queue/result_check.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/base/attempt_files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {
namespace {

absl::StatusOr<std::vector<std::string>> Names(const TensorFile& file,
                                               const std::string& key) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, file.Metadata(key));
  const nlohmann::json json = ParseJson(text);
  std::vector<std::string> names;
  if (json.is_array()) {
    for (const nlohmann::json& item : json) {
      if (!item.is_string()) break;
      names.push_back(item.get<std::string>());
    }
    if (names.size() == json.size()) return names;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metadata \"", key, "\" is ", ClipUtf8(text, 80),
                   ", expected a JSON array of strings"));
}

// What predictions must be of.
struct Expected {
  std::string format;
  // What `samples` are to the job: "fold", "share".
  std::string part;
  const google::protobuf::RepeatedPtrField<std::string>& samples;
  const std::vector<std::string>& labels;
  // Numbers of draws that are right; empty: any.
  std::vector<int64_t> draws;
};

absl::Status CheckSamples(const std::vector<std::string>& got,
                          const Expected& expected) {
  absl::flat_hash_set<std::string> missing(expected.samples.begin(),
                                           expected.samples.end());
  for (const std::string& id : got) {
    if (missing.erase(id) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", id, " is there twice or is not of the job's ",
                       expected.part));
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("sample ", *missing.begin(), " is missing: got ", got.size(),
                   " of ", expected.samples.size()));
}

absl::Status CheckProbabilities(absl::Span<const float> values,
                                const std::vector<std::string>& samples,
                                const std::vector<std::string>& labels) {
  for (size_t i = 0; i < values.size(); ++i) {
    // Written so that NaN fails.
    if (values[i] >= 0.0f && values[i] <= 1.0f) continue;
    const size_t row = i / labels.size();
    return absl::InvalidArgumentError(
        absl::StrCat("sample ", samples[row % samples.size()], ", label ",
                     labels[i % labels.size()], ": probability is ", values[i],
                     ", expected a number in [0, 1]"));
  }
  return absl::OkStatus();
}

absl::Status CheckContents(const TensorFile& file, const Expected& expected) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string format, file.Metadata("format"));
  if (format != expected.format) {
    return absl::InvalidArgumentError(absl::StrCat(
        "format is \"", format, "\", expected \"", expected.format, "\""));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> samples,
                            Names(file, "sample_ids"));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> labels,
                            Names(file, "labels"));
  if (labels != expected.labels) {
    return absl::InvalidArgumentError(
        absl::StrCat("labels are ", absl::StrJoin(labels, ","), ", expected ",
                     absl::StrJoin(expected.labels, ",")));
  }
  FOLDFARM_RETURN_IF_ERROR(CheckSamples(samples, expected));
  const int64_t n = static_cast<int64_t>(samples.size());
  const int64_t l = static_cast<int64_t>(labels.size());
  FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const float> probabilities,
                            file.F32("probabilities", {n, l}));
  FOLDFARM_RETURN_IF_ERROR(CheckProbabilities(probabilities, samples, labels));
  FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const float> draws,
                            file.F32("draws", {-1, n, l}));
  FOLDFARM_ASSIGN_OR_RETURN(const TensorView view, file.Get("draws"));
  const int64_t count = view.shape.front();
  if (!expected.draws.empty() &&
      !absl::c_linear_search(expected.draws, count)) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", count, " draws of each sample, expected ",
                     expected.draws.front()));
  }
  return CheckProbabilities(draws, samples, labels);
}

absl::Status CheckPredictions(const std::string& path,
                              const Expected& expected) {
  const auto file = TensorFile::Open(path);
  if (absl::IsNotFound(file.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(file.status().message(),
                     ": it is no longer stored; upload it and repeat"));
  }
  if (!file.ok() && !absl::IsInvalidArgument(file.status())) {
    // No room for another open file, a broken disk: no news about the result.
    return absl::UnavailableError(
        absl::StrCat("cannot be checked now: ", file.status().message()));
  }
  const absl::Status status =
      file.ok() ? CheckContents(**file, expected) : file.status();
  // Also what the file lacks, which is NOT_FOUND until here.
  return status.ok() ? status : absl::InvalidArgumentError(status.message());
}

}  // namespace

absl::Status CheckArtifactNames(absl::Span<const v1::ArtifactRef* const> refs) {
  if (refs.size() > kMaxResultFiles) {
    return absl::InvalidArgumentError(absl::StrCat(
        "it has ", refs.size(), " files, expected at most ", kMaxResultFiles));
  }
  absl::flat_hash_set<absl::string_view> names;
  for (const v1::ArtifactRef* ref : refs) {
    FOLDFARM_RETURN_IF_ERROR(CheckFileName(ref->name()));
    if (!names.insert(ref->name()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("file ", ref->name(), " is there twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckArtifactsComplete(
    absl::Span<const v1::ArtifactRef* const> refs, const v1::ModelSpec& model,
    bool predicts) {
  const auto has = [&](absl::string_view name) {
    return absl::c_any_of(
        refs, [&](const v1::ArtifactRef* ref) { return ref->name() == name; });
  };
  const auto missing = [](absl::string_view name) {
    return absl::InvalidArgumentError(absl::StrCat("the result has no ", name));
  };
  if (predicts) {
    return has(kPredictionsFile) ? absl::OkStatus() : missing(kPredictionsFile);
  }
  if (!has(kOofFile)) return missing(kOofFile);
  switch (model.arch().kind_case()) {
    case v1::ArchSpec::kExec:
    case v1::ArchSpec::kNone:
      return absl::OkStatus();
    default:
      return has(kWeightsFile) ? absl::OkStatus() : missing(kWeightsFile);
  }
}

absl::Status CheckOofFile(const std::string& path, const v1::AttemptSpec& fold,
                          const std::vector<std::string>& labels) {
  return CheckPredictions(path, {.format = "foldfarm-oof",
                                 .part = "fold",
                                 .samples = fold.validation_samples(),
                                 .labels = labels});
}

absl::Status CheckPredictionsFile(const std::string& path,
                                  const v1::AttemptSpec& part,
                                  const v1::ModelSpec& model, int tta,
                                  const std::vector<std::string>& labels) {
  Expected expected = {.format = "foldfarm-predictions",
                       .part = "share",
                       .samples = part.predict_samples(),
                       .labels = labels,
                       .draws = {tta}};
  if (model.arch().has_none()) expected.draws.push_back(1);
  return CheckPredictions(path, expected);
}

}  // namespace foldfarm
