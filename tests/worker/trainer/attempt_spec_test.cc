#include "worker/trainer/attempt_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As Protobuf's JSON printer writes a complete AttemptSpec.
constexpr char kComplete[] = R"({
  "job": "s3/164/2",
  "model": {
    "name": "164",
    "representation": {"tempStep": 10, "tempQueryRange": 12, "probSmooth": 8,
      "heScale": 0.2, "minClip": 0.001, "logSpace": true, "normToOne": true,
      "normalizeMSeparately": true},
    "augment": {"mzVar": 1, "mixProb": 0.25, "subBgProb": 0.5, "heVar": 0.002,
      "scaleVar": 0.1},
    "train": {"epochs": 20, "batch": 16, "optimizer": "OPTIMIZER_SGD",
      "lr": 0.001, "weightDecay": 0.02, "momentum": 0.8,
      "schedule": {"kind": "SCHEDULE_KIND_COSINE_WARM_RESTARTS", "period": 8,
        "mult": 1.5, "floor": 0.01, "warmup": 0},
      "gradClip": 32, "labelSmoothing": 0.01, "loss": "LOSS_BCE",
      "precision": "PRECISION_BF16", "checkpointMinutes": 1,
      "checkpointEpochs": 5, "keepCheckpoint": false, "validateEvery": 2, "ema": 0.99},
    "arch": {"resnet": {"layers": [1, 2], "widths": [8, 16],
      "form": "CLASSIFIER_FORM_SIMPLE_CLS3", "headDropout": 0.1,
      "stemStride": [1, 2]}},
    "slots": 2, "seed": 9
  },
  "fold": 2, "seed": 4294967295, "tta": 4,
  "trainSamples": ["S0001", "S0002"], "validationSamples": ["S0003"],
  "device": "cuda:0", "threads": 3, "attempt": 2
})";

TEST(AttemptSpecTest, ProtoJsonIsReadFieldByField) {
  const auto spec = ParseAttemptSpec(kComplete, "attempt.json");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->job, "s3/164/2");
  EXPECT_EQ(spec->model_name, "164");
  EXPECT_EQ(spec->fold, 2);
  EXPECT_EQ(spec->seed, 4294967295u);
  EXPECT_EQ(spec->tta, 4);
  EXPECT_THAT(spec->train_samples, ElementsAre("S0001", "S0002"));
  EXPECT_THAT(spec->validation_samples, ElementsAre("S0003"));
  EXPECT_EQ(spec->device, "cuda:0");
  EXPECT_EQ(spec->threads, 3);
  EXPECT_EQ(spec->attempt, 2);

  EXPECT_EQ(spec->render.temp_step, 10);
  EXPECT_EQ(spec->render.temp_query_range, 12);
  EXPECT_EQ(spec->render.prob_smooth, 8);
  EXPECT_EQ(spec->render.he_scale, 0.2);
  EXPECT_EQ(spec->render.min_clip, 0.001);
  EXPECT_TRUE(spec->render.norm_to_one);
  EXPECT_TRUE(spec->render.normalize_m_separately);
  EXPECT_EQ(spec->render.mz_var, 1);
  EXPECT_EQ(spec->render.mix_prob, 0.25);
  EXPECT_EQ(spec->render.sub_bg_prob, 0.5);
  EXPECT_EQ(spec->render.he_var, 0.002);
  EXPECT_EQ(spec->render.scale_var, 0.1);

  EXPECT_EQ(spec->train.epochs, 20);
  EXPECT_EQ(spec->train.batch, 16);
  EXPECT_EQ(spec->train.optimizer, OptimizerKind::kSgd);
  EXPECT_EQ(spec->train.lr, 0.001);
  EXPECT_EQ(spec->train.momentum, 0.8);
  EXPECT_EQ(spec->train.schedule.kind, ScheduleKind::kCosineWarmRestarts);
  EXPECT_EQ(spec->train.schedule.period, 8);
  EXPECT_EQ(spec->train.precision, Precision::kBf16);
  EXPECT_EQ(spec->train.checkpoint_epochs, 5);
  EXPECT_FALSE(spec->train.keep_checkpoint);
  EXPECT_EQ(spec->train.validate_every, 2);
  EXPECT_EQ(spec->train.ema, 0.99);

  const auto& resnet = std::get<ResnetOptions>(spec->arch);
  EXPECT_THAT(resnet.layers, ElementsAre(1, 2));
  EXPECT_THAT(resnet.widths, ElementsAre(8, 16));
  EXPECT_EQ(resnet.form, ClassifierForm::kSimpleCls3);
  EXPECT_THAT(resnet.stem_stride, ElementsAre(1, 2));
}

TEST(AttemptSpecTest, NamesOfTheSweepFileAreTakenTooAndTheRestIsDefault) {
  const auto spec = ParseAttemptSpec(
      R"({"train_samples": ["a", "b"], "model": {
           "train": {"optimizer": "adamw", "schedule": {"kind": "constant"}},
           "arch": {"rnn": {"cell": "lstm", "hidden": 64}}}})",
      "attempt.json");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->device, "cpu");
  EXPECT_EQ(spec->tta, 16);
  EXPECT_EQ(spec->train.schedule.kind, ScheduleKind::kConstant);
  EXPECT_EQ(spec->train.lr, 1e-4);
  EXPECT_EQ(spec->render.temp_query_range, 16);
  const auto& rnn = std::get<RnnOptions>(spec->arch);
  EXPECT_EQ(rnn.cell, RnnCell::kLstm);
  EXPECT_EQ(rnn.hidden, 64);
  EXPECT_EQ(rnn.layers, 3);
}

struct BadSpec {
  const char* name;
  const char* json;
  const char* message;
};

class BadSpecTest : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadSpecTest, IsRefusedWithTheFieldAndWhatWasExpected) {
  const auto spec = ParseAttemptSpec(GetParam().json, "attempt.json");
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(spec.status().message()),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Specs, BadSpecTest,
    ::testing::Values(
        BadSpec{"not_json", "{", "attempt.json: not valid JSON"},
        BadSpec{"no_object", "[]", "attempt.json: is array, expected object"},
        BadSpec{"no_model", "{}", "model is missing"},
        BadSpec{"no_architecture", R"({"model": {}})",
                "model.arch names 0 architectures"},
        BadSpec{"two_architectures",
                R"({"model": {"arch": {"none": {}, "rnn": {}}}})",
                "names 2 architectures (rnn, none), expected 1"},
        BadSpec{"unknown_key",
                R"({"model": {"arch": {"resnet": {"depth": 3}}}})",
                "attempt.json: model.arch.resnet.depth is unknown"},
        BadSpec{"unknown_enum",
                R"({"model": {"arch": {"none": {}},
                     "train": {"optimizer": "OPTIMIZER_LION"}}})",
                "model.train.optimizer is \"OPTIMIZER_LION\", expected one of "
                "adamw, sgd"},
        BadSpec{"wrong_type",
                R"({"model": {"arch": {"none": {}}, "train": {"lr": "big"}}})",
                "model.train.lr is \"big\", expected a number"},
        BadSpec{"no_whole_number",
                R"({"model": {"arch": {"none": {}},
                     "train": {"epochs": 1.5}}})",
                "model.train.epochs is 1.5, expected a whole number from 1"},
        BadSpec{"out_of_range",
                R"({"model": {"arch": {"none": {}},
                     "augment": {"mixProb": 2}}})",
                "model.augment.mix_prob is 2, expected a number from 0 to 1"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace foldfarm
