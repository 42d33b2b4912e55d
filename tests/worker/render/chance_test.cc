// Every random step of the renderer against the distribution that it should
// have, on fixed seeds. Bounds are a handful of standard errors: a wrong
// constant fails, this seed passes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/worker/render/made_renderer.h"
#include "tests/worker/render/simple_dataset.h"
#include "worker/render/renderer.h"

namespace foldfarm {
namespace {

// Column 0 has one scan; the ends are never shown.
const std::vector<double> kOneScan = {20, 30, 900};

// No chance but the offsets'; pixels are abundances over the largest.
RenderOptions Quiet() {
  RenderOptions options;
  options.log_space = false;
  options.min_clip = 1e-9;
  options.mz_var = options.he_var = options.scale_var = 0;
  return options;
}

struct Drawn {
  at::Tensor columns;  // [draws, 100, 3]: the first columns of the images.
  at::Tensor labels;   // [draws, L]

  // A column of an m/z in every draw.
  std::vector<double> Pixels(int mz, int column = 0) const {
    const at::Tensor values =
        columns.select(1, mz).select(1, column).to(at::kDouble).contiguous();
    return {values.data_ptr<double>(),
            values.data_ptr<double>() + values.numel()};
  }
};

Drawn DrawMany(Renderer& renderer, int64_t sample, int draws,
               DrawMode mode = DrawMode::kTrain) {
  renderer.Seed(17);
  constexpr int kBatch = 250;  // Stays in the cache.
  std::vector<at::Tensor> columns, labels;
  for (int begin = 0; begin < draws; begin += kBatch) {
    at::Tensor images;
    renderer.Draw(
        at::full({std::min(kBatch, draws - begin)}, sample, at::kLong), mode,
        images, labels.emplace_back());
    columns.push_back(images.narrow(2, 0, 3).clone());
  }
  return {at::cat(columns), at::cat(labels)};
}

// Largest distance of the values' distribution from `cdf` (Kolmogorov-Smirnov),
// times the root of their number: above 2 once in 1,500 times by chance.
double KolmogorovSmirnov(std::vector<double> values,
                         const std::function<double(double)>& cdf) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double p = cdf(values[i]);
    distance = std::max({distance, p - i / n, (i + 1) / n - p});
  }
  return distance * std::sqrt(n);
}

// That log2 of the values is N(log2(centre), deviation).
void ExpectLogNormal(std::vector<double> values, double centre,
                     double deviation) {
  for (double& value : values) value = std::log2(value / centre);
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / n, 0, 4 * deviation / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n) / deviation, 1, 4 / std::sqrt(2 * n));
  EXPECT_LT(KolmogorovSmirnov(values,
                              [&](double x) {
                                return 0.5 * std::erfc(-x / deviation /
                                                       std::sqrt(2.0));
                              }),
            2);
}

void ExpectRate(int64_t count, int64_t of, double rate) {
  const auto n = static_cast<double>(of);
  EXPECT_NEAR(static_cast<double>(count) / n, rate,
              4 * std::sqrt(rate * (1 - rate) / n));
}

// m/z 10 at 1, m/z 20 at 0.5, m/z 4 at 0.5.
SimpleSample Flat() {
  SimpleSample sample;
  sample.labels = {1, 0};
  sample.abundance = [](int mz, double) {
    return mz == 10 ? 1.0f : mz == 20 || mz == kHeliumMz ? 0.5f : kNothing;
  };
  return sample;
}

