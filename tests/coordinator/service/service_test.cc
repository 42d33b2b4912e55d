// The coordinator over a real gRPC connection on loopback.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/client_access.h"
#include "tests/coordinator/service/service_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

TEST_F(ServiceTest, ASweepGoesFromSubmissionToSuccess) {
  RegisterDataset();
  const std::string sweep = Submit("first", 2);
  EXPECT_EQ(sweep, "s1");
  EXPECT_EQ(GetSweep("first").state(), v1::Sweep::PENDING);
  RunAll(Register("w"), 0.5f);
  const v1::Sweep done = GetSweep(sweep);
  EXPECT_EQ(done.state(), v1::Sweep::SUCCEEDED);
  EXPECT_EQ(done.succeeded(), 4);
  EXPECT_TRUE(done.has_end_time());
  EXPECT_EQ(done.spec().models_size(), 2);
  v1::GetJobRequest request;
  request.set_job("s1/model1/0");
  const auto job = Ask(&Farm::GetJob, request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->job().state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job->job().worker(), "w");
  EXPECT_EQ(job->job().log_loss(), 0.25);
  ASSERT_EQ(job->attempts_size(), 1);
  EXPECT_EQ(job->attempts(0).state(), v1::Attempt::SUCCEEDED);
  ASSERT_EQ(job->artifacts_size(), 1);
  EXPECT_EQ(job->artifacts(0).name(), "oof.safetensors");
  EXPECT_EQ(job->model().name(), "model1");
}

TEST_F(ServiceTest, AnUnknownNameIsAnsweredWithNearOnes) {
  RegisterDataset();
  Submit("mars-two", 1);
  v1::GetSweepRequest sweep;
  sweep.set_sweep("mars-tow");
  absl::Status status = Ask(&Farm::GetSweep, sweep).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "no sweep \"mars-tow\"; did you mean mars-two?");
  v1::GetJobRequest job;
  job.set_job("s1/modle0/0");
  status = Ask(&Farm::GetJob, job).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean model0?"));
  job.set_job("s1/model0/7");
  status = Ask(&Farm::GetJob, job).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("has folds 0 to 1"));
  job.set_job("s1");
  EXPECT_EQ(Ask(&Farm::GetJob, job).status().code(), Code::kInvalidArgument);
  v1::GetDatasetRequest dataset;
  dataset.set_name("tine");
  status = Ask(&Farm::GetDataset, dataset).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean tiny?"));
}

TEST_F(ServiceTest, ANameOfTwoSweepsIsAmbiguous) {
  RegisterDataset();
  Submit("one", 1);
  v1::SubmitSweepRequest request;
  request.set_request_id("again");
  request.set_dataset("tiny");
  *request.mutable_spec() = GetSweep("s1").spec();
  ASSERT_TRUE(Ask(&Farm::SubmitSweep, request).ok());
  v1::GetSweepRequest get;
  get.set_sweep("one");
  const absl::Status status = Ask(&Farm::GetSweep, get).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("s1, s2"));
}

TEST_F(ServiceTest, ListingsFilterByState) {
  RegisterDataset();
  Submit("one", 2);
  ASSERT_EQ(Acquire(Register("w"))->leases_size(), 1);
  v1::ListJobsRequest request;
  request.set_sweep("s1");
  EXPECT_EQ(Ask(&Farm::ListJobs, request)->jobs_size(), 4);
  request.set_state(v1::Job::RUNNING);
  const auto running = Ask(&Farm::ListJobs, request);
  ASSERT_EQ(running->jobs_size(), 1);
  EXPECT_EQ(running->jobs(0).name(), "s1/model0/0");
  const auto workers = Ask(&Farm::ListWorkers, v1::ListWorkersRequest());
  ASSERT_EQ(workers->workers_size(), 1);
  EXPECT_EQ(workers->workers(0).state(), v1::Worker::ONLINE);
  EXPECT_EQ(workers->workers(0).busy_slots(), 1);
  EXPECT_THAT(workers->workers(0).jobs(), ElementsAre("s1/model0/0"));
  EXPECT_EQ(Ask(&Farm::ListSweeps, v1::ListSweepsRequest())->sweeps_size(), 1);
  EXPECT_EQ(Ask(&Farm::ListDatasets, v1::ListDatasetsRequest())
                ->datasets(0)
                .labels(0)
                .positive(),
            6);
}

