#include "worker/training/checkpoint.h"

#include <torch/torch.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr char kWeightsFile[] = "weights.safetensors";
constexpr char kStateFile[] = "state.safetensors";
constexpr char kStateFormat[] = "foldfarm-state";

}  // namespace

absl::Status WriteCheckpoint(const std::string& directory,
                             const NamedTensors& weights,
                             const NamedTensors& state,
                             std::map<std::string, std::string> metadata,
                             const std::map<std::string, double>& numbers) {
  const std::string temporary = absl::StrCat(directory, ".tmp");
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(temporary));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(temporary));
  metadata["format"] = kWeightsFormat;
  FOLDFARM_RETURN_IF_ERROR(
      WriteTensors(JoinPath(temporary, kWeightsFile), weights, metadata));
  metadata["format"] = kStateFormat;
  metadata["format_version"] = "1";
  for (const auto& [name, number] : numbers) {
    metadata[name] = absl::StrFormat("%.17g", number);
  }
  FOLDFARM_RETURN_IF_ERROR(
      WriteTensors(JoinPath(temporary, kStateFile), state, metadata));
  // One of a former run in the same folder.
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(directory));
  return PublishFile(temporary, directory);
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory) {
  Checkpoint result;
  result.weights_path_ = JoinPath(directory, kWeightsFile);
  result.state_path_ = JoinPath(directory, kStateFile);
  FOLDFARM_ASSIGN_OR_RETURN(result.weights_,
                            TensorFile::Open(result.weights_path_));
  FOLDFARM_ASSIGN_OR_RETURN(result.state_,
                            TensorFile::Open(result.state_path_));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string format,
                            result.state_->Metadata("format"));
  if (format != kStateFormat) {
    return absl::InvalidArgumentError(
        absl::StrCat(result.state_path_, ": format is \"", format,
                     "\", expected ", kStateFormat));
  }
  return result;
}

absl::StatusOr<double> Checkpoint::Number(const std::string& name) const {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, state_->Metadata(name));
  double value = 0;
  // Written so that NaN fails.
  if (!absl::SimpleAtod(text, &value) || !(value >= 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        state_path_, ": ", name, " is \"", text, "\", expected a number"));
  }
  return value;
}

absl::StatusOr<double> Checkpoint::Number(const std::string& name,
                                          double otherwise) const {
  if (absl::IsNotFound(state_->Metadata(name).status())) return otherwise;
  return Number(name);
}

bool Checkpoint::HasState(absl::string_view prefix) const {
  for (const auto& [name, tensor] : state_->tensors()) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  return false;
}

absl::Status Checkpoint::Read(const NamedTensors& weights,
                              const NamedTensors& state) const {
  FOLDFARM_RETURN_IF_ERROR(ReadTensors(*weights_, weights_path_, weights));
  return ReadTensors(*state_, state_path_, state);
}

}  // namespace foldfarm
