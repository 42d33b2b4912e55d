// Images of real samples against the original program's.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/spectra/features_csv.h"
#include "common/spectra/prepare.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "tests/common/spectra/test_files.h"
#include "tests/worker/render/simple_dataset.h"
#include "worker/render/column_candidates.h"
#include "worker/render/renderer.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

// A dataset of one real sample, prepared by the importer's code.
std::shared_ptr<const PreparedDataset> Prepare(const std::string& path,
                                               Instrument instrument) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  const auto readings = ParseFeatures(*text, path);
  EXPECT_TRUE(readings.ok()) << readings.status();
  const auto sample = PrepareSample(*readings, instrument);
  EXPECT_TRUE(sample.ok()) << sample.status();
  const SampleTensors tensors = ToTensors(*sample);
  const auto s = static_cast<int64_t>(tensors.temperature.size());
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("labels", R"(["a"])");
  writer.SetMetadata("samples",
                     R"([{"id": "S", "split": "train", "instrument_type":
                         "commercial", "labelled": true}])");
  writer.AddI64("scan_offset", {2}, {0, s});
  writer.AddF64("temperature", {s}, tensors.temperature);
  writer.AddF32("abundance", {s, kNumMz}, tensors.abundance);
  writer.AddF32("baseline", {s, kNumMz}, tensors.baseline);
  writer.AddF32("offsets", {1, kNumMz, kNumOffsets}, tensors.offsets);
  writer.AddF32("offsets_baseline", {1, kNumMz, kNumOffsets},
                tensors.offsets_baseline);
  writer.AddU8("labels", {1, 1}, {1});
  auto dataset = PreparedDataset::FromFile(
      *TensorFile::Parse(writer.Serialize(), "one"), "one");
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return *dataset;
}

at::Tensor ToTensor(const Json& values) {
  return at::tensor(values.get<std::vector<double>>(), at::kDouble)
      .to(at::kFloat);
}

double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

double MeanDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().mean().item<double>();
}

TEST(GoldenRenderTest, FixedImagesOfRealSamplesEqualTheOriginals) {
  const std::string golden = SharedFile("golden/prepared_and_rendered.json");
  const auto file = ReadFile(golden);
  if (!file.ok()) GTEST_SKIP() << golden << " is not there";
  const Json renders = ParseJson(*file)["renders"];
  std::set<std::string> ids;
  for (const Json& render : renders) ids.insert(render["sample_id"]);
  const ScratchFolder scratch;
  const auto folder = RealTrainFeatures({ids.begin(), ids.end()}, scratch);
  if (!folder.ok()) GTEST_SKIP() << folder.status().message();
  // Where rounding decides how asPLS ends.
  const std::set<std::pair<std::string, int>> chaotic = {
      {"S0000", 17}, {"S0000", 18}, {"S0028", 4}, {"S0754", 18}};
  const std::set<std::string> sam_testbed = {"S0754", "S0765"};

  for (const Json& render : renders) {
    const std::string id = render["sample_id"];
    const Json& golden_options = render["options"];
    const bool baseline = golden_options["bg"];
    SCOPED_TRACE(id + (baseline ? " with baseline" : ""));
    const auto dataset =
        Prepare(JoinPath(*folder, "train_features/" + id + ".csv"),
                sam_testbed.contains(id) ? Instrument::kSamTestbed
                                         : Instrument::kCommercial);
    RenderOptions options;
    options.temp_query_range = golden_options["query"];
    options.normalize_m_separately = golden_options["norm_m"];
    options.norm_to_one = golden_options["norm_to_one"];
    options.min_clip = golden_options["min_clip"];
    const auto renderer = Renderer::Create(*dataset, {"S"}, 1, options, "cpu");
    ASSERT_TRUE(renderer.ok()) << renderer.status();
    const at::Tensor image =
        (*renderer)->DrawFixed(at::zeros({1}, at::kLong), baseline)[0];
    if (baseline) {
      // A baseline is good to 1e-4 of an abundance, which the logarithm of a
      // row divided by its own maximum shows where little remains: rows are
      // compared on the mean.
      for (const auto& [mz, values] : render["image_rows"].items()) {
        if (chaotic.contains({id, std::stoi(mz)})) continue;
        EXPECT_LT(MeanDifference(image[std::stoi(mz)], ToTensor(values)), 3e-2)
            << "m/z " << mz;
      }
      EXPECT_LT(
          MeanDifference(image.mean(0), ToTensor(render["image_column_means"])),
          3e-2);
      continue;
    }
    for (const auto& [mz, values] : render["image_rows"].items()) {
      EXPECT_LT(LargestDifference(image[std::stoi(mz)], ToTensor(values)), 1e-4)
          << "m/z " << mz;
    }
    EXPECT_LT(LargestDifference(image.mean(0),
                                ToTensor(render["image_column_means"])),
              1e-4);
    EXPECT_LT(
        LargestDifference(image.mean(1), ToTensor(render["image_row_means"])),
        1e-4);
  }
}

