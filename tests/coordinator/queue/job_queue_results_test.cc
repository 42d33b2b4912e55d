#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "coordinator/queue/job_queue.h"
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Job = v1::Job;

using JobQueueResultsTest = QueueFixture;

TEST_F(JobQueueResultsTest, AResultWhoseFilesAreNotStoredIsAskedForAgain) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::FinishAttemptRequest request = Success(worker, lease);
  v1::ArtifactRef& weights = *request.add_artifacts();
  weights.set_name("weights.safetensors");
  weights.set_digest(Sha256Hex("weights"));
  weights.set_size_bytes(7);
  EXPECT_EQ(Finish(request).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Job(lease).state, Job::RUNNING);
  Keep("weights", "weights.safetensors");
  EXPECT_TRUE(Finish(request).ok());
}

TEST_F(JobQueueResultsTest, AResultForOtherSamplesFailsTheAttempt) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::FinishAttemptRequest request = Success(worker, lease);
  *request.mutable_artifacts(0) =
      Keep(TinyOof({lease.spec().train_samples().begin(),
                    lease.spec().train_samples().end()},
                   0.5f));
  const absl::Status status = Finish(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("is not of the job's fold"));
  const JobRow job = Job(lease);
  EXPECT_EQ(job.state, Job::PENDING);
  EXPECT_EQ(job.failed_count, 1);
  EXPECT_EQ(Finish(request).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Job(lease).failed_count, 1);
}

TEST_F(JobQueueResultsTest, AResultThatCannotBeReadIsNotJudged) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const v1::FinishAttemptRequest request = Success(worker, lease);
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit none = {0, files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status full = Finish(request).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable) << full;
  EXPECT_THAT(std::string(full.message()), HasSubstr("cannot be checked now"));

  const std::string path = *files_->Find(request.artifacts(0).digest());
  ASSERT_EQ(rename(path.c_str(), (path + ".away").c_str()), 0);
  const absl::Status away = Finish(request).status();
  // Its worker uploads it again.
  EXPECT_EQ(away.code(), absl::StatusCode::kFailedPrecondition) << away;
  EXPECT_FALSE(files_->GetStat(request.artifacts(0).digest())->complete);
  ASSERT_EQ(rename((path + ".away").c_str(), path.c_str()), 0);

  EXPECT_EQ(Job(lease).state, Job::RUNNING);
  EXPECT_EQ(Job(lease).failed_count, 0);
  EXPECT_EQ(Finish(request)->job_state(), Job::SUCCEEDED);
}

TEST_F(JobQueueResultsTest, AFileThatIsNoResultFailsTheAttempt) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  // Tensors, but no predictions; and no tensors at all.
  for (const std::string& bytes : {TinyDataset(8), std::string("no tensors")}) {
    const v1::Lease lease = Acquire(worker)[0];
    v1::FinishAttemptRequest request = Success(worker, lease);
    *request.mutable_artifacts(0) = Keep(bytes);
    const absl::Status status = Finish(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(Job(lease).failed_count, 1);
  }
}

TEST_F(JobQueueResultsTest, ALeaseIsThereWhileTheQueueIsReadAgain) {
  ASSERT_TRUE(Submit(Spec("m", 4), "r").ok());
  const int64_t worker = Register("w", 8);
  const std::vector<v1::Lease> leases = Acquire(worker, 8);
  ASSERT_EQ(leases.size(), 8u);
  // Refused after its first write, which is undone.
  v1::ReportProgressRequest refused;
  refused.set_token(leases[0].token());
  refused.set_started(true);
  refused.set_device("cpu");
  refused.add_epochs()->set_epoch(11);
  std::atomic<bool> done = false;
  int missed = 0;
  std::thread looks([&] {
    const FencingToken last{leases.back().token()};
    while (!done) missed += !queue_->FindLease(last).has_value();
  });
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        Call(&JobQueue::ReportProgress, refused).status()));
  }
  done = true;
  looks.join();
  EXPECT_EQ(missed, 0);
}

