#include "coordinator/queue/sweep_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"

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

TEST(SweepPlanTest, TheFileOfWeightsIsPartOfTheResultAndItsNameIsNot) {
  v1::SweepSpec spec = Spec();
  const std::string without =
      PlanSweep(spec, Dataset(), "d")->jobs[0].result_key;
  v1::InitSpec& init = *spec.mutable_models(0)->mutable_init();
  init.set_format(v1::WEIGHTS_FORMAT_AUTO);
  EXPECT_EQ(PlanSweep(spec, Dataset(), "d")->jobs[0].result_key, without)
      << "options of weights that are not there";
  init.set_weights("one");
  init.set_digest("1");
  const std::string key = PlanSweep(spec, Dataset(), "d")->jobs[0].result_key;
  EXPECT_NE(key, without);
  init.set_weights("two");
  EXPECT_EQ(PlanSweep(spec, Dataset(), "d")->jobs[0].result_key, key);
  init.set_digest("2");
  EXPECT_NE(PlanSweep(spec, Dataset(), "d")->jobs[0].result_key, key);
}

TEST(SweepPlanTest, EqualMapsGiveEqualKeysHoweverTheyWereFilled) {
  std::string first;
  for (int rotation = 0; rotation < 10; ++rotation) {
    v1::SweepSpec spec = Spec();
    v1::StageSpec& stage = *spec.mutable_models(0)->add_stages();
    google::protobuf::Struct& config = *spec.mutable_models(0)
                                            ->mutable_arch()
                                            ->mutable_exec()
                                            ->mutable_config();
    for (int i = 0; i < 10; ++i) {
      const std::string name = absl::StrCat("key", (i + rotation) % 10);
      (*config.mutable_fields())[name].set_string_value(name);
    }
    (*stage.mutable_samples())["instrument_type"] = "commercial";
    const std::string key = PlanSweep(spec, Dataset(), "d")->jobs[0].result_key;
    if (first.empty()) first = key;
    EXPECT_EQ(key, first);
  }
}

TEST(SweepPlanTest, TheOrderInWhichLabelsAreNamedDoesNotMatter) {
  DatasetHeader dataset = Dataset();
  dataset.labels = {"a", "b", "c"};
  const auto key = [&](std::vector<std::string> labels) {
    v1::SweepSpec spec = Spec();
    spec.mutable_models(0)->mutable_labels()->Add(labels.begin(), labels.end());
    return PlanSweep(spec, dataset, "d")->jobs[0].result_key;
  };
  EXPECT_EQ(key({"c", "a"}), key({"a", "c"}));
  EXPECT_NE(key({"c", "a"}), key({"a", "b"}));
  EXPECT_EQ(key({"b", "a", "c"}), key({}));
  v1::ModelSpec model;
  model.add_labels("c");
  model.add_labels("a");
  EXPECT_THAT(LabelsOf(model, dataset.labels), testing::ElementsAre("a", "c"));
}

TEST(SweepPlanTest, TreesOfMoreLabelsThanAResultHasFilesAreRefused) {
  std::vector<std::string> labels;
  for (size_t i = 0; i <= kMostLabelsOfTrees; ++i) {
    labels.push_back(absl::StrCat("l", i));
  }
  v1::ModelSpec model;
  model.set_name("trees");
  EXPECT_TRUE(CheckModelLabels(model, labels).ok());
  model.mutable_arch()->mutable_xgboost();
  EXPECT_THAT(std::string(CheckModelLabels(model, labels).message()),
              HasSubstr("model trees: boosted trees of 255 labels, expected at "
                        "most 254"));
  labels.pop_back();
  EXPECT_TRUE(CheckModelLabels(model, labels).ok());
}

TEST(SweepPlanTest, LabelsThatTheDatasetDoesNotHaveAreRefused) {
  v1::SweepSpec spec = Spec();
  spec.mutable_models(0)->add_labels("aa");
  EXPECT_THAT(Refusal(spec),
              HasSubstr("model one: labels names \"aa\", which the dataset "
                        "does not have; did you mean a?"));
  spec.mutable_models(0)->set_labels(0, "a");
  spec.mutable_models(0)->add_labels("a");
  EXPECT_THAT(Refusal(spec), HasSubstr("labels names a twice"));
  spec = Spec();
  (*spec.mutable_models(0)->mutable_train()->mutable_positive_weights())["x"] =
      2;
  EXPECT_THAT(Refusal(spec), HasSubstr("positive_weights names \"x\""));
}

