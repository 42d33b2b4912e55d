#include "coordinator/cli/ensemble_text.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "coordinator/cli/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void SetScores(double loss, v1::Scores* scores) {
  scores->set_log_loss(loss + 0.001);
  scores->set_log_loss_shrink_0002(loss);
  scores->set_log_loss_clip_1e_3(loss + 0.002);
  scores->set_log_loss_clip_1e_2(loss + 0.003);
  scores->set_accuracy(0.91);
  scores->set_auc(0.95);
  scores->set_average_precision(0.85);
  scores->set_samples(240);
}

void AddLabel(const char* name, double loss,
              google::protobuf::RepeatedPtrField<v1::LabelScores>* labels) {
  v1::LabelScores& label = *labels->Add();
  label.set_label(name);
  label.set_log_loss(loss);
  label.set_positive(31);
  label.set_samples(240);
}

v1::GetEnsembleResponse TwoModels() {
  v1::GetEnsembleResponse reply;
  reply.set_sweep("s1");
  for (const auto& [name, loss] :
       {std::pair("gru", 0.2), std::pair("conv1d", 0.25)}) {
    v1::ModelScores& model = *reply.add_models();
    model.set_model(name);
    SetScores(loss, model.mutable_scores());
    model.set_correlation(0.97);
    model.add_correlations(loss == 0.2 ? 1 : 0.914);
    model.add_correlations(loss == 0.2 ? 0.914 : 1);
    model.set_seconds(61);
    model.add_fold_log_loss(loss - 0.01);
    model.add_fold_log_loss(loss + 0.01);
    AddLabel("basalt", loss, model.mutable_label_scores());
    v1::InstrumentScores& instrument = *model.add_instruments();
    instrument.set_instrument_type("commercial");
    SetScores(loss, instrument.mutable_scores());
  }
  SetScores(0.19, reply.mutable_ensemble());
  reply.add_fold_log_loss(0.185);
  reply.add_fold_log_loss(0.195);
  SetScores(0.5, reply.mutable_prior());
  for (const auto& [name, loss] :
       {std::pair("gru", 0.2), std::pair("conv1d", 0.19)}) {
    v1::GrowthStep* step = reply.add_growth();
    step->set_model(name);
    step->set_log_loss(loss);
  }
  reply.add_labels("basalt");
  reply.add_label_log_loss(0.11);
  AddLabel("basalt", 0.11, reply.mutable_label_scores());
  reply.mutable_label_scores(0)->set_auc(0.99);
  v1::InstrumentScores& instrument = *reply.add_instruments();
  instrument.set_instrument_type("commercial");
  SetScores(0.19, instrument.mutable_scores());
  return reply;
}

v1::GetEnsembleResponse FullTwoModels() {
  v1::GetEnsembleResponse reply = TwoModels();
  v1::Interval& interval =
      *reply.mutable_ensemble()->mutable_log_loss_shrink_0002_interval();
  interval.set_low(0.17);
  interval.set_high(0.21);
  *reply.mutable_growth_with_replacement() = reply.growth();
  v1::GrowthStep* step = reply.add_elimination();
  step->set_model("conv1d");
  step->set_log_loss(0.2);
  for (const int draws : {1, 2}) {
    v1::TtaPoint& point = *reply.add_tta();
    point.set_draws(draws);
    point.set_log_loss(0.2 - 0.005 * draws);
  }
  v1::ShrinkFit& fit = *reply.add_shrink();
  fit.set_constant(0.00321);
  fit.set_log_loss(0.191);
  fit.set_nested_log_loss(0.1905);
  for (const char* name : {"equal", "least log loss"}) {
    v1::Weighting& weighting = *reply.add_weightings();
    weighting.set_name(name);
    weighting.add_weights(name[0] == 'e' ? 0.5 : 1);
    weighting.add_weights(name[0] == 'e' ? 0.5 : 0);
    weighting.set_log_loss(0.19);
    weighting.set_nested_log_loss(0.19);
  }
  v1::Weighting& least = *reply.mutable_weightings(1);
  least.set_gain(-0.0012);
  least.mutable_gain_interval()->set_low(-0.004);
  least.mutable_gain_interval()->set_high(0.002);
  return reply;
}

TEST(EnsembleTextTest, ShowsModelsEnsemblePriorGrowthAndLabels) {
  const std::string text = EnsembleText(TwoModels(), 0, false);
  EXPECT_THAT(text, HasSubstr("on 240 samples"));
  EXPECT_THAT(text, HasSubstr("gru              0.2000    91.0 %  0.9500"));
  EXPECT_THAT(text, HasSubstr("ensemble of 2    0.1900"));
  EXPECT_THAT(text, HasSubstr("0.1850 0.1950"));
  EXPECT_THAT(text, HasSubstr("prior            0.5000"));
  EXPECT_THAT(text, HasSubstr("     2  conv1d    0.1900  -0.0100\n"));
  EXPECT_THAT(text, HasSubstr("basalt    0.1100  0.9900   -  31 of 240\n"));
  EXPECT_THAT(text, HasSubstr("commercial      240    0.1900"));
  EXPECT_THAT(text, Not(HasSubstr("Not complete")));
  EXPECT_THAT(text, Not(HasSubstr("95 %")));
}

