// The `foldfarm` command against a farm that answers what a test put there.
#ifndef FOLDFARM_TESTS_COORDINATOR_CLI_SCRIPTED_FARM_H_
#define FOLDFARM_TESTS_COORDINATOR_CLI_SCRIPTED_FARM_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/cli/cli.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/common/rpc/fake_artifact_service.h"
#include "tests/testing/loopback_server.h"

namespace foldfarm {

// A farm with one dataset of two labels, unless told otherwise, and one sweep:
// gru/0 is done, gru/1 failed, trees/0 is done.
class ScriptedFarm : public v1::FarmService::Service {
 public:
  grpc::Status GetDataset(grpc::ServerContext*,
                          const v1::GetDatasetRequest* request,
                          v1::Dataset* reply) override {
    reply->set_name(request->name());
    for (const std::string& label : labels) {
      reply->add_labels()->set_label(label);
    }
    v1::SampleCount& count = *reply->add_counts();
    count.set_split("train");
    count.set_instrument_type("commercial");
    count.set_samples(4);
    return grpc::Status::OK;
  }
  grpc::Status GetSweep(grpc::ServerContext*, const v1::GetSweepRequest*,
                        v1::Sweep* reply) override {
    reply->set_id("s1");
    reply->set_name("mars");
    reply->set_dataset("data");
    *reply->mutable_spec() = spec;
    return grpc::Status::OK;
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*,
                        v1::ListJobsResponse* reply) override {
    for (const v1::GetJobResponse& job : jobs) {
      *reply->add_jobs() = job.job();
    }
    return grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::GetJobResponse* reply) override {
    for (const v1::GetJobResponse& job : jobs) {
      if (job.job().name() == request->job()) *reply = job;
    }
    return grpc::Status::OK;
  }
  grpc::Status GetMetrics(grpc::ServerContext*, const v1::GetMetricsRequest*,
                          v1::GetMetricsResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status GetOof(grpc::ServerContext* context,
                      const v1::GetOofRequest* request,
                      grpc::ServerWriter<v1::GetOofResponse>* writer) override {
    if (oof.rows().empty()) {
      return v1::FarmService::Service::GetOof(context, request, writer);
    }
    writer->Write(oof);
    return grpc::Status::OK;
  }
  // Nothing is ever predicted.
  grpc::Status SubmitPrediction(grpc::ServerContext*,
                                const v1::SubmitPredictionRequest* request,
                                v1::SubmitSweepResponse*) override {
    predicting = *request;
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "not today");
  }
  grpc::Status SubmitSweep(grpc::ServerContext*,
                           const v1::SubmitSweepRequest* request,
                           v1::SubmitSweepResponse* reply) override {
    submitted = *request;
    if (!request->validate_only()) reply->set_sweep("s1");
    reply->set_jobs(4);
    reply->set_reused(1);
    return submit_status;
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* reply) override {
    v1::Worker& worker = *reply->add_workers();
    worker.set_name("gpu-1");
    worker.set_state(v1::Worker::ONLINE);
    worker.set_allow_exec(allow_exec);
    for (const v1::Worker& other : other_workers) *reply->add_workers() = other;
    return grpc::Status::OK;
  }
  // It runs what there is.
  grpc::Status DrainWorker(grpc::ServerContext*,
                           const v1::DrainWorkerRequest* request,
                           v1::Worker* reply) override {
    reply->set_name(request->worker());
    for (const v1::GetJobResponse& job : jobs) {
      reply->add_jobs(job.job().name());
    }
    return grpc::Status::OK;
  }
  grpc::Status RegisterWeights(grpc::ServerContext*,
                               const v1::RegisterWeightsRequest* request,
                               v1::Weights* reply) override {
    reply->set_name(request->name());
    reply->set_digest(request->digest());
    reply->set_size_bytes(1536);
    weights = *reply;
    return grpc::Status::OK;
  }
  grpc::Status ListWeights(grpc::ServerContext*, const v1::ListWeightsRequest*,
                           v1::ListWeightsResponse* reply) override {
    if (!weights.name().empty()) *reply->add_weights() = weights;
    return grpc::Status::OK;
  }

