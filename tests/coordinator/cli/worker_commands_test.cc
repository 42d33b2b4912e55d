// workers, drain: what they say of workers that are not what one hopes.
#include "coordinator/cli/worker_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace foldfarm
