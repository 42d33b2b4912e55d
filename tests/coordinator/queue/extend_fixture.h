// Sweeps that train on where another one ended.
#ifndef FOLDFARM_TESTS_COORDINATOR_QUEUE_EXTEND_FIXTURE_H_
#define FOLDFARM_TESTS_COORDINATOR_QUEUE_EXTEND_FIXTURE_H_

#include <string>
#include <vector>

#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {

class ExtendFixture : public QueueFixture {
 protected:
  // Two models x 2 folds of 10 epochs.
  static v1::SweepSpec Source() {
    v1::SweepSpec spec = Spec("m", 2);
    for (v1::ModelSpec& model : *spec.mutable_models()) {
      model.mutable_arch()->mutable_rnn()->set_hidden(8);
      model.mutable_train()->set_optimizer(v1::OPTIMIZER_ADAMW);
    }
    return spec;
  }

  // The same, to be trained to `epochs` from the ends of `source`.
  static v1::SweepSpec Extended(const std::string& source = "s1",
                                int epochs = 20) {
    v1::SweepSpec spec = Source();
    spec.set_name("longer");
    spec.set_extends(source);
    for (v1::ModelSpec& model : *spec.mutable_models()) {
      model.mutable_train()->set_epochs(epochs);
    }
    return spec;
  }

  // A checkpoint of `epoch` arrives; its files are named by job and epoch.
  std::vector<v1::ArtifactRef> Checkpoint(const v1::Lease& lease, int epoch) {
    v1::ReportProgressRequest report;
    report.set_token(lease.token());
    report.set_checkpoint_epoch(epoch);
    for (const char* name : {"state.safetensors", "weights.safetensors"}) {
      *report.add_checkpoint() =
          Keep(absl::StrCat(name, " ", lease.spec().job(), " ", epoch), name);
    }
    const auto reported = Call(&JobQueue::ReportProgress, report);
    EXPECT_TRUE(reported.ok()) << reported.status();
    return {report.checkpoint().begin(), report.checkpoint().end()};
  }

  v1::FinishAttemptRequest Success(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest request = QueueFixture::Success(session, lease);
    *request.add_artifacts() =
        Keep(absl::StrCat("w ", lease.spec().job()), "weights.safetensors");
    return request;
  }

  // Trains all that is there to `epoch`; returns the leases.
  std::vector<v1::Lease> TrainAll(int epoch, bool with_checkpoints = true) {
    const int64_t worker = Register("w", 8);
    const std::vector<v1::Lease> leases = Acquire(worker, 8);
    for (const v1::Lease& lease : leases) {
      if (with_checkpoints) Checkpoint(lease, epoch);
      const auto finished = Finish(Success(worker, lease));
      EXPECT_TRUE(finished.ok()) << finished.status();
    }
    return leases;
  }

  void TrainSource(bool with_checkpoints = true) {
    ASSERT_TRUE(Submit(Source(), "source").ok());
    ASSERT_THAT(TrainAll(10, with_checkpoints), ::testing::SizeIs(4));
  }

  absl::Status Refusal(const v1::SweepSpec& spec) {
    return Submit(spec, "refused").status();
  }
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_QUEUE_EXTEND_FIXTURE_H_
