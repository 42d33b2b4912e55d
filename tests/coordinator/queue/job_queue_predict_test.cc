// Jobs that predict with the networks of a finished sweep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/ids.h"
#include "coordinator/queue/job_queue.h"
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

class JobQueuePredictTest : public QueueFixture {
 protected:
  JobQueuePredictTest() {
    // 12 labelled samples, 5 to predict.
    AddDataset("with_test", TinyDataset(12, 5));
    worker_ = Register("w", 8);
  }

  void AddDataset(const std::string& name, const std::string& bytes) {
    v1::RegisterDatasetRequest request;
    request.set_name(name);
    request.set_digest(Keep(bytes).digest());
    ASSERT_TRUE(queue_->RegisterDataset(request).ok());
  }

  // What a job of training leaves: predictions, weights and trees.
  v1::FinishAttemptRequest Trained(const v1::Lease& lease) {
    v1::FinishAttemptRequest request = Success(worker_, lease);
    *request.add_artifacts() = Keep(
        absl::StrCat("weights of ", lease.spec().job()), "weights.safetensors");
    *request.add_artifacts() =
        Keep(absl::StrCat("trees of ", lease.spec().job()), "model.ubj");
    return request;
  }

  // Trains a sweep of `models` models x 2 folds to its end: s1, m0, m1...
  void Train(int models) {
    ASSERT_TRUE(Submit(Spec("m", models), "train").ok());
    for (const v1::Lease& lease : Acquire(worker_, 8)) {
      ASSERT_TRUE(Finish(Trained(lease)).ok());
    }
  }

  static v1::SubmitPredictionRequest Request(const std::string& id) {
    v1::SubmitPredictionRequest request;
    request.set_request_id(id);
    request.set_dataset("with_test");
    request.set_split("test");
    request.set_tta(2);
    request.set_shares(2);
    return request;
  }

  SweepRow Sweep(int64_t id) {
    SweepRow row;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto sweep = reader.FindSweep(SweepId{id});
                      if (!sweep.ok()) return sweep.status();
                      row = sweep->value();
                      return absl::OkStatus();
                    })
                    .ok());
    return row;
  }

  absl::StatusOr<v1::SubmitSweepResponse> Predict(
      const v1::SubmitPredictionRequest& request, int64_t source = 1) {
    const SweepRow row = Sweep(source);
    return queue_->SubmitPrediction(request, &row);
  }

  std::string Refusal(const v1::SubmitPredictionRequest& request, Code code,
                      int64_t source = 1) {
    const auto submitted = Predict(request, source);
    EXPECT_EQ(submitted.status().code(), code) << submitted.status();
    return std::string(submitted.status().message());
  }

  v1::FinishAttemptRequest Predicted(const v1::Lease& lease,
                                     const std::string& bytes) {
    v1::FinishAttemptRequest request;
    request.set_session(worker_);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::SUCCEEDED);
    *request.add_artifacts() = Keep(bytes, "predictions.safetensors");
    return request;
  }

  static std::vector<std::string> SamplesOf(const v1::Lease& lease) {
    return {lease.spec().predict_samples().begin(),
            lease.spec().predict_samples().end()};
  }

  int64_t worker_ = 0;
};

TEST_F(JobQueuePredictTest, AJobPredictsAShareWithOneFoldsNetwork) {
  Train(2);
  const auto submitted = Predict(Request("p"));
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  EXPECT_EQ(submitted->sweep(), "s2");
  EXPECT_EQ(submitted->jobs(), 8) << "2 models x 2 folds x 2 shares";
  // From the tables alone.
  Restart();
  worker_ = Register("w", 8);
  const std::vector<v1::Lease> leases = Acquire(worker_, 8);
  ASSERT_EQ(leases.size(), 8u);
  std::map<std::string, std::set<std::string>> samples;  // By model and fold.
  std::map<std::string, std::set<uint32_t>> seeds;
  for (const v1::Lease& lease : leases) {
    const v1::AttemptSpec& spec = lease.spec();
    EXPECT_EQ(spec.train_samples_size() + spec.validation_samples_size(), 0);
    EXPECT_EQ(spec.tta(), 2);
    const std::string network =
        absl::StrCat(spec.model().name(), "/", spec.fold());
    for (const std::string& id : spec.predict_samples()) {
      EXPECT_TRUE(samples[network].insert(id).second) << id << " twice";
    }
    seeds[network].insert(spec.seed());
    ASSERT_EQ(lease.inputs_size(), 2) << "all of the result but its OOF";
    EXPECT_EQ(lease.inputs(0).name(), "model.ubj");
    EXPECT_EQ(lease.inputs(1).name(), "weights.safetensors");
    EXPECT_EQ(lease.inputs(1).digest(),
              Sha256Hex(absl::StrCat("weights of s1/", network)));
  }
  ASSERT_EQ(samples.size(), 4u);
  for (const auto& [network, ids] : samples) {
    EXPECT_THAT(ids, ElementsAre("T012", "T013", "T014", "T015", "T016"))
        << network;
    EXPECT_EQ(seeds[network].size(), 1u) << "of every share the same";
  }
  EXPECT_THAT(seeds["m0/1"], ElementsAre(DeriveSeed(7, "m0", 1)));
}

