#include "worker/agent/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseDevicesTest, ReadsListsAndRefusesWhatIsNoDevice) {
  EXPECT_THAT(*ParseDevices("cpu"), ElementsAre("cpu"));
  EXPECT_THAT(*ParseDevices("cuda:0, cuda:3"), ElementsAre("cuda:0", "cuda:3"));
  EXPECT_FALSE(ParseDevices("auto")->empty());
  for (const char* bad : {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1",
                          "cuda:0,", "cpu,cpu", "cuda:0,cuda:00"}) {
    const auto devices = ParseDevices(bad);
    EXPECT_EQ(devices.status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
    EXPECT_THAT(std::string(devices.status().message()), HasSubstr("--device"));
  }
}

TEST(ChooseDevicesTest, AutoIsEveryGpuThatIsSeenElseTheCpu) {
  EXPECT_THAT(*ChooseDevices("auto", {"cpu"}), ElementsAre("cpu"));
  EXPECT_THAT(*ChooseDevices("auto", {"cpu", "cuda:0", "cuda:1"}),
              ElementsAre("cuda:0", "cuda:1"));
}

TEST(ChooseDevicesTest, WhatIsNamedMustBeSeen) {
  EXPECT_THAT(*ChooseDevices("cuda:1,cpu", {"cpu", "cuda:0", "cuda:1"}),
              ElementsAre("cuda:1", "cpu"));
  const absl::Status none = ChooseDevices("cuda:0", {"cpu"}).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(none.message()), HasSubstr("--device cpu"));
  const absl::Status beyond =
      ChooseDevices("cuda:0,cuda:3", {"cpu", "cuda:0"}).status();
  EXPECT_EQ(beyond.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(beyond.message()),
              HasSubstr("does not see cuda:3, it sees cpu, cuda:0;"));
}

TEST(SlotPoolTest, SpreadsAttemptsOverDevices) {
  SlotPool pool({"cuda:0", "cuda:1"}, 4);
  EXPECT_EQ(pool.Take(1).device, "cuda:0");
  EXPECT_EQ(pool.Take(1).device, "cuda:1");
  const SlotPool::Grant third = pool.Take(1);
  EXPECT_EQ(third.device, "cuda:0");
  EXPECT_EQ(pool.Take(1).device, "cuda:1");
  EXPECT_EQ(pool.free(), 0);
  pool.Release(third);
  EXPECT_EQ(pool.free(), 1);
  EXPECT_EQ(pool.Take(1).device, "cuda:0");
}

TEST(SlotPoolTest, GivesALargeJobTheDeviceWithMostRoomFirst) {
  SlotPool pool({"cuda:0", "cuda:1"}, 4);
  pool.Take(1);
  const SlotPool::Grant large = pool.Take(3);
  EXPECT_EQ(large.device, "cuda:1");
  EXPECT_EQ(large.slots.size(), 3u);
  EXPECT_EQ(pool.free(), 0);
  pool.Release(large);
  EXPECT_EQ(pool.free(), 3);
}

TEST(VisibleGpusTest, AProgramSeesItsDeviceAloneAsTheFirst) {
  EXPECT_EQ(VisibleGpus("cuda:1", nullptr), "1");
  EXPECT_EQ(VisibleGpus("cuda:1", "2,3"), "3");
  EXPECT_EQ(VisibleGpus("cuda:0", "GPU-5d,GPU-7e"), "GPU-5d");
  EXPECT_EQ(VisibleGpus("cpu", "2,3"), "");
  EXPECT_EQ(DeviceInside("cuda:1"), "cuda:0");
  EXPECT_EQ(DeviceInside("cpu"), "cpu");
}

}  // namespace
}  // namespace foldfarm
