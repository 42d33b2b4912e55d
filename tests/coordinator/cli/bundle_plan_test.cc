#include "coordinator/cli/bundle_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/json_text.h"
#include "coordinator/cli/model_card.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  EXPECT_EQ(ChooseModels(Oof(), "greedy:99")->models.size(), 3u);
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

TEST(BundlePlanTest, WeightsOfTheFarmAreRestrictedAndSumToOne) {
  v1::GetEnsembleResponse ensemble;
  for (const char* name : {"good", "half", "bad"}) {
    ensemble.add_models()->set_model(name);
  }
  v1::Weighting* weighting = ensemble.add_weightings();
  weighting->set_name("least log loss");
  for (const double w : {0.3, 0.6, 0.1}) weighting->add_weights(w);
  BundlePlan plan = *ChooseModels(Oof(), "half,good");
  ASSERT_TRUE(WeighModels(ensemble, Oof(), "least-log-loss", plan).ok());
  EXPECT_THAT(plan.models, ElementsAre(2, 1));
  EXPECT_THAT(plan.weights,
              ElementsAre(DoubleEq(0.6 / 0.9), DoubleEq(0.3 / 0.9)));
  EXPECT_TRUE(WeighModels(ensemble, Oof(), "equal", plan).ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(WeighModels(ensemble, Oof(), "greedy", plan)));
  weighting->set_weights(0, 0);
  plan = *ChooseModels(Oof(), "half,good");
  ASSERT_TRUE(WeighModels(ensemble, Oof(), "least-log-loss", plan).ok());
  EXPECT_THAT(plan.models, ElementsAre(2));
  plan = *ChooseModels(Oof(), "good");
  EXPECT_TRUE(absl::IsFailedPrecondition(
      WeighModels(ensemble, Oof(), "least-log-loss", plan)));
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

}  // namespace
}  // namespace foldfarm
