// What a person reads when a sweep file is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/sweep/sweep.h"

namespace foldfarm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Lt;
using testing::SizeIs;
using testing::StartsWith;

// The lines of the message; empty for a file that is taken.
std::vector<std::string> Mistakes(const std::string& yaml) {
  const absl::StatusOr<v1::SweepSpec> spec = ParseSweep(yaml, "mars.yaml");
  if (spec.ok()) return {};
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(std::string(spec.status().message()), '\n');
}

// A sweep of one model whose options are `options`.
std::string OneModel(const std::string& options) {
  return absl::StrCat("name: s\nmodels:\n  - {name: a, ", options, "}\n");
}

TEST(SweepErrorsTest, AnUnknownKeyIsNamedWithItsPlaceAndTheNearestKnownOne) {
  EXPECT_THAT(Mistakes("name: s\n"
                       "models:\n"
                       "  - name: a\n"
                       "    arch: {none: {}}\n"
                       "    augment: {mix_probs: 0.25}\n"),
              ElementsAre("mars.yaml:5:15: unknown key 'mix_probs' in augment "
                          "(did you mean 'mix_prob'?)"));
}

TEST(SweepErrorsTest, AKeyLikeNoOtherGetsTheListOfKeys) {
  EXPECT_THAT(
      Mistakes(OneModel("arch: {transformer_xl: {}}")),
      ElementsAre("mars.yaml:3:22: unknown key 'transformer_xl' in "
                  "arch; known are resnet, rnn, vit1d, conv1d, seresnext, "
                  "dpn, efficientnet, vit, tabnet, xgboost, exec, "
                  "none"));
}

TEST(SweepErrorsTest, OptionsThatOnlyTheFarmSetsAreUnknown) {
  EXPECT_THAT(
      Mistakes("name: s\nfolds: {assignment: []}\n"
               "models: [{name: a, arch: {none: {}}}]\n"),
      ElementsAre(HasSubstr(":2:9: unknown key 'assignment' in folds")));
}

