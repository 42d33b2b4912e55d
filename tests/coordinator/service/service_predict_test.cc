// Predictions as people submit and get them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/rpc/status.h"
#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

class ServicePredictTest : public ServiceTest {
 protected:
  void SetUp() override {
    const auto ref = UploadBytes(*artifacts_, TinyDataset(12, 5), "dataset");
    ASSERT_TRUE(ref.ok()) << ref.status();
    v1::RegisterDatasetRequest request;
    request.set_name("tiny");
    request.set_digest(ref->digest());
    ASSERT_TRUE(Ask(&Farm::RegisterDataset, request).ok());
    worker_ = Register("w");
  }

  // s1: "model0" predicts both labels, "model1" only "b". Both leave weights.
  void Train() {
    v1::SweepSpec spec = Spec("mars", 2);
    spec.mutable_models(1)->add_labels("b");
    ASSERT_EQ(Submit(spec), "s1");
    const auto weights = UploadBytes(*artifacts_, "weights", "w");
    ASSERT_TRUE(weights.ok()) << weights.status();
    ForEachLease([&](const v1::Lease& lease) {
      v1::FinishAttemptRequest request = Success(lease);
      *request.add_artifacts() =
          *UploadBytes(*artifacts_,
                       TinyOof({lease.spec().validation_samples().begin(),
                                lease.spec().validation_samples().end()},
                               0.5f, LabelsOf(lease)),
                       "oof.safetensors");
      *request.add_artifacts() = *weights;
      request.mutable_artifacts(1)->set_name("weights.safetensors");
      return request;
    });
  }

  v1::FinishAttemptRequest Success(const v1::Lease& lease) const {
    v1::FinishAttemptRequest request;
    request.set_session(worker_);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::SUCCEEDED);
    return request;
  }

  void ForEachLease(
      const std::function<v1::FinishAttemptRequest(const v1::Lease&)>& finish) {
    while (true) {
      const auto acquired = Acquire(worker_);
      ASSERT_TRUE(acquired.ok()) << acquired.status();
      if (acquired->leases().empty()) return;
      const auto finished =
          Work(&Workers::FinishAttempt, finish(acquired->leases(0)));
      ASSERT_TRUE(finished.ok()) << finished.status();
    }
  }

  // Every job predicts: two draws, far apart, that tell model and fold.
  void PredictAll() {
    ForEachLease([&](const v1::Lease& lease) {
      const float base =
          (lease.spec().model().name() == "model0" ? 0.25f : 0.5f) +
          (lease.spec().fold() == 0 ? 0.0f : 0.125f);
      v1::FinishAttemptRequest request = Success(lease);
      *request.add_artifacts() =
          *UploadBytes(*artifacts_,
                       TinyPredictions({lease.spec().predict_samples().begin(),
                                        lease.spec().predict_samples().end()},
                                       {base, base + 0.25f}, LabelsOf(lease)),
                       "predictions.safetensors");
      return request;
    });
  }

  absl::StatusOr<v1::SubmitSweepResponse> Predict(const std::string& source) {
    v1::SubmitPredictionRequest request;
    request.set_request_id("predict");
    request.set_source(source);
    request.set_split("test");
    request.set_tta(2);
    request.set_shares(2);
    return Ask(&Farm::SubmitPrediction, request);
  }

  // All rows in one message.
  absl::StatusOr<v1::GetPredictionsResponse> Get(
      const v1::GetPredictionsRequest& request) {
    grpc::ClientContext context;
    const auto reader = farm_->GetPredictions(&context, request);
    v1::GetPredictionsResponse all, piece;
    while (reader->Read(&piece)) all.MergeFrom(piece);
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return ToStatus(status);
    return all;
  }

  v1::GetPredictionsRequest Request() const {
    v1::GetPredictionsRequest request;
    request.set_sweep("s2");
    return request;
  }

  int64_t worker_ = 0;
};

TEST_F(ServicePredictTest, ProbabilitiesAreMeansOverDrawsFoldsAndModels) {
  Train();
  const auto submitted = Predict("mars");
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  EXPECT_EQ(submitted->sweep(), "s2");
  EXPECT_EQ(submitted->jobs(), 8);
  PredictAll();

  v1::GetPredictionsRequest request = Request();
  request.add_tta(1);
  request.add_tta(2);
  const auto got = Get(request);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(got->labels(), ElementsAre("a", "b"));
  EXPECT_THAT(got->models(), ElementsAre("model0", "model1"));
  ASSERT_EQ(got->rows_size(), 10) << "5 samples, each of 1 and of 2 draws";
  const char* ids[] = {"T012", "T013", "T014", "T015", "T016"};
  for (int i = 0; i < 10; ++i) {
    const auto& row = got->rows(i);
    EXPECT_EQ(row.sample_id(), ids[i / 2]);
    EXPECT_EQ(row.instrument_type(), i / 2 == 3 ? "sam_testbed" : "commercial");
    ASSERT_EQ(row.tta(), 1 + i % 2);
    // Of the first draw, and of both.
    const double more = i % 2 == 0 ? 0 : 0.125;
    ASSERT_EQ(row.model_probability_size(), 4);
    EXPECT_DOUBLE_EQ(row.model_probability(0), 0.3125 + more);
    EXPECT_DOUBLE_EQ(row.model_probability(1), 0.3125 + more);
    EXPECT_TRUE(std::isnan(row.model_probability(2)));
    EXPECT_DOUBLE_EQ(row.model_probability(3), 0.5625 + more);
    EXPECT_DOUBLE_EQ(row.probability(0), 0.3125 + more) << "of model0 alone";
    EXPECT_DOUBLE_EQ(row.probability(1), 0.4375 + more);
  }
}