TEST(SweepPlanTest, TheGoalCountsWhatTheModelCountsIn) {
  v1::ModelSpec model;
  model.mutable_train()->set_epochs(7);
  model.mutable_arch()->mutable_none();
  EXPECT_EQ(EpochsOf(model), 7);
  model.add_stages()->mutable_train()->set_epochs(5);
  model.add_stages();
  EXPECT_EQ(EpochsOf(model), 12);
  model.mutable_arch()->mutable_xgboost()->set_rounds(301);
  EXPECT_EQ(EpochsOf(model), 301);
  model.mutable_arch()->mutable_xgboost()->set_epoch_rounds(10);
  EXPECT_EQ(EpochsOf(model), 31);
  model.mutable_arch()->mutable_exec()->set_epochs(3);
  EXPECT_EQ(EpochsOf(model), 3);
}

TEST(SweepPlanTest, AStageWithoutSamplesIsRefused) {
  v1::SweepSpec spec = Spec();
  auto& samples = *spec.mutable_models(0)->add_stages()->mutable_samples();
  samples["instrument_type"] = "commercial";
  EXPECT_TRUE(PlanSweep(spec, Dataset(), "d").ok());
  samples["instrument_type"] = "comercial";
  EXPECT_THAT(Refusal(spec),
              HasSubstr("stages[0].samples leaves nothing to train on in fold "
                        "0"));
  samples.clear();
  samples["instrument"] = "commercial";
  EXPECT_THAT(Refusal(spec), HasSubstr("no column \"instrument\""));
}

TEST(SweepPlanTest, AStageOfOneSampleIsRefusedWhereTheTrainerWantsTwo) {
  v1::SweepSpec spec = Spec();
  v1::ModelSpec& model = *spec.mutable_models(0);
  model.mutable_arch()->mutable_rnn();
  // T0 and T3, one of them in either fold.
  (*model.add_stages()->mutable_samples())["instrument_type"] = "sam_testbed";
  EXPECT_THAT(Refusal(spec),
              HasSubstr("model one: stages[0].samples leaves 1 sample to train "
                        "on in fold 0, expected at least 2"));
  model.mutable_arch()->mutable_exec();
  EXPECT_TRUE(PlanSweep(spec, Dataset(), "d").ok());
}

TEST(SweepPlanTest, AFoldOfOneTrainSampleIsRefusedWhereTheTrainerWantsTwo) {
  v1::SweepSpec spec = Spec();
  spec.mutable_folds()->set_stratify("split");
  v1::ArchSpec& arch = *spec.mutable_models(0)->mutable_arch();
  // Two folds of one sample, and of one and two: one of them trains on one.
  for (const int samples : {2, 3}) {
    spec.set_limit_samples(samples);
    const std::string limit = absl::StrCat("with limit_samples: ", samples);
    arch.mutable_none();
    EXPECT_TRUE(PlanSweep(spec, Dataset(), "d").ok()) << samples;
    arch.mutable_exec();
    EXPECT_TRUE(PlanSweep(spec, Dataset(), "d").ok()) << samples;
    arch.mutable_rnn();
    EXPECT_THAT(Refusal(spec),
                HasSubstr(absl::StrCat(limit,
                                       ": model one: fold 0 has 1 sample "
                                       "to train on, expected at least "
                                       "2")));
    arch.mutable_xgboost();
    EXPECT_THAT(Refusal(spec), HasSubstr("fold 0 has 1 sample to train on"));
  }
  spec.set_limit_samples(4);
  EXPECT_TRUE(PlanSweep(spec, Dataset(), "d").ok());

  // Without a limit nothing is said of one.
  spec.set_limit_samples(0);
  spec.mutable_folds()->clear_stratify();
  for (int i = 0; i < 6; ++i) {
    v1::FoldAssignment& row = *spec.mutable_folds()->add_assignment();
    row.set_sample_id(absl::StrCat("T", i));
    row.set_fold(i == 0 ? 1 : 0);
  }
  EXPECT_EQ(Refusal(spec),
            "model one: fold 0 has 1 sample to train on, expected at least 2");
}

