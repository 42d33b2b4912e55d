// The architectures' makers, for the registry alone; others call BuildModel.
//
// Each checks its options: INVALID_ARGUMENT naming the option and its value.
#ifndef FOLDFARM_WORKER_MODELS_ARCHITECTURES_H_
#define FOLDFARM_WORKER_MODELS_ARCHITECTURES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/model.h"
#include "worker/models/model_options.h"

namespace foldfarm {

absl::StatusOr<std::shared_ptr<Model>> MakeResnet(const ResnetOptions& options,
                                                  int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeRnn(const RnnOptions& options,
                                               int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeVit1d(const Vit1dOptions& options,
                                                 int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeConv1d(const Conv1dOptions& options,
                                                  int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeSeresnext(
    const SeresnextOptions& options, int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeDpn(const DpnOptions& options,
                                               int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeEfficientnet(
    const EfficientnetOptions& options, int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeVit(const VitOptions& options,
                                               int num_labels);
absl::StatusOr<std::shared_ptr<Model>> MakeTabnet(const TabnetOptions& options,
                                                  int num_labels);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_ARCHITECTURES_H_
