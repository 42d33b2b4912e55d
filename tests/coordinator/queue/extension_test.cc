// What can go on from where another training ended.
#include "coordinator/queue/extension.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// What CheckTrainsOn says of a model that goes on from `source`.
std::string Refused(const v1::ModelSpec& source, const v1::ModelSpec& model,
                    int epoch) {
  SourceJob job;
  job.name = "s1/m/0";
  job.model = source;
  job.epoch = epoch;
  const absl::Status status = CheckTrainsOn(model, 0, {"a", "b"}, job);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(CheckTrainsOnTest, OfStagesOnlyTheLastOneGoesOn) {
  v1::ModelSpec source;
  source.set_name("m");
  source.mutable_arch()->mutable_rnn();
  source.add_stages()->mutable_train()->set_epochs(4);
  source.add_stages()->mutable_train()->set_epochs(6);
  const auto changed = [&](int stage, int epochs) {
    v1::ModelSpec model = source;
    model.mutable_stages(stage)->mutable_train()->set_epochs(epochs);
    return model;
  };
  EXPECT_EQ(Refused(source, changed(1, 7), 10), "");
  EXPECT_THAT(Refused(source, changed(0, 9), 10),
              HasSubstr("stages[0].train.epochs is 9, expected 4"));
  EXPECT_THAT(Refused(source, source, 10),
              HasSubstr("stages[1].train.epochs is 6, expected more than the "
                        "6 of s1/m/0"));
  v1::ModelSpec kept = changed(1, 7);
  kept.mutable_stages(0)->mutable_train()->set_keep_checkpoint(true);
  EXPECT_EQ(Refused(source, kept, 10), "");
  kept.mutable_stages(1)->mutable_samples()->insert({"split", "train"});
  EXPECT_THAT(Refused(source, kept, 10), HasSubstr("stages[1].samples"));
}

TEST(CheckTrainsOnTest, WhatStoppedEarlyGoesBeyondItsGoal) {
  v1::ModelSpec source;
  source.mutable_arch()->mutable_rnn();
  source.mutable_train()->set_epochs(100);
  v1::ModelSpec model = source;
  EXPECT_THAT(Refused(source, model, 37), HasSubstr("more than the 100"));
  model.mutable_train()->set_epochs(101);
  EXPECT_EQ(Refused(source, model, 37), "");
}

TEST(CheckTrainsOnTest, TreesGetMoreRoundsAndProgramsMoreEpochs) {
  v1::ModelSpec source;
  source.mutable_arch()->mutable_xgboost()->set_rounds(18);
  source.mutable_arch()->mutable_xgboost()->set_epoch_rounds(10);
  v1::ModelSpec model = source;
  model.mutable_arch()->mutable_xgboost()->set_rounds(20);
  EXPECT_THAT(Refused(source, model, 2),
              HasSubstr("arch.xgboost.rounds is 20, expected more than 20 for "
                        "more than 2 epochs of 10 rounds, as in s1/m/0"));
  model.mutable_arch()->mutable_xgboost()->set_rounds(21);
  EXPECT_EQ(Refused(source, model, 2), "");
  model.mutable_arch()->mutable_xgboost()->set_max_depth(9);
  EXPECT_THAT(Refused(source, model, 2), HasSubstr("max_depth is 9"));

  source.mutable_arch()->mutable_exec()->add_command("train");
  source.mutable_arch()->mutable_exec()->set_epochs(5);
  model = source;
  EXPECT_THAT(Refused(source, model, 5), HasSubstr("arch.exec.epochs is 5"));
  model.mutable_arch()->mutable_exec()->set_epochs(6);
  EXPECT_EQ(Refused(source, model, 5), "");
}

}  // namespace
}  // namespace foldfarm