TEST_F(JobQueueResultsTest, NegativeEpochsAreRefusedAndChangeNothing) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const v1::Lease lease = Acquire(Register("w"))[0];
  const JobRow before = Job(lease);
  using Request = v1::ReportProgressRequest;
  const std::vector<std::pair<std::string, void (*)(Request&)>> cases = {
      {"resumed_epoch is -2147483648",
       [](Request& r) { r.set_resumed_epoch(INT32_MIN); }},
      {"epochs_total is -1", [](Request& r) { r.set_epochs_total(-1); }},
      {"checkpoint_epoch is -1",
       [](Request& r) { r.set_checkpoint_epoch(-1); }},
      {"epochs.epoch is -7", [](Request& r) { r.add_epochs()->set_epoch(-7); }},
  };
  for (const auto& [message, change] : cases) {
    Request request;
    request.set_token(lease.token());
    request.set_started(true);
    change(request);
    const absl::Status status =
        Call(&JobQueue::ReportProgress, request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  EXPECT_EQ(Job(lease).change, before.change);
}

TEST_F(JobQueueResultsTest, ResultsOutsideZeroToOneAreRefused) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::FinishAttemptRequest request = Success(worker, lease);
  *request.mutable_artifacts(0) =
      Keep(TinyOof({lease.spec().validation_samples().begin(),
                    lease.spec().validation_samples().end()},
                   std::nanf("")));
  const absl::Status status = Finish(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("probability is nan"));
}

TEST_F(JobQueueResultsTest, ResultsWithOtherLabelsAreRefused) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::FinishAttemptRequest request = Success(worker, lease);
  *request.mutable_artifacts(0) =
      Keep(TinyOof({lease.spec().validation_samples().begin(),
                    lease.spec().validation_samples().end()},
                   0.5f, {"b", "a"}));
  const absl::Status status = Finish(request).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("labels are b,a, expected a,b"));
}

TEST_F(JobQueueResultsTest, AFullDiskLosesNothingAndIsWorthRepeating) {
  ASSERT_TRUE(Submit(Spec("m", 1), "before").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const v1::FinishAttemptRequest request = Success(worker, lease);
  signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited;
  getrlimit(RLIMIT_FSIZE, &unlimited);
  const rlimit full = {4096, unlimited.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  const absl::Status finish = Finish(request).status();
  const absl::Status submit = Submit(Spec("n", 1), "during").status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
  EXPECT_EQ(finish.code(), absl::StatusCode::kUnavailable) << finish;
  EXPECT_EQ(submit.code(), absl::StatusCode::kUnavailable) << submit;
  EXPECT_EQ(Job(lease).state, Job::RUNNING);
  const auto again = Finish(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->job_state(), Job::SUCCEEDED);
  EXPECT_EQ(Submit(Spec("n", 1), "during")->sweep(), "s2");
  EXPECT_EQ(Acquire(worker)[0].spec().job(), "s1/m0/1");
}

TEST_F(JobQueueResultsTest, ADatasetNameStandsForOneDigest) {
  v1::RegisterDatasetRequest request;
  request.set_name("tiny");
  request.set_digest(dataset_.digest());
  EXPECT_TRUE(queue_->RegisterDataset(request).ok());
  request.set_digest(Keep(TinyDataset(8)).digest());
  EXPECT_EQ(queue_->RegisterDataset(request).status().code(),
            absl::StatusCode::kAlreadyExists);
  request.set_digest(Keep("no dataset").digest());
  EXPECT_EQ(queue_->RegisterDataset(request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(JobQueueResultsTest, ADatasetIsCountedAndItsLabelsToo) {
  v1::RegisterDatasetRequest request;
  request.set_name("tiny");
  request.set_digest(dataset_.digest());
  const auto dataset = queue_->RegisterDataset(request);
  ASSERT_EQ(dataset->labels_size(), 2);
  EXPECT_EQ(dataset->labels(0).label(), "a");
  EXPECT_EQ(dataset->labels(0).positive(), 6);
  EXPECT_EQ(dataset->labels(0).samples(), 12);
  EXPECT_EQ(dataset->labels(1).positive(), 4);
}

TEST_F(JobQueueResultsTest, KnowsWhetherAnAttemptHadItsWorkerToItself) {
  const WorkerSession two{Register("two", 2)};
  EXPECT_FALSE(queue_->IsWholeWorker(two, 1));
  EXPECT_TRUE(queue_->IsWholeWorker(two, 2));
  EXPECT_TRUE(queue_->IsWholeWorker(two, 3));
  EXPECT_FALSE(queue_->IsWholeWorker(WorkerSession{two.value + 1}, 9));
}

}  // namespace
}  // namespace foldfarm
