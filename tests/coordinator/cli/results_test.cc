#include "coordinator/cli/results.h"

#include "coordinator/cli/metrics_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::GetEnsembleResponse TwoModels() {
  v1::GetEnsembleResponse reply;
  for (const auto& [name, loss] :
       {std::pair("gru", 0.2), std::pair("conv1d", 0.25)}) {
    v1::ModelScores& model = *reply.add_models();
    model.set_model(name);
    model.mutable_scores()->set_log_loss_shrink_0002(loss);
    model.mutable_scores()->set_accuracy(0.91);
    model.set_correlation(0.97);
    model.set_seconds(61);
  }
  reply.mutable_ensemble()->set_log_loss_shrink_0002(0.19);
  reply.mutable_ensemble()->set_samples(240);
  reply.mutable_prior()->set_log_loss_shrink_0002(0.5);
  v1::GrowthStep* step = reply.add_growth();
  step->set_model("gru");
  step->set_log_loss(0.2);
  step = reply.add_growth();
  step->set_model("conv1d");
  step->set_log_loss(0.19);
  reply.add_labels("basalt");
  reply.add_label_log_loss(0.11);
  return reply;
}

TEST(EnsembleTextTest, ShowsModelsEnsemblePriorGrowthAndLabels) {
  const std::string text = EnsembleText(TwoModels(), 0, false);
  EXPECT_THAT(text, HasSubstr("on 240 samples"));
  EXPECT_THAT(text, HasSubstr("gru              0.2000    91.0 %"));
  EXPECT_THAT(text, HasSubstr("ensemble of 2    0.1900"));
  EXPECT_THAT(text, HasSubstr("prior            0.5000"));
  EXPECT_THAT(text, HasSubstr("     2  conv1d    0.1900  -0.0100\n"));
  EXPECT_THAT(text, HasSubstr("basalt    0.1100"));
  EXPECT_THAT(text, Not(HasSubstr("Not complete")));
}

TEST(EnsembleTextTest, NamesModelsThatAreNotComplete) {
  v1::GetEnsembleResponse reply = TwoModels();
  reply.add_incomplete_models("resnet");
  EXPECT_THAT(
      EnsembleText(reply, 0, false),
      HasSubstr("Not complete on all folds, hence not counted: resnet"));
  v1::GetEnsembleResponse none;
  none.add_incomplete_models("gru");
  EXPECT_THAT(EnsembleText(none, 0, false), HasSubstr("No model is complete"));
}

v1::EpochMetrics Epoch(int number, double log_loss) {
  v1::EpochMetrics epoch;
  epoch.set_epoch(number);
  (*epoch.mutable_values())["log_loss"] = log_loss;
  (*epoch.mutable_values())["lr"] = 0.001;
  return epoch;
}

TEST(MetricsTest, TableBeginsWithTheWellKnownOnes) {
  v1::GetMetricsResponse reply;
  *reply.add_epochs() = Epoch(1, 0.5);
  (*reply.mutable_epochs(0)->mutable_values())["aux"] = 2;
  (*reply.mutable_result())["log_loss"] = 0.25;
  const std::string text = MetricsText(reply, 0, false);
  EXPECT_THAT(text, HasSubstr("EPOCH  LOG LOSS        LR     AUX\n"
                              "    1    0.5000  1.00e-03  2.0000\n"));
  EXPECT_THAT(text, HasSubstr("Result\n  log_loss 0.2500\n"));
}

TEST(MetricsTest, CsvHasAColumnForWhatAnyJobReported) {
  JobMetrics first, second;
  first.job.set_name("s1/gru/0");
  first.job.set_model("gru");
  *first.metrics.add_epochs() = Epoch(1, 0.5);
  second.job.set_name("s1/gru/1");
  second.job.set_model("gru");
  second.job.set_fold(1);
  (*second.metrics.add_epochs()->mutable_values())["train_loss"] = 0.125;
  second.metrics.mutable_epochs(0)->set_epoch(7);
  EXPECT_EQ(MetricsCsv({first, second}),
            "job,model,fold,epoch,train_loss,log_loss,lr\n"
            "s1/gru/0,gru,0,1,,0.5,0.001\n"
            "s1/gru/1,gru,1,7,0.125,,\n");
}

}  // namespace
}  // namespace foldfarm
