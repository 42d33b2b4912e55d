#include "worker/trainer/occlusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

namespace foldfarm {
namespace {

const std::function<bool()> kNever = [] { return false; };

// Two images of nothing but a peak on m/z 44 and a lower one on 18.
at::Tensor Peaks() {
  at::Tensor images = at::zeros({2, 100, 80});
  images.select(1, 44).narrow(1, 40, 6).fill_(0.8);
  images.select(1, 18).narrow(1, 10, 6).fill_(0.4);
  return images;
}

// A model that adds what m/z 44 shows at columns 38 to 48 and takes off what 18
// shows anywhere.
absl::StatusOr<at::Tensor> Linear(const at::Tensor& images) {
  return images.select(1, 44).narrow(1, 38, 10).sum(1) -
         images.select(1, 18).sum(1) * 0.5 + 1;
}

TEST(OcclusionTest, WhatAModelLooksAtSpeaksForItOrAgainst) {
  const auto map = Occlude(Peaks(), Linear, {}, kNever);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_NEAR(map->log_odds, 1 + 6 * 0.8 - 0.5 * 6 * 0.4, 1e-5);
  EXPECT_NEAR(map->rows[44], 6 * 0.8, 1e-5);
  EXPECT_NEAR(map->rows[18], -0.5 * 6 * 0.4, 1e-5);
  EXPECT_EQ(map->rows[45], 0);
  const auto largest = std::max_element(map->cells.begin(), map->cells.end()) -
                       map->cells.begin();
  EXPECT_EQ(largest / 80, 44);
  EXPECT_GE(largest % 80, 40);
  EXPECT_LT(largest % 80, 46);
  const auto least = std::min_element(map->cells.begin(), map->cells.end()) -
                     map->cells.begin();
  EXPECT_EQ(least / 80, 18);
  // Far from both, and on m/z that show nothing, there is nothing to hide.
  EXPECT_EQ(map->cells[44 * 80 + 70], 0);
  EXPECT_EQ(map->cells[60 * 80 + 40], 0);
}

TEST(OcclusionTest, ABackgroundIsNotEvidence) {
  // The same everywhere on m/z 44: hiding leaves it as it is.
  at::Tensor images = at::zeros({1, 100, 80});
  images.select(1, 44).fill_(0.5);
  const auto map = Occlude(images, Linear, {}, kNever);
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_EQ(map->rows[44], 0);
}

TEST(OcclusionTest, RowsWithoutWindowsSpreadTheirLoss) {
  const auto map = Occlude(Peaks(), Linear, {.mz_rows = 1}, kNever);
  ASSERT_TRUE(map.ok()) << map.status();
  for (int k = 0; k < 80; ++k) {
    const bool shown = k >= 10 && k < 16;
    EXPECT_NEAR(map->cells[18 * 80 + k], shown ? map->rows[18] : 0, 1e-5);
  }
}

TEST(OcclusionTest, ItStopsBetweenBatches) {
  int asked = 0;
  const auto map = Occlude(Peaks(), Linear, {}, [&] { return ++asked > 1; });
  EXPECT_TRUE(absl::IsCancelled(map.status()));
}

}  // namespace
}  // namespace foldfarm
