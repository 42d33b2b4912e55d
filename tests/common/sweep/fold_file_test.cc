#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using testing::HasSubstr;

std::string Mistake(absl::string_view csv) {
  const auto rows = ParseFoldFile(csv, "folds.csv");
  return rows.ok() ? "" : std::string(rows.status().message());
}

TEST(FoldFileTest, OnlyItsTwoColumnsMatterWhateverTheirOrder) {
  const auto rows = ParseFoldFile(
      "\xEF\xBB\xBF"
      "fold,note,sample_id\r\n1,\"a, \"\"b\"\"\",S1\r\n0,,\"S2\"\r\n\r\n",
      "folds.csv");
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].sample_id(), "S1");
  EXPECT_EQ((*rows)[0].fold(), 1);
  EXPECT_EQ((*rows)[1].sample_id(), "S2");
  EXPECT_EQ((*rows)[1].fold(), 0);
}

TEST(FoldFileTest, EveryMistakeNamesItsLine) {
  EXPECT_EQ(
      Mistake("sample_id,fold\nS1,0\nS1,0\nS2,x\nS3\n,0\nS4,-1\n"),
      "folds.csv:3: duplicate sample \"S1\", first on line 2\n"
      "folds.csv:4: fold is \"x\", expected a whole number from 0 to 99\n"
      "folds.csv:5: got 1 cell, expected 2\n"
      "folds.csv:6: sample_id is empty\n"
      "folds.csv:7: fold is \"-1\", expected a whole number from 0 to 99");
}

TEST(FoldFileTest, ASampleThatIsNoTextIsRefused) {
  EXPECT_EQ(Mistake("sample_id,fold\nS\xC3\xA9,0\nS\xFF,0\n"),
            "folds.csv:3: sample_id is \"S\\xff\", expected UTF-8 text");
}

TEST(FoldFileTest, AFileThatIsNotAFoldFileIsRefused) {
  EXPECT_THAT(Mistake("id,fold\nS1,0\n"),
              HasSubstr("folds.csv:1: no column 'sample_id', got \"id,fold\""));
  EXPECT_THAT(Mistake(""), HasSubstr("no column 'sample_id'"));
  EXPECT_THAT(Mistake("sample_id,fold\n"), HasSubstr("no samples"));
  EXPECT_THAT(Mistake("sample_id,fold\nS1,0\nS2,2\n"),
              HasSubstr("fold 1 has no samples, but fold 2 has"));
}

TEST(FoldFileTest, ASweepThatNamesAnAbsentFoldFileSaysWhere) {
  const auto spec = ParseSweep(
      "name: s\nfolds: {file: gone.csv}\n"
      "models: [{name: a, arch: {none: {}}}]\n",
      "mars.yaml", [](const std::string& name) {
        return absl::StatusOr<std::string>(
            absl::NotFoundError(name + ": cannot open"));
      });
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.status().message(),
            "mars.yaml:2:15: file: gone.csv: cannot open");
}

TEST(LoadSweepFileTest, AMissingFileIsNotFoundAndAFolderIsNoSweep) {
  EXPECT_EQ(LoadSweepFile("/nowhere/a.yaml").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadSweepFile("/").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(LoadSweepFileTest, AFileWithoutEndIsNotReadToIt) {
  EXPECT_EQ(std::string(LoadSweepFile("/dev/zero").status().message()),
            "/dev/zero:1:1: got more, expected a sweep file of at most 4194304 "
            "bytes");
  const std::string folder = MakeTemporaryDirectory("folds").value();
  const std::string path = JoinPath(folder, "a.yaml");
  ASSERT_TRUE(WriteFileAtomically(path,
                                  "name: a\nfolds: {file: /dev/zero}\n"
                                  "models: [{name: m, arch: {none: {}}}]\n")
                  .ok());
  EXPECT_THAT(std::string(LoadSweepFile(path).status().message()),
              ::testing::HasSubstr("a.yaml:2:15: file: /dev/zero:1:1: got "
                                   "more, expected a fold file of at most"));
  EXPECT_TRUE(RemoveRecursively(folder).ok());
}

}  // namespace
}  // namespace foldfarm