TEST_F(JobQueuePredictTest, TheSameRequestIsTheSameSweep) {
  Train(1);
  const auto first = Predict(Request("p"));
  const auto second = Predict(Request("p"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(second->sweep(), first->sweep());
  EXPECT_EQ(second->jobs(), 4);
}

TEST_F(JobQueuePredictTest, OnlyPredictionsOfExactlyTheShareAreAResult) {
  Train(1);
  ASSERT_TRUE(Predict(Request("p")).ok());
  const std::vector<v1::Lease> leases = Acquire(worker_, 4);
  ASSERT_EQ(leases.size(), 4u);
  const auto refused = [&](const v1::Lease& lease, const std::string& bytes) {
    const auto finished = Finish(Predicted(lease, bytes));
    EXPECT_EQ(finished.status().code(), Code::kInvalidArgument);
    return std::string(finished.status().message());
  };
  EXPECT_THAT(
      refused(leases[0], TinyPredictions(SamplesOf(leases[1]), {0.1f, 0.2f})),
      HasSubstr("is not of the job's share"));
  EXPECT_THAT(
      refused(leases[1], TinyPredictions(SamplesOf(leases[1]), {0.1f, 1.5f})),
      HasSubstr("expected a number in [0, 1]"));
  EXPECT_THAT(refused(leases[2], TinyOof(SamplesOf(leases[2]), 0.5f)),
              HasSubstr("expected \"foldfarm-predictions\""));
  EXPECT_THAT(refused(leases[3], TinyPredictions(SamplesOf(leases[3]),
                                                 {0.1f, 0.2f, 0.3f})),
              HasSubstr("it has 3 draws of each sample, expected 2"));
  clock_.Advance(absl::Minutes(10));
  worker_ = Register("w", 8);
  for (const v1::Lease& lease : Acquire(worker_, 4)) {
    EXPECT_TRUE(
        Finish(Predicted(lease, TinyPredictions(SamplesOf(lease), {0.f, 1.f})))
            .ok());
  }
  for (const JobRow& job : Jobs(2)) {
    EXPECT_EQ(job.state, v1::Job::SUCCEEDED);
    EXPECT_EQ(job.epochs, 1);
    EXPECT_EQ(job.epoch, 1);
    EXPECT_FALSE(job.log_loss.has_value());
  }
}

TEST_F(JobQueuePredictTest, WhatWasPredictedOnceIsReused) {
  Train(2);
  v1::SubmitPredictionRequest one = Request("one");
  one.add_models("m1");
  ASSERT_TRUE(Predict(one).ok());
  for (const v1::Lease& lease : Acquire(worker_, 8)) {
    ASSERT_TRUE(
        Finish(Predicted(lease, TinyPredictions(SamplesOf(lease), {0.f, 1.f})))
            .ok());
  }
  const auto all = Predict(Request("all"));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->jobs(), 8);
  EXPECT_EQ(all->reused(), 4);
  v1::SubmitPredictionRequest draws = Request("draws");
  draws.set_tta(4);
  EXPECT_EQ(Predict(draws)->reused(), 0) << "other draws";
  v1::SubmitPredictionRequest again = Request("again");
  again.set_no_reuse(true);
  EXPECT_EQ(Predict(again)->reused(), 0);
}

TEST_F(JobQueuePredictTest, IncompleteModelsAndUsersProgramsAreLeftOut) {
  v1::SweepSpec spec = Spec("m", 3);
  v1::ExecSpec& exec = *spec.mutable_models(2)->mutable_arch()->mutable_exec();
  exec.add_command("true");
  ASSERT_TRUE(Submit(spec, "train").ok());
  for (const v1::Lease& lease : Acquire(worker_, 8)) {
    const bool lost =
        lease.spec().model().name() == "m1" && lease.spec().fold() == 1;
    ASSERT_TRUE(Finish(lost
                           ? Failure(worker_, lease, v1::FAILURE_KIND_PERMANENT)
                           : Trained(lease))
                    .ok());
  }
  ASSERT_TRUE(Predict(Request("p")).ok());
  const SweepRow row = Sweep(2);
  ASSERT_EQ(row.spec.models_size(), 1);
  EXPECT_EQ(row.spec.models(0).name(), "m0");
  EXPECT_EQ(row.spec.prediction().source(), "s1");
  EXPECT_EQ(row.spec.prediction().folds(), 2);
  EXPECT_EQ(row.spec.prediction().shares(), 2);

  // Asked for by name they are refused, so that nobody counts on them.
  v1::SubmitPredictionRequest named = Request("named");
  named.add_models("m1");
  EXPECT_THAT(Refusal(named, Code::kFailedPrecondition),
              HasSubstr("model m1 cannot predict: fold 1 is failed"));
  named.set_models(0, "m2");
  EXPECT_THAT(Refusal(named, Code::kFailedPrecondition),
              HasSubstr("user's program"));
  named.set_models(0, "m4");
  EXPECT_THAT(Refusal(named, Code::kNotFound),
              HasSubstr("s1 has no model \"m4\"; did you mean m0"));
}

TEST_F(JobQueuePredictTest, FoldsThatAreFedDifferentlyDoNotPredictTogether) {
  Train(2);
  // As a retry could once change it.
  const auto feed_otherwise = [this](int fold) {
    ASSERT_TRUE(
        store_
            ->RunAndWait([&](Tx& tx) -> absl::Status {
              const auto jobs = tx.ListJobs(SweepId{1});
              if (!jobs.ok()) return jobs.status();
              for (JobRow job : *jobs) {
                if (job.model != "m0" || job.fold != fold) continue;
                job.model_override = Spec("m", 1).models(0);
                job.model_override->mutable_representation()->set_min_clip(0.2);
                return tx.UpdateWish(job);
              }
              return absl::NotFoundError("no such job");
            })
            .ok());
  };
  feed_otherwise(1);
  v1::SubmitPredictionRequest named = Request("named");
  named.add_models("m0");
  EXPECT_THAT(Refusal(named, Code::kFailedPrecondition),
              HasSubstr("model m0 cannot predict: its folds 0 and 1 were "
                        "retried with options"));
  ASSERT_TRUE(Predict(Request("all")).ok());
  ASSERT_EQ(Sweep(2).spec.models_size(), 1);
  EXPECT_EQ(Sweep(2).spec.models(0).name(), "m1");
  // All alike again, they predict as they were trained.
  feed_otherwise(0);
  ASSERT_TRUE(Predict(named).ok());
  EXPECT_EQ(Sweep(3).spec.models(0).representation().min_clip(), 0.2);
}

TEST_F(JobQueuePredictTest, ASweepWithoutACompleteModelSaysWhatIsMissing) {
  ASSERT_TRUE(Submit(Spec("m", 1), "train").ok());
  EXPECT_THAT(Refusal(Request("p"), Code::kFailedPrecondition),
              HasSubstr("no model of s1 can predict; m0: folds 0, 1 are "
                        "pending"));
}

TEST_F(JobQueuePredictTest, ADatasetWithOtherLabelsIsRefused) {
  Train(1);
  AddDataset("other", TinyDataset(12, 5, {"a", "c"}));
  AddDataset("swapped", TinyDataset(12, 5, {"b", "a"}));
  v1::SubmitPredictionRequest request = Request("p");
  request.set_dataset("other");
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("dataset other has other labels than the models of s1: "
                        "label 2 is \"c\", expected \"b\""));
  request.set_dataset("swapped");
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("got b,a, expected a,b in this order"));
  request.set_dataset("nowhere");
  Refusal(request, Code::kNotFound);
}

