// workers, drain: what they say of workers that are not what one hopes. jobs,
// job: how long a job took.
#include "coordinator/cli/worker_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "tests/coordinator/cli/scripted_farm.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class WorkerCommandsTest : public ScriptedFarmTest {
 protected:
  // Started so many hours ago, heard of an hour ago.
  void AddWorker(const std::string& name, v1::Worker::State state, int hours) {
    const int64_t now = absl::ToUnixSeconds(Clock::Real().Now());
    v1::Worker& worker = farm_.other_workers.emplace_back();
    worker.set_name(name);
    worker.set_state(state);
    worker.mutable_start_time()->set_seconds(now - hours * 3600);
    worker.mutable_last_heartbeat_time()->set_seconds(now - 3600);
  }
};

TEST_F(WorkerCommandsTest, WhoIsGoneIsNotUpAnyMore) {
  AddWorker("online", v1::Worker::ONLINE, 2);
  AddWorker("offline", v1::Worker::OFFLINE, 3);
  AddWorker("quarantined", v1::Worker::QUARANTINED, 5);
  const Outcome outcome = Run({"workers"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("2h 00m"), Not(HasSubstr("3h 00m")),
                    HasSubstr("4h 00m"), Not(HasSubstr("5h 00m"))));
}

TEST_F(WorkerCommandsTest, ADrainCountsTheJobsInWords) {
  EXPECT_EQ(Run({"drain", "w1"}).out,
            "w1 gets no more jobs. foldfarm undrain w1 ends this.\n");
  farm_.AddJob("gru", 0, v1::Job::RUNNING, {});
  EXPECT_THAT(Run({"drain", "w1"}).out,
              HasSubstr("; the job that it runs leaves a checkpoint and goes "
                        "back to the farm, uncharged."));
  farm_.AddJob("gru", 1, v1::Job::RUNNING, {});
  EXPECT_THAT(Run({"drain", "w1"}).out,
              HasSubstr("; the 2 jobs that it runs leave a checkpoint and go "
                        "back to the farm, uncharged."));
}

class JobTimeTest : public ScriptedFarmTest {
 protected:
  // gru/0, tried for so many seconds each time, a minute apart.
  void AddJobOf(const std::vector<int>& seconds) {
    farm_.AddJob("gru", 0, v1::Job::SUCCEEDED, {});
    v1::GetJobResponse& job = farm_.jobs.back();
    int64_t start = 1'700'000'000;
    for (const int took : seconds) {
      v1::Attempt& attempt = *job.add_attempts();
      attempt.set_number(job.attempts_size());
      attempt.set_state(v1::Attempt::SUCCEEDED);
      attempt.mutable_start_time()->set_seconds(start);
      attempt.mutable_end_time()->set_seconds(start + took);
      start += took + 60;
    }
    const v1::Attempt& last = *job.attempts().rbegin();
    job.mutable_job()->set_attempt_count(job.attempts_size());
    *job.mutable_job()->mutable_start_time() = last.start_time();
    *job.mutable_job()->mutable_end_time() = last.end_time();
  }
};

TEST_F(JobTimeTest, OfAJobIsThatOfAllItsAttempts) {
  AddJobOf({20, 30, 42, 5});
  EXPECT_THAT(Run({"job", "s1/gru/0"}).out,
              HasSubstr(", time 1m 37s in 4 attempts\n"));
}

TEST_F(JobTimeTest, OfOneAttemptIsNotCounted) {
  AddJobOf({42});
  EXPECT_THAT(Run({"job", "s1/gru/0"}).out, HasSubstr(", time 42s\n"));
}

TEST_F(JobTimeTest, InTheListIsThatOfTheLastAttemptAndSaysSo) {
  AddJobOf({20, 42});
  EXPECT_THAT(Run({"jobs", "s1"}).out, AllOf(HasSubstr("ATTEMPTS  LAST TRY"),
                                             HasSubstr("       2       42s")));
}

}  // namespace
}  // namespace foldfarm