TEST_F(ServicePredictTest, ModelsCountByTheirWeights) {
  Train();
  ASSERT_TRUE(Predict("s1").ok());
  PredictAll();
  v1::GetPredictionsRequest request = Request();
  (*request.mutable_weights())["model0"] = 3;
  (*request.mutable_weights())["model1"] = 1;
  auto got = Get(request);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->rows_size(), 5);
  EXPECT_EQ(got->rows(0).tta(), 2) << "all draws unless others are asked for";
  EXPECT_DOUBLE_EQ(got->rows(0).probability(1), (3 * 0.4375 + 0.6875) / 4);
  request.clear_weights();
  (*request.mutable_weights())["model1"] = 0.5;
  got = Get(request);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(std::isnan(got->rows(0).probability(0)))
      << "no model that counts has label a";
  EXPECT_DOUBLE_EQ(got->rows(0).probability(1), 0.6875);

  const auto refused = [&](const std::string& model, double weight) {
    request.clear_weights();
    (*request.mutable_weights())[model] = weight;
    const absl::Status status = Get(request).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refused("model2", 1), HasSubstr("did you mean model0, model1?"));
  EXPECT_THAT(refused("model1", -1), HasSubstr("is -1, expected 0 or more"));
  EXPECT_THAT(refused("model1", NAN), HasSubstr("expected 0 or more"));
  EXPECT_THAT(refused("model1", 0), HasSubstr("all weights are 0"));
  request.clear_weights();
  request.add_tta(3);
  EXPECT_THAT(std::string(Get(request).status().message()),
              HasSubstr("tta is 3, expected 1 to 2"));
}

TEST_F(ServicePredictTest, AnUnfinishedPredictionNamesWhatIsMissing) {
  Train();
  ASSERT_TRUE(Predict("s1").ok());
  const absl::Status status = Get(Request()).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("8 of 8 jobs of s2 have no result"),
                    HasSubstr("s2/model0/0 is pending"), HasSubstr("3 more"),
                    HasSubstr("foldfarm watch s2")));
  v1::GetPredictionsRequest request;
  request.set_sweep("s1");
  EXPECT_THAT(std::string(Get(request).status().message()),
              HasSubstr("foldfarm predict s1"));
  EXPECT_EQ(Predict("s3").status().code(), Code::kNotFound);
}

TEST_F(ServicePredictTest, APredictionIsASweepLikeOthersButHasNoOof) {
  Train();
  ASSERT_TRUE(Predict("s1").ok());
  const v1::Sweep sweep = GetSweep("s2");
  EXPECT_EQ(sweep.name(), "mars-predict-test");
  EXPECT_EQ(sweep.prediction(), "test with s1");
  EXPECT_EQ(sweep.models(), 2);
  EXPECT_EQ(sweep.folds(), 4) << "parts";
  EXPECT_EQ(sweep.spec().prediction().shares(), 2);
  EXPECT_EQ(GetSweep("s1").prediction(), "");

  v1::GetJobRequest get_job;
  get_job.set_job("s2/model1/3");
  const auto job = Ask(&Farm::GetJob, get_job);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->job().epochs(), 1);
  ASSERT_EQ(job->inputs_size(), 1) << "those of fold 1 alone";
  EXPECT_EQ(job->inputs(0).name(), "weights.safetensors");
  get_job.set_job("s2/model1/4");
  EXPECT_THAT(std::string(Ask(&Farm::GetJob, get_job).status().message()),
              HasSubstr("has parts 0 to 3"));

  v1::GetEnsembleRequest ensemble;
  ensemble.set_sweep("s2");
  const absl::Status no_ensemble = Ask(&Farm::GetEnsemble, ensemble).status();
  EXPECT_EQ(no_ensemble.code(), Code::kFailedPrecondition);
  EXPECT_THAT(std::string(no_ensemble.message()),
              AllOf(HasSubstr("s2 predicts test with s1"),
                    HasSubstr("foldfarm predict s1")));
  grpc::ClientContext context;
  v1::GetOofRequest oof;
  oof.set_sweep("s2");
  const auto reader = farm_->GetOof(&context, oof);
  v1::GetOofResponse piece;
  EXPECT_FALSE(reader->Read(&piece));
  EXPECT_EQ(reader->Finish().error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);

  v1::CancelRequest cancel;
  cancel.set_target("s2");
  EXPECT_EQ(Ask(&Farm::Cancel, cancel)->jobs(), 8);
  EXPECT_EQ(GetSweep("s2").state(), v1::Sweep::CANCELLED);
  v1::RetryRequest retry;
  retry.set_target("s2");
  EXPECT_EQ(Ask(&Farm::Retry, retry)->jobs(), 8);
  PredictAll();
  EXPECT_EQ(GetSweep("s2").state(), v1::Sweep::SUCCEEDED);
}

}  // namespace
}  // namespace foldfarm
