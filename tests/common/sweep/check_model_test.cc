// Options that are legal by themselves and do not fit each other.
#include "common/sweep/check_model.h"

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

std::vector<std::string> Mistakes(const std::string& yaml) {
  const absl::StatusOr<v1::SweepSpec> spec = ParseSweep(yaml, "mars.yaml");
  if (spec.ok()) return {};
  return absl::StrSplit(std::string(spec.status().message()), '\n');
}

// A sweep of one model whose options are `options`.
std::string OneModel(const std::string& options) {
  return absl::StrCat("name: s\nmodels:\n  - {name: a, ", options, "}\n");
}

// What is said of a model with these options; an empty message: nothing.
struct Case {
  const char* name;
  const char* options;
  const char* message;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class CheckModelTest : public testing::TestWithParam<Case> {};

TEST_P(CheckModelTest, SaysWhatDoesNotFit) {
  const std::vector<std::string> mistakes =
      Mistakes(OneModel(GetParam().options));
  if (GetParam().message[0] == '\0') {
    EXPECT_THAT(mistakes, IsEmpty());
  } else {
    EXPECT_THAT(mistakes, ElementsAre(HasSubstr(GetParam().message)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, CheckModelTest,
    testing::Values(
        Case{"OptionOfAnother", "arch: {rnn: {heads: 4}}",
             "3:28: unknown key 'heads' in arch.rnn, it is an option of vit1d "
             "and vit"},
        Case{"Typo", "arch: {rnn: {hiden: 4}}",
             "unknown key 'hiden' in arch.rnn (did you mean 'hidden'?)"},
        Case{"BareName", "arch: rnn",
             "arch: expected a map of options, got \"rnn\"; write {rnn: {}}"},
        Case{"Several", "arch: {rnn: {}, vit: {}}",
             "arch has both 'rnn' and 'vit', expected one of them"},
        Case{"VitHeads", "arch: {vit: {dim: 512, heads: 12}}",
             "3:33: dim is 512, expected a multiple of heads, 12"},
        Case{"VitPatch", "arch: {vit: {patch: 7}}",
             "patch is 7, expected a divisor of the image's 80 columns"},
        Case{"SeresnextStages", "arch: {seresnext: {layers: [1, 1]}}",
             "layers has 2 stages and planes 4"},
        Case{"SeresnextGroups", "arch: {seresnext: {planes: [8, 64, 64, 64]}}",
             "planes has 8, which with base_width 4 leaves a group no channel"},
        Case{"DpnStages", "arch: {dpn: {increments: [16, 32]}}",
             "increments has 2 numbers, expected 4, one for each stage"},
        Case{"DpnGroups", "arch: {dpn: {groups: 48}}",
             "bottleneck is 128, expected a multiple of groups, 48"},
        Case{"TabnetDefaults", "arch: {tabnet: {}}", ""},
        Case{"TabnetVirtualBatch",
             "arch: {tabnet: {virtual_batch: 64}}, train: {batch: 32}",
             "virtual_batch is 64, expected at most train.batch, 32"},
        Case{"TabnetBatchOfOne", "arch: {tabnet: {}}, train: {batch: 1}",
             "train.batch is 1, expected at least 2"},
        Case{"NoFeature",
             "arch: {tabnet: {features: {maximum: false, area: false}}}",
             "features has none of maximum, area, position and width"},
        Case{"SameBand", "arch: {xgboost: {features: {bands: [96, 97]}}}",
             "bands has 97 and 96 degrees C, both 8 columns of temp_step 12"},
        Case{"TreesWithoutLimit",
             "arch: {xgboost: {growth: lossguide, max_depth: 0}}",
             "max_leaves and max_depth are 0 (no limit), expected a limit"},
        Case{"LeafWise",
             "arch: {xgboost: {growth: lossguide, max_depth: 0, max_leaves: "
             "31}}",
             ""},
        Case{"DeepTrees", "arch: {xgboost: {max_depth: 0}}",
             "max_depth is 0 (no limit), expected 1 or more with growth"},
        Case{"LeavesOfDepthwise", "arch: {xgboost: {max_leaves: 31}}",
             "max_leaves has no effect with growth depthwise"},
        Case{"DropOfGbtree", "arch: {xgboost: {rate_drop: 0.3}}",
             "rate_drop has no effect with booster gbtree, expected booster: "
             "dart"},
        Case{"ExecWithoutCommand", "arch: {exec: {}}",
             "missing key 'command' in arch.exec"},
        Case{"ExecEmptyCommand", "arch: {exec: {command: ['']}}",
             "command begins with \"\""},
        Case{"ExecFileElsewhere",
             "arch: {exec: {command: [sh], files: [../a.py]}}",
             "files: file name \"../a.py\" holds a slash"},
        Case{"ExecFileOfTheFarm",
             "arch: {exec: {command: [sh], files: [attempt.json]}}",
             "\"attempt.json\" is the farm's own"},
        Case{"ExecFileTwice",
             "arch: {exec: {command: [sh], files: [a.py, a.py]}}",
             "files has \"a.py\" twice"},
        Case{"ExecConfigNoMap", "arch: {exec: {command: [sh], config: [1]}}",
             "arch.exec.config: expected a map, got a list"},
        Case{"ExecConfigTwice",
             "arch: {exec: {command: [sh], config: {a: {b: 1, b: 2}}}}",
             "duplicate key \"b\" in arch.exec.config.a"},
        Case{"ExecConfigEndless",
             "arch: {exec: {command: [sh], config: {a: [.inf]}}}",
             "arch.exec.config.a[0] is \".inf\", expected a finite number"},
        Case{"ExecConfigTooLarge",
             "arch: {exec: {command: [sh], config: {a: 9007199254740993000}}}",
             "expected a whole number within 2^53; quote it"},
        Case{"ExecUploaded", "arch: {exec: {command: [sh], uploaded: []}}",
             "unknown key 'uploaded' in arch.exec"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Training, CheckModelTest,
    testing::Values(
        Case{"FocalOfBce", "arch: {rnn: {}}, train: {focal_gamma: 2}",
             "3:53: focal_gamma has no effect with loss bce, expected loss: "
             "focal"},
        Case{"Focal", "arch: {rnn: {}}, train: {loss: focal, focal_gamma: 2}",
             ""},
        Case{"AsymmetricOfFocal",
             "arch: {rnn: {}}, train: {loss: focal, asymmetric_margin: 0.1}",
             "asymmetric_margin has no effect with loss focal"},
        Case{"MomentumOfAdam", "arch: {rnn: {}}, train: {momentum: 0.8}",
             "momentum has no effect with optimizer adamw, expected optimizer: "
             "sgd"},
        Case{"PeriodOfCosine",
             "arch: {rnn: {}}, train: {schedule: {period: 8}}",
             "period has no effect with kind cosine, expected kind: "
             "cosine_warm_restarts"},
        Case{"NoMilestones",
             "arch: {rnn: {}}, train: {schedule: {kind: steps}}",
             "schedule of kind steps has no milestones"},
        Case{"FallingMilestones",
             "arch: {rnn: {}}, train: {schedule: {kind: steps, milestones: "
             "[60, 60]}}",
             "milestones has 60 after 60, expected growing epochs"},
        Case{"EmaAndSwa", "arch: {rnn: {}}, train: {ema: 0.99, swa_start: 0.7}",
             "ema is 0.99 and swa_start 0.7, expected one average"},
        Case{"SwaAndEarlyStopping",
             "arch: {rnn: {}}, train: {early_stopping: 5, swa_start: 0.7}",
             "early_stopping is 5 and swa_start 0.7, expected one of them"},
        Case{"SwaEvery", "arch: {rnn: {}}, train: {swa_every: 5}",
             "swa_every has no effect while swa_start is 0"},
        Case{"PositiveWeightOfNothing",
             "arch: {rnn: {}}, labels: [sulfate], train: {positive_weights: "
             "{sulfide: 2}}",
             "positive_weights has \"sulfide\", expected one of the model's "
             "labels, sulfate"},
        Case{"PositiveWeightText",
             "arch: {rnn: {}}, train: {positive_weights: {oxalate: much}}",
             "positive_weights of oxalate: expected a number, got \"much\""},
        Case{"PositiveWeightZero",
             "arch: {rnn: {}}, train: {positive_weights: {oxalate: 0}}",
             "positive_weights of oxalate is 0, expected more than 0"},
        Case{"LabelTwice", "arch: {rnn: {}}, labels: [a, b, a]",
             "labels has \"a\" twice"},
        Case{"InitWithoutWeights", "arch: {rnn: {}}, init: {min_loaded: 0.2}",
             "min_loaded has no effect without init.weights"},
        Case{"InitOfTrees", "arch: {xgboost: {}}, init: {weights: w}",
             "weights: this architecture has none to start from"},
        Case{"InitDigest", "arch: {rnn: {}}, init: {weights: w, digest: d}",
             "unknown key 'digest' in init"},
        Case{"SamAugmentOff", "arch: {rnn: {}}, sam_augment: {noise: 0.1}",
             "3:45: sam_augment has no effect while prob is 0"},
        Case{"StagesOfTrees", "arch: {xgboost: {}}, stages: [{}]",
             "stages: this architecture is trained in one go"},
        Case{"StageKey", "arch: {rnn: {}}, stages: [{train: {epoch: 3}}]",
             "unknown key 'epoch' in stages[0].train (did you mean "
             "'epochs'?)"},
        Case{"StageSamples",
             "arch: {rnn: {}}, stages: [{samples: {instrument_type: ''}}]",
             "samples has \"\", expected a column and its value"},
        Case{"StageWarmUp",
             "arch: {rnn: {}}, stages: [{}, {train: {epochs: 2, schedule: "
             "{warmup: 3}}}]",
             "warmup is 3 epochs, expected less than epochs, 2"}),
    [](const auto& info) { return info.param.name; });

TEST(CheckModelTest, AMistakeOfTheDefaultsIsSaidOnceWhereItStands) {
  EXPECT_THAT(Mistakes("name: s\n"
                       "defaults: {train: {ema: 0.9, swa_start: 0.5}}\n"
                       "models:\n"
                       "  - {name: a, arch: {rnn: {}}}\n"
                       "  - {name: b, arch: {vit: {}}}\n"),
              ElementsAre(HasSubstr("mars.yaml:2:25: ema is 0.9")));
}

TEST(CheckModelTest, AModelMayLeaveWhatItIsLikeWithoutSayingSo) {
  EXPECT_THAT(Mistakes("name: s\nmodels:\n"
                       "  - {name: a, arch: {rnn: {}}, train: {loss: focal, "
                       "focal_gamma: 3}}\n"
                       "  - {name: b, like: a, train: {loss: bce}}\n"),
              IsEmpty());
}

TEST(CheckModelTest, AProgramsCommandMayComeFromDefaultsOrFromALikeModel) {
  EXPECT_THAT(Mistakes("name: s\n"
                       "defaults: {arch: {exec: {command: [sh, a.sh]}}}\n"
                       "models:\n"
                       "  - {name: a, arch: {exec: {config: {depth: 3}}}}\n"
                       "  - {name: b, like: a, arch: {exec: {epochs: 2}}}\n"),
              IsEmpty());
}

TEST(CheckModelTest, ATrialRunNeedsTwoSamplesAFold) {
  EXPECT_THAT(Mistakes("name: s\nlimit_samples: 6\n"
                       "models: [{name: a, arch: {rnn: {}}}]\n"),
              ElementsAre(HasSubstr("2:16: limit_samples is 6, expected 0 or "
                                    "at least two samples a fold, 8")));
}

}  // namespace
}  // namespace foldfarm
