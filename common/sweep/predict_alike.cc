#include "common/sweep/predict_alike.h"

#include <google/protobuf/util/message_differencer.h>

namespace foldfarm {
namespace {

// Those of a model's options that its predictions depend on.
v1::ModelSpec PredictionOptions(const v1::ModelSpec& model) {
  v1::ModelSpec options;
  *options.mutable_representation() = model.representation();
  *options.mutable_augment() = model.augment();
  *options.mutable_labels() = model.labels();
  const v1::ArchSpec& arch = model.arch();
  if (!arch.has_xgboost() && !arch.has_exec()) *options.mutable_arch() = arch;
  return options;
}

}  // namespace

bool PredictAlike(const v1::ModelSpec& a, const v1::ModelSpec& b) {
  return a.arch().kind_case() == b.arch().kind_case() &&
         google::protobuf::util::MessageDifferencer::Equals(
             PredictionOptions(a), PredictionOptions(b));
}

}  // namespace foldfarm
