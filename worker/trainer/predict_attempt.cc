#include "worker/trainer/predict_attempt.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "worker/render/renderer.h"
#include "worker/trainer/predictions.h"
#include "worker/trainer/predictor.h"
#include "worker/training/labels.h"
#include "worker/training/test_time.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {

absl::Status RunPredictAttempt(const std::string& directory,
                               const AttemptSpec& spec,
                               const PreparedDataset& dataset,
                               EventWriter& events,
                               const std::function<bool()>& stop,
                               Clock& clock) {
  FOLDFARM_RETURN_IF_ERROR(CheckDevice(spec.device));
  ConfigureTorch(spec.threads, spec.device);
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<int64_t> columns,
                            LabelColumns(dataset.header(), spec.labels));
  const std::string weights = JoinPath(directory, kWeightsFile);
  if (!FileExists(weights)) {
    return absl::InternalError(
        absl::StrCat(weights, " is absent: there is nothing to predict with"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::unique_ptr<Predictor> predictor,
      Predictor::Load(spec, LabelNames(dataset.header(), columns), weights));
  RenderOptions render = spec.render;
  render.sam_augment.prob = 0;  // Training's; it would look for train samples.
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::unique_ptr<Renderer> renderer,
      Renderer::Create(dataset, spec.predict_samples, /*num_train=*/0, render,
                       spec.device));
  events.Started(/*epochs=*/1, /*resumed_epoch=*/0, spec.device);
  const absl::Duration start = clock.Monotonic();
  const auto count = static_cast<int64_t>(spec.predict_samples.size());
  FOLDFARM_ASSIGN_OR_RETURN(
      const Predictions predictions,
      PredictDraws(
          {.renderer = renderer.get(),
           .first = 0,
           .count = count,
           .num_labels = static_cast<int64_t>(columns.size()),
           .tta = spec.tta,
           .seed = spec.seed},
          [&](const at::Tensor& images) {
            return predictor->Probabilities(images);
          },
          stop));
  const double seconds = absl::ToDoubleSeconds(clock.Monotonic() - start);
  FOLDFARM_RETURN_IF_ERROR(CheckProbabilities(predictions));
  FOLDFARM_RETURN_IF_ERROR(WritePredictionsFile(
      JoinPath(directory, kPredictionsFile), dataset, spec, predictions));
  const Metrics metrics = {{"seconds", seconds},
                           {"samples_per_second", static_cast<double>(count) /
                                                      std::max(seconds, 1e-9)}};
  events.Epoch(1, metrics);
  events.Finished({std::string(kPredictionsFile)}, metrics);
  return absl::OkStatus();
}

}  // namespace foldfarm
