// The files of a checkpoint: weights.safetensors, the network as it is, and
// state.safetensors, all else that training goes on from.
//
// Metadata of the state beside the caller's own: format "foldfarm-state",
// format_version "1", and numbers by name.
#ifndef FOLDFARM_WORKER_TRAINING_CHECKPOINT_H_
#define FOLDFARM_WORKER_TRAINING_CHECKPOINT_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/training/tensor_io.h"

namespace foldfarm {

inline constexpr char kWeightsFormat[] = "foldfarm-weights";

// Writes a new folder, in place of one of that name, which appears whole or not
// at all. `numbers` keep all their digits.
absl::Status WriteCheckpoint(const std::string& directory,
                             const NamedTensors& weights,
                             const NamedTensors& state,
                             std::map<std::string, std::string> metadata,
                             const std::map<std::string, double>& numbers);

class Checkpoint {
 public:
  // Errors: those of the files; INVALID_ARGUMENT for another format.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  // A number, not negative. Errors: INVALID_ARGUMENT for another text,
  // NOT_FOUND when there is none.
  absl::StatusOr<double> Number(const std::string& name) const;
  // The same, `otherwise` when there is none.
  absl::StatusOr<double> Number(const std::string& name,
                                double otherwise) const;

  // Whether the state has tensors whose names begin with `prefix`.
  bool HasState(absl::string_view prefix) const;

  // Copies the tensors into these, in place. Errors: INVALID_ARGUMENT when
  // they belong to another network or optimizer.
  absl::Status Read(const NamedTensors& weights,
                    const NamedTensors& state) const;

  const std::string& state_path() const { return state_path_; }

 private:
  std::string weights_path_, state_path_;
  std::shared_ptr<const TensorFile> weights_, state_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_CHECKPOINT_H_
