#include "worker/models/band_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// One width of bands and one measure at a time.
BandFeaturesOptions Only(double band, bool maximum, bool area, bool position,
                         bool width) {
  BandFeaturesOptions options;
  options.bands = {band};
  options.maximum = maximum;
  options.area = area;
  options.position = position;
  options.width = width;
  return options;
}

// Nothing measured but a peak at m/z 18 in columns 24 to 26, the second of
// which is the highest: log10 of abundance.
at::Tensor PeakImage() {
  at::Tensor image = at::full({1, 100, 80}, -4.0f);
  image.index_put_({0, 18, 24}, -0.25f);
  image.index_put_({0, 18, 25}, 0.0f);
  image.index_put_({0, 18, 26}, -0.5f);  // Less than half.
  return image;
}

float ValueOf(const BandFeatures& features, const at::Tensor& image,
              const std::string& name) {
  const auto& names = features.names();
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return features.Compute(image)[0][found - names.begin()].item<float>();
}

TEST(BandFeaturesTest, EachMeasureSaysWhatItsBandShows) {
  // Bands of 8 columns; the peak lies in the fourth.
  const auto features = BandFeatures::Create(Only(96, 1, 1, 1, 1));
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_EQ(features->size(), 100 * 10 * 4);
  const at::Tensor image = PeakImage();
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz18_96C_b03_max"), 0);
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz18_96C_b03_area"),
                  (-0.75f - 5 * 4) / 8);
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz18_96C_b03_pos"), 30 + 25 * 12);
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz18_96C_b03_width"), 24);
}

TEST(BandFeaturesTest, WhereNothingWasMeasuredThePositionIsTheCentre) {
  const auto features = BandFeatures::Create(Only(96, 1, 1, 1, 1));
  ASSERT_TRUE(features.ok()) << features.status();
  const at::Tensor image = PeakImage();
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz18_96C_b04_pos"),
                  30 + 12 * (32 + 3.5f));
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz18_96C_b04_width"), 0);
  EXPECT_FLOAT_EQ(ValueOf(*features, image, "mz44_96C_b03_max"), -4);
}

TEST(BandFeaturesTest, HalfOfThePeakIsMeasuredAsTheImageShowsAbundance) {
  BandFeaturesOptions options = Only(96, 0, 0, 0, 1);
  const at::Tensor image = PeakImage();
  // [-4, 0] to [0, 1].
  options.scale.decade = 0.25;
  EXPECT_FLOAT_EQ(ValueOf(*BandFeatures::Create(options), image / 4 + 1,
                          "mz18_96C_b03_width"),
                  24);
  options.scale.log_space = false;
  EXPECT_FLOAT_EQ(
      ValueOf(*BandFeatures::Create(options),
              at::pow(10, image.to(at::kDouble)), "mz18_96C_b03_width"),
      24);
}

TEST(BandFeaturesTest, AWidthThatDoesNotDivideTheRangeEndsInANarrowBand) {
  // 11 columns: 7 bands and 3 columns.
  const auto features = BandFeatures::Create(Only(130, 1, 1, 1, 0));
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_EQ(features->size(), 100 * 8 * 3);
  at::Tensor image = at::zeros({2, 100, 80});
  image.index_put_({1, 7, 79}, 3.0f);
  const auto at = [&](const std::string& name) {
    return ValueOf(*features, image.narrow(0, 1, 1), name);
  };
  EXPECT_FLOAT_EQ(at("mz7_132C_b07_max"), 3);
  EXPECT_FLOAT_EQ(at("mz7_132C_b07_area"), 1);
  EXPECT_FLOAT_EQ(at("mz7_132C_b07_pos"), 30 + 79 * 12);
  EXPECT_FLOAT_EQ(at("mz7_132C_b06_max"), 0);
  EXPECT_FLOAT_EQ(features->Compute(image)[0].abs().max().item<float>(),
                  30 + 12 * 78);  // Positions alone.
}

TEST(BandFeaturesTest, AnImageOfAnyStridesGivesTheSame) {
  const auto features = BandFeatures::Create(BandFeaturesOptions());
  const at::Tensor image = at::rand({3, 100, 80});
  const at::Tensor strided = image.transpose(1, 2).contiguous().transpose(1, 2);
  EXPECT_TRUE(features->Compute(image).equal(features->Compute(strided)));
}

TEST(BandFeaturesTest, OptionsThatGiveNoFeaturesAreRefused) {
  BandFeaturesOptions options = Only(96, 0, 0, 0, 0);
  EXPECT_THAT(BandFeatures::Create(options).status().ToString(),
              HasSubstr("at least 1 of each"));
  options = Only(96, 1, 0, 0, 0);
  options.bands = {96, 97};
  EXPECT_THAT(BandFeatures::Create(options).status().ToString(),
              HasSubstr("97 degrees C are 8 columns of 12"));
}

}  // namespace
}  // namespace foldfarm
