#include "worker/gbm/tree_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kColumns = 12;
constexpr int kLabels = 3;

// Label l is 1 where column l is above 0.5, for nine rows of ten.
void MakeRows(uint32_t seed, int rows, FeatureTable& table,
              std::vector<float>& labels) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return (random() >> 8) * (1.0f / (1 << 24)); };
  table.rows = rows;
  table.columns = kColumns;
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < kColumns; ++i) table.values.push_back(uniform());
    for (int label = 0; label < kLabels; ++label) {
      const bool above = table.values[row * kColumns + label] > 0.5f;
      labels.push_back(above != (uniform() < 0.1f));
    }
  }
}

TreeInput MakeInput() {
  TreeInput input;
  input.options.rounds = 20;
  input.options.epoch_rounds = 4;
  input.options.learning_rate = 0.3;
  input.labels = {"clay", "salt", "iron oxide"};
  for (int i = 0; i < kColumns; ++i) {
    input.feature_names.push_back(absl::StrCat("f", i));
  }
  MakeRows(1, 160, input.train, input.train_labels);
  MakeRows(2, 80, input.validation, input.validation_labels);
  input.positive_weights.assign(kLabels, 1.0);
  input.seed = 7;
  input.metadata = {{"job", "made/trees/0"}};
  input.clock = &Clock::Real();
  return input;
}

bool Never() { return false; }

std::unique_ptr<TreeTraining> Make(TreeInput input) {
  auto training = TreeTraining::Create(std::move(input));
  EXPECT_TRUE(training.ok()) << training.status();
  return *std::move(training);
}

class TreeTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = *MakeTemporaryDirectory("trees"); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }
  std::string Path(const std::string& name) const {
    return JoinPath(folder_, name);
  }
  std::string Results(const TreeTraining& training) {
    EXPECT_TRUE(training.SaveResults(folder_).ok());
    return *ReadFile(Path("weights.safetensors"));
  }
  std::string folder_;
};

// Every way to grow trees.
struct KindCase {
  const char* name;
  TreeGrowth growth;
  TreeBooster booster;
  TreeTargets targets;
};
constexpr KindCase kKinds[] = {
    {"Depthwise", TreeGrowth::kDepthwise, TreeBooster::kGbtree,
     TreeTargets::kOnePerLabel},
    {"Lossguide", TreeGrowth::kLossguide, TreeBooster::kGbtree,
     TreeTargets::kOnePerLabel},
    {"Dart", TreeGrowth::kDepthwise, TreeBooster::kDart,
     TreeTargets::kOnePerLabel},
    {"MultiOutput", TreeGrowth::kDepthwise, TreeBooster::kGbtree,
     TreeTargets::kMultiOutput},
    {"MultiOutputDartLossguide", TreeGrowth::kLossguide, TreeBooster::kDart,
     TreeTargets::kMultiOutput},
};

class TreeKindTest : public TreeTrainingTest,
                     public ::testing::WithParamInterface<KindCase> {
 protected:
  TreeInput Input() {
    TreeInput input = MakeInput();
    input.options.growth = GetParam().growth;
    input.options.booster = GetParam().booster;
    input.options.targets = GetParam().targets;
    input.options.skip_drop = 0.2;
    input.options.rate_drop = 0.3;
    if (GetParam().growth == TreeGrowth::kLossguide) {
      input.options.max_leaves = 6;
      input.options.max_depth = 0;
    }
    return input;
  }
};
INSTANTIATE_TEST_SUITE_P(All, TreeKindTest, ::testing::ValuesIn(kKinds),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST_P(TreeKindTest, LearnsAndPredictsWhatItScored) {
  TreeInput input = Input();
  input.options.colsample = 1;
  const auto training = Make(std::move(input));
  EXPECT_EQ(training->epochs(), 5);
  double last = 0;
  while (!training->done()) {
    const auto metrics = training->TrainEpoch(Never);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    last = metrics->at("log_loss");
  }
  // Knowing nothing costs 0.69, knowing all 0.33.
  EXPECT_LT(last, 0.5);
  FeatureTable table;
  std::vector<float> labels;
  MakeRows(2, 80, table, labels);
  const auto predicted = (*training->Trees())->Predict(table);
  ASSERT_TRUE(predicted.ok()) << predicted.status();
  ASSERT_EQ(predicted->size(), labels.size());
  double loss = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    loss -= std::log(labels[i] > 0 ? (*predicted)[i] : 1 - (*predicted)[i]);
  }
  EXPECT_NEAR(loss / static_cast<double>(labels.size()), last, 1e-3);
}

