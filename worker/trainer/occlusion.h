// Which parts of an image speak for a label: occlusion.
//
// A part is hidden and the model asked again; by how much the label's log-odds
// fall is what the part speaks for it. Hidden means: one m/z shows no more than
// its background, the level that the least tenth of its columns stay at or
// under, over all temperatures or a window of them. It asks nothing of a model
// but its answers, so it is the same for networks and trees, also for those
// that have no gradient (one-hot patches, tables of features). (Zeiler &
// Fergus, 2014; on log-odds as Zintgraf et al., 2017.)
//
// First each m/z is hidden as a whole; then windows slide over those m/z that
// mattered most. Torch's exceptions pass through.
#ifndef FOLDFARM_WORKER_TRAINER_OCCLUSION_H_
#define FOLDFARM_WORKER_TRAINER_OCCLUSION_H_

#include <functional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

struct OcclusionOptions {
  int window = 6;    // Columns hidden at a time.
  int mz_rows = 20;  // m/z that windows slide over.
};

struct OcclusionMap {
  // [100, 80]: the mean over windows that cover the cell of the log-odds lost
  // by hiding them. Where no window went, an m/z's loss is spread over all of
  // it.
  std::vector<double> cells;
  // [100]: log-odds lost by hiding the m/z as a whole.
  std::vector<double> rows;
  double log_odds = 0;  // With nothing hidden.
};

// Averaged over `images`, F32 [D, 100, 80]; `log_odds` answers [B] of images
// [B, 100, 80].
// Errors: CANCELLED when `stop` says so between batches; those of `log_odds`.
absl::StatusOr<OcclusionMap> Occlude(
    const at::Tensor& images,
    absl::FunctionRef<absl::StatusOr<at::Tensor>(const at::Tensor&)> log_odds,
    const OcclusionOptions& options, const std::function<bool()>& stop);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_OCCLUSION_H_
