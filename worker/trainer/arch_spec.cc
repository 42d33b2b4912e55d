#include "worker/trainer/arch_spec.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

// Bounds here keep nonsense out; sweep.proto's rules are stricter.
constexpr double kTiny = 1e-12;
constexpr int64_t kMany = 1'000'000;

void GetForm(JsonFields& fields, ClassifierForm& form) {
  fields.GetEnum<ClassifierForm>("form", "CLASSIFIER_FORM_",
                                 {{"simple_cls", ClassifierForm::kSimpleCls},
                                  {"simple_cls3", ClassifierForm::kSimpleCls3}},
                                 form);
}

absl::Status ParseResnet(JsonFields fields, ArchOptions& arch) {
  ResnetOptions options;
  fields.Get("layers", options.layers, 1, kMany);
  fields.Get("widths", options.widths, 1, kMany);
  GetForm(fields, options.form);
  fields.Get("head_dropout", options.head_dropout, 0, 0.95);
  fields.Get("stem_stride", options.stem_stride, 1, 8);
  arch = options;
  return fields.Finish();
}

absl::Status ParseRnn(JsonFields fields, ArchOptions& arch) {
  RnnOptions options;
  fields.GetEnum<RnnCell>("cell", "RNN_CELL_",
                          {{"gru", RnnCell::kGru}, {"lstm", RnnCell::kLstm}},
                          options.cell);
  fields.Get("hidden", options.hidden, 1, kMany);
  fields.Get("layers", options.layers, 1, kMany);
  fields.Get("dropout", options.dropout, 0, 0.95);
  fields.Get("head_dropout", options.head_dropout, 0, 0.95);
  arch = options;
  return fields.Finish();
}

absl::Status ParseVit1d(JsonFields fields, ArchOptions& arch) {
  Vit1dOptions options;
  fields.Get("dim", options.dim, 1, kMany);
  fields.Get("depth", options.depth, 1, kMany);
  fields.Get("heads", options.heads, 1, kMany);
  fields.Get("mlp_ratio", options.mlp_ratio, kTiny);
  fields.Get("dropout", options.dropout, 0, 0.95);
  arch = options;
  return fields.Finish();
}

absl::Status ParseConv1d(JsonFields fields, ArchOptions& arch) {
  Conv1dOptions options;
  fields.Get("stem", options.stem, 1, kMany);
  fields.Get("stem_kernel", options.stem_kernel, 1, kMany);
  fields.Get("widths", options.widths, 1, kMany);
  fields.Get("blocks", options.blocks, 1, kMany);
  fields.Get("kernel", options.kernel, 1, kMany);
  fields.Get("dropout", options.dropout, 0, 0.95);
  fields.Get("head_dropout", options.head_dropout, 0, 0.95);
  arch = options;
  return fields.Finish();
}

absl::Status ParseSeresnext(JsonFields fields, ArchOptions& arch) {
  SeresnextOptions options;
  fields.Get("layers", options.layers, 1, kMany);
  fields.Get("planes", options.planes, 1, kMany);
  fields.Get("cardinality", options.cardinality, 1, kMany);
  fields.Get("base_width", options.base_width, 1, kMany);
  fields.Get("squeeze", options.squeeze, kTiny, 1);
  GetForm(fields, options.form);
  fields.Get("head_dropout", options.head_dropout, 0, 0.95);
  fields.Get("stem_width", options.stem_width, 1, kMany);
  arch = options;
  return fields.Finish();
}

absl::Status ParseDpn(JsonFields fields, ArchOptions& arch) {
  DpnOptions options;
  fields.Get("stem_width", options.stem_width, 1, kMany);
  fields.Get("bottleneck", options.bottleneck, 1, kMany);
  fields.Get("groups", options.groups, 1, kMany);
  fields.Get("layers", options.layers, 1, kMany);
  fields.Get("residual", options.residual, 1, kMany);
  fields.Get("increments", options.increments, 1, kMany);
  GetForm(fields, options.form);
  fields.Get("head_dropout", options.head_dropout, 0, 0.95);
  arch = options;
  return fields.Finish();
}

absl::Status ParseEfficientnet(JsonFields fields, ArchOptions& arch) {
  EfficientnetOptions options;
  fields.Get("width", options.width, kTiny);
  fields.Get("depth", options.depth, kTiny);
  GetForm(fields, options.form);
  fields.Get("head_dropout", options.head_dropout, 0, 0.95);
  fields.Get("drop_path", options.drop_path, 0, 0.95);
  arch = options;
  return fields.Finish();
}

absl::Status ParseVit(JsonFields fields, ArchOptions& arch) {
  VitOptions options;
  fields.Get("patch", options.patch, 1, kMany);
  fields.Get("levels", options.levels, 2, kMany);
  fields.Get("dim", options.dim, 1, kMany);
  fields.Get("depth", options.depth, 1, kMany);
  fields.Get("heads", options.heads, 1, kMany);
  fields.Get("mlp_ratio", options.mlp_ratio, kTiny);
  fields.Get("dropout", options.dropout, 0, 0.95);
  arch = options;
  return fields.Finish();
}

