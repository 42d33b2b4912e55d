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

TEST(NearestTest, SuggestsOnlyWhatIsClose) {
  const std::vector<std::string> commands = {"status", "submit", "jobs", "job",
                                             "ensemble"};
  EXPECT_EQ(Nearest("statsu", commands), "status");
  EXPECT_EQ(Nearest("sumbit", commands), "submit");
  EXPECT_EQ(Nearest("ens", commands), "ensemble");
  EXPECT_EQ(Nearest("frobnicate", commands), "");
}

TEST(NearestTest, IsNearOrBeginsWithTheWord) {
  const std::vector<std::string> options = {"--threads", "--slots",
                                            "--tls-client-ca"};
  EXPECT_EQ(Nearest("--slot", options), "--slots");
  EXPECT_EQ(Nearest("--tls", options), "--tls-client-ca");
  EXPECT_EQ(Nearest("--colour", options), "");
}

}  // namespace
}  // namespace foldfarm
