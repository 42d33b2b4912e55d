// Models that start from files, predict some of the labels or are scored on a
// hold-out, as people see them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Code = absl::StatusCode;

class ServiceModelsTest : public ServiceTest {
 protected:
  v1::GetEnsembleResponse Ensemble(const std::string& sweep) {
    v1::GetEnsembleRequest request;
    request.set_sweep(sweep);
    const auto ensemble = Ask(&Farm::GetEnsemble, request);
    EXPECT_TRUE(ensemble.ok()) << ensemble.status();
    return ensemble.ok() ? *ensemble : v1::GetEnsembleResponse();
  }

  v1::GetOofResponse Oof(const std::string& sweep) {
    v1::GetOofRequest request;
    request.set_sweep(sweep);
    grpc::ClientContext context;
    const auto reader = farm_->GetOof(&context, request);
    v1::GetOofResponse piece;
    EXPECT_TRUE(reader->Read(&piece));
    EXPECT_TRUE(reader->Finish().ok());
    return piece;
  }

  v1::GetJobResponse Job(const std::string& name) {
    v1::GetJobRequest request;
    request.set_job(name);
    const auto job = Ask(&Farm::GetJob, request);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : v1::GetJobResponse();
  }
};

TEST_F(ServiceModelsTest, WeightsAreRegisteredListedAndShownWithTheirJobs) {
  RegisterDataset();
  const auto file = UploadBytes(*artifacts_, "weights", "w");
  ASSERT_TRUE(file.ok()) << file.status();
  v1::RegisterWeightsRequest request;
  request.set_digest(file->digest());
  for (const char* name : {"resnet34", "dpn68b"}) {
    request.set_name(name);
    const auto weights = Ask(&Farm::RegisterWeights, request);
    ASSERT_TRUE(weights.ok()) << weights.status();
  }
  const auto list = Ask(&Farm::ListWeights, v1::ListWeightsRequest());
  ASSERT_EQ(list->weights_size(), 2);
  EXPECT_EQ(list->weights(0).name(), "dpn68b");
  EXPECT_EQ(list->weights(0).size_bytes(), 7);
  EXPECT_GT(list->weights(0).create_time().seconds(), 0);
  v1::SweepSpec spec = Spec("one", 1);
  spec.mutable_models(0)->mutable_init()->set_weights("dpn68b");
  ASSERT_EQ(Submit(spec), "s1");
  const v1::GetJobResponse job = Job("s1/model0/0");
  ASSERT_EQ(job.inputs_size(), 1);
  EXPECT_EQ(job.inputs(0).name(), "init.weights");
  EXPECT_EQ(job.inputs(0).digest(), file->digest());
  EXPECT_EQ(job.model().init().weights(), "dpn68b");
  EXPECT_EQ(job.model().init().digest(), file->digest());
}

TEST_F(ServiceModelsTest, AJobSaysWhatItWaitsFor) {
  RegisterDataset();
  v1::SweepSpec spec = Spec("one", 1);
  spec.mutable_models(0)->mutable_arch()->mutable_exec()->add_command("true");
  ASSERT_EQ(Submit(spec), "s1");
  EXPECT_EQ(Job("s1/model0/0").job().waiting_reason(), "no worker is online");
  Register("careful");
  EXPECT_THAT(Job("s1/model0/0").job().waiting_reason(),
              HasSubstr("--allow-exec"));
  v1::ListJobsRequest list;
  list.set_sweep("s1");
  EXPECT_THAT(Ask(&Farm::ListJobs, list)->jobs(0).waiting_reason(),
              HasSubstr("--allow-exec"));
  v1::RegisterRequest request;
  request.set_name("open");
  request.set_slots(1);
  request.set_allow_exec(true);
  const auto open = Work(&Workers::Register, request);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(Job("s1/model0/0").job().waiting_reason(), "");
  const auto workers = Ask(&Farm::ListWorkers, v1::ListWorkersRequest());
  ASSERT_EQ(workers->workers_size(), 2);
  EXPECT_FALSE(workers->workers(0).allow_exec());
  EXPECT_TRUE(workers->workers(1).allow_exec());
  RunAll(open->session(), 0.5f);
  EXPECT_EQ(GetSweep("s1").state(), v1::Sweep::SUCCEEDED);
}