TEST(EnsembleTextTest, SaysWhichModelsAreLeftOutAndWhy) {
  v1::GetEnsembleResponse reply = TwoModels();
  v1::IncompleteModel& left_out = *reply.add_incomplete();
  left_out.set_model("resnet");
  left_out.set_reason("fold 2 failed: out of memory");
  EXPECT_THAT(EnsembleText(reply, 0, false),
              HasSubstr("Not complete on all folds, hence not counted\n"
                        "MODEL   WHY\n"
                        "resnet  fold 2 failed: out of memory\n"));
  v1::GetEnsembleResponse none;
  *none.mutable_incomplete() = reply.incomplete();
  for (const auto& text :
       {EnsembleText(none, 0, false), FullEnsembleText(none, 0, false)}) {
    EXPECT_THAT(text, HasSubstr("No model is complete"));
    EXPECT_THAT(text, HasSubstr("fold 2 failed"));
  }
}

TEST(EnsembleTextTest, TheFullTextHasEverything) {
  const std::string text = FullEnsembleText(FullTwoModels(), 0, false);
  EXPECT_THAT(text, HasSubstr("ensemble of 2    0.1900  0.1700 to 0.2100"));
  EXPECT_THAT(text, HasSubstr("gru       0.2000         0.2010     0.2020"));
  EXPECT_THAT(text, HasSubstr("          FOLD 0  FOLD 1\n"
                              "gru       0.1900  0.2100\n"
                              "conv1d    0.2400  0.2600\n"
                              "ensemble  0.1850  0.1950\n"));
  EXPECT_THAT(text, HasSubstr("Growth with replacement"));
  EXPECT_THAT(text, HasSubstr("     1  conv1d      0.2000\n"));
  EXPECT_THAT(text, HasSubstr("    2    0.1900  -0.0050\n"));
  EXPECT_THAT(text, HasSubstr("all            0.00321    0.1910  0.1905  "
                              "+0.0005\n"));
  EXPECT_THAT(text, HasSubstr("least log loss  0.1900  0.1900  -0.0012  "
                              "-0.0040 to +0.0020\n"));
  EXPECT_THAT(text, HasSubstr("gru     0.5000          1.0000\n"));
  EXPECT_THAT(text, HasSubstr("conv1d  0.5000               -\n"));
  EXPECT_THAT(text, HasSubstr("             1     2  mean\n"
                              "1 gru     1.00   .91   .97\n"));
}

TEST(EnsembleTextTest, AHoldOutSaysThatItHasNoNestedFigures) {
  v1::GetEnsembleResponse reply = FullTwoModels();
  reply.mutable_fold_log_loss()->RemoveLast();
  const double none = std::numeric_limits<double>::quiet_NaN();
  reply.mutable_weightings(1)->set_nested_log_loss(none);
  reply.mutable_weightings(1)->set_gain(none);
  reply.mutable_weightings(1)->clear_gain_interval();
  const std::string text = FullEnsembleText(reply, 0, false);
  EXPECT_THAT(text, HasSubstr("There is one fold only"));
  EXPECT_THAT(text, HasSubstr("least log loss  0.1900       -        -  -\n"));
}

TEST(EnsembleTextTest, FitsTheTerminal) {
  v1::GetEnsembleResponse reply = FullTwoModels();
  // A wide matrix, so that it has to be cut into blocks.
  for (int m = 2; m < 26; ++m) {
    *reply.add_models() = reply.models(0);
    reply.mutable_models(m)->set_model("a_model_of_a_long_name_" +
                                       std::to_string(m));
    for (v1::Weighting& weighting : *reply.mutable_weightings()) {
      weighting.add_weights(0);
    }
  }
  for (v1::ModelScores& model : *reply.mutable_models()) {
    while (model.correlations_size() < 26) model.add_correlations(0.9);
  }
  for (const size_t width : {80, 120}) {
    for (const std::string& text : {EnsembleText(reply, width, false),
                                    FullEnsembleText(reply, width, false),
                                    *ModelText(reply, "gru", width, false)}) {
      for (const std::string& line :
           std::vector<std::string>(absl::StrSplit(text, '\n'))) {
        EXPECT_LE(DisplayWidth(line), width) << line;
      }
    }
  }
}

TEST(ModelTextTest, ShowsAModelBesideTheEnsemble) {
  const auto text = ModelText(FullTwoModels(), "conv1d", 0, false);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr("conv1d: 2 of 2 models, scored on 240 samples"));
  EXPECT_THAT(*text, HasSubstr("log loss, clipped to 1e-2       0.2530  -"));
  EXPECT_THAT(*text, HasSubstr("mean of the ensemble       0.9700\n"
                               "gru                        0.9140\n"));
}

TEST(ModelTextTest, ExplainsWhyThereIsNone) {
  v1::GetEnsembleResponse reply = TwoModels();
  const absl::Status mistyped = ModelText(reply, "conv2d", 0, false).status();
  EXPECT_TRUE(absl::IsNotFound(mistyped));
  EXPECT_THAT(std::string(mistyped.message()),
              HasSubstr("did you mean conv1d?"));
  v1::IncompleteModel& left_out = *reply.add_incomplete();
  left_out.set_model("resnet");
  left_out.set_reason("folds 1, 3 are pending");
  const absl::Status absent = ModelText(reply, "resnet", 0, false).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(absent));
  EXPECT_THAT(std::string(absent.message()),
              HasSubstr("folds 1, 3 are pending"));
}

}  // namespace
}  // namespace foldfarm
