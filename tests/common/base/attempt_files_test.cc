#include "common/base/attempt_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace foldfarm {
namespace {

TEST(CheckFileNameTest, PlainNamesOfAnyLanguageAreTaken) {
  for (const char* name : {"model.ubj", "a b.txt", ".config", "...",
                           "\xC3\xBC.py", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) {
    EXPECT_TRUE(CheckFileName(name).ok()) << name;
  }
  EXPECT_TRUE(CheckFileName(std::string(100, 'x')).ok());
}

TEST(CheckFileNameTest, NamesThatLeadElsewhereAreRefused) {
  for (const char* name :
       {"", ".", "..", "/", "/etc/passwd", "../x", "a/b", "a\\b", "a\nb",
        "\x7F", "\x1B[31m", " a", "a ", "\xFF", "\xC3", "\xC0\xAF",
        "\xED\xA0\x80", "\xC2\x85", "\xF4\x90\x80\x80"}) {
    EXPECT_EQ(CheckFileName(name).code(), absl::StatusCode::kInvalidArgument)
        << name;
  }
  EXPECT_FALSE(CheckFileName(std::string(101, 'x')).ok());
  EXPECT_FALSE(CheckFileName(std::string("a\0b", 3)).ok());
}

TEST(CheckFileNameTest, ARefusalQuotesTheNameWithoutItsControlCharacters) {
  EXPECT_THAT(std::string(CheckFileName("a\x1B[2J").message()),
              testing::HasSubstr("\"a\\x1b[2J\""));
}

TEST(TreesFileTest, LabelsThatCannotBeFileNamesHaveFilesOfTheirOwn) {
  EXPECT_EQ(TreesFile("clay", 0), "model-clay.ubj");
  EXPECT_EQ(TreesFile("iron oxide", 2), "model-iron_oxide~2.ubj");
  EXPECT_NE(TreesFile("\u043e\u043a", 3), TreesFile("\u0433\u043b", 4));
  const std::string longest = TreesFile(std::string(1000, 'x'), 253);
  EXPECT_TRUE(CheckFileName(longest).ok()) << longest;
  EXPECT_NE(longest, TreesFile(std::string(80, 'x'), 0));
}

TEST(CheckResultFileNameTest, OnlyWhatStandsInAPredictingFolderIsRefused) {
  for (const char* name :
       {"weights.safetensors", "model.ubj", "init.weights", "history.json"}) {
    EXPECT_TRUE(CheckResultFileName(name).ok()) << name;
  }
  for (const char* name :
       {"attempt.json", "dataset.safetensors", "oof.safetensors",
        "predictions.safetensors", "../weights.safetensors"}) {
    EXPECT_FALSE(CheckResultFileName(name).ok()) << name;
  }
}

TEST(CheckUserFileNameTest, TheFarmsOwnFilesAreRefused) {
  EXPECT_TRUE(CheckUserFileName("train.py").ok());
  for (const char* name :
       {"attempt.json", "config.json", "dataset.safetensors", "checkpoint",
        "checkpoint-000001", "oof.safetensors", "weights.safetensors",
        "init.weights", "predictions.safetensors"}) {
    EXPECT_FALSE(CheckUserFileName(name).ok()) << name;
  }
}

}  // namespace
}  // namespace foldfarm
