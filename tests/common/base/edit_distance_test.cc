#include "common/base/edit_distance.h"

#include "gtest/gtest.h"

namespace foldfarm {
namespace {

TEST(EditDistanceTest, CountsSwappedNeighboursOnce) {
  EXPECT_EQ(EditDistance("status", "status"), 0u);
  EXPECT_EQ(EditDistance("statsu", "status"), 1u);
  EXPECT_EQ(EditDistance("jbos", "jobs"), 1u);
  EXPECT_EQ(EditDistance("", "oof"), 3u);
}

}  // namespace
}  // namespace foldfarm
