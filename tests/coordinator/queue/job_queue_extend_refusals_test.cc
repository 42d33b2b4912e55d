// What is no continuation of another sweep.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/coordinator/queue/extend_fixture.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ExtendRefusalTest : public ExtendFixture {};

TEST_F(ExtendRefusalTest, WhatIsNotFinishedCannotBeTrainedOn) {
  ASSERT_TRUE(Submit(Source(), "source").ok());
  absl::Status status = Refusal(Extended());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("model m0: s1/m0/0 is PENDING, expected SUCCEEDED"));
  status = Refusal(Extended("s9"));
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("no sweep s9"));
  status = Refusal(Extended("mars"));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"mars\""));
}

TEST_F(ExtendRefusalTest, ASourceWithoutCheckpointsSaysHowToGetThem) {
  TrainSource(/*with_checkpoints=*/false);
  const absl::Status status = Refusal(Extended());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("s1/m0/0 has no stored checkpoint"),
                    HasSubstr("--no-reuse")));
}

TEST_F(ExtendRefusalTest, ASweepThatPredictsIsNoSource) {
  TrainSource();
  v1::SubmitPredictionRequest request;
  request.set_request_id("p");
  request.set_dataset("tiny");
  request.set_split("test");
  std::optional<SweepRow> source;
  ASSERT_TRUE(store_
                  ->Read([&](const Reader& reader) -> absl::Status {
                    auto sweep = reader.FindSweep(SweepId{1});
                    if (sweep.ok()) source = *sweep;
                    return sweep.status();
                  })
                  .ok());
  const auto predicts = queue_->SubmitPrediction(request, &*source);
  ASSERT_TRUE(predicts.ok()) << predicts.status();
  const absl::Status status = Refusal(Extended("s2"));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("s2 predicts"), HasSubstr("s1")));
}

TEST_F(ExtendRefusalTest, AnotherDatasetIsRefused) {
  TrainSource();
  v1::RegisterDatasetRequest other;
  other.set_name("other");
  other.set_digest(Keep(TinyDataset(16)).digest());
  ASSERT_TRUE(queue_->RegisterDataset(other).ok());
  v1::SubmitSweepRequest request;
  request.set_request_id("other");
  request.set_dataset("other");
  *request.mutable_spec() = Extended();
  const absl::Status status = queue_->SubmitSweep(request).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("dataset is other"), HasSubstr("tiny")));
}

TEST_F(ExtendRefusalTest, WhatDoesNotGoOnFromTheSourceIsRefused) {
  TrainSource();
  using Model = v1::ModelSpec;
  const auto model = [](const std::function<void(Model&)>& change) {
    v1::SweepSpec spec = Extended();
    change(*spec.mutable_models(1));
    return spec;
  };
  v1::SweepSpec three_folds = Extended();
  three_folds.mutable_folds()->set_count(3);
  v1::SweepSpec other_folds = Extended();
  other_folds.mutable_folds()->set_seed(99);
  v1::SweepSpec seed = Extended();
  seed.set_seed(8);
  const std::vector<std::pair<v1::SweepSpec, std::string>> cases = {
      {three_folds, "folds: there are 3, expected 2, as in s1"},
      {other_folds, "has other samples, expected those of s1"},
      {seed, "model m0: seed gives"},
      {model([](Model& m) { m.set_name("m9"); }),
       "model m9: name is \"m9\", expected a model of s1"},
      {model([](Model& m) { m.mutable_train()->set_epochs(10); }),
       "model m1: train.epochs is 10, expected more than the 10 of s1/m1/0"},
      {model([](Model& m) { m.mutable_arch()->mutable_rnn()->set_hidden(16); }),
       "model m1: arch.rnn.hidden is 16, expected 8, as in s1/m1/0"},
      {model([](Model& m) { m.mutable_arch()->mutable_rnn()->set_layers(2); }),
       "model m1: arch.rnn.layers is 2, expected none"},
      {model([](Model& m) { m.mutable_arch()->mutable_conv1d(); }),
       "model m1: arch."},
      {model([](Model& m) { m.mutable_representation()->set_temp_step(6); }),
       "model m1: representation.temp_step is 6"},
      {model([](Model& m) { m.add_labels("b"); }),
       "model m1: labels are b, expected a,b"},
      {model([](Model& m) {
         m.mutable_train()->set_optimizer(v1::OPTIMIZER_SGD);
       }),
       "model m1: train.optimizer is OPTIMIZER_SGD, expected OPTIMIZER_ADAMW"},
      {model([](Model& m) { m.mutable_train()->set_ema(0.9); }),
       "model m1: train.ema is 0.9, expected 0"},
      {model([](Model& m) { m.mutable_train()->set_swa_start(0.5); }),
       "model m1: train.swa_start is 0.5, expected 0"},
      {model([](Model& m) { m.add_stages(); }),
       "model m1: stages has 1 entries, expected 0"},
  };
  for (const auto& [spec, message] : cases) {
    const absl::Status status = Refusal(spec);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << message << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  EXPECT_THAT(Jobs(2), IsEmpty());
  // What may change: how it goes on.
  EXPECT_TRUE(Submit(model([](Model& m) {
                       m.mutable_train()->set_lr(1e-5);
                       m.mutable_train()->set_early_stopping(5);
                       m.mutable_augment()->set_mix_prob(0.5);
                       m.add_labels("b");
                       m.add_labels("a");
                     }),
                     "allowed")
                  .ok());
}

}  // namespace
}  // namespace foldfarm
