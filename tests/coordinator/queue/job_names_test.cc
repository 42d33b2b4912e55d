#include "coordinator/queue/job_names.h"

#include <gtest/gtest.h>

namespace foldfarm {
namespace {

TEST(JobNamesTest, OnlyWhatReadsAsAnIdIsOne) {
  EXPECT_EQ(ParseSweepName("s25"), SweepId{25});
  // Names that a sweep may have, and a number that no id reaches.
  for (const char* name :
       {"s-1", "s", "mars", "s1a", "s99999999999999999999"}) {
    EXPECT_EQ(ParseSweepName(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace foldfarm
