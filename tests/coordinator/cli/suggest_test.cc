#include "coordinator/cli/suggest.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace foldfarm {
namespace {

TEST(NearestTest, SuggestsOnlyWhatIsClose) {
  const std::vector<std::string> commands = {"status", "submit", "jobs", "job",
                                             "ensemble"};
  EXPECT_EQ(Nearest("statsu", commands), "status");
  EXPECT_EQ(Nearest("sumbit", commands), "submit");
  EXPECT_EQ(Nearest("ens", commands), "ensemble");
  EXPECT_EQ(Nearest("frobnicate", commands), "");
}

}  // namespace
}  // namespace foldfarm
