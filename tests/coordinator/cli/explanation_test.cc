#include "coordinator/cli/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/cli/contact_sheet.h"
#include "tests/testing/png_image.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// Evidence on m/z 44 from column 48 to 52 (606 to 654 C) and against on 18.
class ExplanationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("explanation_test");
    std::vector<float> image(8000, 0.1f), evidence(8000, 0.0f);
    for (int k = 48; k <= 52; ++k) evidence[44 * 80 + k] = 2;
    evidence[44 * 80 + 50] = 3;
    evidence[18 * 80 + 5] = -1;
    TensorFileWriter writer;
    writer.SetMetadata("format", "foldfarm-explanation");
    writer.SetMetadata(
        "explanation",
        R"({"sample": "S0001", "label": "carbonate", "probability": 0.97,
            "spread": 0.02, "low": 0.9, "high": 0.99, "first_celsius": 30,
            "step_celsius": 12, "draws": 4, "models": ["a", "b"],
            "left_out": ["prior"], "instrument_type": "commercial"})");
    writer.AddF32("image", {100, 80}, image);
    writer.AddF32("evidence", {100, 80}, evidence);
    ASSERT_TRUE(WriteFileAtomically(Path(), writer.Serialize()).ok());
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }
  std::string Path() const { return JoinPath(folder_, "e.safetensors"); }

  std::string folder_;
};

TEST_F(ExplanationTest, ListsIonsByNameWithTemperatureAndShare) {
  const auto explanation = LoadExplanation(Path(), 10);
  ASSERT_TRUE(explanation.ok()) << explanation.status();
  const std::string text = ExplanationText(*explanation, 0, false);
  EXPECT_THAT(text, HasSubstr("S0001: carbonate 0.970 ± 0.020"));
  EXPECT_THAT(text, HasSubstr("CO2"));
  EXPECT_THAT(text, HasSubstr("600-660 °C"));
  EXPECT_THAT(text, HasSubstr("100.0 %"));
  EXPECT_THAT(text, HasSubstr("What speaks against it"));
  EXPECT_THAT(text, HasSubstr("prior"));
  const auto json = ParseJson(ExplanationJson(*explanation));
  EXPECT_EQ(json["speaksFor"][0]["mz"], 44);
  EXPECT_EQ(json["speaksFor"][0]["ion"], "CO2");
  EXPECT_EQ(json["speaksFor"][0]["peakCelsius"], 630);
  EXPECT_EQ(json["speaksFor"][0]["fromCelsius"], 600);
  EXPECT_EQ(json["speaksFor"][0]["logOdds"], 3);
  EXPECT_EQ(json["speaksAgainst"][0]["logOdds"], -1);
  EXPECT_EQ(json["leftOut"][0], "prior");
}

TEST_F(ExplanationTest, ThePictureShowsEvidenceInItsColours) {
  const auto explanation = LoadExplanation(Path(), 10);
  ASSERT_TRUE(explanation.ok()) << explanation.status();
  const auto png = PaintExplanation(*explanation);
  ASSERT_TRUE(png.ok()) << png.status();
  const PngImage image(*png);
  ASSERT_TRUE(image.ok());
  int red = 0, blue = 0, spectrum = 0;
  const Rgb against = EvidenceColour(-1.0 / 3);
  const Rgb flank = EvidenceColour(2.0 / 3);
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      red += image.At(x, y) == flank;
      blue += image.At(x, y) == against;
      spectrum += image.At(x, y) == ScaleColour(0.1f);
    }
  }
  // Cells are 6 pixels wide; rings and names cover some.
  EXPECT_GE(red, 4 * 36 / 3);
  EXPECT_GE(blue, 36);
  EXPECT_GE(spectrum, 8000 * 36 * 9 / 10);
}

TEST(EvidenceColourTest, RedIsForBlueAgainstWhiteNeither) {
  const Rgb none = EvidenceColour(0);
  EXPECT_TRUE(none == (Rgb{255, 255, 255}));
  EXPECT_GT(EvidenceColour(0.8).red, EvidenceColour(0.8).blue);
  EXPECT_LT(EvidenceColour(-0.8).red, EvidenceColour(-0.8).blue);
  EXPECT_TRUE(EvidenceColour(7) == EvidenceColour(1));
  EXPECT_TRUE(EvidenceColour(-7) == EvidenceColour(-1));
}

}  // namespace
}  // namespace foldfarm
