// What the real program says with a bundle: figures that fit together.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/bundle/bundle.h"
#include "common/spectra/prepare.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/trainer/running_trainer.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr double kRounding = 2e-6;
// p becomes 0.8 p + 0.1.
constexpr double kShrink = 0.1;

// A commercial sample: 25 m/z every 9 degrees, from 30 to 921 C.
std::string Features() {
  std::string text = "time,temp,m/z,abundance\n";
  for (int scan = 0; scan < 100; ++scan) {
    for (int mz = 1; mz <= 25; ++mz) {
      absl::StrAppend(&text, scan, ",", 30 + 9 * scan, ",", mz, ",",
                      1 + (7 * scan + mz) % 11, "\n");
    }
  }
  return text;
}

class BundlePredictionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("bundle_predictions");
    Write("samples/S1.csv", Features());
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::string Path(const std::string& name) const {
    return JoinPath(folder_, name);
  }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(MakeDirectories(DirectoryOf(Path(name))).ok());
    ASSERT_TRUE(WriteFileAtomically(Path(name), bytes).ok());
  }

  // Adds half a bundle: a model of one network.
  void AddModel(const std::string& name, const Json& options,
                const std::string& weights) {
    BundleModel model;
    model.name = name;
    model.weight = 0.5;
    model.labels = {"label0", "label1", "label2"};
    model.model_json = JsonText(options);
    const std::string path = absl::StrCat("models/", name, ".safetensors");
    Write(JoinPath("bundle", path), weights);
    BundleFile file;
    file.name = "weights.safetensors";
    file.path = path;
    file.digest = Sha256Hex(weights);
    file.bytes = static_cast<int64_t>(weights.size());
    model.folds.emplace_back();
    model.folds.back().push_back(file);
    bundle_.models.push_back(model);
  }
  // One that says `prior` of every sample.
  void AddPrior(const std::string& name, const std::vector<float>& prior) {
    TensorFileWriter writer;
    writer.SetMetadata("format", "foldfarm-weights");
    writer.AddF32("prior", {static_cast<int64_t>(prior.size())}, prior);
    const Json options = {{"arch", {{"none", Json::object()}}}};
    AddModel(name, options, writer.Serialize());
  }
  // One that was trained, if not for long.
  void AddNetwork(const std::string& name,
                  const Json& representation = Json::object()) {
    const Json options = {
        {"name", name},
        {"representation", representation},
        {"train", {{"epochs", 1}, {"batch", 8}, {"lr", 0.003}}},
        {"arch", {{"conv1d", {{"stem", 8}, {"widths", {8}}}}}}};
    Write("attempt/dataset.safetensors", MakeDatasetFile({.num_samples = 12}));
    const Json attempt = {{"job", "made/conv1d/0"},
                          {"seed", 3},
                          {"tta", 1},
                          {"threads", 1},
                          {"device", "cpu"},
                          {"trainSamples", MadeSampleIds(0, 8)},
                          {"validationSamples", MadeSampleIds(8, 12)},
                          {"model", options}};
    Write("attempt/attempt.json", JsonText(attempt));
    RunningTrainer trainer(Path("attempt"));
    while (!trainer.Next().is_null()) {
    }
    ASSERT_EQ(trainer.ExitStatus(), 0);
    const auto weights = ReadFile(Path("attempt/weights.safetensors"));
    ASSERT_TRUE(weights.ok()) << weights.status();
    AddModel(name, options, *weights);
  }
  void WriteBundle() {
    bundle_.name = "made";
    bundle_.labels = {"label0", "label1", "label2"};
    bundle_.preparation = kPreparationVersion;
    bundle_.tta = 1;
    bundle_.shrink = {{"commercial", kShrink}};
    bundle_.oof_json = "{}";
    Write("bundle/bundle.json", BundleToJson(bundle_));
  }

  // What the program writes to standard output.
  std::string Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), FOLDFARM_BIN_DIR "/foldfarm-trainer");
    const int out = open(Path("out").c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    SubprocessOptions options;
    options.argv = std::move(arguments);
    options.descriptors = {{1, out}, {2, 2}};
    const auto process = Subprocess::Spawn(options);
    close(out);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return "";
    EXPECT_EQ((*process)->Wait().exit_status, 0);
    return *ReadFile(Path("out"));
  }
  std::string Predict(std::vector<std::string> options) {
    options.insert(options.begin(),
                   {"predict", Path("bundle"), Path("samples/S1.csv"),
                    "--instrument", "commercial", "--threads", "1"});
    return Run(std::move(options));
  }

  // Writes the bundle, and why it says what it says of label1.
  std::shared_ptr<const TensorFile> Explain() {
    WriteBundle();
    const Json spec = {{"bundle", Path("bundle")},
                       {"sample", Path("samples/S1.csv")},
                       {"label", "label1"},
                       {"instrument", "commercial"},
                       {"draws", 1}};
    Write("explain.json", JsonText(spec));
    Run({"explain", folder_});
    auto file = TensorFile::Open(Path("explain.safetensors"));
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *std::move(file) : nullptr;
  }

  std::string folder_;
  Bundle bundle_;
};

