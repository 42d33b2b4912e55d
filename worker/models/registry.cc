// Every architecture, by its options.
#include "absl/status/status.h"
#include "worker/models/architectures.h"
#include "worker/models/model.h"

namespace foldfarm {
namespace {

struct Maker {
  using Result = absl::StatusOr<std::shared_ptr<Model>>;
  int num_labels;

  Result operator()(const NoneOptions&) const {
    return absl::InvalidArgumentError("arch none has no network");
  }
  Result operator()(const ResnetOptions& options) const {
    return MakeResnet(options, num_labels);
  }
  Result operator()(const RnnOptions& options) const {
    return MakeRnn(options, num_labels);
  }
  Result operator()(const Vit1dOptions& options) const {
    return MakeVit1d(options, num_labels);
  }
  Result operator()(const Conv1dOptions& options) const {
    return MakeConv1d(options, num_labels);
  }
  Result operator()(const SeresnextOptions& options) const {
    return MakeSeresnext(options, num_labels);
  }
  Result operator()(const DpnOptions& options) const {
    return MakeDpn(options, num_labels);
  }
  Result operator()(const EfficientnetOptions& options) const {
    return MakeEfficientnet(options, num_labels);
  }
  Result operator()(const VitOptions& options) const {
    return MakeVit(options, num_labels);
  }
  Result operator()(const TabnetOptions& options) const {
    return MakeTabnet(options, num_labels);
  }
  Result operator()(const XgboostOptions&) const {
    return absl::InvalidArgumentError("arch xgboost is not a network");
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> BuildModel(const ArchOptions& options,
                                                  int num_labels) {
  return std::visit(Maker{num_labels}, options);
}

}  // namespace foldfarm
