#include "worker/render/renderer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/worker/render/made_dataset.h"
#include "tests/worker/render/made_renderer.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// What DrawFixed should give for a sample, one value at a time in double.
double ExpectedPixel(const std::vector<std::vector<double>>& x, int mz,
                     int column, double maximum, const RenderOptions& options) {
  double value = x[mz][column] / maximum;
  value = std::clamp(value, options.min_clip, 1.0);
  if (options.log_space) {
    value = std::log10(value);
    if (options.norm_to_one) {
      value = 1 + value / std::abs(std::log10(options.min_clip));
    }
  }
  return value;
}

at::Tensor ExpectedFixed(const PreparedDataset& dataset, int64_t sample,
                         const RenderOptions& options, bool baseline) {
  const int64_t begin = dataset.scan_offset()[sample] + 1;
  const int64_t end = dataset.scan_offset()[sample + 1] - 1;
  std::vector<std::vector<double>> x(kNumMz, std::vector<double>(kNumColumns));
  double maximum = 0;
  for (int mz = 0; mz < kNumMz; ++mz) {
    double offset = 0;
    for (int k = 0; k < kNumOffsets; ++k) {
      const int64_t at = (sample * kNumMz + mz) * kNumOffsets + k;
      offset += 0.25 * (baseline ? dataset.offsets_baseline()[at]
                                 : dataset.offsets()[at]);
    }
    double row_maximum = -1e9;
    for (int column = 0; column < kNumColumns; ++column) {
      const double t = 30 + options.temp_step * column;
      int64_t nearest = -1;
      for (int64_t scan = begin; scan < end; ++scan) {
        const double temperature = dataset.temperature()[scan];
        if (std::abs(std::floor(temperature) - t) > options.temp_query_range) {
          continue;
        }
        if (nearest < 0 || std::abs(temperature - t) <
                               std::abs(dataset.temperature()[nearest] - t)) {
          nearest = scan;
        }
      }
      double& pixel = x[mz][column];
      pixel = -1;
      if (nearest >= 0) {
        double value = dataset.abundance()[nearest * kNumMz + mz];
        if (baseline) value -= dataset.baseline()[nearest * kNumMz + mz];
        value -= offset;
        if (!std::isnan(value)) pixel = value;
      }
      row_maximum = std::max(row_maximum, pixel);
    }
    for (double& pixel : x[mz]) {
      if (options.normalize_m_separately) {
        pixel /= std::clamp(row_maximum, 1e-5, 1e5) + 5e-4;
      }
      pixel = std::clamp(pixel, 0.0, 16.0);
      if (mz == kHeliumMz) pixel *= options.he_scale;
      maximum = std::max(maximum, pixel);
    }
  }
  at::Tensor image = at::empty({kNumMz, kNumColumns});
  for (int mz = 0; mz < kNumMz; ++mz) {
    for (int column = 0; column < kNumColumns; ++column) {
      image[mz][column] = ExpectedPixel(x, mz, column, maximum, options);
    }
  }
  return image;
}

TEST(RendererTest, FixedDrawIsTheRecipesImage) {
  const auto dataset = MakeDataset({.num_samples = 3, .min_scans = 30});
  RenderOptions plain;
  RenderOptions other;
  other.temp_query_range = 12;
  other.min_clip = 1e-3;
  other.norm_to_one = true;
  other.normalize_m_separately = true;
  RenderOptions linear;
  linear.log_space = false;
  linear.temp_step = 10;
  for (const RenderOptions& options : {plain, other, linear}) {
    const auto renderer = MakeRenderer(*dataset, options);
    for (const bool baseline : {false, true}) {
      const at::Tensor images =
          renderer->DrawFixed(at::tensor({2, 0}, at::kLong), baseline);
      for (int i = 0; i < 2; ++i) {
        const at::Tensor expected =
            ExpectedFixed(*dataset, i == 0 ? 2 : 0, options, baseline);
        EXPECT_LT((images[i] - expected).abs().max().item<float>(), 1e-4);
      }
    }
  }
}

