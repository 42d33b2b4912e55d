// What a good sweep file becomes.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/base/files.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

v1::SweepSpec Parse(const std::string& yaml) {
  const absl::StatusOr<v1::SweepSpec> spec = ParseSweep(yaml, "mars.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : v1::SweepSpec();
}

constexpr char kMarsTwo[] = R"(name: mars-two
folds: {count: 4, stratify: instrument_type, seed: 42}
tta: 16
defaults:
  representation: {temp_step: 12, temp_query_range: 12, prob_smooth: 12, he_scale: 0.1, min_clip: 1.0e-4, norm_to_one: true}
  augment: {mz_var: 0.5}
  train: {epochs: 1120, batch: 8, optimizer: adamw, lr: 5.0e-5, schedule: {kind: cosine_warm_restarts, period: 16, mult: 1.41421},
          grad_clip: 64, label_smoothing: 0.001, loss: bce, precision: bf16}
models:
  - {name: 130_gru, arch: {rnn: {cell: gru, hidden: 1024, layers: 3, dropout: 0.2, head_dropout: 0.5}}}
  - {name: 131_gru_mix0.25, like: 130_gru, augment: {mix_prob: 0.25}}
)";

TEST(ExpandTest, TheExampleOfTheDesignBecomesTwoCompleteModels) {
  const v1::SweepSpec spec = Parse(kMarsTwo);
  EXPECT_EQ(spec.name(), "mars-two");
  EXPECT_EQ(spec.folds().count(), 4);
  EXPECT_EQ(spec.folds().stratify(), "instrument_type");
  EXPECT_EQ(spec.folds().seed(), 42u);
  EXPECT_EQ(spec.tta(), 16);
  EXPECT_EQ(spec.order(), v1::JOB_ORDER_FOLD_MAJOR);
  EXPECT_FALSE(spec.has_defaults());
  ASSERT_EQ(spec.models_size(), 2);

  const v1::ModelSpec& gru = spec.models(0);
  EXPECT_EQ(gru.name(), "130_gru");
  EXPECT_EQ(gru.representation().temp_query_range(), 12);
  EXPECT_EQ(gru.representation().min_clip(), 1e-4);
  EXPECT_TRUE(gru.representation().norm_to_one());
  EXPECT_TRUE(gru.representation().log_space());  // By the rule.
  EXPECT_EQ(gru.augment().mz_var(), 0.5);
  EXPECT_TRUE(gru.augment().has_mix_prob());
  EXPECT_EQ(gru.augment().mix_prob(), 0);
  EXPECT_EQ(gru.train().epochs(), 1120);
  EXPECT_EQ(gru.train().lr(), 5e-5);
  EXPECT_EQ(gru.train().optimizer(), v1::OPTIMIZER_ADAMW);
  EXPECT_EQ(gru.train().precision(), v1::PRECISION_BF16);
  EXPECT_EQ(gru.train().schedule().kind(),
            v1::SCHEDULE_KIND_COSINE_WARM_RESTARTS);
  EXPECT_EQ(gru.train().schedule().floor(), 0.001);  // By the rule.
  EXPECT_EQ(gru.arch().rnn().cell(), v1::RNN_CELL_GRU);
  EXPECT_EQ(gru.arch().rnn().hidden(), 1024);
  EXPECT_EQ(gru.slots(), 1);
  EXPECT_FALSE(gru.has_seed());  // The sweep's.

  v1::ModelSpec mix = spec.models(1);
  EXPECT_EQ(mix.name(), "131_gru_mix0.25");
  EXPECT_FALSE(mix.has_like());
  EXPECT_EQ(mix.augment().mix_prob(), 0.25);
  // It differs in nothing else.
  mix.set_name(gru.name());
  mix.mutable_augment()->set_mix_prob(0);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(mix, gru));
}

// Every option that has a default is set, down to the bottom.
void ExpectComplete(const google::protobuf::Message& message) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    const v1::FieldRule& rule = field.options().GetExtension(v1::rule);
    const bool is_message =
        field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE;
    if (field.is_repeated()) {
      if (rule.default_().empty()) continue;
      EXPECT_GT(reflection.FieldSize(message, &field), 0) << field.full_name();
    } else if (is_message && reflection.HasField(message, &field)) {
      ExpectComplete(reflection.GetMessage(message, &field));
    } else if (is_message && !rule.internal()) {
      EXPECT_NE(field.real_containing_oneof(), nullptr) << field.full_name();
    } else if (!rule.default_().empty()) {
      EXPECT_TRUE(reflection.HasField(message, &field)) << field.full_name();
    }
  }
}