TEST_F(JobQueuePredictTest, SamplesThatAreNotThereAreRefusedByName) {
  Train(1);
  v1::SubmitPredictionRequest request = Request("p");
  request.set_split("val");
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("no samples of split \"val\"; it has 5 of test, 12 of "
                        "train"));
  request.add_sample_ids("T012");
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("a split and samples are named"));
  request.clear_split();
  request.add_sample_ids("T999");
  EXPECT_THAT(Refusal(request, Code::kNotFound),
              HasSubstr("no sample \"T999\""));
  request.set_sample_ids(1, "T012");
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("sample T012 is named twice"));
  request.set_sample_ids(1, "T000");
  request.set_shares(3);
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("shares is 3, expected 1 to 2"));
  request.set_shares(0);
  request.set_tta(257);
  EXPECT_THAT(Refusal(request, Code::kInvalidArgument),
              HasSubstr("tta is 257"));
  request.set_tta(0);
  ASSERT_TRUE(Predict(request).ok());
  EXPECT_EQ(Sweep(2).spec.tta(), 16) << "the sweep's";
  EXPECT_EQ(Sweep(2).spec.prediction().samples(), "2 samples");
  request.set_request_id("both splits");
  request.clear_sample_ids();
  request.set_split("test,train");
  EXPECT_EQ(Predict(request)->jobs(), 2) << "17 samples are one share";
}