TEST_P(TreeKindTest, ResumedAfterEveryEpochItEndsWithTheSameBytes) {
  const auto untouched = Make(Input());
  while (!untouched->done()) ASSERT_TRUE(untouched->TrainEpoch(Never).ok());
  const std::string expected = Results(*untouched);

  auto training = Make(Input());
  while (!training->done()) {
    ASSERT_TRUE(training->TrainEpoch(Never).ok());
    const std::string checkpoint = Path(absl::StrCat(training->epoch()));
    ASSERT_TRUE(training->SaveCheckpoint(checkpoint).ok());
    training = Make(Input());
    const absl::Status loaded = training->LoadCheckpoint(checkpoint);
    ASSERT_TRUE(loaded.ok()) << loaded;
  }
  EXPECT_EQ(training->epoch(), 5);
  EXPECT_TRUE(Results(*training) == expected);
}

TEST_F(TreeTrainingTest, AStopDropsTheEpochUnderWayAndNothingElse) {
  const auto untouched = Make(MakeInput());
  while (!untouched->done()) ASSERT_TRUE(untouched->TrainEpoch(Never).ok());
  const auto training = Make(MakeInput());
  int asked = 0;
  while (!training->done()) {
    const int epoch = training->epoch();
    const auto stopped = training->TrainEpoch([&] { return ++asked % 6 == 0; });
    ASSERT_TRUE(absl::IsCancelled(stopped.status())) << stopped.status();
    ASSERT_EQ(training->epoch(), epoch);
    ASSERT_TRUE(training->TrainEpoch(Never).ok());
  }
  const std::string expected = Results(*untouched);
  EXPECT_TRUE(Results(*training) == expected);
}

TEST_F(TreeTrainingTest, SeedsChooseOtherTrees) {
  TreeInput input = MakeInput();
  const auto training = Make(MakeInput());
  input.seed = 8;
  const auto other = Make(std::move(input));
  ASSERT_TRUE(training->TrainEpoch(Never).ok());
  ASSERT_TRUE(other->TrainEpoch(Never).ok());
  const std::string first = Results(*training);
  EXPECT_FALSE(Results(*other) == first);
}

TEST_F(TreeTrainingTest, EarlyStoppingGoesBackToTheBestAlsoWhenResumed) {
  TreeInput input = MakeInput();
  // Overfits soon: a tenth of the labels is noise.
  input.options.rounds = 400;
  input.options.max_depth = 6;
  input.options.learning_rate = 0.5;
  input.train_options.early_stopping = 3;
  auto training = Make(input);
  std::vector<double> losses;
  while (!training->done()) {
    const auto metrics = training->TrainEpoch(Never);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    losses.push_back(metrics->at("log_loss"));
    ASSERT_TRUE(training->SaveCheckpoint(Path("c")).ok());
    training = Make(input);
    ASSERT_TRUE(training->LoadCheckpoint(Path("c")).ok());
    ASSERT_TRUE(RemoveRecursively(Path("c")).ok());
  }
  EXPECT_LT(training->epoch(), 100);
  const EarlyStopping& stopping = training->stopping();
  EXPECT_EQ(training->epoch(), stopping.best_epoch + 3);
  EXPECT_EQ(stopping.best_loss,
            *std::min_element(losses.begin(), losses.end()));
  // The trees of the best epoch alone.
  TreeInput shorter = input;
  shorter.options.rounds = 4 * stopping.best_epoch;
  shorter.train_options.early_stopping = 0;
  const auto best = Make(std::move(shorter));
  while (!best->done()) ASSERT_TRUE(best->TrainEpoch(Never).ok());
  EXPECT_EQ(*(*training->Trees())->Predict(input.validation),
            *(*best->Trees())->Predict(input.validation));
}