TEST(ChanceTest, OffsetWeightsAreUniformNumbersOverTheirSum) {
  // m/z 20 + k stands at 1 and loses the k-th weight.
  SimpleSample sample = Flat();
  sample.abundance = [](int mz, double) {
    return mz == 10 || (mz >= 20 && mz < 24) ? 1.0f : kNothing;
  };
  sample.offset = [](int mz, int k) { return mz == 20 + k ? 1.0f : 0.0f; };
  const auto dataset = SimpleDataset({sample}, kOneScan);
  constexpr int kDraws = 8000;
  const Drawn drawn = DrawMany(*MakeRenderer(*dataset, Quiet(), 1), 0, kDraws);
  // What they should be, from another generator.
  std::mt19937 random(5);
  const auto uniform = [&] { return (random() + 0.5) / 4294967296.0; };
  std::vector<double> expected;
  for (int i = 0; i < 200000; ++i) {
    const double first = uniform();
    expected.push_back(first / (first + uniform() + uniform() + uniform()));
  }
  std::sort(expected.begin(), expected.end());
  const auto cdf = [&](double x) {
    return static_cast<double>(
               std::lower_bound(expected.begin(), expected.end(), x) -
               expected.begin()) /
           static_cast<double>(expected.size());
  };
  std::vector<double> sum(kDraws, 0.0);
  for (int k = 0; k < kNumOffsets; ++k) {
    std::vector<double> weights = drawn.Pixels(20 + k);
    for (int i = 0; i < kDraws; ++i) {
      weights[i] = 1 - weights[i];
      sum[i] += weights[i];
    }
    EXPECT_LT(KolmogorovSmirnov(weights, cdf), 2) << "weight " << k;
  }
  for (const double s : sum) ASSERT_NEAR(s, 1, 1e-5);
}

TEST(ChanceTest, EveryRowHasAFactorOfItsOwnFromMzVar) {
  RenderOptions options = Quiet();
  options.mz_var = 0.25;
  const auto dataset = SimpleDataset({Flat()}, {20, 30, 42, 54, 900});
  const Drawn drawn = DrawMany(*MakeRenderer(*dataset, options, 1), 0, 5000);
  const std::vector<double> first = drawn.Pixels(10), second = drawn.Pixels(20);
  std::vector<double> ratio;
  for (size_t i = 0; i < first.size(); ++i) {
    ratio.push_back(second[i] / first[i]);
  }
  ExpectLogNormal(ratio, 0.5, 0.25 * std::sqrt(2.0));
  // The whole row has it.
  const std::vector<double> elsewhere = drawn.Pixels(20, 2);
  for (size_t i = 0; i < first.size(); ++i) {
    ASSERT_FLOAT_EQ(second[i], elsewhere[i]);
  }
}

TEST(ChanceTest, HeliumIsScaledByHeScaleAndHeVar) {
  for (const double he_var : {0.001, 0.3}) {
    RenderOptions options = Quiet();
    options.he_scale = 0.2;
    options.he_var = he_var;
    const auto dataset = SimpleDataset({Flat()}, kOneScan);
    const Drawn drawn = DrawMany(*MakeRenderer(*dataset, options, 1), 0, 4000);
    ExpectLogNormal(drawn.Pixels(kHeliumMz), 0.5 * 0.2, he_var);
  }
}

TEST(ChanceTest, ImagesAreScaledByScaleVarBelowTheClip) {
  RenderOptions options = Quiet();
  options.scale_var = 0.05;
  const auto dataset = SimpleDataset({Flat()}, kOneScan);
  const Drawn drawn = DrawMany(*MakeRenderer(*dataset, options, 1), 0, 5000);
  ExpectLogNormal(drawn.Pixels(20), 0.5, 0.05);
  for (const double value : drawn.Pixels(10)) ASSERT_LE(value, 1);
}

TEST(ChanceTest, BaselineIsSubtractedAtItsRateImageByImage) {
  SimpleSample sample = Flat();
  sample.baseline = [](int mz, double) { return mz == 20 ? 0.25f : 0.0f; };
  RenderOptions options = Quiet();
  options.sub_bg_prob = 0.3;
  const auto dataset = SimpleDataset({sample}, kOneScan);
  const auto renderer = MakeRenderer(*dataset, options, 1);
  constexpr int kDraws = 4000;
  for (const DrawMode mode :
       {DrawMode::kTrain, DrawMode::kPredict, DrawMode::kValidate}) {
    const std::vector<double> pixels =
        DrawMany(*renderer, 0, kDraws, mode).Pixels(20);
    const auto subtracted = std::count_if(
        pixels.begin(), pixels.end(), [](double pixel) { return pixel < 0.4; });
    ExpectRate(subtracted, kDraws, mode == DrawMode::kValidate ? 0 : 0.3);
  }
}

