#include "worker/trainer/attempt_spec.h"

#include <cmath>
#include <map>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "worker/trainer/arch_spec.h"
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

absl::Status ParseSamAugment(JsonFields fields, SamAugmentOptions& options) {
  fields.Get("prob", options.prob, 0, 1);
  fields.Get("drift", options.drift, 0);
  fields.Get("steps", options.steps, 0);
  fields.Get("tail", options.tail, 0);
  fields.Get("noise", options.noise, 0);
  fields.Get("temp_jitter", options.temp_jitter, 0);
  fields.Get("bin_width", options.bin_width, 0);
  fields.Get("gain", options.gain, 0);
  fields.Get("background", options.background, 0, 1);
  fields.Get("missing", options.missing, 0, 1);
  return fields.Finish();
}

absl::Status ParseInit(JsonFields fields, InitOptions& options) {
  fields.Get("weights", options.weights);
  fields.GetEnum<WeightsFormat>("format", "WEIGHTS_FORMAT_",
                                {{"auto", WeightsFormat::kAuto},
                                 {"safetensors", WeightsFormat::kSafetensors},
                                 {"pytorch", WeightsFormat::kPytorch}},
                                options.format);
  fields.Get("exclude", options.exclude);
  fields.Get("min_loaded", options.min_loaded, 0, 1);
  std::string digest;  // The farm's business.
  fields.Get("digest", digest);
  return fields.Finish();
}

absl::Status ParseSchedule(JsonFields fields, ScheduleOptions& options) {
  fields.GetEnum<ScheduleKind>(
      "kind", "SCHEDULE_KIND_",
      {{"cosine", ScheduleKind::kCosine},
       {"cosine_warm_restarts", ScheduleKind::kCosineWarmRestarts},
       {"constant", ScheduleKind::kConstant},
       {"one_cycle", ScheduleKind::kOneCycle},
       {"steps", ScheduleKind::kSteps}},
      options.kind);
  fields.Get("period", options.period, 1, kMany);
  fields.Get("mult", options.mult, 1);
  fields.Get("floor", options.floor, 0, 1);
  fields.Get("warmup", options.warmup, 0);
  fields.Get("rise", options.rise, 0, 1);
  fields.Get("start", options.start, kTiny, 1);
  fields.Get("milestones", options.milestones, 1, kMany);
  fields.Get("gamma", options.gamma, kTiny, 1);
  return fields.Finish();
}

absl::Status ParseTrain(JsonFields fields, TrainOptions& options) {
  fields.Get("epochs", options.epochs, 1, kMany);
  fields.Get("batch", options.batch, 1, kMany);
  fields.GetEnum<OptimizerKind>("optimizer", "OPTIMIZER_",
                                {{"adamw", OptimizerKind::kAdamw},
                                 {"sgd", OptimizerKind::kSgd},
                                 {"adam", OptimizerKind::kAdam}},
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
  fields.GetEnum<LossKind>("loss", "LOSS_",
                           {{"bce", LossKind::kBce},
                            {"focal", LossKind::kFocal},
                            {"asymmetric", LossKind::kAsymmetric}},
                           options.loss);
  fields.GetEnum<Precision>(
      "precision", "PRECISION_",
      {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}},
      options.precision);
  fields.Get("checkpoint_minutes", options.checkpoint_minutes, 0);
  fields.Get("checkpoint_epochs", options.checkpoint_epochs, 0, kMany);
  fields.Get("keep_checkpoint", options.keep_checkpoint);
  fields.Get("validate_every", options.validate_every, 1, kMany);
  fields.Get("ema", options.ema, 0, 1);
  fields.Get("focal_alpha", options.focal_alpha, 0, 1);
  fields.Get("focal_gamma", options.focal_gamma, 0);
  fields.Get("asymmetric_gamma_pos", options.asymmetric_gamma_pos, 0);
  fields.Get("asymmetric_gamma_neg", options.asymmetric_gamma_neg, 0);
  fields.Get("asymmetric_margin", options.asymmetric_margin, 0, 1);
  fields.Get("balance", options.balance, 0);
  fields.Get("positive_weights", options.positive_weights, kTiny);
  fields.Get("swa_start", options.swa_start, 0, 1);
  fields.Get("swa_every", options.swa_every, 1, kMany);
  fields.Get("early_stopping", options.early_stopping, 0, kMany);
  fields.Get("early_stopping_min_delta", options.early_stopping_min_delta, 0);
  return fields.Finish();
}

