// Importing only some splits, and folders of samples without labels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/spectra/import.h"
#include "common/spectra/prepared_dataset.h"
#include "common/spectra/synthesize.h"
#include "tests/common/spectra/test_files.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ImportPartTest : public ::testing::Test {
 protected:
  // 8 train samples and 1 test sample of each instrument that has any.
  ImportPartTest() {
    options_.directory = scratch_.file("data");
    options_.output = scratch_.file("dataset.safetensors");
    EXPECT_TRUE(SynthesizeDataset(options_.directory,
                                  {.samples = 6, .sam = 2, .seed = 5})
                    .ok());
  }

  std::vector<std::string> SplitsOf(const std::string& path) {
    const auto dataset = PreparedDataset::Open(path);
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    std::vector<std::string> splits;
    for (const SampleInfo& sample : (*dataset)->header().samples) {
      splits.push_back(sample.split);
    }
    return splits;
  }

  ScratchFolder scratch_;
  ImportOptions options_;
};

TEST_F(ImportPartTest, OnlyTheSplitsAskedForAreReadAndMissed) {
  ASSERT_TRUE(
      RemoveRecursively(JoinPath(options_.directory, "train_features")).ok());
  options_.splits = {"test"};
  const auto result = ImportDataset(options_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->missing.empty()) << "train samples were not asked for";
  EXPECT_THAT(SplitsOf(options_.output), ElementsAre("test", "test"));
  options_.splits = {"val"};
  EXPECT_THAT(std::string(ImportDataset(options_).status().message()),
              HasSubstr("no samples of split val; it has test 2, train 8"));
}

TEST_F(ImportPartTest, AFolderWithoutLabelFilesTakesTheLabelsGiven) {
  const std::string labels = JoinPath(options_.directory, "train_labels.csv");
  ASSERT_TRUE(RemoveRecursively(labels).ok());
  options_.splits = {"test"};
  EXPECT_EQ(ImportDataset(options_).status().code(),
            absl::StatusCode::kNotFound);
  options_.labels = {"x", "y"};
  ASSERT_TRUE(ImportDataset(options_).ok());
  const auto dataset = PreparedDataset::Open(options_.output);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT((*dataset)->header().labels, ElementsAre("x", "y"));
  EXPECT_FALSE((*dataset)->header().samples[0].labelled);
}

}  // namespace
}  // namespace foldfarm