TEST_F(ServiceTest, AWatchShowsEverythingThenChangesAndEnds) {
  RegisterDataset();
  Submit("one", 1);
  v1::WatchSweepRequest request;
  request.set_sweep("s1");
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  const auto reader = farm_->WatchSweep(&context, request);
  v1::WatchSweepResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.jobs_size(), 2);
  EXPECT_EQ(response.sweep().pending(), 2);
  RunAll(Register("w"), 0.5f);
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(response.sweep().state(), v1::Sweep::SUCCEEDED);
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, FollowedLogsEndWithTheJob) {
  RegisterDataset();
  Submit("one", 1);
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)->leases(0);
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  v1::LogLine& line = *report.add_lines();
  line.set_sequence(1);
  line.set_text("hello");
  ASSERT_TRUE(Work(&Workers::ReportProgress, report).ok());
  v1::GetLogsRequest request;
  request.set_job("s1/model0/0");
  request.set_follow(true);
  grpc::ClientContext context;
  SetTimeout(context, kTimeout);
  const auto reader = farm_->GetLogs(&context, request);
  v1::GetLogsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.lines(0).text(), "hello");
  line.set_sequence(2);
  line.set_text("world");
  ASSERT_TRUE(Work(&Workers::ReportProgress, report).ok());
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_EQ(response.lines_size(), 1);
  EXPECT_EQ(response.lines(0).text(), "world");
  EXPECT_EQ(response.lines(0).sequence(), 2);
  ASSERT_TRUE(Succeed(worker, lease, 0.5f).ok());
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, TheEnsembleCountsOnlyCompleteModels) {
  RegisterDataset();
  Submit("one", 2);
  const int64_t worker = Register("w");
  // Fold-major: both models' fold 0, then model0's fold 1.
  v1::Lease lease = Acquire(worker)->leases(0);
  for (int i = 0; i < 3; ++i) {
    const auto response = Succeed(worker, lease, 0.5f);
    ASSERT_TRUE(response.ok()) << response.status();
    lease = response->next_leases(0);
  }
  v1::GetEnsembleRequest request;
  request.set_sweep("one");
  const auto ensemble = Ask(&Farm::GetEnsemble, request);
  ASSERT_TRUE(ensemble.ok()) << ensemble.status();
  ASSERT_EQ(ensemble->models_size(), 1);
  EXPECT_EQ(ensemble->models(0).model(), "model0");
  EXPECT_EQ(ensemble->models(0).fold_log_loss_size(), 2);
  EXPECT_NEAR(ensemble->ensemble().log_loss(), 0.693147, 1e-5);
  EXPECT_EQ(ensemble->ensemble().samples(), 12);
  EXPECT_THAT(ensemble->incomplete_models(), ElementsAre("model1"));
  EXPECT_THAT(ensemble->labels(), ElementsAre("a", "b"));
  EXPECT_GT(ensemble->prior().log_loss(), 0);
  v1::GetOofRequest oof;
  oof.set_sweep("one");
  grpc::ClientContext context;
  const auto reader = farm_->GetOof(&context, oof);
  v1::GetOofResponse piece;
  ASSERT_TRUE(reader->Read(&piece));
  EXPECT_THAT(piece.models(), ElementsAre("model0"));
  ASSERT_EQ(piece.rows_size(), 12);
  EXPECT_EQ(piece.rows(0).sample_id(), "T000");
  EXPECT_THAT(piece.rows(0).truth(), ElementsAre(1, 1));
  EXPECT_THAT(piece.rows(1).probability(), ElementsAre(0.5, 0.5));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, AnEnsembleOfNothingIsNoError) {
  RegisterDataset();
  Submit("one", 1);
  v1::GetEnsembleRequest request;
  request.set_sweep("one");
  const auto ensemble = Ask(&Farm::GetEnsemble, request);
  ASSERT_TRUE(ensemble.ok()) << ensemble.status();
  EXPECT_EQ(ensemble->models_size(), 0);
  EXPECT_THAT(ensemble->incomplete_models(), ElementsAre("model0"));
}

TEST_F(ServiceTest, ACancelledSweepCanBeRetried) {
  RegisterDataset();
  Submit("one", 1);
  v1::CancelRequest cancel;
  cancel.set_target("s1/model0/1");
  EXPECT_EQ(Ask(&Farm::Cancel, cancel)->jobs(), 1);
  cancel.set_target("one");
  EXPECT_EQ(Ask(&Farm::Cancel, cancel)->jobs(), 1);
  EXPECT_EQ(GetSweep("s1").state(), v1::Sweep::CANCELLED);
  v1::RetryRequest retry;
  retry.set_target("s1");
  EXPECT_EQ(Ask(&Farm::Retry, retry)->jobs(), 2);
  EXPECT_EQ(GetSweep("s1").state(), v1::Sweep::PENDING);
}

