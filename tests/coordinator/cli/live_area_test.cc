#include "coordinator/cli/live_area.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::StartsWith;

class LiveAreaTest : public testing::Test {
 protected:
  std::string Taken() {
    std::string text = out_.str();
    out_.str("");
    return text;
  }
  std::ostringstream out_;
  LiveArea area_{out_};
};

TEST_F(LiveAreaTest, GoesBackOverWhatItDrew) {
  area_.Draw({"one", "two"}, 80);
  EXPECT_EQ(Taken(), "\rone\033[K\ntwo\033[K\n\033[J");
  area_.Draw({"three"}, 80);
  EXPECT_EQ(Taken(), "\r\033[2Athree\033[K\n\033[J");
}

TEST_F(LiveAreaTest, CountsLinesThatANarrowerTerminalWrapped) {
  area_.Draw({std::string(60, 'x'), "two"}, 80);
  Taken();
  area_.Draw({"three"}, 40);  // The first line takes two rows now.
  EXPECT_THAT(Taken(), StartsWith("\r\033[3A"));
}

TEST_F(LiveAreaTest, ClearLeavesNothingAndIsHarmlessTwice) {
  area_.Draw({"one"}, 80);
  Taken();
  area_.Clear(80);
  EXPECT_EQ(Taken(), "\r\033[1A\033[J");
  area_.Clear(80);
  EXPECT_EQ(Taken(), "");
}

}  // namespace
}  // namespace foldfarm