TEST(ExpandTest, EveryKindOfNetworkIsCompleteWhenNothingIsSaid) {
  const v1::SweepSpec spec = Parse(
      "name: kinds\n"
      "models:\n"
      "  - {name: a, arch: {resnet: {}}}\n"
      "  - {name: b, arch: {rnn: {}}}\n"
      "  - {name: c, arch: {vit1d: {}}}\n"
      "  - {name: d, arch: {conv1d:}}\n"
      "  - {name: e, arch: {none: {}}}\n"
      "  - {name: f, arch: {seresnext: {}}}\n"
      "  - {name: g, arch: {dpn: {}}}\n"
      "  - {name: h, arch: {efficientnet: {}}}\n"
      "  - {name: i, arch: {vit: {}}}\n"
      "  - {name: j, arch: {tabnet: {}}}\n"
      "  - {name: k, arch: {xgboost: {}}}\n"
      "  - {name: l, arch: {exec: {command: [sh]}}}\n");
  ASSERT_EQ(spec.models_size(), 12);
  for (const v1::ModelSpec& model : spec.models()) ExpectComplete(model);
  EXPECT_EQ(spec.models(0).arch().resnet().layers_size(), 4);
  EXPECT_EQ(spec.models(0).arch().resnet().layers(3), 3);
  EXPECT_EQ(spec.models(2).arch().vit1d().heads(), 32);
  EXPECT_TRUE(spec.models(4).arch().has_none());
  EXPECT_EQ(spec.folds().count(), 4);
  EXPECT_EQ(spec.tta(), 16);
  EXPECT_EQ(spec.seed(), 1u);
}

TEST(ExpandTest, AModelWinsOverItsLikeAndThatOverTheDefaults) {
  const v1::SweepSpec spec = Parse(
      "name: layers\n"
      "defaults: {train: {epochs: 1, batch: 2, lr: 0.1}, slots: 4}\n"
      "models:\n"
      "  - {name: a, arch: {none: {}}, train: {batch: 3, lr: 0.2}}\n"
      "  - {name: b, like: a, train: {lr: 0.3}}\n"
      "  - {name: c, like: b, slots: 2}\n");
  const v1::ModelSpec& c = spec.models(2);
  EXPECT_EQ(c.train().epochs(), 1);
  EXPECT_EQ(c.train().batch(), 3);
  EXPECT_EQ(c.train().lr(), 0.3);
  EXPECT_EQ(c.slots(), 2);
  EXPECT_TRUE(c.arch().has_none());
  EXPECT_EQ(spec.models(1).slots(), 4);
}

TEST(ExpandTest, AnotherKindOfNetworkDropsTheFormerKindsOptions) {
  const v1::SweepSpec spec = Parse(
      "name: kinds\n"
      "defaults: {arch: {rnn: {hidden: 64, layers: 2}}}\n"
      "models:\n"
      "  - {name: same, arch: {rnn: {layers: 1}}}\n"
      "  - {name: other, arch: {conv1d: {kernel: 3}}}\n"
      "  - {name: back, like: other, arch: {rnn: {}}}\n");
  EXPECT_EQ(spec.models(0).arch().rnn().hidden(), 64);
  EXPECT_EQ(spec.models(0).arch().rnn().layers(), 1);
  EXPECT_FALSE(spec.models(1).arch().has_rnn());
  EXPECT_EQ(spec.models(1).arch().conv1d().kernel(), 3);
  // Its like's kind was dropped, the defaults' options of the own kind were
  // not.
  EXPECT_EQ(spec.models(2).arch().rnn().hidden(), 64);
  EXPECT_EQ(spec.models(2).arch().rnn().layers(), 2);
}

TEST(ExpandTest, AListReplacesTheListItOverrides) {
  const v1::SweepSpec spec = Parse(
      "name: lists\n"
      "models:\n"
      "  - {name: a, arch: {resnet: {layers: [1, 1], widths: [8, 16]}}}\n"
      "  - {name: b, like: a, arch: {resnet: {layers: [2, 3]}}}\n");
  const v1::ResnetSpec& b = spec.models(1).arch().resnet();
  ASSERT_EQ(b.layers_size(), 2);
  EXPECT_EQ(b.layers(0), 2);
  EXPECT_EQ(b.layers(1), 3);
  ASSERT_EQ(b.widths_size(), 2);
  EXPECT_EQ(b.widths(1), 16);
}

