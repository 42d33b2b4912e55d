#include "coordinator/queue/job_state.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace foldfarm {
namespace {

using Job = v1::Job;

TEST(JobStateTest, TheTableHasTheseArrowsAndNoOthers) {
  const std::map<std::pair<Job::State, JobEvent>, Job::State> arrows = {
      {{Job::PENDING, JobEvent::kGrant}, Job::RUNNING},
      {{Job::PENDING, JobEvent::kReuse}, Job::SUCCEEDED},
      {{Job::PENDING, JobEvent::kCancel}, Job::CANCELLED},
      {{Job::RUNNING, JobEvent::kSucceed}, Job::SUCCEEDED},
      {{Job::RUNNING, JobEvent::kGiveBack}, Job::PENDING},
      {{Job::RUNNING, JobEvent::kGiveUp}, Job::FAILED},
      {{Job::RUNNING, JobEvent::kCancel}, Job::CANCELLED},
      {{Job::FAILED, JobEvent::kReopen}, Job::PENDING},
      {{Job::CANCELLED, JobEvent::kReopen}, Job::PENDING},
  };
  for (int state = Job::State_MIN; state <= Job::State_MAX; ++state) {
    for (const JobEvent event : kAllJobEvents) {
      const auto from = static_cast<Job::State>(state);
      const auto arrow = arrows.find({from, event});
      const std::optional<Job::State> next = NextJobState(from, event);
      if (arrow == arrows.end()) {
        EXPECT_FALSE(next.has_value())
            << Job::State_Name(from) << " event " << static_cast<int>(event);
      } else {
        ASSERT_TRUE(next.has_value())
            << Job::State_Name(from) << " event " << static_cast<int>(event);
        EXPECT_EQ(*next, arrow->second);
      }
    }
  }
}

TEST(JobStateTest, SucceededFailedAndCancelledAreFinal) {
  EXPECT_FALSE(IsFinal(Job::PENDING));
  EXPECT_FALSE(IsFinal(Job::RUNNING));
  EXPECT_TRUE(IsFinal(Job::SUCCEEDED));
  EXPECT_TRUE(IsFinal(Job::FAILED));
  EXPECT_TRUE(IsFinal(Job::CANCELLED));
}

}  // namespace
}  // namespace foldfarm
