// What an import says of samples that it takes all the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/spectra/import.h"
#include "common/spectra/sample_table.h"
#include "tests/common/spectra/test_files.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kScans = 100;

// A reading of each m/z every 9 degrees, from 30 to 921 C.
struct Recording {
  int num_mz = 25;
  int degrees = 9;
  // Of a scan.
  int (*time)(int) = [](int scan) { return 10 * scan; };
  int (*abundance)(int, int) = [](int scan, int mz) {
    return 1 + (7 * scan + mz) % 11;
  };
};

std::string Features(const Recording& recording) {
  std::string text = "time,temp,m/z,abundance\n";
  for (int scan = 0; scan < kScans; ++scan) {
    for (int mz = 1; mz <= recording.num_mz; ++mz) {
      absl::StrAppend(&text, recording.time(scan), ",",
                      30 + recording.degrees * scan, ",", mz, ",",
                      recording.abundance(scan, mz), "\n");
    }
  }
  return text;
}

class ImportWarningsTest : public ::testing::Test {
 protected:
  ImportWarningsTest() {
    options_.directory = scratch_.file("data");
    options_.output = scratch_.file("dataset.safetensors");
    EXPECT_TRUE(MakeDirectories(options_.directory).ok());
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(
        WriteFileAtomically(JoinPath(options_.directory, name), text).ok());
  }

  // A train sample with the features file PATH.
  void AddSample(const std::string& id, const std::string& path,
                 const std::string& md5 = "") {
    absl::StrAppend(&metadata_, id, ",train,commercial,", path, ",", md5, "\n");
    Write("metadata.csv", metadata_);
    absl::StrAppend(&labels_, id, ",1\n");
    Write("train_labels.csv", labels_);
  }
  void AddRecording(const std::string& id, const Recording& recording) {
    Write(id + ".csv", Features(recording));
    AddSample(id, id + ".csv");
  }

  ImportResult Import() {
    const auto result = ImportDataset(options_);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : ImportResult();
  }

  ScratchFolder scratch_;
  ImportOptions options_;
  std::string metadata_ =
      "sample_id,split,instrument_type,features_path,features_md5_hash\n";
  std::string labels_ = "sample_id,basalt\n";
};

TEST_F(ImportWarningsTest, SamplesThatShowLittleAreTakenAndTold) {
  AddRecording("usual", {});
  AddRecording("one_ion", {.num_mz = 1});
  AddRecording("cool", {.degrees = 1});
  // The clock had minutes only; here are two scans in each.
  AddRecording("minutes", {.time = [](int scan) { return scan / 2; }});
  AddRecording("no_clock", {.time = [](int) { return 0; }});
  const ImportResult result = Import();
  EXPECT_EQ(result.samples, 5);
  std::vector<std::string> ids, warnings;
  for (const OddSample& sample : result.odd) {
    ids.push_back(sample.id);
    warnings.push_back(sample.warning);
  }
  // Those that show least come first.
  ASSERT_THAT(ids, ElementsAre("no_clock", "minutes", "cool", "one_ion"));
  EXPECT_THAT(warnings[0],
              AllOf(HasSubstr("it has 1 scan, expected at least 30: models see "
                              "nothing of it"),
                    HasSubstr("; 99 % of its readings have the time and the "
                              "m/z of another one"),
                    Not(HasSubstr("°C"))));
  EXPECT_THAT(warnings[1], HasSubstr("50 % of its readings have the time"));
  EXPECT_THAT(warnings[2], HasSubstr("its readings span 30 to 129 °C"));
  EXPECT_THAT(warnings[3], HasSubstr("it has readings of 1 m/z"));
}

TEST_F(ImportWarningsTest, ASampleWhoseAbundancesAreConstantIsTold) {
  AddRecording("usual", {});
  AddRecording("constant", {.abundance = [](int, int mz) { return 3 + mz; }});
  // Helium alone is seldom quite still.
  AddRecording("helium", {.abundance = [](int scan, int mz) {
                 return mz == 4 ? 900 + scan % 7 : 0;
               }});
  const ImportResult result = Import();
  std::vector<std::string> told;
  for (const OddSample& sample : result.odd) {
    told.push_back(absl::StrCat(sample.id, ": ", sample.warning));
  }
  EXPECT_THAT(told,
              ElementsAre("constant: the abundance of 25 of its 25 m/z never "
                          "rises: models see nothing of it",
                          "helium: the abundance of 24 of its 25 m/z never "
                          "rises: models see little of it"));
}

TEST_F(ImportWarningsTest, SamplesWithAnothersFeaturesFileAreTold) {
  AddRecording("a", {});
  AddSample("b", "a.csv");
  const std::string text = Features({.num_mz = 30});
  Write("c.csv", text);
  Write("d.csv", text);
  AddSample("c", "c.csv", Md5Hex(text));
  AddSample("d", "d.csv", Md5Hex(text));
  const ImportResult result = Import();
  std::vector<std::string> shared;
  for (const SharedFeatures& sample : result.shared) {
    shared.push_back(absl::StrCat(sample.id, " ", sample.other));
  }
  EXPECT_THAT(shared, ElementsAre("b a", "d c"));
}

TEST_F(ImportWarningsTest, TrainSamplesWithoutARowOfLabelsAreCounted) {
  for (const char* id : {"a", "b", "c"}) AddRecording(id, {});
  EXPECT_EQ(Import().train_unlabelled, 0);
  Write("train_labels.csv", "sample_id,basalt\nb,1\n");
  ImportResult result = Import();
  EXPECT_EQ(result.train, 3);
  EXPECT_EQ(result.train_unlabelled, 2);
  EXPECT_EQ(result.labelled, 1);
  // Whoever gives the labels' names knows that there is no file.
  ASSERT_TRUE(
      RemoveRecursively(JoinPath(options_.directory, "train_labels.csv")).ok());
  options_.labels = {"basalt"};
  result = Import();
  EXPECT_EQ(result.train, 3);
  EXPECT_EQ(result.train_unlabelled, 0);
}

TEST_F(ImportWarningsTest, OnlyFilesThatAnImportReadsAreListed) {
  AddRecording("a", {});
  AddSample("b", "a.csv");
  AddSample("gone", "gone.csv");
  Write("other.csv", "");
  const auto files = ListDatasetFiles(options_.directory);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files, ElementsAre("a.csv", "gone.csv", "metadata.csv",
                                  "train_labels.csv"));
  EXPECT_EQ(ListDatasetFiles(scratch_.file("nowhere")).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace foldfarm
