#include "coordinator/cli/table.h"

#include "coordinator/cli/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Align = Column::Align;

TEST(TableTest, AlignsColumnsAndLeavesNoTrailingBlanks) {
  Table table({{"JOB"}, {"EPOCH", Align::kRight}, {"WORKER"}});
  table.AddRow({"s1/gru/0", "9/12", "gpu-1"});
  table.AddRow({"s1/resnet/0", "12/12", ""});
  EXPECT_EQ(table.Render(0, false),
            "JOB          EPOCH  WORKER\n"
            "s1/gru/0      9/12  gpu-1\n"
            "s1/resnet/0  12/12\n");
}

TEST(TableTest, ShrinksColumnsThatMayShrinkFirst) {
  Table table({{"JOB"}, {"ERROR", Align::kLeft, true, 8}});
  table.AddRow({"s1/gru/0", "exit 70: CUDA error: an illegal memory access"});
  const std::string text = table.Render(30, false);
  EXPECT_EQ(text,
            "JOB       ERROR\n"
            "s1/gru/0  exit 70: CUDA error…\n");
}

TEST(TableTest, DropsOptionalColumnsWhenShrinkingDoesNotSuffice) {
  Table table({{"JOB"},
               {"STATE"},
               {"ATTEMPTS", Align::kRight, false, 0, true},
               {"CREATED", Align::kLeft, false, 0, true}});
  table.AddRow({"s1/gru/0", "running", "1", "3m ago"});
  EXPECT_THAT(table.Render(40, false), HasSubstr("CREATED"));
  EXPECT_THAT(table.Render(30, false),
              testing::AllOf(HasSubstr("ATTEMPTS"), Not(HasSubstr("CREATED"))));
  EXPECT_THAT(table.Render(17, false), Not(HasSubstr("ATTEMPTS")));
}

TEST(TableTest, ColourDoesNotMoveColumns) {
  Table table({{"STATE"}, {"JOB"}});
  table.AddRow({Cell("failed", Style::kBad), "s1/gru/0"});
  const std::string text = table.Render(0, true);
  EXPECT_THAT(text, HasSubstr("\033[31mfailed\033[0m  s1/gru/0"));
  EXPECT_THAT(table.Render(0, false), Not(HasSubstr("\033")));
}

}  // namespace
}  // namespace foldfarm