  grpc::Status ListSweeps(grpc::ServerContext*, const v1::ListSweepsRequest*,
                          v1::ListSweepsResponse* reply) override {
    reply->add_sweeps()->set_id("s1");
    return grpc::Status::OK;
  }
  grpc::Status ListDatasets(grpc::ServerContext*,
                            const v1::ListDatasetsRequest*,
                            v1::ListDatasetsResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status Backup(grpc::ServerContext*, const v1::BackupRequest*,
                      grpc::ServerWriter<v1::BackupResponse>* writer) override {
    v1::BackupResponse all;
    all.set_data("database");
    all.set_size_bytes(8);
    all.set_digest(Sha256Hex("database"));
    writer->Write(all);
    return grpc::Status::OK;
  }

  void AddJob(const std::string& model, int fold, v1::Job::State state,
              const std::map<std::string, std::string>& artifacts) {
    v1::GetJobResponse& job = jobs.emplace_back();
    job.mutable_job()->set_name(absl::StrCat("s1/", model, "/", fold));
    job.mutable_job()->set_model(model);
    job.mutable_job()->set_fold(fold);
    job.mutable_job()->set_state(state);
    job.mutable_model()->set_name(model);
    for (const auto& [name, data] : artifacts) {
      v1::ArtifactRef& ref = *job.add_artifacts();
      ref.set_name(name);
      ref.set_digest(Sha256Hex(data));
      ref.set_size_bytes(static_cast<int64_t>(data.size()));
    }
  }

  // Out-of-fold predictions of S0 to S3, in two folds, and the truth with them:
  // a model is right with that probability, one for each label.
  void AddOof(const std::string& model, const std::vector<double>& right) {
    if (oof.rows().empty()) {
      oof.mutable_labels()->Assign(labels.begin(), labels.end());
      oof.mutable_prevalence()->Resize(static_cast<int>(labels.size()), 0.5);
      for (size_t i = 0; i < 4; ++i) {
        v1::GetOofResponse::Row& row = *oof.add_rows();
        row.set_sample_id(absl::StrCat("S", i));
        row.set_fold(static_cast<int>(i % 2));
        row.set_instrument_type("commercial");
        for (size_t label = 0; label < labels.size(); ++label) {
          row.add_truth(static_cast<double>((i / 2 + label) % 2));
          row.add_probability(0.5);
        }
      }
    }
    oof.add_models(model);
    for (v1::GetOofResponse::Row& row : *oof.mutable_rows()) {
      for (size_t label = 0; label < right.size(); ++label) {
        row.add_model_probability(row.truth(static_cast<int>(label)) == 1
                                      ? right[label]
                                      : 1 - right[label]);
      }
    }
  }

  grpc::Status Cancel(grpc::ServerContext*, const v1::CancelRequest*,
                      v1::CancelResponse*) override {
    return cancel_status;
  }

  std::vector<std::string> labels = {"oxalate", "sulfide"};  // The dataset's.
  grpc::Status cancel_status;
  std::vector<v1::GetJobResponse> jobs;
  v1::SweepSpec spec;  // Of the sweep.
  v1::SubmitSweepRequest submitted;
  grpc::Status submit_status;  // Of the next submissions.
  v1::SubmitPredictionRequest predicting;
  v1::GetOofResponse oof;  // All of it; without rows there is none.
  v1::Weights weights;
  bool allow_exec = false;
  std::vector<v1::Worker> other_workers;
};

struct Outcome {
  int exit_status = 0;
  std::string out;
  std::string err;
};

class ScriptedFarmTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = ServeOnLoopback({&farm_, &store_}, port_);
    directory_ = MakeTemporaryDirectory("scripted_farm").value();
    TensorFileWriter writer;
    writer.AddF32("fc.weight", {2, 3}, {1, 2, 3, 4, 5, 6});
    weights_ = writer.Serialize();
    Write("w.safetensors", weights_);
  }
  void TearDown() override {
    server_->Shutdown();
    ASSERT_TRUE(RemoveRecursively(directory_).ok());
  }

  Outcome Run(std::vector<std::string> arguments) {
    arguments.push_back("--coordinator");
    arguments.push_back(absl::StrCat("127.0.0.1:", port_));
    std::ostringstream out, err;
    Console console;
    console.out = &out;
    console.err = &err;
    Outcome outcome;
    outcome.exit_status = RunCli(arguments, console);
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }
  std::string Path(const std::string& name) const {
    return JoinPath(directory_, name);
  }
  std::string Write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(Path(name), text).ok());
    return Path(name);
  }
  // A sweep of these models, of two folds.
  std::string Sweep(const std::string& models) {
    return Write("sweep.yaml", absl::StrCat("name: mars\nfolds: {count: 2}\n"
                                            "models:\n",
                                            models));
  }
  // A program in place of foldfarm-trainer.
  std::string Trainer(const std::string& script) {
    const std::string path = Write("trainer", "#!/bin/sh\n" + script);
    chmod(path.c_str(), 0755);
    return path;
  }

  ScriptedFarm farm_;
  FakeArtifactService store_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::string directory_;
  std::string weights_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_CLI_SCRIPTED_FARM_H_