absl::Status ParseBandFeatures(JsonFields& parent,
                               BandFeaturesOptions& options) {
  const Json* object = parent.Object("features");
  if (object == nullptr) return absl::OkStatus();
  JsonFields fields(*object, parent.Path("features"));
  fields.Get("bands", options.bands, kTiny);
  fields.Get("maximum", options.maximum);
  fields.Get("area", options.area);
  fields.Get("position", options.position);
  fields.Get("width", options.width);
  return fields.Finish();
}

absl::Status ParseTabnet(JsonFields fields, ArchOptions& arch) {
  TabnetOptions options;
  FOLDFARM_RETURN_IF_ERROR(ParseBandFeatures(fields, options.features));
  fields.Get("decision", options.decision, 1, kMany);
  fields.Get("attention", options.attention, 1, kMany);
  fields.Get("steps", options.steps, 1, kMany);
  fields.Get("relaxation", options.relaxation, 1);
  fields.Get("shared_layers", options.shared_layers, 0, kMany);
  fields.Get("step_layers", options.step_layers, 0, kMany);
  fields.GetEnum<TabnetMask>(
      "mask", "TABNET_MASK_",
      {{"sparsemax", TabnetMask::kSparsemax}, {"entmax", TabnetMask::kEntmax}},
      options.mask);
  fields.Get("sparsity", options.sparsity, 0);
  fields.Get("virtual_batch", options.virtual_batch, 2, kMany);
  fields.Get("momentum", options.momentum, 0, 1);
  arch = options;
  return fields.Finish();
}

absl::Status ParseXgboost(JsonFields fields, ArchOptions& arch) {
  XgboostOptions options;
  FOLDFARM_RETURN_IF_ERROR(ParseBandFeatures(fields, options.features));
  fields.Get("rounds", options.rounds, 1, kMany);
  fields.Get("learning_rate", options.learning_rate, kTiny, 1);
  fields.GetEnum<TreeGrowth>("growth", "TREE_GROWTH_",
                             {{"depthwise", TreeGrowth::kDepthwise},
                              {"lossguide", TreeGrowth::kLossguide}},
                             options.growth);
  fields.Get("max_depth", options.max_depth, 0, kMany);
  fields.Get("max_leaves", options.max_leaves, 0, kMany);
  fields.GetEnum<TreeBooster>(
      "booster", "TREE_BOOSTER_",
      {{"gbtree", TreeBooster::kGbtree}, {"dart", TreeBooster::kDart}},
      options.booster);
  fields.Get("rate_drop", options.rate_drop, 0, 1);
  fields.Get("skip_drop", options.skip_drop, 0, 1);
  fields.Get("subsample", options.subsample, kTiny, 1);
  fields.Get("colsample", options.colsample, kTiny, 1);
  fields.Get("min_child_weight", options.min_child_weight, 0);
  fields.Get("lambda", options.lambda, 0);
  fields.Get("alpha", options.alpha, 0);
  fields.GetEnum<TreeTargets>("targets", "TREE_TARGETS_",
                              {{"one_per_label", TreeTargets::kOnePerLabel},
                               {"multi_output", TreeTargets::kMultiOutput}},
                              options.targets);
  fields.Get("draws", options.draws, 1, kMany);
  fields.Get("epoch_rounds", options.epoch_rounds, 1, kMany);
  fields.Get("bins", options.bins, 2, kMany);
  arch = options;
  return fields.Finish();
}

absl::Status ParseNone(JsonFields fields, ArchOptions& arch) {
  arch = NoneOptions();
  return fields.Finish();
}

}  // namespace

absl::Status ParseArch(JsonFields fields, const std::string& where,
                       ArchOptions& arch) {
  using Parser = absl::Status (*)(JsonFields, ArchOptions&);
  const std::pair<const char*, Parser> parsers[] = {
      {"resnet", ParseResnet},
      {"rnn", ParseRnn},
      {"vit1d", ParseVit1d},
      {"conv1d", ParseConv1d},
      {"seresnext", ParseSeresnext},
      {"dpn", ParseDpn},
      {"efficientnet", ParseEfficientnet},
      {"vit", ParseVit},
      {"tabnet", ParseTabnet},
      {"xgboost", ParseXgboost},
      {"none", ParseNone}};
  std::vector<std::string> found;
  for (const auto& [name, parser] : parsers) {
    if (const Json* object = fields.Object(name)) {
      found.push_back(name);
      FOLDFARM_RETURN_IF_ERROR(
          parser(JsonFields(*object, fields.Path(name)), arch));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(fields.Finish());
  if (found.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " names ", found.size(), " architectures (",
                     absl::StrJoin(found, ", "), "), expected 1"));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
