// GetEnsemble: every figure over the wire, what is left out and why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/json_text.h"
#include "common/ensemble/analysis.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/store/artifact_files.h"
#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What a made model says of a sample's label in one draw; `skill` in [0, 1].
float Probability(const std::string& sample, int label, int draw, float skill) {
  const int i = std::stoi(sample.substr(1));
  const bool truth = label == 0 ? i % 2 == 0 : i % 3 == 0;
  const float noise =
      static_cast<float>((i * 7 + label * 5 + draw * 3) % 10) / 10.0f;
  return skill * (truth ? 0.9f : 0.1f) + (1 - skill) * noise;
}

// Two draws of predictions of both labels.
std::string MadePredictions(const v1::Lease& lease, float skill) {
  const std::vector<std::string> samples(
      lease.spec().validation_samples().begin(),
      lease.spec().validation_samples().end());
  std::vector<float> draws, mean(samples.size() * 2, 0.0f);
  for (int d = 0; d < 2; ++d) {
    for (size_t i = 0; i < samples.size(); ++i) {
      for (int l = 0; l < 2; ++l) {
        draws.push_back(Probability(samples[i], l, d, skill));
        mean[2 * i + static_cast<size_t>(l)] += draws.back() / 2;
      }
    }
  }
  const auto n = static_cast<int64_t>(samples.size());
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-oof");
  writer.SetMetadata("sample_ids", JsonText(nlohmann::json(samples)));
  writer.SetMetadata("labels", R"(["a","b"])");
  writer.AddF32("probabilities", {n, 2}, mean);
  writer.AddF32("draws", {2, n, 2}, draws);
  return writer.Serialize();
}

class ServiceEnsembleTest : public ServiceTest {
 protected:
  v1::GetEnsembleResponse Ensemble(bool full = false) {
    v1::GetEnsembleRequest request;
    request.set_sweep("s1");
    request.set_full(full);
    const auto ensemble = Ask(&Farm::GetEnsemble, request);
    EXPECT_TRUE(ensemble.ok()) << ensemble.status();
    return ensemble.ok() ? *ensemble : v1::GetEnsembleResponse();
  }

  // Trains `jobs` jobs; a model's skill is `skills[its name]`. Returns the
  // digests of their predictions by job.
  std::map<std::string, std::string> Train(
      int64_t worker, int jobs, const std::map<std::string, float>& skills) {
    std::map<std::string, std::string> digests;
    for (int i = 0; i < jobs; ++i) {
      const auto acquired = Acquire(worker);
      EXPECT_EQ(acquired->leases_size(), 1);
      const v1::Lease& lease = acquired->leases(0);
      const auto uploaded = UploadBytes(
          *artifacts_,
          MadePredictions(lease, skills.at(lease.spec().model().name())),
          "oof.safetensors");
      v1::FinishAttemptRequest request;
      request.set_session(worker);
      request.set_token(lease.token());
      request.set_outcome(v1::Attempt::SUCCEEDED);
      *request.add_artifacts() = *uploaded;
      EXPECT_TRUE(Work(&Workers::FinishAttempt, request).ok());
      digests[lease.spec().job()] = uploaded->digest();
    }
    return digests;
  }

  // The matrix that GetOof hands out, without draws.
  OofMatrix Oof() {
    v1::GetOofRequest request;
    request.set_sweep("s1");
    grpc::ClientContext context;
    const auto reader = farm_->GetOof(&context, request);
    OofMatrix oof;
    v1::GetOofResponse piece;
    while (reader->Read(&piece)) {
      for (const std::string& label : piece.labels()) {
        oof.labels.push_back(label);
      }
      for (const std::string& model : piece.models()) {
        oof.models.push_back({model});
      }
      for (const auto& row : piece.rows()) {
        oof.sample_ids.push_back(row.sample_id());
        oof.instrument_types.push_back(row.instrument_type());
        oof.folds.push_back(row.fold());
        oof.truth.insert(oof.truth.end(), row.truth().begin(),
                         row.truth().end());
        for (int i = 0; i < row.model_probability_size(); ++i) {
          oof.models[static_cast<size_t>(i) / oof.labels.size()]
              .probabilities.push_back(row.model_probability(i));
        }
      }
    }
    EXPECT_TRUE(reader->Finish().ok());
    return oof;
  }
};