absl::Status ParseStages(const Json& stages, const std::string& where,
                         std::vector<StageOptions>& options) {
  for (size_t i = 0; i < stages.size(); ++i) {
    JsonFields fields(stages[i], absl::StrCat(where, "[", i, "]"));
    StageOptions stage;
    fields.Get("samples", stage.samples);
    if (const Json* train = fields.Object("train")) {
      FOLDFARM_RETURN_IF_ERROR(
          ParseTrain(JsonFields(*train, fields.Path("train")), stage.train));
    }
    FOLDFARM_RETURN_IF_ERROR(fields.Finish());
    options.push_back(std::move(stage));
  }
  return absl::OkStatus();
}

// Tells the tables of features what the images will show.
void SetImageScale(const RenderOptions& render, ArchOptions& arch) {
  ImageScale scale;
  scale.temp_step = render.temp_step;
  scale.log_space = render.log_space;
  if (render.norm_to_one)
    scale.decade = 1 / std::abs(std::log10(render.min_clip));
  if (auto* tabnet = std::get_if<TabnetOptions>(&arch)) {
    tabnet->features.scale = scale;
  } else if (auto* trees = std::get_if<XgboostOptions>(&arch)) {
    trees->features.scale = scale;
  }
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
  if (const Json* object = fields.Object("sam_augment")) {
    FOLDFARM_RETURN_IF_ERROR(
        ParseSamAugment(JsonFields(*object, fields.Path("sam_augment")),
                        spec.render.sam_augment));
  }
  if (const Json* object = fields.Object("init")) {
    FOLDFARM_RETURN_IF_ERROR(
        ParseInit(JsonFields(*object, fields.Path("init")), spec.init));
  }
  if (const Json* list = fields.List("stages")) {
    FOLDFARM_RETURN_IF_ERROR(
        ParseStages(*list, fields.Path("stages"), spec.stages));
  }
  fields.Get("labels", spec.labels);
  const Json* arch = fields.Object("arch");
  static const Json kNothing = Json::object();
  FOLDFARM_RETURN_IF_ERROR(ParseArch(
      JsonFields(arch == nullptr ? kNothing : *arch, fields.Path("arch")),
      fields.Path("arch"), spec.arch));
  SetImageScale(spec.render, spec.arch);
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
  const Json root = ParseJson(json);
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
  fields.Get("predict_samples", spec.predict_samples);
  fields.Get("device", spec.device);
  fields.Get("threads", spec.threads, 0, kMany);
  fields.Get("attempt", spec.attempt, 0, kMany);
  const Json* model = fields.Object("model");
  FOLDFARM_RETURN_IF_ERROR(fields.Finish());
  if (model == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": model is missing"));
  }
  spec.model_json = JsonText(*model);
  FOLDFARM_RETURN_IF_ERROR(
      ParseModel(JsonFields(*model, fields.Path("model")), spec));
  return spec;
}

absl::StatusOr<AttemptSpec> ParseModelSpec(absl::string_view json,
                                           absl::string_view name) {
  const Json model = ParseJson(json);
  if (model.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not valid JSON"));
  }
  AttemptSpec spec;
  spec.model_json = JsonText(model);
  FOLDFARM_RETURN_IF_ERROR(
      ParseModel(JsonFields(model, std::string(name)), spec));
  return spec;
}

}  // namespace foldfarm