TEST(SweepPlanTest, ATrialRunHasFewSamplesOfEveryInstrument) {
  v1::SweepSpec spec = Spec();
  spec.set_limit_samples(4);
  const auto plan = PlanSweep(spec, Dataset(), "d");
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<std::string> ids;
  for (const v1::AttemptSpec& fold : plan->folds) {
    EXPECT_EQ(fold.train_samples_size() + fold.validation_samples_size(), 4);
    ids.insert(ids.end(), fold.validation_samples().begin(),
               fold.validation_samples().end());
  }
  EXPECT_EQ(ids.size(), 4u);
  // T0 and T3 are the SAM testbed's: 2 of 6, so at least 1 of 4.
  EXPECT_THAT(ids, testing::Contains(testing::AnyOf("T0", "T3")));
  EXPECT_NE(plan->jobs[0].result_key,
            PlanSweep(Spec(), Dataset(), "d")->jobs[0].result_key);
}

TEST(SweepPlanTest, ATrialRunWithTooFewSamplesForTheFoldsIsRefused) {
  v1::SweepSpec spec = Spec();
  spec.set_limit_samples(1);
  EXPECT_THAT(Refusal(spec), HasSubstr("with limit_samples: 1: folds: the "
                                       "largest class"));
  spec.set_limit_samples(-1);
  EXPECT_THAT(Refusal(spec), HasSubstr("limit_samples is -1"));
}

TEST(SweepPlanTest, ATrialRunWorksWithAFoldFileAndAHoldout) {
  v1::SweepSpec spec = Spec();
  spec.set_limit_samples(3);
  spec.mutable_folds()->clear_count();
  v1::SweepSpec holdout = spec;
  (*holdout.mutable_folds()->mutable_holdout())["instrument_type"] =
      "sam_testbed";
  const auto held_out = PlanSweep(holdout, Dataset(), "d");
  ASSERT_TRUE(held_out.ok()) << held_out.status();
  EXPECT_EQ(held_out->folds[0].validation_samples_size(), 1);
  EXPECT_EQ(held_out->folds[0].train_samples_size(), 2);
  for (int i = 0; i < 6; ++i) {
    v1::FoldAssignment& row = *spec.mutable_folds()->add_assignment();
    row.set_sample_id(absl::StrCat("T", i));
    row.set_fold(i % 3 == 0 ? 0 : 1);
  }
  const auto file = PlanSweep(spec, Dataset(), "d");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->folds[0].validation_samples_size(), 1);
  EXPECT_EQ(file->folds[1].validation_samples_size(), 2);
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

TEST(SweepPlanTest, ASweepWithoutMeasureIsRefused) {
  const auto with_models = [](int models, int folds) {
    v1::SweepSpec spec = Spec();
    spec.clear_models();
    spec.mutable_folds()->set_count(folds);
    for (int i = 0; i < models; ++i) {
      v1::ModelSpec& model = *spec.add_models();
      model.set_name(absl::StrCat("m", i));
      model.mutable_arch()->mutable_none();
    }
    return spec;
  };
  EXPECT_THAT(Refusal(with_models(10001, 2)),
              HasSubstr("sweep s has 10001 models, expected 1 to 10000"));
  DatasetHeader many;
  many.labels = {"a"};
  for (int i = 0; i < 12; ++i) {
    many.samples.push_back({absl::StrCat("T", i), "train", "commercial", true});
  }
  EXPECT_TRUE(PlanSweep(with_models(10000, 5), many, "d").ok());
  const absl::Status jobs =
      PlanSweep(with_models(10000, 6), many, "d").status();
  EXPECT_EQ(jobs.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(jobs.message()),
              HasSubstr("sweep s has 10000 models of 6 folds, 60000 jobs, "
                        "expected at most 50000"));
  EXPECT_THAT(Refusal(with_models(1, 101)),
              HasSubstr("folds.count is 101, expected 2 to 100"));

  v1::SweepSpec spec = Spec();
  spec.set_name(std::string(65, 'n'));
  EXPECT_THAT(Refusal(spec), HasSubstr("expected 1 to 64 of"));
  spec.set_name(std::string(1 << 20, 'n'));
  EXPECT_LT(Refusal(spec).size(), 200u);
  spec = Spec();
  spec.mutable_models(0)->set_name(std::string(101, 'n'));
  EXPECT_THAT(Refusal(spec), HasSubstr("expected 1 to 100 of"));
  spec = Spec();
  spec.set_priority(1001);
  EXPECT_THAT(Refusal(spec),
              HasSubstr("priority is 1001, expected -1000 to 1000"));
  EXPECT_TRUE(CheckRequestId(std::string(128, 'r')).ok());
  EXPECT_EQ(std::string(CheckRequestId(std::string(129, 'r')).message()),
            "request_id has 129 bytes, expected 1 to 128");
  EXPECT_FALSE(CheckRequestId("").ok());
}

}  // namespace
}  // namespace foldfarm