const std::map<std::string, float> kSkills = {
    {"model0", 0.4f}, {"model1", 0.8f}, {"model2", 0.6f}};

TEST_F(ServiceEnsembleTest, HowCommonALabelIsIsThatOfTheSamplesTrainedOn) {
  RegisterDataset();
  v1::SweepSpec held_out = Spec("held_out", 1);
  (*held_out.mutable_folds()->mutable_holdout())["instrument_type"] =
      "sam_testbed";
  held_out.mutable_folds()->clear_count();
  ASSERT_EQ(Submit(held_out), "s1");
  ASSERT_EQ(Submit("all", 1), "s2");
  const auto first = [&](const std::string& sweep) {
    v1::GetOofRequest request;
    request.set_sweep(sweep);
    grpc::ClientContext context;
    const auto reader = farm_->GetOof(&context, request);
    v1::GetOofResponse piece, rest;
    EXPECT_TRUE(reader->Read(&piece));
    while (reader->Read(&rest)) {
    }
    EXPECT_TRUE(reader->Finish().ok());
    return piece;
  };
  // T003, T007 and T011 are held out; "a" is every second, "b" every third.
  const v1::GetOofResponse some = first("s1");
  EXPECT_EQ(some.rows_size(), 3);
  EXPECT_THAT(some.prevalence(), ElementsAre(DoubleNear(6 / 9.0, 1e-9),
                                             DoubleNear(3 / 9.0, 1e-9)));
  EXPECT_THAT(some.only_trained(),
              ElementsAre("T000", "T001", "T002", "T004", "T005", "T006",
                          "T008", "T009", "T010"));
  const v1::GetOofResponse all = first("s2");
  EXPECT_THAT(all.prevalence(),
              ElementsAre(DoubleNear(0.5, 1e-9), DoubleNear(4 / 12.0, 1e-9)));
  EXPECT_THAT(all.only_trained(), IsEmpty());
}