TEST(RendererTest, SameSeedGivesTheSameImagesAndAnotherSeedOthers) {
  const auto dataset = MakeDataset({});
  RenderOptions options;
  options.mix_prob = 0.5;
  options.sub_bg_prob = 0.5;
  const auto renderer = MakeRenderer(*dataset, options, 20);
  const at::Tensor positions = at::arange(16, at::kLong);
  at::Tensor first, again, other, labels;
  renderer->Seed(7);
  renderer->Draw(positions, DrawMode::kTrain, first, labels);
  renderer->Seed(7);
  renderer->Draw(positions, DrawMode::kTrain, again, labels);
  renderer->Draw(positions, DrawMode::kTrain, other, labels);
  EXPECT_TRUE(first.equal(again));
  EXPECT_FALSE(first.equal(other));
  EXPECT_EQ(first.sizes(), at::IntArrayRef({16, 100, 80}));
  EXPECT_TRUE(at::isfinite(first).all().item<bool>());
}

// One sample whose m/z 20 tells which scan a column shows: m/z 10 is the
// maximum throughout and every offset is zero.
std::shared_ptr<const PreparedDataset> ScanRevealingDataset(
    const std::vector<double>& temperature) {
  const auto s = static_cast<int64_t>(temperature.size());
  std::vector<float> abundance(s * kNumMz, kNan);
  for (int64_t scan = 0; scan < s; ++scan) {
    abundance[scan * kNumMz + 10] = 1;
    abundance[scan * kNumMz + 20] = static_cast<float>(scan + 1) / 100;
  }
  std::vector<float> offsets(kNumMz * kNumOffsets, 0);
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("labels", R"(["a"])");
  writer.SetMetadata("samples",
                     R"([{"id": "R", "split": "train", "instrument_type":
                         "commercial", "labelled": true}])");
  writer.AddI64("scan_offset", {2}, {0, s});
  writer.AddF64("temperature", {s}, temperature);
  writer.AddF32("abundance", {s, kNumMz}, abundance);
  writer.AddF32("baseline", {s, kNumMz}, abundance);
  writer.AddF32("offsets", {1, kNumMz, kNumOffsets}, offsets);
  writer.AddF32("offsets_baseline", {1, kNumMz, kNumOffsets}, offsets);
  writer.AddU8("labels", {1, 1}, {1});
  auto dataset = PreparedDataset::FromFile(
      *TensorFile::Parse(writer.Serialize(), "revealing"), "revealing");
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return *dataset;
}

TEST(RendererTest, ColumnsShowScansAsOftenAsTheirWeightsSay) {
  const std::vector<double> temperature = {29, 31, 36, 45.5, 46.9, 47.1, 900};
  const auto dataset = ScanRevealingDataset(temperature);
  RenderOptions options;
  options.log_space = false;
  options.mz_var = 0;
  options.scale_var = 0;
  const auto renderer = MakeRenderer(*dataset, options);
  renderer->Seed(3);
  constexpr int kDraws = 20000;
  at::Tensor images, labels;
  renderer->Draw(at::zeros({kDraws}, at::kLong), DrawMode::kPredict, images,
                 labels);
  std::map<int, double> share;
  const at::Tensor shown = images.select(1, 20).select(1, 0).contiguous();
  for (int i = 0; i < kDraws; ++i) {
    const float value = shown[i].item<float>();
    share[static_cast<int>(std::lround(value * 100)) - 1] += 1.0 / kDraws;
  }
  // Scans 1 to 4 of [14, 46]; scan 0 is the first, floor(47.1) too far.
  double total = 0;
  for (int scan = 1; scan <= 4; ++scan) {
    total += 1 / (12 + std::abs(30 - temperature[scan]));
  }
  EXPECT_EQ(share.size(), 4u);
  for (int scan = 1; scan <= 4; ++scan) {
    const double p = 1 / (12 + std::abs(30 - temperature[scan])) / total;
    EXPECT_NEAR(share[scan], p, 4 * std::sqrt(p * (1 - p) / kDraws));
  }
  // A column without scans, an m/z without readings: nothing.
  EXPECT_FLOAT_EQ(images[0][10][60].item<float>(), options.min_clip);
  EXPECT_FLOAT_EQ(images[0][50][0].item<float>(), options.min_clip);
}