TEST_F(TreeTrainingTest, AnEpochThatWasCutShortIsMadeUpForWhenTrainedOn) {
  const auto with_rounds = [](int rounds) {
    TreeInput input = MakeInput();
    input.options.rounds = rounds;
    input.options.epoch_rounds = 4;
    return input;
  };
  const auto short_one = Make(with_rounds(6));
  while (!short_one->done()) ASSERT_TRUE(short_one->TrainEpoch(Never).ok());
  ASSERT_EQ(short_one->epoch(), 2);
  ASSERT_TRUE(short_one->SaveCheckpoint(Path("c")).ok());
  for (const int rounds : {4, 5, 7, 8}) {
    const absl::Status status =
        Make(with_rounds(rounds))->LoadCheckpoint(Path("c"));
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << rounds << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("rounds is ", rounds)));
  }
  std::vector<std::string> results;
  for (int run = 0; run < 2; ++run) {
    auto extended = Make(with_rounds(12));
    ASSERT_TRUE(extended->LoadCheckpoint(Path("c")).ok());
    while (!extended->done()) {
      ASSERT_TRUE(extended->TrainEpoch(Never).ok());
      // Resumed on the way in the second run.
      if (run == 0 || extended->done()) continue;
      ASSERT_TRUE(extended->SaveCheckpoint(Path("c2")).ok());
      extended = Make(with_rounds(12));
      ASSERT_TRUE(extended->LoadCheckpoint(Path("c2")).ok());
    }
    EXPECT_EQ(extended->epoch(), 3);
    results.push_back(Results(*extended));
  }
  EXPECT_TRUE(results[0] == results[1]);
}

TEST_F(TreeTrainingTest, SpeedCountsTheRoundsThatAnEpochGrew) {
  const auto with_rounds = [](int rounds) {
    TreeInput input = MakeInput();
    input.options.rounds = rounds;
    input.options.epoch_rounds = 4;
    return input;
  };
  // Rounds of the next epoch, of 160 rows each.
  const auto rounds_told = [](TreeTraining& training) {
    auto metrics = training.TrainEpoch(Never);
    EXPECT_TRUE(metrics.ok()) << metrics.status();
    if (!metrics.ok()) return 0.0;
    return (*metrics)["samples_per_second"] * (*metrics)["seconds"] / 160;
  };
  const auto training = Make(with_rounds(6));
  EXPECT_NEAR(rounds_told(*training), 4, 1e-6);
  EXPECT_NEAR(rounds_told(*training), 2, 1e-6) << "the last one is short";
  ASSERT_TRUE(training->done());
  ASSERT_TRUE(training->SaveCheckpoint(Path("c")).ok());
  const auto extended = Make(with_rounds(12));
  ASSERT_TRUE(extended->LoadCheckpoint(Path("c")).ok());
  EXPECT_NEAR(rounds_told(*extended), 6, 1e-6) << "what was cut is made up for";
}

TEST_F(TreeTrainingTest, TrainedOnEarlyStoppingIsPatientAgain) {
  TreeInput input = MakeInput();
  input.options.rounds = 400;
  input.options.max_depth = 6;
  input.options.learning_rate = 0.5;
  input.train_options.early_stopping = 3;
  const auto stopped = Make(input);
  while (!stopped->done()) ASSERT_TRUE(stopped->TrainEpoch(Never).ok());
  const int epoch = stopped->epoch();
  ASSERT_LT(epoch, 100);
  ASSERT_TRUE(stopped->SaveCheckpoint(Path("c")).ok());
  const auto again = Make(input);
  ASSERT_TRUE(again->LoadCheckpoint(Path("c")).ok());
  EXPECT_TRUE(again->done()) << "nothing was asked for that was not before";

  input.options.rounds = 800;
  const auto more = Make(input);
  ASSERT_TRUE(more->LoadCheckpoint(Path("c")).ok());
  EXPECT_FALSE(more->done());
  EXPECT_EQ(more->stopping().best_epoch, stopped->stopping().best_epoch);
  while (!more->done()) ASSERT_TRUE(more->TrainEpoch(Never).ok());
  EXPECT_GE(more->epoch(), epoch + 3);

  input.train_options.early_stopping = 0;
  const auto without = Make(input);
  ASSERT_TRUE(without->LoadCheckpoint(Path("c")).ok());
  EXPECT_EQ(without->stopping().best_epoch, 0);
}