TEST_F(ServiceEnsembleTest, AFullReplyHasTheFiguresOfTheAnalysis) {
  RegisterDataset();
  ASSERT_EQ(Submit("one", 3), "s1");
  Train(Register("w"), 6, kSkills);
  const v1::GetEnsembleResponse reply = Ensemble(/*full=*/true);
  const EnsembleAnalysis analysis = AnalyzeEnsemble(Oof(), {.full = true});
  ASSERT_EQ(reply.models_size(), 3);
  for (int m = 0; m < 3; ++m) {
    const v1::ModelScores& model = reply.models(m);
    const ModelAnalysis& expected = analysis.models[static_cast<size_t>(m)];
    EXPECT_EQ(model.model(), expected.name);
    EXPECT_EQ(model.scores().auc(), expected.scores.auc);
    EXPECT_EQ(model.scores().average_precision(),
              expected.scores.average_precision);
    EXPECT_EQ(model.scores().auc_interval().low(),
              expected.scores.auc_interval->low);
    EXPECT_EQ(model.scores().average_precision_interval().high(),
              expected.scores.average_precision_interval->high);
    EXPECT_EQ(std::vector<double>(model.correlations().begin(),
                                  model.correlations().end()),
              expected.correlations);
    ASSERT_EQ(model.label_scores_size(), 2);
    EXPECT_EQ(model.label_scores(1).label(), "b");
    EXPECT_EQ(model.label_scores(1).log_loss(), expected.labels[1].log_loss);
    EXPECT_EQ(model.label_scores(1).positive(), 4);
    EXPECT_EQ(model.label_scores(1).log_loss_interval().high(),
              expected.labels[1].log_loss_interval->high);
    ASSERT_EQ(model.instruments_size(), 2);
    EXPECT_EQ(model.instruments(1).instrument_type(), "sam_testbed");
    EXPECT_EQ(model.instruments(1).scores().log_loss(),
              expected.instruments[1].scores.log_loss);
  }
  const v1::Scores& ensemble = reply.ensemble();
  EXPECT_EQ(ensemble.log_loss_interval().low(),
            analysis.ensemble.scores.log_loss_interval->low);
  EXPECT_EQ(ensemble.log_loss_shrink_0002_interval().high(),
            analysis.ensemble.scores.log_loss_shrink_0002_interval->high);
  EXPECT_EQ(ensemble.accuracy_interval().high(),
            analysis.ensemble.scores.accuracy_interval->high);
  EXPECT_THAT(reply.fold_log_loss(),
              ElementsAre(analysis.ensemble.fold_log_loss[0],
                          analysis.ensemble.fold_log_loss[1]));
  EXPECT_EQ(reply.label_scores(0).auc(), analysis.ensemble.labels[0].auc);
  EXPECT_EQ(reply.instruments(0).scores().samples(), 9);
  EXPECT_EQ(reply.growth_with_replacement_size(),
            static_cast<int>(analysis.growth_with_replacement.size()));
  ASSERT_EQ(reply.elimination_size(), 2);
  EXPECT_EQ(reply.elimination(1).log_loss(), analysis.elimination[1].log_loss);
  ASSERT_EQ(reply.shrink_size(), 3);
  EXPECT_EQ(reply.shrink(0).nested_log_loss(),
            analysis.shrink[0].nested_log_loss);
  EXPECT_EQ(reply.shrink(2).constant(), analysis.shrink[2].constant);
  ASSERT_EQ(reply.weightings_size(), 3);
  for (size_t w = 0; w < 3; ++w) {
    const v1::Weighting& weighting = reply.weightings(static_cast<int>(w));
    EXPECT_EQ(weighting.name(), analysis.weightings[w].name);
    EXPECT_EQ(std::vector<double>(weighting.weights().begin(),
                                  weighting.weights().end()),
              analysis.weightings[w].weights);
    EXPECT_EQ(weighting.gain(), analysis.weightings[w].gain);
    EXPECT_EQ(weighting.gain_interval().low(),
              analysis.weightings[w].gain_interval->low);
  }
  // The draws of all folds were found: one and both.
  ASSERT_EQ(reply.tta_size(), 2);
  EXPECT_EQ(reply.tta(0).draws(), 1);
  EXPECT_NE(reply.tta(0).log_loss(), reply.tta(1).log_loss());
  EXPECT_EQ(reply.tta(1).log_loss(), ensemble.log_loss_shrink_0002());
}

TEST_F(ServiceEnsembleTest, AnOrdinaryReplyHasNoFigureThatTakesLong) {
  RegisterDataset();
  ASSERT_EQ(Submit("one", 2), "s1");
  const int64_t worker = Register("w");
  Train(worker, 4, kSkills);
  const v1::GetEnsembleResponse full = Ensemble(/*full=*/true);
  const v1::GetEnsembleResponse reply = Ensemble();
  EXPECT_FALSE(reply.ensemble().has_log_loss_interval());
  EXPECT_THAT(reply.weightings(), IsEmpty());
  EXPECT_THAT(reply.tta(), IsEmpty());
  EXPECT_EQ(reply.ensemble().log_loss(), full.ensemble().log_loss());
  EXPECT_EQ(reply.models(0).label_scores_size(), 2);
}

