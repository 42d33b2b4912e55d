#include "common/sweep/merge.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <string>

#include "foldfarm/v1/sweep.pb.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

v1::ModelSpec Model(const std::string& text) {
  v1::ModelSpec model;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &model))
      << text;
  return model;
}

struct MergeCase {
  const char* name;
  const char* before;
  const char* after;
  const char* to;
  const char* expected;
};
void PrintTo(const MergeCase& c, std::ostream* out) { *out << c.name; }

class MergeChangesTest : public testing::TestWithParam<MergeCase> {};

TEST_P(MergeChangesTest, ChangesWhatDiffersAndNothingElse) {
  v1::ModelSpec merged = Model(GetParam().to);
  MergeChanges(Model(GetParam().before), Model(GetParam().after), merged);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      merged, Model(GetParam().expected)))
      << merged.ShortDebugString();
}

INSTANTIATE_TEST_SUITE_P(
    Models, MergeChangesTest,
    testing::Values(
        MergeCase{"Nothing", "train {epochs: 10}", "train {epochs: 10}",
                  "train {epochs: 5 batch: 4}", "train {epochs: 5 batch: 4}"},
        MergeCase{"AValueBesideAnother", "train {epochs: 10 batch: 8}",
                  "train {epochs: 20 batch: 8}", "train {epochs: 10 batch: 4}",
                  "train {epochs: 20 batch: 4}"},
        MergeCase{"AValueThatBothChange", "train {epochs: 10}",
                  "train {epochs: 20}", "train {epochs: 12}",
                  "train {epochs: 20}"},
        MergeCase{"AValueThatIsGone", "train {epochs: 10 ema: 0.5}",
                  "train {epochs: 10}", "train {epochs: 10 ema: 0.9}",
                  "train {epochs: 10}"},
        MergeCase{"AMessageThatIsNew", "name: 'a'",
                  "name: 'a' init {weights: 'w'}", "name: 'a' slots: 2",
                  "name: 'a' slots: 2 init {weights: 'w'}"},
        MergeCase{"AList", "labels: ['x']", "labels: ['y', 'z']",
                  "labels: ['x'] slots: 2", "labels: ['y', 'z'] slots: 2"},
        MergeCase{"Stages",
                  "stages {train {epochs: 4}} stages {train {epochs: 6}}",
                  "stages {train {epochs: 4}} stages {train {epochs: 9}}",
                  "stages {train {epochs: 4 batch: 2}} stages {train {epochs: "
                  "6 batch: 2}}",
                  "stages {train {epochs: 4 batch: 2}} stages {train {epochs: "
                  "9 batch: 2}}"},
        MergeCase{"MoreStages", "stages {train {epochs: 4}}",
                  "stages {train {epochs: 4}} stages {train {epochs: 9}}",
                  "stages {train {epochs: 4 batch: 2}}",
                  "stages {train {epochs: 4}} stages {train {epochs: 9}}"},
        MergeCase{"WithinAnArchitecture", "arch {xgboost {rounds: 10}}",
                  "arch {xgboost {rounds: 20}}",
                  "arch {xgboost {rounds: 10 max_depth: 3}}",
                  "arch {xgboost {rounds: 20 max_depth: 3}}"},
        MergeCase{"AnotherArchitecture", "arch {rnn {hidden: 8}}",
                  "arch {none {}}", "arch {rnn {hidden: 16}}",
                  "arch {none {}}"}));

}  // namespace
}  // namespace foldfarm
