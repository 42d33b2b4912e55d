#include "common/sweep/predict_alike.h"

#include <gtest/gtest.h>

namespace foldfarm {
namespace {

v1::ModelSpec Network() {
  v1::ModelSpec model;
  model.set_name("m");
  model.mutable_arch()->mutable_rnn()->set_hidden(8);
  model.mutable_representation()->set_min_clip(1e-4);
  model.mutable_train()->set_epochs(3);
  return model;
}

TEST(PredictAlikeTest, HowAModelIsTrainedDoesNotMatter) {
  v1::ModelSpec other = Network();
  other.set_name("other");
  other.set_slots(2);
  other.set_seed(5);
  other.mutable_train()->set_epochs(30);
  other.add_stages()->mutable_train()->set_lr(0.1);
  other.mutable_sam_augment()->set_prob(0.5);
  EXPECT_TRUE(PredictAlike(Network(), other));
}

TEST(PredictAlikeTest, WhatItIsFedAndBuiltLikeDoes) {
  v1::ModelSpec other = Network();
  other.mutable_representation()->set_min_clip(0.2);
  EXPECT_FALSE(PredictAlike(Network(), other));
  other = Network();
  other.mutable_augment()->set_mz_var(0.25);
  EXPECT_FALSE(PredictAlike(Network(), other)) << "test-time augmentation";
  other = Network();
  other.mutable_arch()->mutable_rnn()->set_hidden(16);
  EXPECT_FALSE(PredictAlike(Network(), other));
  other = Network();
  other.mutable_arch()->mutable_none();
  EXPECT_FALSE(PredictAlike(Network(), other));
  other = Network();
  other.add_labels("oxalate");
  EXPECT_FALSE(PredictAlike(Network(), other));
}

TEST(PredictAlikeTest, TreesAreTrainedByTheirArchitecture) {
  v1::ModelSpec few, many;
  few.mutable_arch()->mutable_xgboost()->set_rounds(10);
  many.mutable_arch()->mutable_xgboost()->set_rounds(20);
  EXPECT_TRUE(PredictAlike(few, many));
  many.mutable_representation()->set_log_space(false);
  EXPECT_FALSE(PredictAlike(few, many));
}

}  // namespace
}  // namespace foldfarm