// A table of single mistakes: options of a model, and what is said of them.
struct Case {
  const char* name;
  const char* options;
  const char* message;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class SingleMistakeTest : public testing::TestWithParam<Case> {};

TEST_P(SingleMistakeTest, IsSaidInFull) {
  EXPECT_THAT(Mistakes(OneModel(
                  absl::StrCat("arch: {none: {}}, ", GetParam().options))),
              ElementsAre(HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Options, SingleMistakeTest,
    testing::Values(
        Case{"Word", "train: {epochs: abc}",
             "epochs: expected a whole number, got \"abc\""},
        Case{"Fraction", "train: {epochs: 1.5}",
             "epochs: expected a whole number, got \"1.5\""},
        Case{"QuotedNumber", "train: {lr: '1e-3'}",
             "lr: expected a number, got \"1e-3\"; drop the quotes"},
        Case{"NotFinite", "train: {lr: .nan}",
             "lr: expected a number, got \".nan\""},
        Case{"Infinite", "train: {lr: inf}",
             "lr: expected a finite number, got \"inf\""},
        Case{"Nothing", "train: {lr: }", "lr: expected a number, got nothing"},
        Case{"ListForNumber", "train: {lr: [1]}",
             "lr: expected a number, got a list"},
        Case{"TooLarge", "representation: {temp_step: 500}",
             "temp_step is 500, expected 1 to 100 degrees C"},
        Case{"ExclusiveBound", "train: {lr: 0}",
             "lr is 0, expected more than 0, at most 100"},
        Case{"BeyondInt32", "seed: 4294967296",
             "seed is 4294967296, expected 0 to 4294967295"},
        Case{"BeyondAnyInteger", "train: {epochs: 99999999999999999999}",
             "epochs is 99999999999999999999, expected 1 to 1000000"},
        Case{"YesForTrue", "representation: {log_space: yes}",
             "log_space: expected true or false, got \"yes\""},
        Case{"Enum", "train: {optimizer: adamx}",
             "optimizer: expected adamw or sgd or adam, got \"adamx\" (did "
             "you mean 'adamw'?)"},
        Case{"EnumInCapitals", "train: {optimizer: OPTIMIZER_SGD}",
             "optimizer: expected adamw or sgd or adam, got "
             "\"OPTIMIZER_SGD\""},
        Case{"ScalarForMap", "augment: 0.5",
             "augment: expected a map of options, got \"0.5\""},
        Case{"DuplicateKey", "slots: 1, slots: 2",
             "duplicate key 'slots' in model 'a', first on line 3"},
        Case{"WarmUpForever",
             "train: {epochs: 5, schedule: {kind: cosine, warmup: 5}}",
             "warmup is 5 epochs, expected less than epochs, 5"},
        Case{"LinearToOne",
             "representation: {log_space: false, norm_to_one: true}",
             "norm_to_one is true, expected log_space to be true too"}),
    [](const auto& info) { return info.param.name; });

TEST(SweepErrorsTest, OptionsOfANetworkMustFitEachOther) {
  EXPECT_THAT(Mistakes(OneModel("arch: {vit1d: {dim: 100}}")),
              ElementsAre("mars.yaml:3:35: dim is 100, expected a multiple of "
                          "heads, 32"));
  EXPECT_THAT(Mistakes(OneModel("arch: {conv1d: {kernel: 4}}")),
              ElementsAre(HasSubstr("kernel is 4, expected an odd number")));
  EXPECT_THAT(Mistakes(OneModel("arch: {conv1d: {stem_kernel: 6}}")),
              ElementsAre(HasSubstr("stem_kernel is 6, expected an odd")));
  EXPECT_THAT(
      Mistakes(OneModel("arch: {resnet: {stem_stride: [2]}}")),
      ElementsAre(HasSubstr("stem_stride has 1 numbers, expected two")));
  EXPECT_THAT(Mistakes(OneModel("arch: {resnet: {layers: [1, 2]}}")),
              ElementsAre(HasSubstr("layers has 2 stages and widths 4")));
  EXPECT_THAT(Mistakes(OneModel("arch: {resnet: {layers: []}}")),
              ElementsAre(HasSubstr("layers is empty")));
  EXPECT_THAT(Mistakes(OneModel("arch: {resnet: {layers: 3}}")),
              ElementsAre(HasSubstr("layers: expected a list, got \"3\"")));
  EXPECT_THAT(Mistakes(OneModel("arch: {rnn: {}, none: {}}")),
              ElementsAre(HasSubstr("arch has both 'rnn' and 'none'")));
  EXPECT_THAT(Mistakes(OneModel("slots: 1")),
              ElementsAre(HasSubstr("model 'a' has no arch")));
}

TEST(SweepErrorsTest, AllMistakesAreReportedInTheOrderOfTheFile) {
  EXPECT_THAT(
      Mistakes("name: a b\n"
               "tta: 0\n"
               "models:\n"
               "  - {name: x, arch: {none: {}}}\n"
               "  - {name: x, arch: {none: {}}}\n"
               "  - {name: y, like: z}\n"
               "  - {name: z, arch: {none: {}}, train: {epochs: -1}}\n"
               "  - {name: w, like: w}\n"
               "  - {arch: {none: {}}}\n"
               "  - {name: q, like: zz}\n"),
      ElementsAre(
          AllOf(StartsWith("mars.yaml:1:7: name is \"a b\""),
                HasSubstr("expected 1 to 64 of")),
          "mars.yaml:2:6: tta is 0, expected 1 to 256 draws",
          "mars.yaml:5:12: duplicate model name 'x', also models[0]",
          "mars.yaml:6:21: like: 'z' comes later, expected an earlier model",
          "mars.yaml:7:49: epochs is -1, expected 1 to 1000000 epochs",
          "mars.yaml:8:21: model 'w' is like itself",
          "mars.yaml:9:5: missing key 'name' in models[5]",
          "mars.yaml:10:21: like: no model is named 'zz' (did you mean "
          "'z'?)"));
}

TEST(SweepErrorsTest, ALongListOfMistakesIsCutShort) {
  std::string yaml = "name: s\nmodels: [{name: a, arch: {none: {}}}]\n";
  for (int i = 0; i < 200; ++i) absl::StrAppend(&yaml, "key", i, ": 1\n");
  const std::vector<std::string> lines = Mistakes(yaml);
  ASSERT_THAT(lines, SizeIs(51));
  EXPECT_EQ(lines.back(), "mars.yaml: and 150 more mistakes");
}

TEST(SweepErrorsTest, AFileWithoutNameOrModelsIsRefused) {
  EXPECT_THAT(Mistakes("tta: 4\n"),
              ElementsAre("mars.yaml:1:1: missing key 'name' in the sweep",
                          "mars.yaml:1:1: missing key 'models' in the sweep"));
  EXPECT_THAT(Mistakes("name: s\nmodels: []\n"),
              ElementsAre(HasSubstr("2:9: models is empty")));
  EXPECT_THAT(Mistakes("name: s\nmodels: a\n"),
              ElementsAre(HasSubstr("models: expected a list, got \"a\"")));
  EXPECT_THAT(Mistakes(""), ElementsAre(HasSubstr("the file is empty")));
  EXPECT_THAT(Mistakes("# nothing\n"),
              ElementsAre(HasSubstr("the file is empty")));
  EXPECT_THAT(Mistakes("- a\n"),
              ElementsAre(HasSubstr("the sweep: expected a map of options")));
}

TEST(SweepErrorsTest, ASweepIsNotNamedLikeAnId) {
  const absl::Status status =
      ParseSweep("name: s25\nmodels:\n  - {name: a, arch: {none: {}}}\n",
                 "mars.yaml")
          .status();
  EXPECT_EQ(status.message(),
            "mars.yaml:1:7: name is \"s25\", which is how the farm's own ids "
            "look; expected another one");
}

TEST(SweepErrorsTest, DefaultsHaveNeitherNameNorLike) {
  EXPECT_THAT(Mistakes("name: s\ndefaults: {name: d, like: a}\n"
                       "models: [{name: a, arch: {none: {}}}]\n"),
              ElementsAre(HasSubstr("2:18: defaults cannot have a 'name'"),
                          HasSubstr("2:27: defaults cannot have a 'like'")));
}

TEST(SweepErrorsTest, OneWayToCutFoldsIsEnough) {
  const auto folds = [](const std::string& text) {
    return Mistakes(absl::StrCat("name: s\nfolds: ", text,
                                 "\nmodels: [{name: a, arch: {none: {}}}]\n"));
  };
  EXPECT_THAT(folds("{count: 4, holdout: {instrument_type: sam_testbed}}"),
              ElementsAre(HasSubstr("more than one of count, file and")));
  EXPECT_THAT(folds("{holdout: {a: b, c: d}}"),
              ElementsAre(HasSubstr("holdout has 2 columns, expected one")));
  EXPECT_THAT(folds("{holdout: {}}"),
              ElementsAre(HasSubstr("holdout has 0 columns, expected one")));
  EXPECT_THAT(folds("{holdout: {a: b}, seed: 3}"),
              ElementsAre(HasSubstr("2:32: seed has no effect without count")));
  EXPECT_THAT(folds("{count: 1}"),
              ElementsAre(HasSubstr("count is 1, expected 2 to 100 folds")));
  EXPECT_THAT(folds("{file: f.csv}"),
              ElementsAre(HasSubstr("2:15: file: fold files cannot be read")));
}

TEST(SweepErrorsTest, WhatIsNotYamlIsRefusedWithItsPlace) {
  EXPECT_THAT(
      Mistakes("name: s\nmodels: [{name: a\n"),
      ElementsAre("mars.yaml:3:1: not YAML: a map that began with { has "
                  "no } yet"));
  EXPECT_THAT(Mistakes("name: s\nfolds:\n\tcount: 4\n"),
              ElementsAre("mars.yaml:3:1: not YAML: a tab indents this line, "
                          "expected spaces"));
  EXPECT_THAT(Mistakes("name: s\nmodels:\n  -\tname: a\n"),
              ElementsAre(StartsWith("mars.yaml:3:4: not YAML: a tab ")));
  EXPECT_THAT(Mistakes("name: s\n  tta: 3\n"),
              ElementsAre(AllOf(StartsWith("mars.yaml:2:6: not YAML: "),
                                HasSubstr("indent it as its neighbours"))));
  EXPECT_THAT(Mistakes("name: s\ndefaults:\n  train:\n      lr: 1\n    batch: 8"
                       "\n"),
              ElementsAre(AllOf(StartsWith("mars.yaml:5:5: not YAML: "),
                                HasSubstr("indented like none"))));
  // What is missing is told where it is missing.
  EXPECT_THAT(Mistakes("name: s\ndefaults:\n  train:\n    lr:\n    batch: 8\n"
                       "models: [{name: a, arch: {rnn: {}}}]\n"),
              ElementsAre("mars.yaml:4:5: lr: expected a number, got nothing"));
  EXPECT_THAT(Mistakes("name: @s\n"),
              ElementsAre(HasSubstr("put it into quotes")));
  EXPECT_THAT(Mistakes("name: s\n---\nname: t\n"),
              ElementsAre("mars.yaml:3:1: a second document begins, expected "
                          "one a file"));
  EXPECT_THAT(Mistakes("name: \xff\n"),
              ElementsAre("mars.yaml:1:7: not a text file: expected UTF-8"));
  EXPECT_THAT(Mistakes(std::string("name: \0\n", 8)),
              ElementsAre("mars.yaml:1:7: not a text file: expected UTF-8"));
  EXPECT_THAT(Mistakes("name: *nowhere\n"),
              ElementsAre(StartsWith("mars.yaml:1:7: not YAML: ")));
  EXPECT_THAT(Mistakes("name: &a [*a]\n"),
              ElementsAre(HasSubstr("alias stands inside its own anchor")));
  EXPECT_THAT(Mistakes("[a, b]: c\n"),
              ElementsAre("mars.yaml:1:1: expected a key, got a list"));
}

TEST(SweepErrorsTest, HostileFilesAreRefusedBeforeTheyCostAnything) {
  EXPECT_THAT(Mistakes(absl::StrCat("name: ", std::string(100'000, '['))),
              ElementsAre(AllOf(StartsWith("mars.yaml:1:"),
                                HasSubstr("nested deeper than 20 levels"))));
  EXPECT_THAT(Mistakes(absl::StrCat("name: ", std::string(100'000, '{'))),
              ElementsAre(AllOf(StartsWith("mars.yaml:1:"),
                                HasSubstr("nested deeper than 20 levels"))));
  std::string steps;
  for (int i = 0; i < 2000; ++i) {
    absl::StrAppend(&steps, std::string(static_cast<size_t>(i), ' '), "a:\n");
  }
  EXPECT_THAT(Mistakes(steps),
              ElementsAre("mars.yaml:20:20: nested deeper than 20 levels"));
  EXPECT_THAT(Mistakes(std::string(50'000, '?')), SizeIs(1));
  // An alias is as deep as what it stands for.
  EXPECT_THAT(Mistakes("a: &a [[[[[[[[[[1]]]]]]]]]]\nb: "
                       "&b [[[[[[[[[[*a]]]]]]]]]]\n"),
              ElementsAre(StartsWith("mars.yaml:2:17: nested deeper")));
  EXPECT_THAT(Mistakes(std::string(5 << 20, 'a')),
              ElementsAre("mars.yaml:1:1: the file has 5242880 bytes, expected "
                          "at most 4194304"));
  // Each level stands for ten of the level before: 10^9 values in all.
  std::string laughs = "l0: &l0 [lol]\n";
  for (int i = 1; i < 10; ++i) {
    absl::StrAppend(&laughs, "l", i, ": &l", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&laughs, "*l", i - 1, ", ");
    absl::StrAppend(&laughs, "]\n");
  }
  EXPECT_THAT(Mistakes(laughs),
              ElementsAre(AllOf(StartsWith("mars.yaml:6:"),
                                HasSubstr("more than 200000 values, aliases "
                                          "included"))));
  // A message repeats a long value only in part.
  const std::vector<std::string> lines =
      Mistakes(absl::StrCat("name: ", std::string(100'000, 'n'),
                            "\nmodels: [{name: a, arch: {none: {}}}]\n"));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0].size(), Lt(250u));
}

}  // namespace
}  // namespace foldfarm