TEST_F(TreeTrainingTest, PositivesThatWeighMoreArePredictedHigher) {
  const auto mean = [&](double weight) {
    TreeInput input = MakeInput();
    input.positive_weights = {1, weight, 1};
    const FeatureTable table = input.validation;
    const auto training = Make(std::move(input));
    while (!training->done()) EXPECT_TRUE(training->TrainEpoch(Never).ok());
    const std::vector<float> p = *(*training->Trees())->Predict(table);
    std::vector<double> sum(kLabels);
    for (size_t i = 0; i < p.size(); ++i) sum[i % kLabels] += p[i] / 80;
    return sum;
  };
  const std::vector<double> even = mean(1), heavy = mean(8);
  EXPECT_EQ(even[0], heavy[0]);
  EXPECT_GT(heavy[1], even[1] + 0.05);
  EXPECT_EQ(even[2], heavy[2]);
}

TEST_F(TreeTrainingTest, ResultsHoldModelsNamesAndWhatTheFeaturesGained) {
  const auto training = Make(MakeInput());
  ASSERT_TRUE(training->TrainEpoch(Never).ok());
  const auto files = training->SaveResults(folder_);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, ElementsAre("weights.safetensors", "model-clay.ubj",
                                  "model-salt.ubj", "model-iron_oxide~2.ubj"));
  for (const std::string& name : *files) EXPECT_TRUE(FileExists(Path(name)));
  const auto weights = *TensorFile::Open(Path("weights.safetensors"));
  EXPECT_EQ(*weights->Metadata("format"), "foldfarm-weights");
  EXPECT_EQ(*weights->Metadata("job"), "made/trees/0");
  EXPECT_THAT(*weights->Metadata("feature_names"), HasSubstr("\"f11\""));
  // Column 0 says what the first label is.
  EXPECT_THAT(*weights->Metadata("feature_gain"),
              HasSubstr("\"clay\":[[\"f0\","));
  EXPECT_TRUE(weights->U8("booster.iron oxide", {-1}).ok());
}

TEST_F(TreeTrainingTest, LabelsThatLookAlikeAsFileNamesHaveFilesOfTheirOwn) {
  TreeInput input = MakeInput();
  input.labels = {"оксид", "глина", std::string(120, 'x')};
  const auto training = Make(std::move(input));
  ASSERT_TRUE(training->TrainEpoch(Never).ok());
  const auto files = training->SaveResults(folder_);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(
      *files,
      ElementsAre("weights.safetensors", "model-__________~0.ubj",
                  "model-__________~1.ubj",
                  absl::StrCat("model-", std::string(80, 'x'), "~2.ubj")));
  EXPECT_FALSE(*ReadFile(Path((*files)[1])) == *ReadFile(Path((*files)[2])));
}

TEST_F(TreeTrainingTest, OptionsThatExcludeEachOtherAreRefused) {
  TreeInput input = MakeInput();
  input.options.max_depth = 0;
  EXPECT_THAT(TreeTraining::Create(input).status().ToString(),
              HasSubstr("max_depth and max_leaves are both 0"));
  input = MakeInput();
  input.options.targets = TreeTargets::kMultiOutput;
  input.positive_weights[1] = 2;
  EXPECT_THAT(TreeTraining::Create(input).status().ToString(),
              HasSubstr("use targets one_per_label"));
}

TEST_F(TreeTrainingTest, ACheckpointOfAnotherTrainingIsRefused) {
  const auto training = Make(MakeInput());
  ASSERT_TRUE(training->TrainEpoch(Never).ok());
  ASSERT_TRUE(training->SaveCheckpoint(Path("c")).ok());
  TreeInput input = MakeInput();
  input.seed = 8;
  EXPECT_THAT(Make(input)->LoadCheckpoint(Path("c")).ToString(),
              HasSubstr("belongs to seed 7, expected 8"));
  input = MakeInput();
  input.labels[0] = "carbonate";
  EXPECT_THAT(Make(input)->LoadCheckpoint(Path("c")).ToString(),
              HasSubstr("booster.carbonate"));
  ASSERT_TRUE(
      WriteFileAtomically(Path("c/weights.safetensors"), "not trees").ok());
  EXPECT_FALSE(Make(MakeInput())->LoadCheckpoint(Path("c")).ok());
}

}  // namespace
}  // namespace foldfarm