TEST(ExpandTest, AStageSaysOnlyWhatDiffersFromTheModelsTrain) {
  const v1::SweepSpec spec = Parse(
      "name: stages\n"
      "defaults: {train: {batch: 32}}\n"
      "models:\n"
      "  - name: a\n"
      "    arch: {rnn: {}}\n"
      "    train: {epochs: 40, lr: 0.01, schedule: {warmup: 2}}\n"
      "    stages:\n"
      "      - {samples: {instrument_type: commercial}}\n"
      "      - {train: {epochs: 10, schedule: {warmup: 0}}}\n"
      "  - {name: b, like: a, train: {lr: 0.02}}\n");
  for (const v1::ModelSpec& model : spec.models()) {
    ASSERT_EQ(model.stages_size(), 2);
    for (const v1::StageSpec& stage : model.stages()) {
      ExpectComplete(stage.train());
    }
  }
  const v1::ModelSpec& a = spec.models(0);
  EXPECT_EQ(a.stages(0).samples().at("instrument_type"), "commercial");
  EXPECT_EQ(a.stages(0).train().epochs(), 40);
  EXPECT_EQ(a.stages(0).train().batch(), 32);
  EXPECT_EQ(a.stages(0).train().schedule().warmup(), 2);
  EXPECT_TRUE(a.stages(1).samples().empty());
  EXPECT_EQ(a.stages(1).train().epochs(), 10);
  EXPECT_EQ(a.stages(1).train().lr(), 0.01);
  EXPECT_EQ(a.stages(1).train().schedule().warmup(), 0);
  // What a model changes, its stages change, too.
  EXPECT_EQ(spec.models(1).stages(1).train().lr(), 0.02);
  EXPECT_EQ(spec.models(1).stages(1).train().epochs(), 10);
}

TEST(ExpandTest, AUsersOwnConfigurationKeepsItsShapeAndTypes) {
  const v1::SweepSpec spec = Parse(
      "name: exec\n"
      "models:\n"
      "  - name: a\n"
      "    arch:\n"
      "      exec:\n"
      "        command: [python3, train.py, '3']\n"
      "        config:\n"
      "          whole: 31\n"
      "          hex: 0x1f\n"
      "          octal: 0o17\n"
      "          share: -1.5e-3\n"
      "          yes: yes\n"
      "          on: true\n"
      "          none: ~\n"
      "          quoted: '31'\n"
      "          tagged: !!str 31\n"
      "          version: 1.2.3\n"
      "          list: [1, [a, {b: null}]]\n");
  const v1::ExecSpec& exec = spec.models(0).arch().exec();
  EXPECT_EQ(exec.command(2), "3");
  const auto& config = exec.config().fields();
  EXPECT_EQ(config.at("whole").number_value(), 31);
  EXPECT_EQ(config.at("hex").number_value(), 31);
  EXPECT_EQ(config.at("octal").number_value(), 15);
  EXPECT_EQ(config.at("share").number_value(), -1.5e-3);
  EXPECT_EQ(config.at("yes").string_value(), "yes");
  EXPECT_TRUE(config.at("on").bool_value());
  EXPECT_TRUE(config.at("none").has_null_value());
  EXPECT_EQ(config.at("quoted").string_value(), "31");
  EXPECT_EQ(config.at("tagged").string_value(), "31");
  EXPECT_EQ(config.at("version").string_value(), "1.2.3");
  EXPECT_TRUE(config.at("list")
                  .list_value()
                  .values(1)
                  .list_value()
                  .values(1)
                  .struct_value()
                  .fields()
                  .at("b")
                  .has_null_value());
}

TEST(ExpandTest, WeightsOfPositivesAreAMapOfNumbersByLabel) {
  const v1::SweepSpec spec = Parse(
      "name: weights\n"
      "models: [{name: a, arch: {rnn: {}}, labels: [oxalate, sulfide],\n"
      "          train: {positive_weights: {oxalate: 3, sulfide: 2.5}}}]\n");
  EXPECT_EQ(spec.models(0).train().positive_weights().at("sulfide"), 2.5);
  EXPECT_EQ(spec.models(0).labels(1), "sulfide");
}