TEST_F(ServiceEnsembleTest, AModelThatIsLeftOutHasAReason) {
  RegisterDataset();
  ASSERT_EQ(Submit("one", 3), "s1");
  const int64_t worker = Register("w");
  // Fold-major: fold 0 of all; model1's fails for good.
  Train(worker, 1, kSkills);
  v1::FinishAttemptRequest request;
  request.set_session(worker);
  request.set_token(Acquire(worker)->leases(0).token());
  request.set_outcome(v1::Attempt::FAILED);
  request.set_failure_kind(v1::FAILURE_KIND_PERMANENT);
  request.set_error("no such luck");
  ASSERT_TRUE(Work(&Workers::FinishAttempt, request).ok());
  Train(worker, 2, kSkills);  // model2/0 and model0/1.
  const v1::GetEnsembleResponse before = Ensemble();
  ASSERT_EQ(before.models_size(), 1);
  EXPECT_EQ(before.models(0).model(), "model0");
  EXPECT_EQ(before.ensemble().log_loss(), before.models(0).scores().log_loss());
  ASSERT_EQ(before.incomplete_size(), 2);
  EXPECT_EQ(before.incomplete(0).model(), "model1");
  EXPECT_EQ(before.incomplete(0).reason(),
            "fold 0 failed: no such luck; fold 1 is pending");
  EXPECT_EQ(before.incomplete(1).model(), "model2");
  EXPECT_EQ(before.incomplete(1).reason(), "fold 1 is pending");
  EXPECT_THAT(before.incomplete_models(), ElementsAre("model1", "model2"));

  const v1::Lease running = Acquire(worker)->leases(0);
  EXPECT_EQ(Ensemble().incomplete(0).reason(),
            "fold 0 failed: no such luck; fold 1 is running");
  v1::CancelRequest cancel;
  cancel.set_target("s1/model2/1");
  ASSERT_TRUE(Ask(&Farm::Cancel, cancel).ok());
  ASSERT_TRUE(Succeed(worker, running, 0.5f).ok());
  const v1::GetEnsembleResponse after = Ensemble();
  EXPECT_EQ(after.incomplete(0).reason(), "fold 0 failed: no such luck");
  EXPECT_THAT(after.incomplete(1).reason(), HasSubstr("fold 1 was cancelled"));
  EXPECT_EQ(after.ensemble().log_loss(), before.ensemble().log_loss())
      << "an incomplete model's folds never count";
}

TEST_F(ServiceEnsembleTest, AModelJoinsWhenItsLastFoldIsDone) {
  RegisterDataset();
  ASSERT_EQ(Submit("one", 2), "s1");
  const int64_t worker = Register("w");
  Train(worker, 3, kSkills);
  EXPECT_EQ(Ensemble().models_size(), 1);
  const std::string first = Ensemble().SerializeAsString();
  EXPECT_EQ(Ensemble().SerializeAsString(), first);
  Train(worker, 1, kSkills);
  const v1::GetEnsembleResponse both = Ensemble();
  EXPECT_EQ(both.models_size(), 2);
  EXPECT_EQ(both.models(0).model(), "model1") << "the better one first";
  EXPECT_THAT(both.incomplete(), IsEmpty());
}

TEST_F(ServiceEnsembleTest, AModelWhoseFileIsDamagedIsLeftOut) {
  RegisterDataset();
  ASSERT_EQ(Submit("one", 2), "s1");
  const auto digests = Train(Register("w"), 4, kSkills);
  const auto files = ArtifactFiles::Open(directory_);
  ASSERT_TRUE(files.ok()) << files.status();
  const auto path = (*files)->Find(digests.at("s1/model1/0"));
  ASSERT_TRUE(path.ok()) << path.status();
  ASSERT_TRUE(WriteFileAtomically(*path, "not predictions").ok());
  const v1::GetEnsembleResponse reply = Ensemble();
  ASSERT_EQ(reply.models_size(), 1);
  EXPECT_EQ(reply.models(0).model(), "model0");
  ASSERT_EQ(reply.incomplete_size(), 1);
  EXPECT_EQ(reply.incomplete(0).model(), "model1");
  EXPECT_THAT(reply.incomplete(0).reason(), HasSubstr("cannot be read"));
}

TEST_F(ServiceEnsembleTest, AHoldOutHasNoNestedFigures) {
  RegisterDataset();
  v1::SweepSpec spec = Spec("one", 2);
  spec.clear_folds();
  (*spec.mutable_folds()->mutable_holdout())["instrument_type"] = "sam_testbed";
  ASSERT_EQ(Submit(spec), "s1");
  Train(Register("w"), 2, kSkills);
  const v1::GetEnsembleResponse reply = Ensemble(/*full=*/true);
  EXPECT_EQ(reply.fold_log_loss_size(), 1);
  EXPECT_TRUE(std::isnan(reply.shrink(0).nested_log_loss()));
  EXPECT_TRUE(std::isnan(reply.weightings(2).nested_log_loss()));
  EXPECT_FALSE(reply.weightings(2).has_gain_interval());
  EXPECT_TRUE(std::isfinite(reply.weightings(2).log_loss()));
}

}  // namespace
}  // namespace foldfarm