// Candidates of a column: how likely each temperature is.
std::map<float, double> GoldenCandidates(const Json& candidates) {
  std::map<float, double> probability;
  for (const Json& candidate : candidates) {
    probability[candidate[1].get<float>()] += candidate[2].get<double>();
  }
  return probability;
}

std::map<float, double> TableCandidates(const PreparedDataset& dataset,
                                        const RenderOptions& options,
                                        int column) {
  const ColumnCandidates table = FindColumnCandidates(
      dataset.scan_offset(), dataset.temperature(), options, -1);
  std::map<float, double> probability;
  double before = column;
  for (size_t i = 0; i < table.scan.size(); ++i) {
    if (table.cumulative[i] <= column || table.cumulative[i] > column + 1) {
      continue;
    }
    const auto t = static_cast<float>(dataset.temperature()[table.scan[i]]);
    probability[t] += table.cumulative[i] - before;
    before = table.cumulative[i];
  }
  return probability;
}

// Sum of (count - expected)^2 / expected over the candidates of one column of
// `draws` images; counts what was not expected as a failure.
double ChiSquare(const at::Tensor& shown,
                 const std::map<float, double>& expected) {
  std::map<float, double> count;
  for (int64_t i = 0; i < shown.size(0); ++i) {
    // m/z 20 shows the temperature.
    const float t = shown[i].item<float>() * 4000;
    const auto above = expected.lower_bound(t);
    auto nearest = above == expected.end() ? std::prev(above) : above;
    if (above != expected.begin() &&
        std::abs(std::prev(above)->first - t) < std::abs(nearest->first - t)) {
      nearest = std::prev(above);
    }
    EXPECT_NEAR(nearest->first, t, 0.01);
    ++count[nearest->first];
  }
  double sum = 0;
  for (const auto& [t, p] : expected) {
    const double mean = p * static_cast<double>(shown.size(0));
    sum += (count[t] - mean) * (count[t] - mean) / mean;
  }
  return sum;
}

TEST(GoldenRenderTest, ColumnsChooseScansAsOftenAsTheOriginalDoes) {
  const std::string golden = SharedFile("golden/prepared_and_rendered.json");
  const auto file = ReadFile(golden);
  if (!file.ok()) GTEST_SKIP() << golden << " is not there";
  const Json renders = ParseJson(*file)["renders"];
  const std::map<std::string, Instrument> samples = {
      {"S0000", Instrument::kCommercial}, {"S0754", Instrument::kSamTestbed}};
  const ScratchFolder scratch;
  const auto folder = RealTrainFeatures({"S0000", "S0754"}, scratch);
  if (!folder.ok()) GTEST_SKIP() << folder.status().message();

  double chi_square = 0, degrees = 0;
  for (const Json& render : renders) {
    const std::string id = render["sample_id"];
    if (!samples.contains(id)) continue;
    RenderOptions options;
    options.temp_query_range = render["options"]["query"];
    SCOPED_TRACE(absl::StrCat(id, ", query ", options.temp_query_range));
    const auto real = Prepare(
        JoinPath(*folder, "train_features/" + id + ".csv"), samples.at(id));
    // The same temperatures, which m/z 20 tells.
    SimpleSample telling;
    telling.labels = {1};
    telling.abundance = [](int mz, double celsius) {
      return mz == 10   ? 1.0f
             : mz == 20 ? static_cast<float>(celsius / 4000)
                        : kNothing;
    };
    const auto dataset = SimpleDataset(
        {telling}, {real->temperature().begin(), real->temperature().end()});
    options.log_space = false;
    options.mz_var = options.scale_var = 0;
    const auto renderer = Renderer::Create(*dataset, {"R0"}, 1, options, "cpu");
    ASSERT_TRUE(renderer.ok()) << renderer.status();
    (*renderer)->Seed(29);
    std::vector<at::Tensor> shown;
    for (int batch = 0; batch < 12; ++batch) {
      at::Tensor images, labels;
      (*renderer)->Draw(at::zeros({250}, at::kLong), DrawMode::kPredict, images,
                        labels);
      shown.push_back(images.select(1, 20).clone());
    }
    const at::Tensor temperatures = at::cat(shown);
    for (const auto& [column, candidates] : render["candidates"].items()) {
      SCOPED_TRACE("column " + column);
      const std::map<float, double> expected = GoldenCandidates(candidates);
      const std::map<float, double> ours =
          TableCandidates(*real, options, std::stoi(column));
      ASSERT_EQ(ours.size(), expected.size());
      for (auto a = ours.begin(), b = expected.begin(); a != ours.end();
           ++a, ++b) {
        EXPECT_FLOAT_EQ(a->first, b->first);
        EXPECT_NEAR(a->second, b->second, 1e-9);
      }
      chi_square +=
          ChiSquare(temperatures.select(1, std::stoi(column)), expected);
      degrees += static_cast<double>(expected.size()) - 1;
    }
  }
  // Mean and standard deviation of a chi-square distribution.
  EXPECT_LT(chi_square, degrees + 4 * std::sqrt(2 * degrees));
}

}  // namespace
}  // namespace foldfarm
