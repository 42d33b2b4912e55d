// Weights, users' programs and other files that attempts start with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/report_limits.h"
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Code = absl::StatusCode;
using Job = v1::Job;

class JobQueueInputsTest : public QueueFixture {
 protected:
  absl::StatusOr<v1::Weights> RegisterWeights(const std::string& name,
                                              const std::string& digest) {
    v1::RegisterWeightsRequest request;
    request.set_name(name);
    request.set_digest(digest);
    return queue_->RegisterWeights(request);
  }

  // A sweep of one model that runs the program "run.sh".
  v1::SweepSpec ExecSweep() {
    v1::SweepSpec spec = Spec("e", 1);
    v1::ExecSpec& exec =
        *spec.mutable_models(0)->mutable_arch()->mutable_exec();
    exec.add_command("./run.sh");
    exec.add_files("programs/run.sh");
    exec.set_epochs(4);
    v1::ExecFile& file = *exec.add_uploaded();
    file.set_name("run.sh");
    file.set_digest(Keep("#!/bin/sh").digest());
    return spec;
  }

  int64_t RegisterExec(const std::string& name) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(1);
    request.set_allow_exec(true);
    return Call(&JobQueue::Register, request)->session();
  }

  std::string Refusal(const v1::SweepSpec& spec, Code code) {
    const auto submitted = Submit(spec, "refused");
    EXPECT_EQ(submitted.status().code(), code) << submitted.status();
    return std::string(submitted.status().message());
  }
};

