#include "coordinator/queue/sweep_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

DatasetHeader Dataset() {
  DatasetHeader header;
  header.labels = {"a"};
  for (int i = 0; i < 8; ++i) {
    header.samples.push_back({absl::StrCat("T", i), i < 6 ? "train" : "test",
                              i % 3 == 0 ? "sam_testbed" : "commercial",
                              i < 6});
  }
  return header;
}

v1::SweepSpec Spec() {
  v1::SweepSpec spec;
  spec.set_name("s");
  spec.mutable_folds()->set_count(2);
  v1::ModelSpec& model = *spec.add_models();
  model.set_name("one");
  model.mutable_arch()->mutable_none();
  return spec;
}

std::string Refusal(const v1::SweepSpec& spec) {
  const auto plan = PlanSweep(spec, Dataset(), "d");
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(plan.status().message());
}

TEST(SweepPlanTest, EveryLabelledTrainSampleIsValidatedOnOnce) {
  const auto plan = PlanSweep(Spec(), Dataset(), "d");
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->folds.size(), 2u);
  std::vector<std::string> validated;
  for (const v1::AttemptSpec& fold : plan->folds) {
    EXPECT_EQ(fold.train_samples_size() + fold.validation_samples_size(), 6);
    for (const std::string& id : fold.validation_samples()) {
      validated.push_back(id);
    }
  }
  EXPECT_THAT(validated, testing::UnorderedElementsAre("T0", "T1", "T2", "T3",
                                                       "T4", "T5"));
}

TEST(SweepPlanTest, AHoldoutIsOneFold) {
  v1::SweepSpec spec = Spec();
  spec.mutable_folds()->clear_count();
  (*spec.mutable_folds()->mutable_holdout())["instrument_type"] = "sam_testbed";
  const auto plan = PlanSweep(spec, Dataset(), "d");
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->folds.size(), 1u);
  EXPECT_THAT(plan->folds[0].validation_samples(),
              testing::ElementsAre("T0", "T3"));
}

TEST(SweepPlanTest, TheNameOfAModelIsNotPartOfItsResult) {
  v1::SweepSpec spec = Spec();
  spec.mutable_models(0)->set_seed(5);
  const std::string key = PlanSweep(spec, Dataset(), "d")->jobs[0].result_key;
  spec.mutable_models(0)->mutable_train()->set_epochs(5);
  EXPECT_NE(PlanSweep(spec, Dataset(), "d")->jobs[0].result_key, key);
  spec.mutable_models(0)->clear_train();
  EXPECT_EQ(PlanSweep(spec, Dataset(), "d")->jobs[0].result_key, key);
  EXPECT_NE(PlanSweep(spec, Dataset(), "other")->jobs[0].result_key, key);
  spec.set_tta(2);
  EXPECT_NE(PlanSweep(spec, Dataset(), "d")->jobs[0].result_key, key);
}

TEST(SweepPlanTest, RefusalsNameWhatIsWrong) {
  v1::SweepSpec spec = Spec();
  spec.set_name("a/b");
  EXPECT_THAT(Refusal(spec), HasSubstr("sweep name is \"a/b\""));
  spec = Spec();
  spec.clear_models();
  EXPECT_THAT(Refusal(spec), HasSubstr("has 0 models"));
  spec = Spec();
  *spec.add_models() = spec.models(0);
  EXPECT_THAT(Refusal(spec), HasSubstr("model one is there twice"));
  spec = Spec();
  spec.mutable_models(0)->clear_arch();
  EXPECT_THAT(Refusal(spec), HasSubstr("model one has no arch"));
  spec = Spec();
  spec.mutable_models(0)->set_slots(0);
  EXPECT_THAT(Refusal(spec), HasSubstr("slots is 0"));
  spec = Spec();
  spec.mutable_folds()->set_count(1);
  EXPECT_THAT(Refusal(spec), HasSubstr("folds.count is 1"));
}

}  // namespace
}  // namespace foldfarm
