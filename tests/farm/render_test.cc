// `foldfarm render` with the real programs, on samples given by formulas.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/subprocess.h"
#include "common/spectra/synthesize.h"
#include "coordinator/cli/contact_sheet.h"
#include "coordinator/cli/local_farm.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/png_image.h"
#include "tests/worker/render/simple_dataset.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kPeakMz = 44;
constexpr int kPeakColumn = 40;  // 510 degrees C.

// A peak on m/z 44 at 510 degrees C over next to nothing.
SimpleSample PeakSample(const std::string& instrument_type) {
  SimpleSample sample;
  sample.labels = {1, 0};
  sample.instrument_type = instrument_type;
  sample.abundance = [](int mz, double celsius) {
    const double d = (celsius - 510) / 40;
    return static_cast<float>(1e-6 + (mz == kPeakMz ? std::exp(-d * d) : 0));
  };
  return sample;
}

constexpr char kDrawnSweep[] = R"(name: small
defaults:
  augment: {mz_var: 0, he_var: 0, scale_var: 0}
models:
  - {name: plain, arch: {conv1d: {}}}
  - name: busy
    arch: {conv1d: {}}
    augment: {mz_var: 0.5, mix_prob: 0.25, sub_bg_prob: 0.5}
    sam_augment: {prob: 0.3}
  - {name: trees, arch: {xgboost: {}}}
  - {name: prior, arch: {none: {}}}
  - {name: own, arch: {exec: {command: ["./train.py"]}}}
)";

struct Ended {
  int exit_status = 0;
  std::string out;
  std::string err;
};

class RenderTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = MakeTemporaryDirectory("render_test").value();
    ASSERT_TRUE(MakeDirectories(Path("tmp")).ok());
    ASSERT_TRUE(WriteFileAtomically(Path("sweep.yaml"), kDrawnSweep).ok());
    ASSERT_TRUE(WriteFileAtomically(
                    Path("data.safetensors"),
                    SimpleDatasetFile(
                        {PeakSample("commercial"), PeakSample("sam_testbed")},
                        ColumnTemperatures(12)))
                    .ok());
  }
  void TearDown() override {
    EXPECT_THAT(ListDirectory(Path("tmp")).value(), IsEmpty());
    ASSERT_TRUE(RemoveRecursively(root_).ok());
  }

  std::string Path(const std::string& name) const {
    return JoinPath(root_, name);
  }

  Ended Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), JoinPath(FOLDFARM_BIN_DIR, "foldfarm"));
    SubprocessOptions options;
    options.argv = std::move(arguments);
    options.environment = {{"TMPDIR", Path("tmp")}};
    const auto create = [&](const char* name) {
      return open(Path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                  0644);
    };
    const int out = create("out"), err = create("err");
    options.descriptors = {{1, out}, {2, err}};
    auto process = Subprocess::Spawn(options);
    close(out);
    close(err);
    Ended outcome;
    outcome.exit_status = (*process)->Wait().exit_status;
    outcome.out = ReadFile(Path("out")).value();
    outcome.err = ReadFile(Path("err")).value();
    return outcome;
  }

  // render of the prepared file with these arguments in place of the usual.
  Ended Render(const std::string& model,
               const std::vector<std::string>& samples = {"R0"},
               const std::string& out = "sheet.png",
               const std::string& dataset = "data.safetensors") const {
    std::vector<std::string> arguments = {
        "render",  "--dataset", Path(dataset), "--sweep", Path("sweep.yaml"),
        "--model", model,       "--draws",     "3",       "--out",
        Path(out)};
    for (const std::string& id : samples) {
      arguments.insert(arguments.end(), {"--sample", id});
    }
    return Run(arguments);
  }

  PngImage Sheet(const std::string& name = "sheet.png") const {
    return PngImage(ReadFile(Path(name)).value_or(""));
  }

  std::string root_;
};

// A sheet as large as one of `rows` rows of which `captioned` have captions.
ContactSheet Skeleton(int rows, int captioned, int panels) {
  ContactSheet sheet;
  SheetSection section;
  for (int r = 0; r < rows; ++r) {
    SheetRow row;
    row.panels.resize(panels);
    if (r < captioned) row.panels[0].caption = "draw";
    section.rows.push_back(row);
  }
  sheet.sections = {section};
  return sheet;
}