TEST_F(JobQueueInputsTest, WeightsAreRegisteredOnceUnderAName) {
  const std::string digest = Keep("weights").digest();
  const auto weights = RegisterWeights("resnet34", digest);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->size_bytes(), 7);
  EXPECT_TRUE(RegisterWeights("resnet34", digest).ok());
  const absl::Status other =
      RegisterWeights("resnet34", Keep("other").digest()).status();
  EXPECT_EQ(other.code(), Code::kAlreadyExists);
  EXPECT_EQ(RegisterWeights("a/b", digest).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(RegisterWeights("x", "nonsense").status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(RegisterWeights("x", Sha256Hex("absent")).status().code(),
            Code::kFailedPrecondition);
}

TEST_F(JobQueueInputsTest, AModelStartsFromTheWeightsItNames) {
  const std::string digest = Keep("weights").digest();
  ASSERT_TRUE(RegisterWeights("resnet34", digest).ok());
  v1::SweepSpec spec = Spec("m", 2);
  spec.mutable_models(0)->mutable_init()->set_weights("resnet34");
  ASSERT_TRUE(Submit(spec, "r").ok());
  Restart();
  const std::vector<v1::Lease> leases = Acquire(Register("w", 4), 4);
  ASSERT_EQ(leases.size(), 4u);
  for (const v1::Lease& lease : leases) {
    if (lease.spec().model().name() == "m1") {
      EXPECT_EQ(lease.inputs_size(), 0);
      continue;
    }
    ASSERT_EQ(lease.inputs_size(), 1);
    EXPECT_EQ(lease.inputs(0).name(), "init.weights");
    EXPECT_EQ(lease.inputs(0).digest(), digest);
    EXPECT_EQ(lease.inputs(0).size_bytes(), 7);
    EXPECT_EQ(lease.spec().model().init().digest(), digest);
  }
}

TEST_F(JobQueueInputsTest, WeightsThatNobodyRegisteredAreRefusedWithNearOnes) {
  ASSERT_TRUE(RegisterWeights("resnet34", Keep("weights").digest()).ok());
  v1::SweepSpec spec = Spec("m", 1);
  v1::InitSpec& init = *spec.mutable_models(0)->mutable_init();
  init.set_weights("resnet43");
  EXPECT_THAT(Refusal(spec, Code::kNotFound),
              HasSubstr("model m0: init: no weights \"resnet43\" are "
                        "registered; did you mean resnet34?"));
  init.set_digest(Sha256Hex("absent"));
  EXPECT_THAT(Refusal(spec, Code::kFailedPrecondition),
              HasSubstr("init.weights: artifact"));
}

TEST_F(JobQueueInputsTest, ResultsFollowTheFileNotItsName) {
  v1::SweepSpec spec = Spec("m", 1);
  ASSERT_TRUE(RegisterWeights("one", Keep("weights").digest()).ok());
  ASSERT_TRUE(RegisterWeights("two", Keep("weights").digest()).ok());
  ASSERT_TRUE(RegisterWeights("three", Keep("others").digest()).ok());
  spec.mutable_models(0)->mutable_init()->set_weights("one");
  ASSERT_TRUE(Submit(spec, "r1").ok());
  const int64_t worker = Register("w", 2);
  for (const v1::Lease& lease : Acquire(worker, 2)) {
    ASSERT_TRUE(Finish(Success(worker, lease)).ok());
  }
  spec.mutable_models(0)->mutable_init()->set_weights("two");
  EXPECT_EQ(Submit(spec, "r2")->reused(), 2);
  spec.mutable_models(0)->mutable_init()->set_weights("three");
  EXPECT_EQ(Submit(spec, "r3")->reused(), 0);
}

TEST_F(JobQueueInputsTest, AUsersProgramGoesOnlyToWorkersThatRunOne) {
  ASSERT_TRUE(Submit(ExecSweep(), "r").ok());
  const int64_t careful = Register("careful");
  EXPECT_TRUE(Acquire(careful).empty());
  EXPECT_THAT(WaitingReason(Jobs(1)[0]), HasSubstr("--allow-exec"));
  const int64_t open = RegisterExec("open");
  EXPECT_EQ(WaitingReason(Jobs(1)[0]), "");
  Restart();
  EXPECT_TRUE(Acquire(careful).empty());
  const std::vector<v1::Lease> leases = Acquire(open);
  ASSERT_EQ(leases.size(), 1u);
  ASSERT_EQ(leases[0].inputs_size(), 1);
  EXPECT_EQ(leases[0].inputs(0).name(), "run.sh");
  EXPECT_EQ(Job(leases[0]).epochs, 4);
}

TEST_F(JobQueueInputsTest, AProgramMayTrainLongerThanItSaidButNotForEver) {
  ASSERT_TRUE(Submit(ExecSweep(), "r").ok());
  const v1::Lease lease = Acquire(RegisterExec("open"))[0];
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  v1::EpochMetrics& metrics = *report.add_epochs();
  (*metrics.mutable_values())["log_loss"] = 0.5;
  for (const int epoch : {5, kMaxEpochs}) {
    metrics.set_epoch(epoch);
    const auto reported = Call(&JobQueue::ReportProgress, report);
    EXPECT_TRUE(reported.ok()) << reported.status();
  }
  metrics.set_epoch(kMaxEpochs + 1);
  EXPECT_EQ(Call(&JobQueue::ReportProgress, report).status(),
            absl::InvalidArgumentError("metrics of epoch 1000001, expected 1 "
                                       "to 1000000"));
  EXPECT_EQ(Job(lease).epoch, kMaxEpochs);
}

TEST_F(JobQueueInputsTest, AProgramThatWaitsDoesNotHoldUpOthers) {
  ASSERT_TRUE(Submit(ExecSweep(), "r").ok());
  ASSERT_TRUE(Submit(Spec("m", 1), "r2").ok());
  const std::vector<v1::Lease> leases = Acquire(Register("careful", 4), 4);
  ASSERT_EQ(leases.size(), 2u);
  EXPECT_EQ(leases[0].spec().model().name(), "m0");
}

TEST_F(JobQueueInputsTest, AJobThatNobodyCanTakeSaysWhy) {
  v1::SweepSpec spec = Spec("m", 1);
  spec.mutable_models(0)->set_slots(3);
  ASSERT_TRUE(Submit(spec, "r").ok());
  EXPECT_EQ(WaitingReason(Jobs(1)[0]), "no worker is online");
  Register("w", 2);
  EXPECT_THAT(WaitingReason(Jobs(1)[0]),
              HasSubstr("needs 3 slots and the largest worker online that may "
                        "take it has 2"));
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(WaitingReason(Jobs(1)[0]), "no worker is online");
}

TEST_F(JobQueueInputsTest, ProgramsThatCannotRunAreRefused) {
  v1::SweepSpec spec = ExecSweep();
  v1::ExecSpec& exec = *spec.mutable_models(0)->mutable_arch()->mutable_exec();
  exec.add_files("helper.py");
  EXPECT_THAT(Refusal(spec, Code::kInvalidArgument),
              HasSubstr("model e0: exec: file helper.py was not uploaded"));
  *exec.add_uploaded() = exec.uploaded(0);
  EXPECT_THAT(Refusal(spec, Code::kInvalidArgument),
              HasSubstr("two files are named run.sh"));
  exec.mutable_uploaded(1)->set_name("helper.py");
  exec.mutable_uploaded(1)->set_digest(Sha256Hex("absent"));
  EXPECT_THAT(Refusal(spec, Code::kFailedPrecondition),
              HasSubstr("model e0: helper.py: artifact"));
  for (const char* name : {"../x", "/etc/passwd", "..", "attempt.json",
                           "checkpoint", "a\nb", "init.weights", ""}) {
    exec.mutable_uploaded(1)->set_name(name);
    EXPECT_THAT(Refusal(spec, Code::kInvalidArgument), HasSubstr("file name"))
        << name;
  }
  spec = ExecSweep();
  spec.mutable_models(0)->mutable_arch()->mutable_exec()->clear_command();
  EXPECT_THAT(Refusal(spec, Code::kInvalidArgument),
              HasSubstr("command is empty"));
}

TEST_F(JobQueueInputsTest, AProgramNeedsNoWeightsAndMayLeaveOtherFiles) {
  ASSERT_TRUE(Submit(ExecSweep(), "r").ok());
  const int64_t worker = RegisterExec("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::FinishAttemptRequest request = Success(worker, lease);
  *request.add_artifacts() = Keep("trees", "model.txt");
  ASSERT_TRUE(Finish(request).ok());
  EXPECT_EQ(Job(lease).state, Job::SUCCEEDED);
}

TEST_F(JobQueueInputsTest, ANetworkWithoutWeightsIsNoResult) {
  v1::SweepSpec spec = Spec("m", 1);
  spec.mutable_models(0)->mutable_arch()->mutable_rnn();
  ASSERT_TRUE(Submit(spec, "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const absl::Status status = Finish(Success(worker, lease)).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the result has no weights.safetensors"));
}

TEST_F(JobQueueInputsTest, ResultsWithBadNamesAreRefused) {
  ASSERT_TRUE(Submit(Spec("m", 4), "r").ok());
  const int64_t worker = Register("w", 4);
  for (const char* name : {"../x", "a\x01", "oof.safetensors"}) {
    const v1::Lease lease = Acquire(worker, 1)[0];
    v1::FinishAttemptRequest request = Success(worker, lease);
    *request.add_artifacts() = Keep("x", name);
    EXPECT_EQ(Finish(request).status().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(Job(lease).failed_count, 1);
  }
}

TEST_F(JobQueueInputsTest, AModelOfSomeLabelsPredictsExactlyThose) {
  v1::SweepSpec spec = Spec("m", 1);
  spec.mutable_models(0)->add_labels("b");
  ASSERT_TRUE(Submit(spec, "r").ok());
  const int64_t worker = Register("w", 2);
  const std::vector<v1::Lease> leases = Acquire(worker, 2);
  const absl::Status all = Finish(Success(worker, leases[0])).status();
  EXPECT_EQ(all.code(), Code::kInvalidArgument);
  EXPECT_THAT(std::string(all.message()),
              HasSubstr("labels are a,b, expected b"));
  v1::FinishAttemptRequest request = Success(worker, leases[1]);
  const auto& samples = leases[1].spec().validation_samples();
  *request.mutable_artifacts(0) =
      Keep(TinyOof({samples.begin(), samples.end()}, 0.5f, {"b"}));
  EXPECT_TRUE(Finish(request).ok());
}

}  // namespace
}  // namespace foldfarm