TEST(ExpandTest, AnchorsAndAliasesOfYamlMayBeUsed) {
  const v1::SweepSpec spec = Parse(
      "name: anchors\n"
      "models:\n"
      "  - {name: a, arch: {none: {}}, train: &t {epochs: 7}}\n"
      "  - {name: b, arch: {none: {}}, train: *t}\n");
  EXPECT_EQ(spec.models(1).train().epochs(), 7);
}

TEST(ExpandTest, AHoldoutLeavesTheOptionsOfCountedFoldsUnset) {
  const v1::SweepSpec spec = Parse(
      "name: sam\n"
      "folds: {holdout: {instrument_type: sam_testbed}}\n"
      "models: [{name: a, arch: {none: {}}}]\n");
  EXPECT_EQ(spec.folds().holdout().at("instrument_type"), "sam_testbed");
  EXPECT_FALSE(spec.folds().has_count());
  EXPECT_FALSE(spec.folds().has_stratify());
}

TEST(ExpandTest, AFoldFileIsReadFromBesideTheSweepFile) {
  const std::string directory = *MakeTemporaryDirectory("sweep_test");
  ASSERT_TRUE(WriteFileAtomically(JoinPath(directory, "folds.csv"),
                                  "sample_id,fold\nS0001,1\nS0002,0\n")
                  .ok());
  const std::string path = JoinPath(directory, "mars.yaml");
  ASSERT_TRUE(WriteFileAtomically(path,
                                  "name: m\nfolds: {file: folds.csv}\n"
                                  "models: [{name: a, arch: {none: {}}}]\n")
                  .ok());
  const absl::StatusOr<v1::SweepSpec> spec = LoadSweepFile(path);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_FALSE(spec->folds().has_count());
  ASSERT_EQ(spec->folds().assignment_size(), 2);
  EXPECT_EQ(spec->folds().assignment(0).sample_id(), "S0001");
  EXPECT_EQ(spec->folds().assignment(0).fold(), 1);
  // Its mistakes are told under the name by which it is found from here.
  ASSERT_TRUE(WriteFileAtomically(JoinPath(directory, "folds.csv"),
                                  "sample_id,fold\nS0001\n")
                  .ok());
  EXPECT_EQ(LoadSweepFile(path).status().message(),
            absl::StrCat(directory, "/folds.csv:2: got 1 cell, expected 2"));
  ASSERT_TRUE(RemoveRecursively(directory).ok());
}

TEST(LoadSweepFileTest, TheSweepsThatComeWithTheFarmAreSound) {
  const std::string folder = JoinPath(FOLDFARM_SOURCE_DIR, "deploy/sweeps");
  const std::vector<std::string> names = ListDirectory(folder).value();
  EXPECT_FALSE(names.empty());
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".yaml")) continue;
    const absl::StatusOr<v1::SweepSpec> spec =
        LoadSweepFile(JoinPath(folder, name));
    EXPECT_TRUE(spec.ok()) << spec.status();
  }
}

TEST(ParseSweepTest, WhatTheFarmSetsIsNotFilledIn) {
  EXPECT_FALSE(Parse(kMarsTwo).has_prediction());
}

TEST(ModelToJsonTest, EqualModelsGiveEqualTextWithEveryOption) {
  const std::string json = ModelToJson(Parse(kMarsTwo).models(0));
  EXPECT_EQ(json, ModelToJson(Parse(kMarsTwo).models(0)));
  EXPECT_NE(json.find("\"subBgProb\":0"), std::string::npos) << json;
  EXPECT_NE(json.find("\"optimizer\":\"OPTIMIZER_ADAMW\""), std::string::npos);
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_NE(json, ModelToJson(Parse(kMarsTwo).models(1)));
}

TEST(ModelToJsonTest, MapsAreInOrderWhateverTheOrderOfTheFile) {
  const auto json = [](const std::string& weights) {
    return ModelToJson(
        Parse("name: maps\nmodels: [{name: a, arch: {rnn: {}}, train: "
              "{positive_weights: {" +
              weights + "}}}]\n")
            .models(0));
  };
  const std::string text = json("b: 2, a: 1, d: 4, c: 3, e: 5");
  EXPECT_EQ(text, json("e: 5, d: 4, c: 3, b: 2, a: 1"));
  EXPECT_NE(text.find("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace foldfarm
