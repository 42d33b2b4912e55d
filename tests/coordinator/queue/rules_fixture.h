// A queue whose workers predict well or badly as a test says, for what sweeps
// decide by themselves.
#ifndef FOLDFARM_TESTS_COORDINATOR_QUEUE_RULES_FIXTURE_H_
#define FOLDFARM_TESTS_COORDINATOR_QUEUE_RULES_FIXTURE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/store/sqlite.h"
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {

class RulesFixture : public QueueFixture {
 protected:
  // Models m0, m1... x 2 folds.
  static v1::SweepSpec Screened(int models, int keep, int fold = 0) {
    v1::SweepSpec spec = Spec("m", models);
    spec.mutable_screen()->set_keep(keep);
    spec.mutable_screen()->set_fold(fold);
    return spec;
  }
  // Stops once `for_models` in a row gained less than 0.01; model by model.
  static v1::SweepSpec Stopping(int models, int for_models) {
    v1::SweepSpec spec = Spec("m", models);
    spec.set_order(v1::JOB_ORDER_MODEL_MAJOR);
    spec.mutable_stop_when()->set_ensemble_gain_below(0.01);
    spec.mutable_stop_when()->set_for_models(for_models);
    return spec;
  }

  // What a model gives the truth; 0.8 unless a test says otherwise.
  float RightOf(const v1::Lease& lease) const {
    const auto right = right_.find(lease.spec().model().name());
    return right == right_.end() ? 0.8f : right->second;
  }

  v1::FinishAttemptRequest Trained(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest request = Success(session, lease);
    request.clear_artifacts();
    *request.add_artifacts() =
        Keep(TinyOofRight({lease.spec().validation_samples().begin(),
                           lease.spec().validation_samples().end()},
                          RightOf(lease)));
    return request;
  }

  // Leases and trains jobs until none is left, or `most`; then everything has
  // been judged. Returns the jobs' names.
  std::vector<std::string> Train(int64_t session, int most = 1000) {
    std::vector<std::string> trained;
    while (static_cast<int>(trained.size()) < most) {
      const std::vector<v1::Lease> leases = Acquire(session, 1, 1);
      if (leases.empty()) break;
      const auto finished = Finish(Trained(session, leases[0]));
      EXPECT_TRUE(finished.ok()) << finished.status();
      trained.push_back(leases[0].spec().job());
      queue_->WaitUntilJudged();
    }
    return trained;
  }

  JobRow JobNamed(const std::string& model, int fold, int64_t sweep = 1) {
    for (const JobRow& job : Jobs(sweep)) {
      if (job.model == model && job.fold == fold) return job;
    }
    ADD_FAILURE() << "no job " << model << "/" << fold;
    return JobRow();
  }

  SweepRow Sweep(int64_t id = 1) {
    SweepRow sweep;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto row = reader.FindSweep(SweepId{id});
                      if (!row.ok()) return row.status();
                      sweep = row->value();
                      return absl::OkStatus();
                    })
                    .ok());
    return sweep;
  }

  // "m0/1 m2/1": jobs in this state.
  std::string In(v1::Job::State state, int64_t sweep = 1) {
    std::string names;
    for (const JobRow& job : Jobs(sweep)) {
      if (job.state != state) continue;
      absl::StrAppend(&names, names.empty() ? "" : " ", job.model, "/",
                      job.fold);
    }
    return names;
  }

  // What the event log says of a job, oldest first.
  std::vector<std::string> Events(JobId job) {
    std::vector<std::string> details;
    auto connection =
        Connection::Open(JoinPath(directory_, "farm.db"), /*read_only=*/true);
    EXPECT_TRUE(connection.ok()) << connection.status();
    Statement rows =
        (*connection)
            ->Prepare(
                "SELECT detail FROM event WHERE job_id = ? ORDER BY sequence");
    rows.Bind(job.value);
    while (*rows.Step()) details.push_back(rows.Text(0));
    return details;
  }

  // The state on disk as before the sweep decided anything: what a crash in
  // that moment leaves.
  void ForgetDecisions(int64_t id = 1) {
    SweepRow sweep = Sweep(id);
    std::vector<JobRow> jobs = Jobs(id);
    queue_.reset();
    EXPECT_TRUE(store_
                    ->RunAndWait([&](Tx& tx) -> absl::Status {
                      sweep.screened.clear();
                      sweep.stopped.clear();
                      absl::Status status = tx.UpdateDecisions(sweep);
                      for (JobRow& job : jobs) {
                        if (!job.dropped) continue;
                        job.dropped = false;
                        job.state = v1::Job::PENDING;
                        job.end_time = absl::InfinitePast();
                        job.error.clear();
                        status.Update(tx.UpdateJob(job, job.token));
                      }
                      return status;
                    })
                    .ok());
    Restart();
  }

  std::map<std::string, float> right_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_QUEUE_RULES_FIXTURE_H_