TEST_F(ServiceModelsTest, ModelsOfSomeLabelsJoinTheEnsemble) {
  RegisterDataset();
  v1::SweepSpec spec = Spec("one", 1);
  const int64_t worker = Register("w");
  ASSERT_EQ(Submit(spec), "s1");
  RunAll(worker, 0.5f);
  // The whole model's results are taken over; the new model knows "b" alone.
  spec.set_name("two");
  *spec.add_models() = spec.models(0);
  spec.mutable_models(1)->set_name("only-b");
  spec.mutable_models(1)->add_labels("b");
  ASSERT_EQ(Submit(spec), "s2");
  RunAll(worker, 0.25f);
  ASSERT_EQ(GetSweep("s2").state(), v1::Sweep::SUCCEEDED);

  const v1::GetEnsembleResponse ensemble = Ensemble("s2");
  EXPECT_THAT(ensemble.incomplete_models(), IsEmpty());
  EXPECT_THAT(ensemble.labels(), ElementsAre("a", "b"));
  EXPECT_THAT(ensemble.unpredicted_labels(), IsEmpty());
  ASSERT_EQ(ensemble.models_size(), 2);
  const v1::ModelScores& part = ensemble.models(0);
  EXPECT_EQ(part.model(), "only-b");
  EXPECT_THAT(part.labels(), ElementsAre("b"));
  // A third of the samples have "b".
  EXPECT_NEAR(part.scores().log_loss_clip_1e_3(),
              -(std::log(0.25) + 2 * std::log(0.75)) / 3, 1e-6);
  EXPECT_GT(part.prior_log_loss(), 0);
  EXPECT_EQ(part.fold_log_loss_size(), 2);
  EXPECT_THAT(ensemble.models(1).labels(), IsEmpty());
  EXPECT_EQ(ensemble.growth_size(), 2);
  EXPECT_NEAR(ensemble.label_log_loss(0), std::log(2), 1e-6);

  const v1::GetOofResponse oof = Oof("s2");
  EXPECT_THAT(oof.models(), ElementsAre("model0", "only-b"));
  ASSERT_EQ(oof.rows_size(), 12);
  EXPECT_THAT(oof.rows(0).probability(),
              ElementsAre(DoubleEq(0.5), DoubleEq(0.375)));
  ASSERT_EQ(oof.rows(0).model_probability_size(), 4);
  EXPECT_TRUE(std::isnan(oof.rows(0).model_probability(2)));
  EXPECT_EQ(oof.rows(0).model_probability(3), 0.25);
}

TEST_F(ServiceModelsTest, LabelsThatNoModelPredictsAreNamed) {
  RegisterDataset();
  v1::SweepSpec spec = Spec("one", 1);
  spec.mutable_models(0)->add_labels("b");
  ASSERT_EQ(Submit(spec), "s1");
  RunAll(Register("w"), 0.5f);
  const v1::GetEnsembleResponse ensemble = Ensemble("s1");
  EXPECT_THAT(ensemble.labels(), ElementsAre("b"));
  EXPECT_THAT(ensemble.unpredicted_labels(), ElementsAre("a"));
  EXPECT_EQ(ensemble.label_log_loss_size(), 1);
  EXPECT_NEAR(ensemble.ensemble().log_loss(), std::log(2), 1e-6);
  EXPECT_TRUE(std::isnan(Oof("s1").rows(0).probability(0)));
}

