// A coordinator in this process, over a real gRPC connection on loopback.
#ifndef FOLDFARM_TESTS_COORDINATOR_SERVICE_SERVICE_FIXTURE_H_
#define FOLDFARM_TESTS_COORDINATOR_SERVICE_SERVICE_FIXTURE_H_

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "coordinator/service/server.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {

using Farm = v1::FarmService::StubInterface;
using Workers = v1::WorkerService::StubInterface;
using Artifacts = v1::ArtifactService::StubInterface;

inline constexpr absl::Duration kTimeout = absl::Seconds(30);

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() : directory_(*MakeTemporaryDirectory("foldfarm-service-")) {
    spdlog::set_level(spdlog::level::err);
    options_.directory = directory_;
    options_.listen = "127.0.0.1:0";
    Start();
  }
  ~ServiceTest() override {
    server_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  void Start() {
    auto server = CoordinatorServer::Start(options_, Clock::Real());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    const auto channel = MakeChannel(server_->endpoint());
    farm_ = v1::FarmService::NewStub(channel);
    workers_ = v1::WorkerService::NewStub(channel);
    artifacts_ = v1::ArtifactService::NewStub(channel);
  }

  // Looks until `condition` holds; false when that took too long.
  static bool Until(const std::function<bool()>& condition) {
    Clock& clock = Clock::Real();
    const absl::Duration end = clock.Monotonic() + kTimeout;
    while (!condition()) {
      if (clock.Monotonic() >= end) return false;
      WaitUnlessCancelled(clock, absl::Milliseconds(20), [] { return false; });
    }
    return true;
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Ask(
      grpc::Status (Farm::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) {
    return UnaryCall(*farm_, method, request, kTimeout);
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Work(
      grpc::Status (Workers::*method)(grpc::ClientContext*, const Request&,
                                      Response*),
      const Request& request) {
    return UnaryCall(*workers_, method, request, kTimeout);
  }

  void RegisterDataset() {
    const auto ref = UploadBytes(*artifacts_, TinyDataset(12), "dataset");
    ASSERT_TRUE(ref.ok()) << ref.status();
    v1::RegisterDatasetRequest request;
    request.set_name("tiny");
    request.set_digest(ref->digest());
    const auto dataset = Ask(&Farm::RegisterDataset, request);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
  }

  static v1::SweepSpec Spec(const std::string& name, int models) {
    v1::SweepSpec spec;
    spec.set_name(name);
    spec.mutable_folds()->set_count(2);
    for (int i = 0; i < models; ++i) {
      v1::ModelSpec& model = *spec.add_models();
      model.set_name(absl::StrCat("model", i));
      model.mutable_arch()->mutable_none();
    }
    return spec;
  }

  std::string Submit(const v1::SweepSpec& spec) {
    v1::SubmitSweepRequest request;
    request.set_request_id(spec.name());
    request.set_dataset("tiny");
    *request.mutable_spec() = spec;
    const auto response = Ask(&Farm::SubmitSweep, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->sweep() : "";
  }

  std::string Submit(const std::string& name, int models) {
    return Submit(Spec(name, models));
  }

  int64_t Register(const std::string& name, int slots = 1) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(slots);
    const auto response = Work(&Workers::Register, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response->session();
  }

  absl::StatusOr<v1::AcquireLeasesResponse> Acquire(int64_t session,
                                                    double wait = 0) {
    v1::AcquireLeasesRequest request;
    request.set_session(session);
    request.set_free_slots(1);
    request.set_wait_seconds(wait);
    return Work(&Workers::AcquireLeases, request);
  }

  static std::vector<std::string> LabelsOf(const v1::Lease& lease) {
    const auto& labels = lease.spec().model().labels();
    if (labels.empty()) return {"a", "b"};
    return {labels.begin(), labels.end()};
  }

  // A success whose files are uploaded; takes one next lease.
  v1::FinishAttemptRequest SuccessOf(int64_t session, const v1::Lease& lease,
                                     float probability) {
    v1::FinishAttemptRequest request;
    request.set_session(session);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::SUCCEEDED);
    *request.add_artifacts() =
        *UploadBytes(*artifacts_,
                     TinyOof({lease.spec().validation_samples().begin(),
                              lease.spec().validation_samples().end()},
                             probability, LabelsOf(lease)),
                     "oof.safetensors");
    (*request.mutable_metrics())["log_loss"] = 0.25;
    request.set_next_leases(1);
    request.set_free_slots(1);
    return request;
  }

  absl::StatusOr<v1::FinishAttemptResponse> Succeed(int64_t session,
                                                    const v1::Lease& lease,
                                                    float probability) {
    return Work(&Workers::FinishAttempt,
                SuccessOf(session, lease, probability));
  }

  // Trains everything that is to be had.
  void RunAll(int64_t session, float probability) {
    auto acquired = Acquire(session);
    ASSERT_TRUE(acquired.ok());
    std::vector<v1::Lease> leases(acquired->leases().begin(),
                                  acquired->leases().end());
    while (!leases.empty()) {
      const auto response = Succeed(session, leases[0], probability);
      ASSERT_TRUE(response.ok()) << response.status();
      leases.assign(response->next_leases().begin(),
                    response->next_leases().end());
    }
  }

  v1::Sweep GetSweep(const std::string& name) {
    v1::GetSweepRequest request;
    request.set_sweep(name);
    return *Ask(&Farm::GetSweep, request);
  }

  const std::string directory_;
  ServerOptions options_;
  std::unique_ptr<CoordinatorServer> server_;
  std::unique_ptr<v1::FarmService::Stub> farm_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_SERVICE_SERVICE_FIXTURE_H_
