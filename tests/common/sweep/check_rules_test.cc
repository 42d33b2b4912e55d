// `screen` and `stop_when` in sweep files.
#include "common/sweep/check_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A sweep of so many models; `rules` are its lines from the second on.
absl::StatusOr<v1::SweepSpec> Parse(const std::string& rules, int models,
                                    const std::vector<std::string>& sets = {}) {
  std::string yaml = absl::StrCat("name: s\n", rules, "\nmodels:\n");
  for (int i = 0; i < models; ++i) {
    absl::StrAppend(&yaml, "  - {name: m", i, ", arch: {none: {}}}\n");
  }
  return ParseSweep(
      yaml, "mars.yaml",
      [](const std::string&) {
        return absl::StatusOr<std::string>(
            "sample_id,fold\nS1,0\nS2,1\nS3,2\n");
      },
      sets);
}

struct Case {
  const char* name;
  const char* rules;
  int models;
  // Nothing: the sweep is sound.
  const char* message;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class CheckRulesTest : public testing::TestWithParam<Case> {};

TEST_P(CheckRulesTest, SaysWhatHasNoEffectOrCannotBe) {
  const auto spec = Parse(GetParam().rules, GetParam().models);
  if (GetParam().message[0] == '\0') {
    EXPECT_TRUE(spec.ok()) << spec.status();
    return;
  }
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<std::string> mistakes =
      absl::StrSplit(std::string(spec.status().message()), '\n');
  EXPECT_THAT(mistakes, ElementsAre(HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Screen, CheckRulesTest,
    testing::Values(
        Case{"Whole",
             "screen: {fold: 3, keep: 12, by: [log_loss, correlation]}", 26,
             ""},
        Case{"Off", "screen: {keep: 0}", 3, ""},
        Case{"WithoutKeep", "screen: {fold: 1}", 3,
             "mars.yaml:2:9: screen has no effect while keep is 0; say how "
             "many models go on"},
        Case{"KeepsAll", "screen: {keep: 3}", 3,
             "mars.yaml:2:16: keep is 3, expected less than the sweep's 3 "
             "models; a trial that all pass has no effect"},
        Case{"NoSuchFold", "screen: {keep: 2, fold: 4}", 3,
             "mars.yaml:2:25: fold is 4, expected 0 to 3, one of the sweep's "
             "folds"},
        Case{"NoSuchFoldOfAFile",
             "folds: {file: f.csv}\nscreen: {keep: 2, fold: 3}", 3,
             "mars.yaml:3:25: fold is 3, expected 0 to 2"},
        Case{"SingleFold",
             "folds: {holdout: {a: b}}\nscreen: {keep: 2, fold: 1}", 3,
             "mars.yaml:3:9: screen has no effect with a single fold"},
        Case{"UnknownWord", "screen: {keep: 2, by: [log_loss, corelation]}", 3,
             "mars.yaml:2:34: by has \"corelation\", expected log_loss or "
             "correlation (did you mean 'correlation'?)"},
        Case{"WordTwice", "screen: {keep: 2, by: [log_loss, log_loss]}", 3,
             "mars.yaml:2:34: by has \"log_loss\" twice"},
        Case{"NoWord", "screen: {keep: 2, by: []}", 3,
             "mars.yaml:2:23: by is empty"},
        Case{"Negative", "screen: {keep: -1}", 3,
             "mars.yaml:2:16: keep is -1, expected 0 to 1000 models"},
        Case{"UnknownKey", "screen: {keeps: 2}", 3,
             "unknown key 'keeps' in screen (did you mean 'keep'?)"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    StopWhen, CheckRulesTest,
    testing::Values(
        Case{"Whole", "stop_when: {ensemble_gain_below: 0.0002, for_models: 4}",
             6, ""},
        Case{"Off", "stop_when: {ensemble_gain_below: 0}", 2, ""},
        Case{"WithoutGain", "stop_when: {for_models: 3}", 9,
             "mars.yaml:2:12: stop_when has no effect while "
             "ensemble_gain_below is 0; give it, such as 0.0002"},
        Case{"FewModels",
             "stop_when: {ensemble_gain_below: 0.0002, for_models: 4}", 5,
             "mars.yaml:2:54: for_models is 4, which has no effect unless at "
             "least 6 models are in the sweep, got 5"},
        Case{"FewModelsByDefault", "stop_when: {ensemble_gain_below: 0.0002}",
             5, "mars.yaml:2:12: for_models is 4, which has no effect"},
        Case{"FewKept",
             "stop_when: {ensemble_gain_below: 0.0002}\nscreen: {keep: 5}", 26,
             "for_models is 4, which has no effect unless at least 6 models "
             "are kept by screen, got 5"},
        Case{"TooLargeAGain", "stop_when: {ensemble_gain_below: 2}", 9,
             "ensemble_gain_below is 2, expected 0 to 1 log loss"}),
    [](const auto& info) { return info.param.name; });

TEST(CheckRulesTest, WhatIsNotSaidIsTheRulesDefault) {
  const auto spec =
      Parse("stop_when: {ensemble_gain_below: 0.0002}\nscreen: {keep: 7}", 9);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->stop_when().for_models(), 4);
  EXPECT_EQ(spec->screen().fold(), 0);
  EXPECT_THAT(spec->screen().by(), ElementsAre("log_loss", "correlation"));
  const auto plain = Parse("tta: 2", 1);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->screen().keep(), 0);
  EXPECT_EQ(plain->stop_when().ensemble_gain_below(), 0);
}

TEST(CheckRulesTest, TheCommandLineMaySwitchThemOff) {
  const std::string rules =
      "stop_when: {ensemble_gain_below: 0.0002}\nscreen: {keep: 7, fold: 1}";
  const auto spec =
      Parse(rules, 9, {"screen.keep=0", "stop_when.ensemble_gain_below=0"});
  EXPECT_TRUE(spec.ok()) << spec.status();
  const auto more = Parse(rules, 9, {"screen.keep=9"});
  EXPECT_THAT(std::string(more.status().message()),
              HasSubstr("as changed by --set screen.keep=9"));
}

TEST(FoldCountTest, CountsWhicheverWayTheFoldsAreCut) {
  v1::FoldsSpec folds;
  folds.set_count(4);
  EXPECT_EQ(FoldCount(folds), 4);
  folds.set_file("f.csv");
  EXPECT_EQ(FoldCount(folds), 0);
  for (const int fold : {0, 2, 1}) folds.add_assignment()->set_fold(fold);
  EXPECT_EQ(FoldCount(folds), 3);
  v1::FoldsSpec holdout;
  (*holdout.mutable_holdout())["instrument_type"] = "sam_testbed";
  EXPECT_EQ(FoldCount(holdout), 1);
}

}  // namespace
}  // namespace foldfarm
