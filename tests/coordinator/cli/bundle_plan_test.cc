#include "coordinator/cli/bundle_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/json_text.h"
#include "coordinator/cli/model_card.h"
#include "coordinator/cli/oof_table.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Four samples of two instruments, two labels. "good" is right, "bad" wrong,
// "half" predicts the first label alone and is right.
OofMatrix Oof() {
  OofMatrix oof;
  oof.labels = {"carbonate", "sulfate"};
  oof.sample_ids = {"A", "B", "C", "D"};
  oof.instrument_types = {"commercial", "commercial", "sam_testbed",
                          "commercial"};
  oof.folds = {0, 1, 0, 1};
  oof.truth = {1, 0, 0, 1, 1, 1, 0, 0};
  const auto model = [&](const char* name, double right, bool second) {
    OofModel its;
    its.name = name;
    its.has_label = {true, second};
    for (size_t i = 0; i < oof.truth.size(); ++i) {
      const double p = oof.truth[i] == 1 ? right : 1 - right;
      its.probabilities.push_back(i % 2 == 1 && !second ? NAN : p);
    }
    return its;
  };
  oof.models = {model("bad", 0.2, true), model("good", 0.9, true),
                model("half", 0.8, false)};
  return oof;
}

TEST(BundlePlanTest, AllModelsWeighTheSameUnlessToldOtherwise) {
  const auto plan = ChooseModels(Oof(), "");
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->models, ElementsAre(0, 1, 2));
  EXPECT_THAT(plan->weights, ElementsAre(DoubleEq(1.0 / 3), DoubleEq(1.0 / 3),
                                         DoubleEq(1.0 / 3)));
  EXPECT_FALSE(plan->greedy);
}

TEST(BundlePlanTest, GreedyTakesTheFirstOfGrowth) {
  const auto plan = ChooseModels(Oof(), "greedy:1");
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->models, ElementsAre(1));
  EXPECT_TRUE(plan->greedy);
  EXPECT_EQ(ChooseModels(Oof(), "greedy:3")->models.size(), 3u);
  EXPECT_THAT(std::string(ChooseModels(Oof(), "greedy:4").status().message()),
              HasSubstr("only 3 models are complete"));
  for (const char* wrong : {"greedy:", "greedy:0", "greedy:x"}) {
    EXPECT_THAT(std::string(ChooseModels(Oof(), wrong).status().message()),
                HasSubstr("expected greedy:N"));
  }
}

TEST(BundlePlanTest, NamesAreTakenInTheirOrderAndOnce) {
  EXPECT_THAT(ChooseModels(Oof(), "half,good,half")->models, ElementsAre(2, 1));
  const absl::Status unknown = ChooseModels(Oof(), "god").status();
  EXPECT_TRUE(absl::IsNotFound(unknown));
  EXPECT_THAT(std::string(unknown.message()),
              AllOf(HasSubstr("\"god\""), HasSubstr("did you mean \"good\"")));
}

// `oof` with other models: each is right with its probability of each label.
OofMatrix WithModels(OofMatrix oof,
                     const std::map<std::string, std::vector<double>>& models) {
  oof.models.clear();
  for (const auto& [name, right] : models) {
    OofModel& model = oof.models.emplace_back();
    model.name = name;
    for (size_t i = 0; i < oof.truth.size(); ++i) {
      const double p = right[i % 2];
      model.probabilities.push_back(oof.truth[i] == 1 ? p : 1 - p);
    }
  }
  return oof;
}

TEST(BundlePlanTest, WeightsAreFittedToTheChosenModelsAlone) {
  const OofMatrix oof = WithModels(
      Oof(), {{"a", {0.9, 0.6}}, {"b", {0.6, 0.9}}, {"twin", {0.92, 0.62}}});
  // Beside its twin, which is better throughout, "a" is of no use.
  BundlePlan plan = *ChooseModels(oof, "");
  EXPECT_THAT(WeighModels(oof, "least-log-loss", plan), ElementsAre("a"));
  EXPECT_THAT(plan.models, ElementsAre(1, 2));
  EXPECT_NEAR(plan.weights[0] + plan.weights[1], 1, 1e-12);
  EXPECT_GT(plan.weights[0], 0.1);
  plan = *ChooseModels(oof, "b,a");
  EXPECT_THAT(WeighModels(oof, "least-log-loss", plan), IsEmpty());
  EXPECT_THAT(plan.models, ElementsAre(1, 0));
  EXPECT_THAT(plan.weights, ElementsAre(DoubleEq(0.5), DoubleEq(0.5)));
}

TEST(BundlePlanTest, WhoWeighsNothingIsNamedAndLeavesThePlan) {
  const OofMatrix oof =
      WithModels(Oof(), {{"one", {0.9, 0.8}}, {"two", {0.9, 0.8}}});
  BundlePlan plan = *ChooseModels(oof, "");
  EXPECT_THAT(WeighModels(oof, "greedy", plan), ElementsAre("two"));
  EXPECT_THAT(plan.models, ElementsAre(0));
  EXPECT_THAT(plan.weights, ElementsAre(DoubleEq(1)));
  for (const char* weights : {"greedy", "least-log-loss"}) {
    plan = *ChooseModels(oof, "two");
    EXPECT_THAT(WeighModels(oof, weights, plan), IsEmpty());
    EXPECT_THAT(plan.models, ElementsAre(1));
    EXPECT_THAT(plan.weights, ElementsAre(DoubleEq(1)));
  }
  plan = *ChooseModels(oof, "");
  EXPECT_THAT(WeighModels(oof, "equal", plan), IsEmpty());
  EXPECT_THAT(plan.weights, ElementsAre(DoubleEq(0.5), DoubleEq(0.5)));
}