TEST(RendererTest, RowsAreScaledByPowersOfTwoOfTheGivenDeviation) {
  const auto dataset = ScanRevealingDataset({29, 30, 30.5, 900});
  RenderOptions options;
  options.log_space = false;
  options.mz_var = 0.25;
  options.scale_var = 0;
  options.min_clip = 1e-9;
  const auto renderer = MakeRenderer(*dataset, options);
  renderer->Seed(5);
  at::Tensor images, labels;
  renderer->Draw(at::zeros({20000}, at::kLong), DrawMode::kPredict, images,
                 labels);
  // m/z 20 over m/z 10 is 2^(N - N'), times 0.02 or 0.03.
  const at::Tensor ratio =
      (images.select(1, 20).select(1, 0) / images.select(1, 10).select(1, 0))
          .log2();
  const at::Tensor spread = at::minimum((ratio - std::log2(0.02)).abs(),
                                        (ratio - std::log2(0.03)).abs());
  const double scans = std::log2(0.03 / 0.02) / 2;
  EXPECT_NEAR(ratio.var().item<double>(), 2 * 0.25 * 0.25 + scans * scans,
              0.01);
  EXPECT_LT(spread.max().item<double>(), 2);
}

TEST(RendererTest, BaselineIsSubtractedOnlyInItsShareAndNeverWhileScoring) {
  // The baseline equals the abundance: subtracted, nothing remains.
  const auto dataset = ScanRevealingDataset({29, 30, 31, 900});
  RenderOptions options;
  options.log_space = false;
  options.sub_bg_prob = 0.25;
  const auto renderer = MakeRenderer(*dataset, options);
  renderer->Seed(5);
  const at::Tensor positions = at::zeros({8000}, at::kLong);
  const auto empty_share = [&](DrawMode mode) {
    at::Tensor images, labels;
    renderer->Draw(positions, mode, images, labels);
    return images.amax(at::IntArrayRef({1, 2}))
        .lt(0.5)
        .to(at::kFloat)
        .mean()
        .item<double>();
  };
  EXPECT_NEAR(empty_share(DrawMode::kTrain), 0.25, 0.03);
  EXPECT_NEAR(empty_share(DrawMode::kPredict), 0.25, 0.03);
  EXPECT_EQ(empty_share(DrawMode::kValidate), 0);
}

TEST(RendererTest, MixingHappensInTrainingAloneAndJoinsLabelsOfTrainSamples) {
  const auto dataset = MakeDataset({.num_samples = 12, .num_labels = 4});
  RenderOptions options;
  options.mix_prob = 0.5;
  constexpr int kTrain = 6;
  const auto renderer = MakeRenderer(*dataset, options, kTrain);
  renderer->Seed(11);
  const at::Tensor positions =
      at::arange(12, at::kLong).repeat({200}).contiguous();
  const at::Tensor own = renderer->labels().index_select(0, positions);
  at::Tensor images, labels;
  renderer->Draw(positions, DrawMode::kPredict, images, labels);
  EXPECT_TRUE(labels.equal(own));
  renderer->Draw(positions, DrawMode::kTrain, images, labels);
  EXPECT_TRUE(labels.ge(own).all().item<bool>());
  EXPECT_TRUE(at::isfinite(images).all().item<bool>());
  // How often a label joins: half of the images are mixed, with any train
  // sample.
  const at::Tensor train_rate = renderer->labels().narrow(0, 0, kTrain).mean(0);
  const at::Tensor joined = (labels - own).sum(0);
  const at::Tensor could_join = (1 - own).sum(0);
  for (int label = 0; label < 4; ++label) {
    EXPECT_NEAR(joined[label].item<double>() / could_join[label].item<double>(),
                0.5 * train_rate[label].item<double>(), 0.06);
  }
}

TEST(RendererTest, UnknownSampleIsNamed) {
  const auto dataset = MakeDataset({});
  const auto renderer =
      Renderer::Create(*dataset, {"M0001", "S9999"}, 1, RenderOptions(), "cpu");
  EXPECT_EQ(renderer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(renderer.status().message()), HasSubstr("S9999"));
}

}  // namespace
}  // namespace foldfarm