TEST_F(JobQueuePredictTest, APredictionPredictsNothingFurther) {
  Train(1);
  ASSERT_TRUE(Predict(Request("p")).ok());
  EXPECT_THAT(Refusal(Request("q"), Code::kFailedPrecondition, 2),
              HasSubstr("sweep s2 predicts itself, with s1; name that one"));
}

TEST_F(JobQueuePredictTest, NobodySubmitsASweepThatOnlyLooksLikeAPrediction) {
  v1::SweepSpec spec = Spec("m", 1);
  spec.mutable_prediction()->set_shares(3);
  EXPECT_EQ(Submit(spec, "r").status().code(), Code::kInvalidArgument);
}

TEST_F(JobQueuePredictTest, ABundlePredictsWithFilesThatWereUploaded) {
  v1::SubmitPredictionRequest request = Request("p");
  request.set_source("mars-best");
  request.add_bundle_labels("a");
  request.add_bundle_labels("b");
  v1::BundleModel& model = *request.add_bundle();
  *model.mutable_model() = Spec("m", 1).models(0);
  for (const char* fold : {"0", "1"}) {
    *model.add_folds()->add_files() =
        Keep(absl::StrCat("weights ", fold), "weights.safetensors");
  }
  const auto predict = [&] {
    return queue_->SubmitPrediction(request, nullptr);
  };
  const auto submitted = predict();
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  EXPECT_EQ(submitted->jobs(), 4);
  for (const v1::Lease& lease : Acquire(worker_, 4)) {
    ASSERT_EQ(lease.inputs_size(), 1);
    EXPECT_EQ(lease.inputs(0).digest(),
              Sha256Hex(absl::StrCat("weights ", lease.spec().fold())));
  }
  request.set_request_id("q");
  v1::ArtifactRef& file = *model.mutable_folds(1)->mutable_files(0);
  file.set_name("attempt.json");
  EXPECT_THAT(std::string(predict().status().message()),
              AllOf(HasSubstr("model m0: fold 1"), HasSubstr("attempt.json")));
  file.set_name("../weights");
  EXPECT_EQ(predict().status().code(), Code::kInvalidArgument);
  file.set_name("weights.safetensors");
  file.set_digest(Sha256Hex("absent"));
  EXPECT_EQ(predict().status().code(), Code::kFailedPrecondition);
  model.mutable_folds()->RemoveLast();
  *request.add_bundle() = model;
  EXPECT_THAT(std::string(predict().status().message()),
              HasSubstr("model m0 is there twice"));
  request.mutable_bundle(1)->mutable_model()->set_name("m1");
  request.mutable_bundle(1)->mutable_folds()->Clear();
  EXPECT_THAT(std::string(predict().status().message()),
              HasSubstr("model m1: it has 0 folds, expected 1"));
  request.set_bundle_labels(1, "c");
  EXPECT_THAT(std::string(predict().status().message()),
              HasSubstr("other labels than the models of mars-best"));
}

TEST_F(JobQueuePredictTest, ALostJobPredictsAgainAndCancelAndRetryWork) {
  Train(1);
  ASSERT_TRUE(Predict(Request("p")).ok());
  const std::vector<v1::Lease> first = Acquire(worker_, 1, 1);
  ASSERT_EQ(first.size(), 1u);
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  queue_->RunDue();
  EXPECT_EQ(*queue_->Cancel(SweepId{2}, std::nullopt), 4);
  EXPECT_EQ(*queue_->Retry(SweepId{2}, std::nullopt), 4);
  clock_.Advance(absl::Minutes(10));
  worker_ = Register("v", 8);
  std::set<std::string> jobs;
  for (const v1::Lease& lease : Acquire(worker_, 8)) {
    jobs.insert(lease.spec().job());
    ASSERT_TRUE(
        Finish(Predicted(lease, TinyPredictions(SamplesOf(lease), {0.f, 1.f})))
            .ok());
  }
  EXPECT_THAT(jobs, ElementsAre("s2/m0/0", "s2/m0/1", "s2/m0/2", "s2/m0/3"));
  EXPECT_EQ(Finish(Predicted(first[0],
                             TinyPredictions(SamplesOf(first[0]), {0.f, 1.f})))
                .status()
                .code(),
            Code::kAborted);
}

}  // namespace
}  // namespace foldfarm
