// The decisions of `screen` and `stop_when`, on matrices made by hand.
#include "coordinator/queue/sweep_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::ScreenSpec By(const std::vector<std::string>& words) {
  v1::ScreenSpec screen;
  screen.set_keep(1);
  for (const std::string& word : words) screen.add_by(word);
  return screen;
}

v1::StopWhenSpec StopWhen(double gain_below, int for_models) {
  v1::StopWhenSpec rule;
  rule.set_ensemble_gain_below(gain_below);
  rule.set_for_models(for_models);
  return rule;
}

std::vector<std::string> Names(const OofMatrix& oof,
                               const std::vector<RankedModel>& ranked) {
  std::vector<std::string> names;
  for (const RankedModel& r : ranked) names.push_back(oof.models[r.model].name);
  return names;
}

// The cell of a model's newest predictions.
double& Cell(OofMatrix& oof, size_t sample, size_t label) {
  return oof.models.back().probabilities[sample * oof.num_labels() + label];
}

// "best" and its "twin" are wrong about S1's basalt; "other" is worse, but
// wrong elsewhere.
OofMatrix Twins() {
  OofMatrix oof = SmallOof();
  for (const char* name : {"best", "twin"}) {
    AddModel(oof, name, 0.9, 0.1);
    Cell(oof, 0, 0) = 0.1;
  }
  AddModel(oof, "other", 0.8, 0.2);
  Cell(oof, 2, 1) = 0.2;
  return oof;
}

// Models that give the truth these probabilities.
OofMatrix Right(const std::vector<double>& right) {
  OofMatrix oof = SmallOof();
  for (const double p : right) {
    AddModel(oof, "", p, 1 - p);
    oof.models.back().name = absl::StrCat("m", oof.models.size());
  }
  return oof;
}

std::optional<StopPoint> Stop(const OofMatrix& oof, double gain_below,
                              int for_models) {
  return FindStop(oof, PredictedLabels(oof), StopWhen(gain_below, for_models));
}

TEST(RankModelsTest, ByLogLossTheBestComeFirstWhateverTheyResemble) {
  const OofMatrix oof = Twins();
  EXPECT_THAT(Names(oof, RankModels(oof, By({"log_loss"}))),
              ElementsAre("best", "twin", "other"));
}

TEST(RankModelsTest, ByCorrelationTheTwinOfTheBestComesLast) {
  const OofMatrix oof = Twins();
  EXPECT_THAT(Names(oof, RankModels(oof, By({"correlation"}))),
              ElementsAre("best", "other", "twin"));
}

TEST(RankModelsTest, ByBothWhoeverHelpsTheMeanMostIsNextAndThatIsTheDefault) {
  const OofMatrix oof = Twins();
  for (const auto& by : {By({"log_loss", "correlation"}),
                         By({"correlation", "log_loss"}), By({})}) {
    EXPECT_THAT(Names(oof, RankModels(oof, by)),
                ElementsAre("best", "other", "twin"));
  }
}

TEST(RankModelsTest, TheGreatestLikenessToAnyKeptModelCounts) {
  OofMatrix oof = Twins();
  // Between the two kinds: closer to each of them than they are to each other.
  AddModel(oof, "between", 0.85, 0.15);
  EXPECT_EQ(Names(oof, RankModels(oof, By({"correlation"})))[0], "between");
  oof.models.pop_back();
  AddModel(oof, "constant", 0.5, 0.5);
  EXPECT_THAT(Names(oof, RankModels(oof, By({"correlation"}))),
              ElementsAre("best", "constant", "other", "twin"));
}

TEST(RankModelsTest, TiesGoToTheEarlierModel) {
  const OofMatrix oof = Right({0.7, 0.8, 0.7, 0.8});
  for (const char* word : {"log_loss", "correlation"}) {
    EXPECT_EQ(Names(oof, RankModels(oof, By({word})))[0], "m2") << word;
  }
  EXPECT_THAT(Names(oof, RankModels(oof, By({"log_loss"}))),
              ElementsAre("m2", "m4", "m1", "m3"));
}

TEST(RankModelsTest, EachModelComesWithItsOwnLogLoss) {
  const OofMatrix oof = Right({0.9, 0.6});
  const std::vector<RankedModel> ranked = RankModels(oof, By({"log_loss"}));
  const auto loss = [](double p) { return -std::log(p * 0.996 + 0.002); };
  EXPECT_NEAR(ranked[0].log_loss, loss(0.9), 1e-12);
  EXPECT_NEAR(ranked[1].log_loss, loss(0.6), 1e-12);
}

TEST(RankModelsTest, AModelOfOneEasyLabelIsNotBetterForIt) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "one_label", 1, 0);
  DropLabel(oof, 1);
  AddModel(oof, "all", 0.8, 0.2);
  EXPECT_THAT(Names(oof, RankModels(oof, By({"log_loss"}))),
              ElementsAre("all", "one_label"));
}

TEST(FindStopTest, ModelsLikeTheFirstAreNoHelp) {
  const auto stop = Stop(Right({0.8, 0.8, 0.8, 0.8, 0.8}), 0.0002, 4);
  ASSERT_TRUE(stop.has_value());
  EXPECT_EQ(stop->models, 5u);
  ASSERT_EQ(stop->gains.size(), 4u);
  for (const double gain : stop->gains) EXPECT_NEAR(gain, 0, 1e-12);
  EXPECT_NEAR(stop->log_loss, -std::log(0.8 * 0.996 + 0.002), 1e-12);
}

