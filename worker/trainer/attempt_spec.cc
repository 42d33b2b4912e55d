#include "worker/trainer/attempt_spec.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "worker/trainer/json_fields.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

// Bounds here keep nonsense out; sweep.proto's rules are stricter.
constexpr double kTiny = 1e-12;
constexpr int64_t kMany = 1'000'000;

absl::Status ParseRepresentation(JsonFields fields, RenderOptions& options) {
  fields.Get("temp_step", options.temp_step, kTiny);
  fields.Get("temp_query_range", options.temp_query_range, 0);
  fields.Get("prob_smooth", options.prob_smooth, kTiny);
  fields.Get("he_scale", options.he_scale, 0);
  fields.Get("min_clip", options.min_clip, kTiny, 0.5);
  fields.Get("log_space", options.log_space);
  fields.Get("norm_to_one", options.norm_to_one);
  fields.Get("normalize_m_separately", options.normalize_m_separately);
  return fields.Finish();
}

absl::Status ParseAugment(JsonFields fields, RenderOptions& options) {
  fields.Get("mz_var", options.mz_var, 0);
  fields.Get("mix_prob", options.mix_prob, 0, 1);
  fields.Get("sub_bg_prob", options.sub_bg_prob, 0, 1);
  fields.Get("he_var", options.he_var, 0);
  fields.Get("scale_var", options.scale_var, 0);
  return fields.Finish();
}

absl::Status ParseSchedule(JsonFields fields, ScheduleOptions& options) {
  fields.GetEnum<ScheduleKind>(
      "kind", "SCHEDULE_KIND_",
      {{"cosine", ScheduleKind::kCosine},
       {"cosine_warm_restarts", ScheduleKind::kCosineWarmRestarts},
       {"constant", ScheduleKind::kConstant}},
      options.kind);
  fields.Get("period", options.period, 1, kMany);
  fields.Get("mult", options.mult, 1);
  fields.Get("floor", options.floor, 0, 1);
  fields.Get("warmup", options.warmup, 0);
  return fields.Finish();
}

absl::Status ParseTrain(JsonFields fields, TrainOptions& options) {
  fields.Get("epochs", options.epochs, 1, kMany);
  fields.Get("batch", options.batch, 1, kMany);
  fields.GetEnum<OptimizerKind>(
      "optimizer", "OPTIMIZER_",
      {{"adamw", OptimizerKind::kAdamw}, {"sgd", OptimizerKind::kSgd}},
      options.optimizer);
  fields.Get("lr", options.lr, 0);
  fields.Get("weight_decay", options.weight_decay, 0);
  fields.Get("momentum", options.momentum, 0, 1);
  if (const Json* schedule = fields.Object("schedule")) {
    FOLDFARM_RETURN_IF_ERROR(ParseSchedule(
        JsonFields(*schedule, fields.Path("schedule")), options.schedule));
  }
  fields.Get("grad_clip", options.grad_clip, 0);
  fields.Get("label_smoothing", options.label_smoothing, 0, 0.5);
  bool loss = true;  // Only one so far.
  fields.GetEnum<bool>("loss", "LOSS_", {{"bce", true}}, loss);
  fields.GetEnum<Precision>(
      "precision", "PRECISION_",
      {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}},
      options.precision);
  fields.Get("checkpoint_minutes", options.checkpoint_minutes, 0);
  fields.Get("checkpoint_epochs", options.checkpoint_epochs, 0, kMany);
  fields.Get("validate_every", options.validate_every, 1, kMany);
  fields.Get("ema", options.ema, 0, 1);
  return fields.Finish();
}

absl::Status ParseResnet(JsonFields fields, ArchOptions& arch) {
  ResnetOptions options;
  fields.Get("layers", options.layers, 1, kMany);
  fields.Get("widths", options.widths, 1, kMany);
  fields.GetEnum<ClassifierForm>("form", "CLASSIFIER_FORM_",
                                 {{"simple_cls", ClassifierForm::kSimpleCls},
                                  {"simple_cls3", ClassifierForm::kSimpleCls3}},
                                 options.form);
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

absl::Status ParseNone(JsonFields fields, ArchOptions& arch) {
  arch = NoneOptions();
  return fields.Finish();
}

absl::Status ParseArch(JsonFields fields, const std::string& where,
                       ArchOptions& arch) {
  using Parser = absl::Status (*)(JsonFields, ArchOptions&);
  const std::pair<const char*, Parser> parsers[] = {{"resnet", ParseResnet},
                                                    {"rnn", ParseRnn},
                                                    {"vit1d", ParseVit1d},
                                                    {"conv1d", ParseConv1d},
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

absl::Status ParseModel(JsonFields fields, AttemptSpec& spec) {
  fields.Get("name", spec.model_name);
  if (const Json* object = fields.Object("representation")) {
    FOLDFARM_RETURN_IF_ERROR(ParseRepresentation(
        JsonFields(*object, fields.Path("representation")), spec.render));
  }
  if (const Json* object = fields.Object("augment")) {
    FOLDFARM_RETURN_IF_ERROR(
        ParseAugment(JsonFields(*object, fields.Path("augment")), spec.render));
  }
  if (const Json* object = fields.Object("train")) {
    FOLDFARM_RETURN_IF_ERROR(
        ParseTrain(JsonFields(*object, fields.Path("train")), spec.train));
  }
  const Json* arch = fields.Object("arch");
  static const Json kNothing = Json::object();
  FOLDFARM_RETURN_IF_ERROR(ParseArch(
      JsonFields(arch == nullptr ? kNothing : *arch, fields.Path("arch")),
      fields.Path("arch"), spec.arch));
  // The farm's business.
  std::string like;
  fields.Get("like", like);
  int slots = 1;
  fields.Get("slots", slots, 0, kMany);
  uint32_t seed = 0;
  fields.Get("seed", seed);
  return fields.Finish();
}

}  // namespace

absl::StatusOr<AttemptSpec> ParseAttemptSpec(absl::string_view json,
                                             absl::string_view name) {
  const Json root = Json::parse(json.begin(), json.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (root.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not valid JSON"));
  }
  AttemptSpec spec;
  JsonFields fields(root, absl::StrCat(name, ":"));
  fields.Get("job", spec.job);
  fields.Get("fold", spec.fold, 0, kMany);
  fields.Get("seed", spec.seed);
  fields.Get("tta", spec.tta, 1, kMany);
  fields.Get("train_samples", spec.train_samples);
  fields.Get("validation_samples", spec.validation_samples);
  fields.Get("device", spec.device);
  fields.Get("threads", spec.threads, 0, kMany);
  fields.Get("attempt", spec.attempt, 0, kMany);
  const Json* model = fields.Object("model");
  FOLDFARM_RETURN_IF_ERROR(fields.Finish());
  if (model == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": model is missing"));
  }
  spec.model_json = model->dump();
  FOLDFARM_RETURN_IF_ERROR(
      ParseModel(JsonFields(*model, fields.Path("model")), spec));
  return spec;
}

}  // namespace foldfarm
