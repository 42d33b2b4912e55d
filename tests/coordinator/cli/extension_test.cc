// submit --extend: what is sent to be trained on.
#include "coordinator/cli/extension.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/json_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

v1::ModelSpec& AddModel(v1::SweepSpec& spec, const std::string& name) {
  v1::ModelSpec& model = *spec.add_models();
  model.set_name(name);
  model.mutable_train()->set_epochs(10);
  model.mutable_train()->set_optimizer(v1::OPTIMIZER_ADAMW);
  return model;
}

// Complete, of a network, trees, and what is not trained in epochs.
v1::Sweep Source() {
  v1::Sweep source;
  source.set_id("s3");
  source.set_name("mars");
  source.set_dataset("data");
  v1::SweepSpec& spec = *source.mutable_spec();
  spec.set_name("mars");
  spec.set_seed(7);
  spec.mutable_folds()->set_count(2);
  spec.mutable_screen()->set_keep(2);
  spec.mutable_stop_when()->set_for_models(2);
  AddModel(spec, "gru").mutable_arch()->mutable_rnn();
  AddModel(spec, "trees").mutable_arch()->mutable_xgboost()->set_rounds(30);
  AddModel(spec, "prior").mutable_arch()->mutable_none();
  return source;
}

absl::StatusOr<Extension> Extend(const v1::Sweep& source,
                                 const std::vector<std::string>& sets,
                                 const std::string& name = "") {
  return ExtendSweep(source, {}, sets, name);
}

TEST(ExtendSweepTest, KeepsWhatThereIsAndSetsWhatWasSaid) {
  const auto extension =
      Extend(Source(), {"train.epochs=20", "arch.xgboost.rounds=60", "tta=4"});
  ASSERT_TRUE(extension.ok()) << extension.status();
  const v1::SweepSpec& spec = extension->spec;
  EXPECT_EQ(spec.extends(), "s3");
  EXPECT_EQ(spec.name(), "mars-extended");
  EXPECT_EQ(spec.seed(), 7u);
  EXPECT_EQ(spec.folds().count(), 2);
  EXPECT_EQ(spec.tta(), 4);
  EXPECT_FALSE(spec.has_screen()) << "it has chosen already";
  EXPECT_FALSE(spec.has_stop_when());
  ASSERT_EQ(spec.models_size(), 2);
  EXPECT_EQ(spec.models(0).train().epochs(), 20);
  EXPECT_EQ(spec.models(1).arch().xgboost().rounds(), 60);
  EXPECT_THAT(extension->left_out, ElementsAre("prior (arch none)"));
}

TEST(ExtendSweepTest, ANameMayBeGivenAndNoneGetsTooLong) {
  EXPECT_EQ(Extend(Source(), {}, "longer")->spec.name(), "longer");
  v1::Sweep source = Source();
  source.set_name(std::string(64, 'm'));
  const std::string name = Extend(source, {})->spec.name();
  EXPECT_EQ(name, std::string(55, 'm') + "-extended");
}

TEST(ExtendSweepTest, OfStagesTheLastOneIsChanged) {
  v1::Sweep source = Source();
  v1::ModelSpec& model = *source.mutable_spec()->mutable_models(0);
  for (const int epochs : {4, 6}) {
    model.add_stages()->mutable_train()->set_epochs(epochs);
  }
  const auto extension = Extend(source, {"train.epochs=20"});
  ASSERT_TRUE(extension.ok()) << extension.status();
  const v1::ModelSpec& changed = extension->spec.models(0);
  EXPECT_EQ(changed.stages(0).train().epochs(), 4);
  EXPECT_EQ(changed.stages(1).train().epochs(), 20);
}

TEST(ExtendSweepTest, WhatTheSweepDroppedIsLeftOut) {
  std::vector<v1::Job> jobs(2);
  jobs[0].set_model("trees");
  jobs[0].set_state(v1::Job::CANCELLED);
  jobs[0].set_error("screened: not among the best 1 on fold 0");
  // A person did this, and may have meant it otherwise.
  jobs[1].set_model("gru");
  jobs[1].set_state(v1::Job::CANCELLED);
  const auto extension = ExtendSweep(Source(), jobs, {}, "");
  ASSERT_TRUE(extension.ok()) << extension.status();
  ASSERT_EQ(extension->spec.models_size(), 1);
  EXPECT_EQ(extension->spec.models(0).name(), "gru");
  EXPECT_THAT(extension->left_out,
              ElementsAre("trees (dropped)", "prior (arch none)"));
}

