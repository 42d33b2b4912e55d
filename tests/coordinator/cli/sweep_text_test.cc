#include "coordinator/cli/sweep_text.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(SweepTextTest, WhatMostModelsSayStandsUnderDefaults) {
  v1::SweepSpec spec;
  spec.set_name("mars");
  spec.mutable_folds()->set_count(4);
  for (int i = 0; i < 700; ++i) spec.mutable_folds()->add_assignment();
  for (const char* name : {"a", "b", "c"}) {
    v1::ModelSpec& model = *spec.add_models();
    model.set_name(name);
    model.mutable_train()->set_lr(name[0] == 'c' ? 0.001 : 5e-5);
    model.mutable_train()->set_optimizer(v1::OPTIMIZER_ADAMW);
    model.mutable_arch()->mutable_rnn()->set_cell(v1::RNN_CELL_GRU);
  }
  spec.mutable_models(0)->add_labels("two words");
  EXPECT_EQ(SweepText(spec),
            "name: mars\n"
            "folds: {count: 4}  # 700 samples\n"
            "defaults:\n"
            "  train: {optimizer: adamw, lr: 5e-05}\n"
            "models:\n"
            "  - {name: a, arch: {rnn: {cell: gru}}, labels: [\"two words\"]}\n"
            "  - {name: b, arch: {rnn: {cell: gru}}}\n"
            "  - {name: c, arch: {rnn: {cell: gru}}, train: {lr: 0.001}}\n");
}

TEST(SweepTextTest, OptionsThatChangedAreNamedAsInTheSweepFile) {
  v1::ModelSpec before;
  before.set_slots(1);
  before.mutable_train()->set_lr(5e-5);
  before.mutable_train()->set_optimizer(v1::OPTIMIZER_SGD);
  before.add_stages()->mutable_train()->set_batch(8);
  v1::ModelSpec now = before;
  EXPECT_THAT(ChangedOptions(now, before), IsEmpty());
  now.clear_slots();
  now.mutable_train()->set_optimizer(v1::OPTIMIZER_ADAMW);
  now.mutable_train()->set_weight_decay(0.1);
  now.mutable_stages(0)->mutable_train()->set_batch(4);
  std::vector<std::string> lines;
  for (const ChangedOption& one : ChangedOptions(now, before)) {
    lines.push_back(absl::StrCat(one.name, ": ", one.now, ", ", one.before));
  }
  EXPECT_THAT(lines, UnorderedElementsAre("train.optimizer: adamw, sgd",
                                          "train.weight_decay: 0.1, not set",
                                          "stages[0].train.batch: 4, 8",
                                          "slots: not set, 1"));
}

}  // namespace
}  // namespace foldfarm
