#include "coordinator/cli/dataset_import.h"

#include "common/base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

class FingerprintTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = MakeTemporaryDirectory("fingerprint_test").value();
    Write("metadata.csv",
          "sample_id,split,instrument_type,features_path,features_md5_hash\n"
          "S0,train,commercial,features/S0.csv,\n"
          "S1,train,commercial,features/S1.csv,\n");
    Write("train_labels.csv", "sample_id,basalt\nS0,1\nS1,0\n");
    Write("features/S0.csv", "time,temp,m/z,abundance\n");
  }
  void TearDown() override { ASSERT_TRUE(RemoveRecursively(directory_).ok()); }

  void Write(const std::string& name, const std::string& text) {
    const std::string path = JoinPath(directory_, name);
    ASSERT_TRUE(MakeDirectories(DirectoryOf(path)).ok());
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
  }
  std::string Fingerprint() {
    const auto fingerprint = FingerprintDirectory(directory_);
    EXPECT_TRUE(fingerprint.ok()) << fingerprint.status();
    return fingerprint.value_or("");
  }

  std::string directory_;
};

TEST_F(FingerprintTest, WhatARunWritesIntoTheFolderDoesNotCount) {
  const std::string before = Fingerprint();
  Write("out/coordinator/farm.db", "x");
  Write("out/oof.csv", "x");
  Write("features/S9.csv", "x");
  EXPECT_EQ(Fingerprint(), before);
}

TEST_F(FingerprintTest, EveryFileThatAnImportReadsCounts) {
  std::string before = Fingerprint();
  // S1's features were absent.
  for (const char* name : {"features/S0.csv", "features/S1.csv",
                           "train_labels.csv", "val_labels.csv"}) {
    Write(name, "sample_id,basalt\nand another line\n");
    const std::string after = Fingerprint();
    EXPECT_NE(after, before) << name;
    before = after;
  }
  Write("metadata.csv",
        "sample_id,split,instrument_type,features_path,features_md5_hash\n"
        "S0,train,commercial,features/S0.csv,\n");
  EXPECT_NE(Fingerprint(), before);
}

TEST_F(FingerprintTest, AFolderThatIsNotThereIsNotFound) {
  EXPECT_EQ(
      FingerprintDirectory(JoinPath(directory_, "nowhere")).status().code(),
      absl::StatusCode::kNotFound);
}

TEST(DatasetNameTest, IsMadeOfTheFoldersNameAndTheFingerprint) {
  EXPECT_EQ(DatasetNameOf("a/mars//", "0123456789abcdef"), "mars-01234567");
  EXPECT_EQ(DatasetNameOf(".", "0123456789abcdef"), "data-01234567");
}

}  // namespace
}  // namespace foldfarm