TEST(BundlePlanTest, TheLastModelOfALabelStaysThoughItWeighsNothing) {
  OofMatrix oof =
      WithModels(Oof(), {{"first", {0.0, 0.0}}, {"second", {0.5, 0.9}}});
  // Says of the first label what the prior says; the other one is "second"'s.
  oof.models[0].has_label = {true, false};
  oof.models[1].has_label = {false, true};
  for (size_t i = 0; i < oof.truth.size(); ++i) {
    oof.models[1 - i % 2].probabilities[i] = NAN;
  }
  ASSERT_TRUE(ValidateOof(oof).ok());
  BundlePlan plan = *ChooseModels(oof, "");
  EXPECT_THAT(WeighModels(oof, "greedy", plan), IsEmpty());
  EXPECT_THAT(plan.models, ElementsAre(0, 1));
  EXPECT_NEAR(plan.weights[0], 1e-3, 1e-5);
  EXPECT_NEAR(plan.weights[0] + plan.weights[1], 1, 1e-12);
}

TEST(BundlePlanTest, ALabelIsAveragedOverTheModelsThatPredictIt) {
  BundlePlan plan = *ChooseModels(Oof(), "good,half");
  plan.weights = {0.25, 0.75};
  const std::vector<double> mean = WeightedMean(Oof(), plan);
  EXPECT_NEAR(mean[0], 0.25 * 0.9 + 0.75 * 0.8, 1e-12);
  EXPECT_NEAR(mean[1], 0.1, 1e-12);
}

TEST(BundlePlanTest, FiguresAreOfTheChosenModelsByInstrumentAndLabel) {
  const OofMatrix oof = Oof();
  const BundlePlan plan = *ChooseModels(oof, "good,half");
  const BundleFigures figures = FiguresOf(oof, plan);
  EXPECT_EQ(figures.ensemble.samples, 4);
  EXPECT_EQ(figures.ensemble.accuracy, 1);
  EXPECT_NEAR(
      figures.ensemble.log_loss_shrink_0002,
      -(std::log(0.85 * 0.996 + 0.002) + std::log(0.9 * 0.996 + 0.002)) / 2,
      1e-9);
  ASSERT_EQ(figures.instruments.size(), 2u);
  EXPECT_EQ(figures.instruments[0].name, "commercial");
  EXPECT_EQ(figures.instruments[0].scores.samples, 3);
  EXPECT_EQ(figures.instruments[1].scores.samples, 1);
  ASSERT_EQ(figures.labels.size(), 2u);
  EXPECT_EQ(figures.labels[1].name, "sulfate");
  EXPECT_EQ(figures.labels[1].positive, 2);
  EXPECT_EQ(figures.folds, 2);
  const auto json = ParseJson(FiguresJson(figures));
  EXPECT_EQ(json["samples"], 4);
  EXPECT_EQ(json["models"]["good"]["accuracy"], 1);
  EXPECT_EQ(json["labels"]["carbonate"]["positive"], 2);
}

TEST(ModelCardTest, SaysWhatWhereFromHowGoodAndHowToUse) {
  const OofMatrix oof = Oof();
  const BundlePlan plan = *ChooseModels(oof, "greedy:1");
  Bundle bundle;
  bundle.name = "mars";
  bundle.labels = oof.labels;
  bundle.tta = 16;
  bundle.sweep_id = "s3";
  bundle.dataset_digest = "d1gest";
  bundle.shrink = {{"commercial", 0.002}};
  bundle.models = {{.name = "good",
                    .weight = 1,
                    .labels = oof.labels,
                    .model_json = R"({"arch":{"conv1d":{}}})",
                    .folds = {{{"weights.safetensors",
                                "models/good/0.safetensors", "abc", 7}}}}};
  v1::Dataset dataset;
  v1::SampleCount* count = dataset.add_counts();
  count->set_split("train");
  count->set_instrument_type("commercial");
  count->set_samples(4);
  const std::string card = ModelCard(bundle, FiguresOf(oof, plan), dataset,
                                     plan, "equal", "mars-bundle");
  EXPECT_THAT(card, HasSubstr("# mars\n"));
  EXPECT_THAT(card, HasSubstr("| **this bundle** | 0.1071 | 100.0 % | 4 |"));
  EXPECT_THAT(card, HasSubstr("| on sam_testbed |"));
  EXPECT_THAT(card, HasSubstr("| model good |"));
  EXPECT_THAT(card, HasSubstr("| sulfate |"));
  EXPECT_THAT(card, HasSubstr("a little\ntoo good"));
  EXPECT_THAT(card, HasSubstr("| train | commercial | 4 |"));
  EXPECT_THAT(card, HasSubstr("foldfarm-trainer predict mars-bundle"));
  EXPECT_THAT(card, HasSubstr("| good | conv1d | 1.0000 | all |"));
  EXPECT_THAT(card, HasSubstr("| models/good/0.safetensors | 7 | `abc` |"));
}

TEST(PrevalenceTest, IsThatOfTheSamplesThatWereTrainedOn) {
  // Of the samples in the table, which were held out, it says nothing.
  OofTable table{.oof = Oof(), .prevalence = {0.75, 0.25}};
  ASSERT_THAT(table.oof.labels, ElementsAre("carbonate", "sulfate"));
  EXPECT_THAT(Prevalence(table, {"sulfate", "carbonate", "oxalate"}),
              ElementsAre(0.25, 0.75, 0.5));
  EXPECT_THAT(Prevalence(OofTable(), {"sulfate"}), ElementsAre(0.5));
}

}  // namespace
}  // namespace foldfarm
