#include "common/base/device_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

TEST(DeviceListTest, KeepsTheOrderAndOneWayToWriteAName) {
  EXPECT_THAT(*ParseDeviceList("cuda:1, cuda:00,cpu", "--slots"),
              ElementsAre("cuda:1", "cuda:0", "cpu"));
}

TEST(DeviceListTest, RefusesWhatIsNoDeviceOrThereTwice) {
  EXPECT_EQ(ParseDeviceList("cuda:0,tpu", "--slots").status(),
            absl::InvalidArgumentError("got \"tpu\", expected auto, cpu or "
                                       "cuda:N, e.g. cuda:0,cuda:1"));
  for (const char* none : {"", "cuda", "cuda:", "cuda:-1", "cpu,"}) {
    EXPECT_FALSE(ParseDeviceList(none, "--slots").ok()) << none;
  }
  EXPECT_EQ(ParseDeviceList("cuda:0,cuda:0", "--workers").status(),
            absl::InvalidArgumentError("cuda:0 is named twice; use --workers "
                                       "to run several jobs on it"));
}

}  // namespace
}  // namespace foldfarm