TEST_F(RenderTest, AModelWithoutAugmentationShowsThePeakWhereItIs) {
  const Ended outcome = Render("plain");
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("sheet.png"));
  const PngImage image = Sheet();
  ASSERT_TRUE(image.ok());
  // Before augmentation and training; the image without chance and 3 draws.
  const ContactSheet layout = Skeleton(2, 1, 4);
  EXPECT_EQ(image.width(), SheetRect(layout).width);
  EXPECT_EQ(image.height(), SheetRect(layout).height);
  const PixelRect rect = PanelRect(layout, 0, 0, 0);
  const auto cell = [&](int mz, int column) {
    return image.At(rect.x + column * kCellPixels,
                    rect.y + rect.height - 1 - mz * kCellPixels);
  };
  EXPECT_EQ(cell(kPeakMz, kPeakColumn), ScaleColour(1));
  EXPECT_EQ(cell(kPeakMz, 5), ScaleColour(0));
  EXPECT_EQ(cell(kPeakMz - 2, kPeakColumn), ScaleColour(0));
  // Its flank: exp(-(24 / 40)^2) on a scale of 4 decades.
  const double flank = 1 - 0.36 / std::log(10.0) / 4;
  EXPECT_NEAR(cell(kPeakMz, kPeakColumn + 2).red, ScaleColour(flank).red, 3);
}

TEST_F(RenderTest, EveryChangeOfTheModelHasARow) {
  ASSERT_EQ(Render("busy", {"R0"}, "commercial.png").exit_status, 0);
  ASSERT_EQ(Render("busy", {"R1"}, "sam.png").exit_status, 0);
  ASSERT_EQ(Render("busy", {"R0", "R1", "R0"}, "both.png").exit_status, 0);
  // before, augment, baseline, mixing, sam_augment, training: the last four
  // may have captions.
  const PngImage commercial = Sheet("commercial.png"), sam = Sheet("sam.png"),
                 both = Sheet("both.png");
  ASSERT_TRUE(commercial.ok() && sam.ok() && both.ok());
  const int one_row =
      SheetRect(Skeleton(6, 1, 4)).height - SheetRect(Skeleton(5, 1, 4)).height;
  EXPECT_EQ(commercial.height(), SheetRect(Skeleton(6, 1, 4)).height);
  EXPECT_EQ(commercial.height() - sam.height(), one_row);
  EXPECT_GT(both.height(), commercial.height() + 4 * one_row);
}

TEST_F(RenderTest, SameSeedSamePicture) {
  ASSERT_EQ(Render("busy", {"R0"}, "first.png").exit_status, 0);
  ASSERT_EQ(Render("busy", {"R0"}, "second.png").exit_status, 0);
  EXPECT_EQ(ReadFile(Path("first.png")).value(),
            ReadFile(Path("second.png")).value());
}

TEST_F(RenderTest, TreesShowTheImagesTheirFeaturesComeFrom) {
  EXPECT_EQ(Render("trees").exit_status, 0);
  EXPECT_TRUE(Sheet().ok());
}

TEST_F(RenderTest, WhatCannotBeShownIsExplained) {
  struct Case {
    Ended outcome;
    std::string message;
  };
  ASSERT_TRUE(WriteFileAtomically(Path("not.safetensors"), "no tensors").ok());
  const std::vector<Case> cases = {
      {Render("plian"), "no model \"plian\""},
      {Render("plian"), "did you mean \"plain\"?"},
      {Render("prior"), "sees no image"},
      {Render("own"), "sees no image"},
      {Render("plain", {"R9"}), "no sample \"R9\""},
      {Render("plain", {"R0"}, "nowhere/sheet.png"), "there is no folder"},
      {Render("plain", {"R0"}, "tmp"), "is a folder"},
      {Render("plain", {"R0"}, "sheet.png", "not.safetensors"),
       "not a valid safetensors file"}};
  for (const Case& c : cases) {
    EXPECT_EQ(c.outcome.exit_status, 1) << c.message;
    EXPECT_THAT(c.outcome.err, HasSubstr(c.message));
  }
  EXPECT_FALSE(FileExists(Path("sheet.png")));
}

TEST_F(RenderTest, ADatasetIsFetchedFromTheFarmByName) {
  ASSERT_TRUE(
      SynthesizeDataset(Path("csv"), {.samples = 4, .sam = 1, .seed = 3}).ok());
  LocalFarmOptions options;
  options.directory = Path("farm");
  options.programs = FOLDFARM_BIN_DIR;
  auto farm = LocalFarm::Start(options, Clock::Real());
  ASSERT_TRUE(farm.ok()) << farm.status();
  const std::string address = (*farm)->address();
  const Ended imported = Run({"dataset", "import", Path("csv"), "--name",
                              "invented", "--coordinator", address});
  ASSERT_EQ(imported.exit_status, 0) << imported.err;
  const std::vector<std::string> arguments = {
      "render",          "--dataset",        "invented", "--sample", "S0000",
      "--sweep",         Path("sweep.yaml"), "--model",  "busy",     "--out",
      Path("sheet.png"), "--coordinator",    address};
  const Ended outcome = Run(arguments);
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_TRUE(Sheet().ok());
  std::vector<std::string> unknown = arguments;
  unknown[2] = "invneted";
  EXPECT_EQ(Run(unknown).exit_status, 1);
  (*farm)->Stop(absl::Seconds(10));
  EXPECT_EQ(Run(arguments).exit_status, 3);
}

}  // namespace
}  // namespace foldfarm