TEST_F(ServiceModelsTest, AHoldoutIsTrainedOnceAndScoredOnItsSamplesAlone) {
  RegisterDataset();
  v1::SweepSpec spec = Spec("one", 2);
  spec.clear_folds();
  (*spec.mutable_folds()->mutable_holdout())["instrument_type"] = "sam_testbed";
  ASSERT_EQ(Submit(spec), "s1");
  EXPECT_EQ(GetSweep("s1").folds(), 1);
  const int64_t worker = Register("w");
  const auto acquired = Acquire(worker);
  ASSERT_EQ(acquired->leases_size(), 1);
  const v1::AttemptSpec& attempt = acquired->leases(0).spec();
  EXPECT_EQ(attempt.train_samples_size(), 9);
  EXPECT_THAT(attempt.validation_samples(),
              ElementsAre("T003", "T007", "T011"));
  auto response = Succeed(worker, acquired->leases(0), 0.5f);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->next_leases_size(), 1);
  response = Succeed(worker, response->next_leases(0), 0.25f);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(GetSweep("s1").state(), v1::Sweep::SUCCEEDED);
  const v1::GetEnsembleResponse ensemble = Ensemble("s1");
  ASSERT_EQ(ensemble.models_size(), 2);
  EXPECT_EQ(ensemble.ensemble().samples(), 3);
  EXPECT_EQ(ensemble.models(0).fold_log_loss_size(), 1);
  EXPECT_TRUE(std::isfinite(ensemble.ensemble().log_loss()));
  EXPECT_TRUE(std::isfinite(ensemble.prior().log_loss()));
  const v1::GetOofResponse oof = Oof("s1");
  ASSERT_EQ(oof.rows_size(), 3);
  EXPECT_EQ(oof.rows(0).sample_id(), "T003");
  EXPECT_EQ(oof.rows(0).instrument_type(), "sam_testbed");
  EXPECT_THAT(oof.rows(0).probability(),
              ElementsAre(DoubleEq(0.375), DoubleEq(0.375)));
}

TEST_F(ServiceModelsTest, ATrialRunIsScoredOnItsSamplesAlone) {
  RegisterDataset();
  v1::SweepSpec spec = Spec("one", 1);
  spec.set_limit_samples(8);
  ASSERT_EQ(Submit(spec), "s1");
  RunAll(Register("w"), 0.5f);
  EXPECT_EQ(Ensemble("s1").ensemble().samples(), 8);
  int sam = 0;
  const v1::GetOofResponse oof = Oof("s1");
  for (const auto& row : oof.rows()) {
    sam += row.instrument_type() == "sam_testbed";
  }
  EXPECT_EQ(oof.rows_size(), 8);
  EXPECT_EQ(sam, 2) << "a quarter, as in the dataset";
}

TEST_F(ServiceModelsTest, WhatAProgramLeavesIsListedWithItsJob) {
  RegisterDataset();
  const int64_t worker = Register("w");
  ASSERT_EQ(Submit("one", 1), "s1");
  const v1::Lease lease = Acquire(worker)->leases(0);
  v1::FinishAttemptRequest request;
  request.set_session(worker);
  request.set_token(lease.token());
  request.set_outcome(v1::Attempt::SUCCEEDED);
  const auto& samples = lease.spec().validation_samples();
  *request.add_artifacts() =
      *UploadBytes(*artifacts_, TinyOof({samples.begin(), samples.end()}, 0.5f),
                   "oof.safetensors");
  *request.add_artifacts() = *UploadBytes(*artifacts_, "trees", "model.ubj");
  ASSERT_TRUE(Work(&Workers::FinishAttempt, request).ok());
  const v1::GetJobResponse job = Job(lease.spec().job());
  ASSERT_EQ(job.artifacts_size(), 2);
  EXPECT_EQ(job.artifacts(0).name(), "model.ubj");
  EXPECT_EQ(job.artifacts(0).size_bytes(), 5);
}

}  // namespace
}  // namespace foldfarm