TEST(ExtendSweepTest, MistakesAreNamed) {
  const auto message = [](const v1::Sweep& source,
                          const std::vector<std::string>& sets) {
    const absl::Status status = Extend(source, sets).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(message(Source(), {"train.epoch=20", "train.lr=-1"}),
              AllOf(HasSubstr("did you mean 'epochs'?"), HasSubstr("lr")));
  EXPECT_THAT(message(Source(), {"extends=s1"}), HasSubstr("'extends'"));
  EXPECT_THAT(message(Source(), {"arch.vit.dim=8"}),
              HasSubstr("no model of the sweep has this architecture"));
  EXPECT_THAT(message(Source(), {"train.ema=0.9", "train.swa_start=0.5"}),
              HasSubstr("model 'gru': ema is 0.9 and swa_start 0.5"));
  v1::Sweep source = Source();
  source.mutable_spec()->clear_models();
  AddModel(*source.mutable_spec(), "prior").mutable_arch()->mutable_none();
  EXPECT_THAT(message(source, {}), HasSubstr("prior (arch none)"));
  source.set_prediction("test with s1");
  EXPECT_THAT(message(source, {}), HasSubstr("s3 predicts test with s1"));
}

class SubmitExtensionTest : public ScriptedFarmTest {
 protected:
  void SetUp() override {
    ScriptedFarmTest::SetUp();
    farm_.spec = Source().spec();
  }
};

TEST_F(SubmitExtensionTest, NeedsNoFileAndNoDataset) {
  const Outcome outcome =
      Run({"submit", "--extend", "mars", "--set", "train.epochs=20", "--name",
           "longer", "--priority", "3"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "s1\n");
  EXPECT_THAT(outcome.err, HasSubstr("Left out: prior (arch none)"));
  EXPECT_EQ(farm_.submitted.dataset(), "data");
  const v1::SweepSpec& spec = farm_.submitted.spec();
  EXPECT_EQ(spec.extends(), "s1") << "the id, whatever it was named by";
  EXPECT_EQ(spec.name(), "longer");
  EXPECT_EQ(spec.priority(), 3);
  EXPECT_EQ(spec.models(0).train().epochs(), 20);
}

TEST_F(SubmitExtensionTest, ADryRunShowsWhatWouldBeTrainedOn) {
  const std::string trainer =
      Trainer("echo '{\"models\": [{\"parameters\": 7}, {}]}'\n");
  const std::vector<std::string> arguments = {
      "submit", "--extend",        "s1",        "--dry-run",
      "--set",  "train.epochs=20", "--trainer", trainer};
  const Outcome outcome = Run(arguments);
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("gru       0  rnn          20"),
                    HasSubstr("Trains on from the checkpoints of s1.")));
  EXPECT_TRUE(farm_.submitted.validate_only()) << "nothing is submitted";
  std::vector<std::string> json = arguments;
  json.insert(json.end(), {"-o", "json"});
  EXPECT_EQ(ParseJson(Run(json).out)["extends"], "s1");
}

TEST_F(SubmitExtensionTest, AFileOrASweepIsNamedAndNotBoth) {
  const Outcome both = Run({"submit", Path("a.yaml"), "--extend", "s1"});
  EXPECT_EQ(both.exit_status, 2);
  EXPECT_THAT(both.err, HasSubstr("--extend"));
  const Outcome none = Run({"submit", "--dataset", "data"});
  EXPECT_EQ(none.exit_status, 2);
  EXPECT_THAT(none.err, HasSubstr("SWEEP.yaml or --extend is required"));
}

TEST_F(SubmitExtensionTest, AFileTakesAnotherNameToo) {
  const std::string sweep = Sweep("  - {name: prior, arch: {none: {}}}\n");
  const Outcome outcome =
      Run({"submit", sweep, "--dataset", "data", "--name", "other"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(farm_.submitted.spec().name(), "other");
}

}  // namespace
}  // namespace foldfarm
