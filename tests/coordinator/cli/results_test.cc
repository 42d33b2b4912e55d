#include "coordinator/cli/metrics_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

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

TEST(MetricsTest, CountsAreWholeAndTimesAreTimes) {
  v1::GetMetricsResponse reply;
  *reply.add_epochs() = Epoch(1, 0.5);
  (*reply.mutable_epochs(0)->mutable_values())["stage"] = 2;
  (*reply.mutable_result())["epochs"] = 60;
  (*reply.mutable_result())["best_epoch"] = 41;
  (*reply.mutable_result())["train_seconds"] = 75;
  const std::string text = MetricsText(reply, 0, false);
  EXPECT_THAT(text, HasSubstr("1    0.5000  1.00e-03      2\n"));
  EXPECT_THAT(text, HasSubstr("  best_epoch 41\n  epochs 60\n"
                              "  train_seconds 1m 15s\n"));
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
