// What --set changes, and what is said when it cannot.
#include "common/sweep/set_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kSweep[] = R"(name: mars
folds: {file: folds.csv}
defaults: {train: {epochs: 50, schedule: {warmup: 2}}}
models:
  - {name: gru, arch: {rnn: {}}, train: {lr: 0.1}}
  - {name: gru2, like: gru, train: {epochs: 60}}
  - {name: vit, arch: {vit1d: {}}, stages: [{train: {epochs: 70}}, {}]}
)";

absl::StatusOr<v1::SweepSpec> Parse(const std::vector<std::string>& sets) {
  return ParseSweep(
      kSweep, "mars.yaml",
      [](const std::string&) {
        return absl::StatusOr<std::string>("sample_id,fold\nS1,0\nS2,1\n");
      },
      sets);
}

// The lines of the message; empty for what is taken.
std::vector<std::string> Mistakes(const std::vector<std::string>& sets) {
  const auto spec = Parse(sets);
  if (spec.ok()) return {};
  return absl::StrSplit(std::string(spec.status().message()), '\n');
}

TEST(SetOptionsTest, AnOptionOfAModelChangesEveryModelAndEveryStage) {
  const auto spec =
      Parse({"train.epochs=1", "train.schedule={kind: constant}", "tta=4"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->tta(), 4);
  for (const v1::ModelSpec& model : spec->models()) {
    EXPECT_EQ(model.train().epochs(), 1);
    EXPECT_EQ(model.train().schedule().kind(), v1::SCHEDULE_KIND_CONSTANT);
    for (const v1::StageSpec& stage : model.stages()) {
      EXPECT_EQ(stage.train().epochs(), 1);
    }
  }
  EXPECT_EQ(spec->models(1).train().lr(), 0.1);
  EXPECT_EQ(spec->models(2).stages_size(), 2);
}

TEST(SetOptionsTest, AnOptionOfTheSweepChangesTheSweep) {
  const auto spec =
      Parse({"limit_samples=64", "name=trial", "folds.count=2", "seed=7"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->limit_samples(), 64);
  EXPECT_EQ(spec->name(), "trial");
  EXPECT_EQ(spec->seed(), 7u);
  EXPECT_FALSE(spec->models(0).has_seed());
  // Another way to cut folds replaces the file's.
  EXPECT_EQ(spec->folds().count(), 2);
  EXPECT_FALSE(spec->folds().has_file());
  EXPECT_EQ(spec->folds().stratify(), "instrument_type");
}

TEST(SetOptionsTest, AnOptionOfAnArchitectureLeavesTheOthersAlone) {
  const auto spec = Parse({"arch.rnn.hidden=8", "arch.vit1d={dim: 64}"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->models(0).arch().rnn().hidden(), 8);
  EXPECT_EQ(spec->models(1).arch().rnn().hidden(), 8);
  EXPECT_EQ(spec->models(2).arch().vit1d().dim(), 64);
  EXPECT_THAT(Mistakes({"arch.dpn.groups=8"}),
              ElementsAre("--set arch.dpn.groups=8: no model of the sweep has "
                          "this architecture"));
}

TEST(SetOptionsTest, TheLastOneWins) {
  const auto spec = Parse({"train.batch=4", "train.batch=16"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->models(0).train().batch(), 16);
}

TEST(SetOptionsTest, MistakesAreNamedWithWhatWasSaid) {
  EXPECT_THAT(Mistakes({"train.epchs=1"}),
              ElementsAre("--set train.epchs=1: unknown key 'epchs' in train "
                          "(did you mean 'epochs'?)"));
  EXPECT_THAT(Mistakes({"epochs=1"}),
              ElementsAre("--set epochs=1: unknown key 'epochs' (did you mean "
                          "'train.epochs'?)"));
  EXPECT_THAT(Mistakes({"limit_sample=1"}),
              ElementsAre(HasSubstr("did you mean 'limit_samples'?")));
  EXPECT_THAT(Mistakes({"train.epochs=few"}),
              ElementsAre("--set train.epochs=few: epochs: expected a whole "
                          "number, got \"few\""));
  EXPECT_THAT(Mistakes({"train.epochs="}),
              ElementsAre(HasSubstr("expected a whole number, got nothing")));
  EXPECT_THAT(Mistakes({"train.epochs=0"}),
              ElementsAre(HasSubstr("epochs is 0, expected 1 to 1000000")));
  EXPECT_THAT(Mistakes({"train=1"}),
              ElementsAre(HasSubstr("train: expected a map of options")));
  EXPECT_THAT(Mistakes({"train.epochs"}),
              ElementsAre("--set train.epochs: expected KEY=VALUE, such as "
                          "train.epochs=1"));
  EXPECT_THAT(Mistakes({"tta=[1"}), ElementsAre(HasSubstr("not YAML")));
  EXPECT_THAT(Mistakes({"models=[]"}),
              ElementsAre(HasSubstr("'models' cannot be set")));
  EXPECT_THAT(Mistakes({"init.digest=abc"}),
              ElementsAre(HasSubstr("unknown key 'digest' in init")));
}

TEST(SetOptionsTest, WhatNoLongerFitsIsSaidWithTheChange) {
  EXPECT_THAT(
      Mistakes({"train.epochs=2"}),
      ElementsAre("mars.yaml:3:51: warmup is 2 epochs, expected less than "
                  "epochs, 2",
                  "mars.yaml: as changed by --set train.epochs=2"));
}

}  // namespace
}  // namespace foldfarm
