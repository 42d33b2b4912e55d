// bundle and predict: which models they take, with which weights, and what they
// say of samples that these were trained on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Models "a" and "b", each better at a label than the other, and "twin", which
// is like "a", and better throughout.
class ChoiceTest : public ScriptedFarmTest {
 protected:
  void SetUp() override {
    ScriptedFarmTest::SetUp();
    for (const char* model : {"a", "b", "twin"}) {
      farm_.spec.add_models()->set_name(model);
      for (int fold = 0; fold < 2; ++fold) {
        farm_.AddJob(model, fold, v1::Job::SUCCEEDED,
                     {{"weights.safetensors", weights_}});
      }
    }
    farm_.AddOof("a", {0.9, 0.6});
    farm_.AddOof("b", {0.6, 0.9});
    farm_.AddOof("twin", {0.92, 0.62});
    store_.stored[Sha256Hex(weights_)] = weights_;
  }
  Outcome Bundle(const std::string& name,
                 const std::vector<std::string>& more) {
    std::vector<std::string> words = {"bundle", "s1", "--out", Path(name)};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  // Up to the farm's refusal.
  Outcome Predict(const std::vector<std::string>& more) {
    std::vector<std::string> words = {"predict",       "s1", "--out",
                                      Path("sub.csv"), "-o", "json"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.exit_status, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("not today"));
    return outcome;
  }
  std::vector<std::string> Predicting() const {
    return {farm_.predicting.models().begin(), farm_.predicting.models().end()};
  }
};

TEST_F(ChoiceTest, ABundlesWeightsAreFittedToItsModelsAlone) {
  const Outcome all = Bundle("all", {"--weights", "least-log-loss"});
  EXPECT_EQ(all.exit_status, 0) << all.err;
  EXPECT_THAT(all.err, AllOf(HasSubstr("they weigh nothing (least-log-loss): "
                                       "a\n"),
                             HasSubstr("Bundled 2 models")));
  const Outcome two =
      Bundle("two", {"--weights", "least-log-loss", "--models", "a,b"});
  EXPECT_EQ(two.exit_status, 0) << two.err;
  EXPECT_THAT(two.err, AllOf(HasSubstr("Bundled 2 models"),
                             Not(HasSubstr("they weigh nothing"))));
  const auto bundle = ParseJson(ReadFile(Path("two/bundle.json")).value());
  ASSERT_EQ(bundle["models"].size(), 2u);
  EXPECT_EQ(bundle["models"][0]["name"], "a");
  EXPECT_NEAR(bundle["models"][0]["weight"].get<double>(), 0.5, 1e-9);
  EXPECT_NEAR(bundle["models"][1]["weight"].get<double>(), 0.5, 1e-9);
}

TEST_F(ChoiceTest, APredictionsWeightsAreFittedToItsModelsAlone) {
  EXPECT_THAT(Predict({"--weights", "least-log-loss"}).err,
              HasSubstr("warning: model a is left out: beside the others it "
                        "weighs nothing (least-log-loss)\n"));
  EXPECT_THAT(Predicting(), ElementsAre("b", "twin"));
  EXPECT_THAT(Predict({"--weights", "least-log-loss", "--models", "b,a"}).err,
              Not(HasSubstr("left out")));
  EXPECT_THAT(Predicting(), ElementsAre("a", "b"));
}

TEST_F(ChoiceTest, SamplesThatTheSweepWasTrainedOnAreSaidToBe) {
  const auto warning = [](const std::string& of) {
    return AllOf(HasSubstr(absl::StrCat("warning: ", of)),
                 HasSubstr("for honest figures use foldfarm oof s1\n"));
  };
  const std::string all =
      "4 samples were trained on: 1 of 2 networks of each model of s1 saw";
  EXPECT_THAT(Predict({"--split", "test,train"}).err, warning(all));
  EXPECT_THAT(Predict({"--samples", "S1,T9"}).err,
              warning("1 sample was trained on: "));
  EXPECT_THAT(Predict({"--samples", "T9"}).err, Not(HasSubstr("trained on")));
  EXPECT_THAT(Predict({}).err, Not(HasSubstr("trained on")));

  // In a folder; S3 has no features file, S4 no labels.
  std::string metadata =
      "sample_id,split,instrument_type,features_path,features_md5_hash\n"
      "T9,test,commercial,T9.csv,\n";
  Write("T9.csv", "");
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&metadata, "S", i, ",train,commercial,S", i, ".csv,\n");
    if (i != 3) Write(absl::StrCat("S", i, ".csv"), "");
  }
  Write("metadata.csv", metadata);
  Write("train_labels.csv",
        "sample_id,oxalate,sulfide\nS0,0,1\nS1,0,1\nS2,1,0\nS3,1,0\n");
  EXPECT_THAT(Predict({"--data", directory_, "--split", "train"}).err,
              warning("3 samples with the id of one that was trained on: "));
  EXPECT_THAT(Predict({"--data", directory_, "--split", "test"}).err,
              Not(HasSubstr("trained on")));
}

TEST_F(ChoiceTest, WhereNobodyKnowsTheSamplesThatMayBeTrainedOnThatIsSaid) {
  const auto may = HasSubstr(
      "warning: samples of split train may have been trained on: networks of "
      "s1 saw");
  EXPECT_THAT(Predict({"--dataset", "other", "--split", "train"}).err, may);
  EXPECT_THAT(Predict({"--dataset", "other"}).err,
              Not(HasSubstr("trained on")));
}

TEST_F(ChoiceTest, WithAHoldOutTheOtherSamplesWereTrainedOn) {
  for (v1::GetOofResponse::Row& row : *farm_.oof.mutable_rows()) {
    row.set_fold(0);
  }
  farm_.oof.add_only_trained("S8");
  farm_.oof.add_only_trained("S9");
  EXPECT_THAT(Predict({"--split", "train"}).err,
              HasSubstr("warning: 2 samples were trained on: the network of "
                        "each model of s1 saw them"));
  EXPECT_THAT(Predict({"--samples", "S8,S0"}).err,
              HasSubstr("warning: 1 sample was trained on: the network of"));
  EXPECT_THAT(Predict({"--samples", "S0"}).err, Not(HasSubstr("trained on")));
}

}  // namespace
}  // namespace foldfarm