TEST_F(ServiceTest, AnUploadThatBrokeOffGoesOn) {
  const std::string text(100000, 'x');
  const std::string digest = Sha256Hex(text);
  {
    grpc::ClientContext context;
    v1::UploadArtifactResponse response;
    const auto writer = artifacts_->UploadArtifact(&context, &response);
    v1::UploadArtifactRequest piece;
    piece.mutable_header()->set_digest(digest);
    piece.mutable_header()->set_size_bytes(100000);
    piece.set_data(text.substr(0, 40000));
    ASSERT_TRUE(writer->Write(piece));
    writer->WritesDone();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  }
  v1::StatArtifactRequest stat;
  stat.set_digest(digest);
  auto got = UnaryCall(*artifacts_, &Artifacts::StatArtifact, stat, kTimeout);
  EXPECT_FALSE(got->complete());
  EXPECT_EQ(got->size_bytes(), 40000);
  ASSERT_TRUE(UploadBytes(*artifacts_, text, "x").ok());
  const std::string path = JoinPath(directory_, "fetched");
  ASSERT_TRUE(DownloadFile(*artifacts_, digest, 100000, path).ok());
  EXPECT_EQ(*ReadFile(path), text);
}

TEST_F(ServiceTest, ManyWaitingWorkersStarveNobody) {
  RegisterDataset();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<v1::AcquireLeasesResponse> responses(200);
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<
      grpc::ClientAsyncResponseReader<v1::AcquireLeasesResponse>>>
      calls;
  std::vector<grpc::Status> statuses(responses.size());
  for (size_t i = 0; i < responses.size(); ++i) {
    v1::AcquireLeasesRequest request;
    request.set_session(Register(absl::StrCat("w", i)));
    request.set_free_slots(1);
    request.set_max_leases(1);
    request.set_wait_seconds(30);
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    calls.push_back(
        workers_->AsyncAcquireLeases(contexts.back().get(), request, &queue));
    calls.back()->Finish(&responses[i], &statuses[i],
                         reinterpret_cast<void*>(i));
  }
  EXPECT_EQ(Submit("one", 100), "s1");
  for (size_t i = 0; i < responses.size(); ++i) {
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    const size_t answered = reinterpret_cast<size_t>(tag);
    EXPECT_TRUE(statuses[answered].ok());
    EXPECT_EQ(responses[answered].leases_size(), 1);
  }
  EXPECT_EQ(GetSweep("s1").running(), 200);
}

TEST_F(ServiceTest, StoppingAnswersWhoWaits) {
  RegisterDataset();
  Submit("one", 1);
  const int64_t worker = Register("w");
  ASSERT_EQ(Acquire(worker)->leases_size(), 1);
  ASSERT_EQ(Acquire(worker)->leases_size(), 1);
  absl::StatusOr<v1::AcquireLeasesResponse> waiting;
  std::thread waiter([&] { waiting = Acquire(worker, 60); });
  v1::WatchSweepRequest request;
  request.set_sweep("s1");
  grpc::ClientContext context;
  const auto reader = farm_->WatchSweep(&context, request);
  v1::WatchSweepResponse response;
  ASSERT_TRUE(reader->Read(&response));
  const absl::Duration begin = Clock::Real().Monotonic();
  server_.reset();
  EXPECT_LT(Clock::Real().Monotonic() - begin, absl::Seconds(2));
  waiter.join();
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServiceTest, ARestartedCoordinatorKnowsItsWorkersAndSweeps) {
  RegisterDataset();
  Submit("one", 1);
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)->leases(0);
  server_.reset();
  Start();
  const auto finished = Succeed(worker, lease, 0.5f);
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->job_state(), v1::Job::SUCCEEDED);
}

TEST_F(ServiceTest, TheEndpointIsWrittenDown) {
  EXPECT_EQ(*ReadFile(JoinPath(directory_, "endpoint")),
            server_->endpoint() + "\n");
}

TEST_F(ServiceTest, AnAddressThatIsTakenIsAClearError) {
  ServerOptions second = options_;
  second.directory = JoinPath(directory_, "second");
  second.listen = server_->endpoint();
  const auto server = CoordinatorServer::Start(second, Clock::Real());
  EXPECT_EQ(server.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(std::string(server.status().message()),
              HasSubstr("cannot listen on"));
}

TEST(EndpointTest, HostAndPortAreTakenApart) {
  EXPECT_EQ(ParseEndpoint("127.0.0.1:7077")->second, 7077);
  EXPECT_EQ(ParseEndpoint("[::1]:0")->first, "[::1]");
  EXPECT_FALSE(ParseEndpoint("7077").ok());
  EXPECT_FALSE(ParseEndpoint("host:99999").ok());
  EXPECT_TRUE(IsLoopbackHost("localhost"));
  EXPECT_TRUE(IsLoopbackHost("127.0.0.1"));
  EXPECT_FALSE(IsLoopbackHost("0.0.0.0"));
}

}  // namespace
}  // namespace foldfarm
