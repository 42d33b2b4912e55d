// Draws samples as images: a new image each time a sample is used.
//
// The samples' scans go to the device once; a batch is then a handful of tensor
// operations over all its samples, never a loop over them. What is random: the
// scan that a column shows, the mix of the four offsets, the factors, and
// mixing with a second sample; averaging predictions over draws is what makes
// test-time augmentation work. (The recipe, section 3.)
//
// A draw comes from the renderer's own generator. Seed() sets it, so that a
// stretch of training is reproduced from its seed alone and no generator state
// need be stored. Images that predict come from numbers of their own instead:
// see DrawToPredict. Not thread-safe.
#ifndef FOLDFARM_WORKER_RENDER_RENDERER_H_
#define FOLDFARM_WORKER_RENDER_RENDERER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/render/render_options.h"

namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

enum class DrawMode {
  // Everything random.
  kTrain,
  // No mixing, no baseline subtraction: scoring while training.
  kValidate,
  // No mixing: predictions.
  kPredict,
};

// An image to predict from: a sample and which of its many images.
struct SampleDraw {
  int64_t position = 0;  // Into sample_ids.
  uint64_t seed = 0;
};

class Renderer {
 public:
  // Copies the scans of `sample_ids` to `device` ("cpu", "cuda:0"). The first
  // `num_train` of them are those that mixing draws from.
  // A sample of fewer than three scans shows nothing.
  // Errors: NOT_FOUND for an id that the dataset lacks.
  static absl::StatusOr<std::unique_ptr<Renderer>> Create(
      const PreparedDataset& dataset,
      const std::vector<std::string>& sample_ids, int64_t num_train,
      const RenderOptions& options, const std::string& device);
  ~Renderer();
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;

  // Starts the sequence of draws that belongs to `seed`.
  void Seed(uint64_t seed);

  // Draws the samples at `positions` (I64 [B] on the device, into sample_ids).
  // Sets `images` to F32 [B, 100, 80] (rows m/z, columns temperature) and
  // `labels` to F32 [B, L], elementwise maxima where samples were mixed.
  void Draw(const at::Tensor& positions, DrawMode mode, at::Tensor& images,
            at::Tensor& labels);

  // Draws as kPredict does, F32 [B, 100, 80], but each image from its seed and
  // its sample's id alone: the batch, the samples beside it and the device
  // change nothing.
  at::Tensor DrawToPredict(absl::Span<const SampleDraw> draws);

  // The image without chance: the mean of the four offsets, the nearest scan,
  // factors of 1, no mixing.
  at::Tensor DrawFixed(const at::Tensor& positions, bool subtract_baseline);

  // F32 [n, L] on the device: labels of all samples, 0 where unknown.
  const at::Tensor& labels() const;

 private:
  struct State;
  explicit Renderer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_RENDER_RENDERER_H_