// Two labelled samples: m/z 20 is 0.5 and 1, so that the ratio to m/z 10 tells
// what happened: 0.5 nothing, 1 their maximum, 0.75 their mean.
TEST(ChanceTest, MixingIsAsFrequentAsItShouldHalfMaximumHalfMean) {
  SimpleSample partner = Flat();
  partner.labels = {0, 1};
  partner.abundance = [](int mz, double) {
    return mz == 10 || mz == 20 ? 1.0f : kNothing;
  };
  RenderOptions options = Quiet();
  options.mix_prob = 0.25;
  // The partner alone is a train sample.
  const auto dataset = SimpleDataset({partner, Flat()}, kOneScan);
  const auto renderer = MakeRenderer(*dataset, options, 1);
  constexpr int kDraws = 6000;
  const Drawn drawn = DrawMany(*renderer, 1, kDraws);
  const std::vector<double> pixels = drawn.Pixels(20);
  int64_t maximum = 0, mean = 0;
  for (int i = 0; i < kDraws; ++i) {
    const bool is_maximum = std::abs(pixels[i] - 1) < 1e-4;
    const bool is_mean = std::abs(pixels[i] - 0.75) < 1e-4;
    ASSERT_NEAR(pixels[i], is_maximum ? 1 : is_mean ? 0.75 : 0.5, 1e-4);
    maximum += is_maximum;
    mean += is_mean;
    // Labels of both where both are in the image.
    ASSERT_EQ(drawn.labels[i][0].item<float>(), 1);
    ASSERT_EQ(drawn.labels[i][1].item<float>(), is_maximum || is_mean ? 1 : 0);
  }
  ExpectRate(maximum + mean, kDraws, 0.25);
  ExpectRate(maximum, maximum + mean, 0.5);
  for (const DrawMode mode : {DrawMode::kValidate, DrawMode::kPredict}) {
    const Drawn unmixed = DrawMany(*renderer, 1, 500, mode);
    EXPECT_EQ(unmixed.labels.select(1, 1).sum().item<float>(), 0);
  }
}

TEST(ChanceTest, PartnersAreAnyTrainSampleWithTheSameProbability) {
  std::vector<SimpleSample> samples;
  constexpr int kTrain = 5;
  for (int n = 0; n <= kTrain; ++n) {
    samples.push_back(Flat());
    samples.back().labels.assign(kTrain + 1, 0);
    samples.back().labels[n] = 1;
  }
  RenderOptions options = Quiet();
  options.mix_prob = 1;
  const auto dataset = SimpleDataset(samples, kOneScan);
  constexpr int kDraws = 4000;
  const Drawn drawn =
      DrawMany(*MakeRenderer(*dataset, options, kTrain), kTrain, kDraws);
  for (int n = 0; n < kTrain; ++n) {
    ExpectRate(
        static_cast<int64_t>(drawn.labels.select(1, n).sum().item<float>()),
        kDraws, 1.0 / kTrain);
  }
}

TEST(ChanceTest, SamplesWithoutLabelsAreQuietWhenMixed) {
  // Each has an m/z of its own at 1.
  const auto at_mz = [](int its_mz, std::vector<uint8_t> labels) {
    SimpleSample sample;
    sample.labels = std::move(labels);
    sample.abundance = [its_mz](int mz, double) {
      return mz == its_mz ? 1.0f : kNothing;
    };
    return sample;
  };
  RenderOptions options = Quiet();
  options.mix_prob = 1;
  constexpr int kDraws = 3000;
  const auto ratio = [&](std::vector<uint8_t> first,
                         std::vector<uint8_t> second) {
    const auto dataset =
        SimpleDataset({at_mz(30, second), at_mz(10, first)}, kOneScan);
    const Drawn drawn =
        DrawMany(*MakeRenderer(*dataset, options, 1), 1, kDraws);
    const std::vector<double> a = drawn.Pixels(10), b = drawn.Pixels(30);
    std::vector<double> ratios;
    for (int i = 0; i < kDraws; ++i) ratios.push_back(b[i] / a[i]);
    return ratios;
  };
  ExpectLogNormal(ratio({1}, {0}), 0.01, 1);
  ExpectLogNormal(ratio({0}, {1}), 100, 1);
  ExpectLogNormal(ratio({0}, {0}), 1, std::sqrt(2.0));
  for (const double r : ratio({1}, {1})) ASSERT_FLOAT_EQ(r, 1);
}

}  // namespace
}  // namespace foldfarm