TEST(FindStopTest, TheFirstModelIsTheStartAndNoGain) {
  EXPECT_FALSE(Stop(Right({0.8, 0.8, 0.8, 0.8}), 0.0002, 4).has_value());
  EXPECT_FALSE(Stop(Right({0.8}), 1, 1).has_value());
  EXPECT_EQ(Stop(Right({0.8, 0.8}), 0.0002, 1)->models, 2u);
}

TEST(FindStopTest, AModelThatHelpsStartsTheCountAnew) {
  const OofMatrix oof = Right({0.7, 0.7, 0.7, 0.9, 0.7, 0.7, 0.7});
  const auto stop = Stop(oof, 0.001, 3);
  ASSERT_TRUE(stop.has_value());
  EXPECT_EQ(stop->models, 7u);
}

TEST(FindStopTest, AModelThatHarmsIsNoHelp) {
  const auto stop = Stop(Right({0.9, 0.6, 0.6}), 0.0002, 2);
  ASSERT_TRUE(stop.has_value());
  EXPECT_LT(stop->gains[0], -0.1);
}

TEST(FindStopTest, AGainAsLargeAsAskedForIsHelp) {
  const OofMatrix oof = Right({0.7, 0.9});
  const auto loss = [](double p) { return -std::log(p * 0.996 + 0.002); };
  const double gain = loss(0.7) - loss(0.8);
  EXPECT_FALSE(Stop(oof, gain - 1e-9, 1).has_value());
  EXPECT_TRUE(Stop(oof, gain + 1e-9, 1).has_value());
}

TEST(FindStopTest, WhatCompletesLaterDoesNotMoveThePoint) {
  std::vector<double> right = {0.8, 0.8, 0.8};
  for (const double later : {0.99, 0.8, 0.1}) {
    right.push_back(later);
    const auto stop = Stop(Right(right), 0.0002, 2);
    ASSERT_TRUE(stop.has_value());
    EXPECT_EQ(stop->models, 3u);
  }
}

TEST(FindStopTest, AModelThatBringsAMissingLabelHelps) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "basalt", 0.8, 0.2);
  DropLabel(oof, 1);
  AddModel(oof, "sulfate", 0.8, 0.2);
  DropLabel(oof, 0);
  AddModel(oof, "basalt_again", 0.8, 0.2);
  DropLabel(oof, 1);
  const auto stop = Stop(oof, 0.0002, 1);
  ASSERT_TRUE(stop.has_value());
  EXPECT_EQ(stop->models, 3u);
}

TEST(FindStopTest, LabelsOfModelsThatAreNotCompleteYetCountAlready) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "one", 0.8, 0.2);
  DropLabel(oof, 1);
  AddModel(oof, "two", 0.9, 0.1);
  DropLabel(oof, 1);
  const v1::StopWhenSpec rule = StopWhen(1, 1);
  const auto half = FindStop(oof, {true, true}, rule);
  const auto whole = FindStop(oof, {true, false}, rule);
  EXPECT_NEAR(half->gains[0], whole->gains[0] / 2, 1e-12);
}

TEST(StopNoteTest, SaysTheRule) {
  EXPECT_EQ(StopNote(StopWhen(0.0002, 4)),
            "stopped: the last 4 models gained less than 0.0002");
  EXPECT_EQ(StopNote(StopWhen(0.01, 1)),
            "stopped: the last model gained less than 0.01");
}

TEST(CheckRulesTest, NamesTheOptionThatCannotBe) {
  v1::SweepSpec spec;
  for (const char* name : {"a", "b", "c"}) spec.add_models()->set_name(name);
  EXPECT_TRUE(CheckRules(spec, 1).ok());
  EXPECT_FALSE(TrialFold(spec).has_value());
  EXPECT_FALSE(StopsEarly(spec));
  const auto said = [&](const v1::SweepSpec& changed, int folds) {
    return std::string(CheckRules(changed, folds).message());
  };
  v1::SweepSpec screened = spec;
  screened.mutable_screen()->set_keep(2);
  screened.mutable_screen()->set_fold(1);
  EXPECT_TRUE(CheckRules(screened, 2).ok());
  EXPECT_EQ(TrialFold(screened), 1);
  EXPECT_THAT(said(screened, 1), HasSubstr("screen: there is one fold"));
  screened.mutable_screen()->set_fold(2);
  EXPECT_THAT(said(screened, 2),
              HasSubstr("screen.fold is 2, expected 0 to 1"));
  screened.mutable_screen()->set_fold(0);
  screened.mutable_screen()->set_keep(3);
  EXPECT_THAT(said(screened, 2), HasSubstr("less than the 3 models"));
  screened.mutable_screen()->set_keep(-1);
  EXPECT_THAT(said(screened, 2), HasSubstr("screen.keep is -1"));
  screened.mutable_screen()->set_keep(1);
  screened.mutable_screen()->add_by("beauty");
  EXPECT_THAT(said(screened, 2), HasSubstr("screen.by has \"beauty\""));
  v1::SweepSpec stopped = spec;
  *stopped.mutable_stop_when() = StopWhen(0.1, 0);
  EXPECT_THAT(said(stopped, 2),
              HasSubstr("for_models is 0, expected at least"));
  for (const double gain : {std::nan(""), -0.1, 2.0}) {
    *stopped.mutable_stop_when() = StopWhen(gain, 4);
    EXPECT_THAT(said(stopped, 2), HasSubstr("ensemble_gain_below is"));
  }
}

}  // namespace
}  // namespace foldfarm
