// A queue over a real store in a temporary folder, with a clock that stands
// still.
#ifndef FOLDFARM_TESTS_COORDINATOR_QUEUE_QUEUE_FIXTURE_H_
#define FOLDFARM_TESTS_COORDINATOR_QUEUE_QUEUE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "coordinator/queue/job_queue.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {

class QueueFixture : public ::testing::Test {
 protected:
  QueueFixture() : directory_(*MakeTemporaryDirectory("foldfarm-queue-")) {
    spdlog::set_level(spdlog::level::err);
    Open();
    dataset_ = Keep(TinyDataset(12));
    v1::RegisterDatasetRequest request;
    request.set_name("tiny");
    request.set_digest(dataset_.digest());
    EXPECT_TRUE(queue_->RegisterDataset(request).ok());
  }

  ~QueueFixture() override {
    Close();
    RemoveRecursively(directory_).IgnoreError();
  }

  void Open() {
    auto store = Store::Open(directory_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    files_ = *ArtifactFiles::Open(directory_);
    queue_ = *JobQueue::Start(*store_, *files_, clock_, options_);
  }

  void Close() {
    queue_.reset();
    files_.reset();
    store_.reset();
  }

  // As after kill -9 and a new start: nothing is left but the disk.
  void Restart() {
    Close();
    Open();
  }

  // Makes a call of the queue and waits for its answer.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(
      void (JobQueue::*method)(Request, JobQueue::Answer<Response>),
      Request request) {
    absl::StatusOr<Response> result = absl::UnknownError("no answer");
    absl::Notification answered;
    (queue_.get()->*method)(std::move(request),
                            [&](absl::StatusOr<Response> answer) {
                              result = std::move(answer);
                              answered.Notify();
                            });
    answered.WaitForNotification();
    return result;
  }

  std::string WaitingReason(const JobRow& job) {
    return queue_->WaitingReason(job, /*priority=*/0, queue_->Load());
  }

  v1::ArtifactRef Keep(const std::string& bytes,
                       const std::string& name = "oof.safetensors") {
    v1::ArtifactRef ref;
    ref.set_name(name);
    ref.set_digest(Sha256Hex(bytes));
    ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
    auto upload = *files_->BeginUpload(ref.digest(), ref.size_bytes(), 0);
    if (upload != nullptr) {
      EXPECT_TRUE(upload->Append(bytes).ok());
      EXPECT_TRUE(upload->Finish().ok());
    }
    return ref;
  }

  // A sweep of `models` models x 2 folds.
  static v1::SweepSpec Spec(const std::string& name, int models) {
    v1::SweepSpec spec;
    spec.set_name(name);
    spec.set_seed(7);
    spec.mutable_folds()->set_count(2);
    for (int i = 0; i < models; ++i) {
      v1::ModelSpec& model = *spec.add_models();
      model.set_name(absl::StrCat(name, i));
      model.mutable_arch()->mutable_none();
      model.mutable_train()->set_epochs(10);
    }
    return spec;
  }

  absl::StatusOr<v1::SubmitSweepResponse> Submit(const v1::SweepSpec& spec,
                                                 const std::string& request_id,
                                                 bool no_reuse = false) {
    v1::SubmitSweepRequest request;
    request.set_request_id(request_id);
    request.set_dataset("tiny");
    request.set_no_reuse(no_reuse);
    *request.mutable_spec() = spec;
    return queue_->SubmitSweep(request);
  }

  int64_t Register(const std::string& name, int slots = 1,
                   std::vector<int64_t> held = {}) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(slots);
    for (const int64_t token : held) request.add_held_tokens(token);
    auto response = Call(&JobQueue::Register, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response->session();
  }

  std::vector<v1::Lease> Acquire(int64_t session, int slots = 1, int most = 0) {
    v1::AcquireLeasesRequest request;
    request.set_session(session);
    request.set_free_slots(slots);
    request.set_max_leases(most);
    absl::StatusOr<v1::AcquireLeasesResponse> result;
    absl::Notification answered;
    queue_->AcquireLeases(request, this,
                          [&](absl::StatusOr<v1::AcquireLeasesResponse> r) {
                            result = std::move(r);
                            answered.Notify();
                          });
    answered.WaitForNotification();
    EXPECT_TRUE(result.ok()) << result.status();
    return {result->leases().begin(), result->leases().end()};
  }

  v1::HeartbeatResponse::Action Beat(int64_t session, int64_t token) {
    v1::HeartbeatRequest request;
    request.set_session(session);
    request.add_tokens(token);
    auto response = Call(&JobQueue::Heartbeat, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response->answers(0).action();
  }

  v1::FinishAttemptRequest Success(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest request;
    request.set_session(session);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::SUCCEEDED);
    *request.add_artifacts() =
        Keep(TinyOof({lease.spec().validation_samples().begin(),
                      lease.spec().validation_samples().end()},
                     0.25f));
    (*request.mutable_metrics())["log_loss"] = 0.5;
    return request;
  }

  v1::FinishAttemptRequest Failure(
      int64_t session, const v1::Lease& lease,
      v1::FailureKind kind = v1::FAILURE_KIND_RETRYABLE) {
    v1::FinishAttemptRequest request;
    request.set_session(session);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::FAILED);
    request.set_failure_kind(kind);
    request.set_error("loss is nan");
    return request;
  }

  absl::StatusOr<v1::FinishAttemptResponse> Finish(
      v1::FinishAttemptRequest request) {
    return Call(&JobQueue::FinishAttempt, std::move(request));
  }

  JobRow Job(const v1::Lease& lease) {
    std::optional<JobRow> row;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto attempt =
                          reader.FindAttempt(FencingToken{lease.token()});
                      if (!attempt.ok()) return attempt.status();
                      auto job = reader.FindJob((*attempt)->job);
                      if (!job.ok()) return job.status();
                      row = *job;
                      return absl::OkStatus();
                    })
                    .ok());
    return *row;
  }

  std::vector<JobRow> Jobs(int64_t sweep) {
    std::vector<JobRow> rows;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto jobs = reader.ListJobs(SweepId{sweep});
                      if (!jobs.ok()) return jobs.status();
                      rows = *jobs;
                      return absl::OkStatus();
                    })
                    .ok());
    return rows;
  }

  const std::string directory_;
  FakeClock clock_;
  QueueOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ArtifactFiles> files_;
  std::unique_ptr<JobQueue> queue_;
  v1::ArtifactRef dataset_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_QUEUE_QUEUE_FIXTURE_H_