// Of the labels.
void ExpectFigures(const Json& figures, const std::vector<double>& expected) {
  ASSERT_EQ(figures.size(), expected.size()) << JsonText(figures);
  for (size_t l = 0; l < expected.size(); ++l) {
    EXPECT_NEAR(figures.at(absl::StrCat("label", l)).get<double>(), expected[l],
                kRounding)
        << JsonText(figures);
  }
}

TEST_F(BundlePredictionsTest, EveryFigureOfAPredictionIsShrunkOrNoneIs) {
  AddPrior("low", {0, 0.5f, 0.7f});
  AddPrior("high", {1, 0.5f, 0.9f});
  WriteBundle();
  const Json shrunk = ParseJson(Predict({"--json"}));
  EXPECT_TRUE(shrunk.at("shrunk").get<bool>());
  const Json& sample = shrunk.at("samples").at(0);
  ExpectFigures(sample.at("probability"), {0.5, 0.5, 0.74});
  ExpectFigures(sample.at("spread"), {0.4, 0, 0.08});
  ExpectFigures(sample.at("low"), {0.1, 0.5, 0.66});
  ExpectFigures(sample.at("high"), {0.9, 0.5, 0.82});
  ExpectFigures(sample.at("modelProbability").at("low"), {0.1, 0.5, 0.66});
  ExpectFigures(sample.at("modelProbability").at("high"), {0.9, 0.5, 0.82});

  const Json plain = ParseJson(Predict({"--json", "--no-shrink"}));
  EXPECT_FALSE(plain.at("shrunk").get<bool>());
  const Json& its = plain.at("samples").at(0);
  ExpectFigures(its.at("probability"), {0.5, 0.5, 0.8});
  ExpectFigures(its.at("spread"), {0.5, 0, 0.1});
  ExpectFigures(its.at("low"), {0, 0.5, 0.7});
  ExpectFigures(its.at("high"), {1, 0.5, 0.9});
  ExpectFigures(its.at("modelProbability").at("high"), {1, 0.5, 0.9});

  EXPECT_THAT(Predict({}),
              HasSubstr("label2 0.74 ±0.08, label0 0.50 ±0.40, label1 0.50 "
                        "±0.00"));
}

TEST_F(BundlePredictionsTest, AnExplanationShowsTheSampleAsItIs) {
  std::vector<std::vector<float>> images;
  for (const bool separately : {false, true}) {
    bundle_ = Bundle();
    AddNetwork("conv", {{"normalize_m_separately", separately}});
    AddPrior("never", {0, 0, 0});
    ASSERT_FALSE(HasFailure());
    const auto file = Explain();
    ASSERT_NE(file, nullptr);
    const auto view = file->Get("image");
    ASSERT_TRUE(view.ok()) << view.status();
    const auto image = file->F32("image", view->shape);
    ASSERT_TRUE(image.ok()) << image.status();
    images.emplace_back(image->begin(), image->end());
  }
  // However the network is fed.
  EXPECT_EQ(images[0], images[1]);
}

TEST_F(BundlePredictionsTest, AnExplanationShrinksTheEndsAsTheMean) {
  AddPrior("never", {0, 0, 0});
  AddNetwork("conv");
  ASSERT_FALSE(HasFailure());
  const auto file = Explain();
  ASSERT_NE(file, nullptr);
  const Json told = ParseJson(*file->Metadata("explanation"));
  const auto figure = [&](const char* name) {
    return told.at(name).get<double>();
  };
  // One model says 0, the other says more.
  EXPECT_NEAR(figure("low"), kShrink, kRounding);
  EXPECT_GT(figure("high"), kShrink);
  EXPECT_NEAR(figure("probability"), (figure("low") + figure("high")) / 2,
              kRounding);
  EXPECT_NEAR(figure("spread"), (figure("high") - figure("low")) / 2,
              kRounding);
}

}  // namespace
}  // namespace foldfarm
