#include "coordinator/cli/contact_sheet.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/png_image.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

SheetPanel Panel(float value) {
  SheetPanel panel;
  panel.values.assign(kPanelRows * kPanelColumns, value);
  return panel;
}

ContactSheet SmallSheet() {
  ContactSheet sheet;
  sheet.title = "What a model sees";
  sheet.low = -4;
  sheet.high = 0;
  sheet.unit = "log10";
  sheet.first_celsius = 30;
  sheet.step_celsius = 12;
  sheet.sections = {{"S0001",
                     "commercial",
                     {{"before", "", {Panel(-4), Panel(-2)}},
                      {"after", "", {Panel(0), SheetPanel()}}}}};
  return sheet;
}

PngImage Paint(const ContactSheet& sheet) {
  const auto png = PaintContactSheet(sheet);
  EXPECT_TRUE(png.ok()) << png.status();
  return PngImage(png.value_or(""));
}

// How light a colour looks (Rec. 709, roughly).
double Lightness(Rgb c) {
  return 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue;
}

TEST(ContactSheetTest, SheetIsAPictureOfItsSize) {
  const ContactSheet sheet = SmallSheet();
  const PngImage image = Paint(sheet);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image.width(), SheetRect(sheet).width);
  EXPECT_EQ(image.height(), SheetRect(sheet).height);
  EXPECT_EQ(image.At(0, 0), (Rgb{255, 255, 255}));
}

TEST(ContactSheetTest, MzGrowsUpwardsAndTemperatureToTheRight) {
  ContactSheet sheet = SmallSheet();
  constexpr int kMz = 44, kColumn = 7;
  sheet.sections[0].rows[0].panels[1].values[kMz * kPanelColumns + kColumn] = 0;
  const PngImage image = Paint(sheet);
  const PixelRect rect = PanelRect(sheet, 0, 0, 1);
  for (int y = 0; y < rect.height; ++y) {
    for (int x = 0; x < rect.width; ++x) {
      const bool peak = x / kCellPixels == kColumn &&
                        (rect.height - 1 - y) / kCellPixels == kMz;
      ASSERT_EQ(image.At(rect.x + x, rect.y + y), ScaleColour(peak ? 1 : 0.5))
          << x << ", " << y;
    }
  }
}

TEST(ContactSheetTest, AnEmptyPanelLeavesAGap) {
  const ContactSheet sheet = SmallSheet();
  const PngImage image = Paint(sheet);
  const PixelRect gap = PanelRect(sheet, 0, 1, 1);
  EXPECT_EQ(image.At(gap.x + 10, gap.y + 10), (Rgb{255, 255, 255}));
}

TEST(ContactSheetTest, TitlesAndTicksAreWritten) {
  const ContactSheet sheet = SmallSheet();
  const PngImage image = Paint(sheet);
  const auto dark_pixels = [&](int x0, int y0, int x1, int y1) {
    int count = 0;
    for (int y = y0; y < y1; ++y) {
      for (int x = x0; x < x1; ++x) count += Lightness(image.At(x, y)) < 120;
    }
    return count;
  };
  EXPECT_GT(dark_pixels(20, 15, 300, 40), 300);  // The title.
  const PixelRect rect = PanelRect(sheet, 0, 0, 0);
  EXPECT_GT(dark_pixels(rect.x - 40, rect.y, rect.x - 2, rect.y + rect.height),
            50);  // m/z.
  EXPECT_GT(dark_pixels(rect.x, rect.y + rect.height + 2, rect.x + rect.width,
                        rect.y + rect.height + 20),
            50);  // Temperatures.
}

TEST(ContactSheetTest, TheScaleGrowsLighterInEqualSteps) {
  EXPECT_EQ(ScaleColour(-1), ScaleColour(0));
  EXPECT_EQ(ScaleColour(2), ScaleColour(1));
  EXPECT_EQ(ScaleColour(std::nan("")), ScaleColour(0));
  for (int i = 1; i <= 50; ++i) {
    const double step = Lightness(ScaleColour(i / 50.0)) -
                        Lightness(ScaleColour((i - 1) / 50.0));
    EXPECT_GT(step, 1) << i;
    EXPECT_LT(step, 8) << i;
  }
}

TEST(ContactSheetTest, SameSheetSameBytes) {
  EXPECT_EQ(*PaintContactSheet(SmallSheet()), *PaintContactSheet(SmallSheet()));
}

TEST(ContactSheetTest, LongTextIsCutWithinTheSheet) {
  ContactSheet sheet = SmallSheet();
  const PixelRect before = SheetRect(sheet);
  sheet.title = std::string(500, 'm') + "é";
  sheet.sections[0].rows[0].panels[0].caption = std::string(100, 'w');
  EXPECT_TRUE(Paint(sheet).ok());
  EXPECT_EQ(SheetRect(sheet).width, before.width);
}

TEST(ContactSheetTest, WhatCannotBeAPictureIsRefused) {
  ContactSheet sheet = SmallSheet();
  sheet.sections.assign(500, sheet.sections[0]);
  EXPECT_THAT(std::string(PaintContactSheet(sheet).status().message()),
              HasSubstr("expected at most 32000"));
  sheet = SmallSheet();
  sheet.sections[0].rows[0].panels[0].values.pop_back();
  EXPECT_THAT(std::string(PaintContactSheet(sheet).status().message()),
              HasSubstr("7999 values, expected 8000"));
}

}  // namespace
}  // namespace foldfarm
