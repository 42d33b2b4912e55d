#include "worker/render/sam_augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/worker/render/made_renderer.h"
#include "tests/worker/render/simple_dataset.h"
#include "worker/render/renderer.h"

namespace foldfarm {
namespace {

constexpr double kTempStep = 12;
constexpr int kPeakMz = 18;
constexpr int kFlatMz = 50;  // At kLevel throughout.
constexpr int kHighMz = 60;  // At 4 * kLevel throughout.
constexpr double kLevel = 0.1;

SamAugmentOptions Off() {
  SamAugmentOptions options;
  options.prob = 1;
  options.drift = options.steps = options.tail = options.noise = 0;
  options.temp_jitter = options.bin_width = options.gain = 0;
  options.background = options.missing = 0;
  return options;
}

// A curve's abundance: a peak of height 1 at 510 degrees C on m/z 18, the rest
// flat, nothing above m/z 90.
float Abundance(int mz, double celsius) {
  if (mz > 90) return kNothing;
  const double d = (celsius - 510) / 60;
  return static_cast<float>((mz == kHighMz ? 4 * kLevel : kLevel) +
                            (mz == kPeakMz ? std::exp(-d * d) : 0));
}

// Many draws of one sample, without scans in between.
struct Batch {
  explicit Batch(int64_t n, double scale = 1) {
    at::Tensor one = at::empty({kNumColumns, kNumMz});
    for (int k = 0; k < kNumColumns; ++k) {
      for (int mz = 0; mz < kNumMz; ++mz) {
        one[k][mz] = Abundance(mz, kFirstColumnCelsius + kTempStep * k) * scale;
      }
    }
    abundance = one.unsqueeze(0).repeat({n, 1, 1});
    offset = std::get<0>(one.min(0)).view({1, 1, -1}).repeat({n, 1, 1});
    weights = at::full({n, kNumOffsets}, 0.25);
    profile = at::zeros({n, kNumMz});
  }
  at::Tensor Plain() const {
    at::Tensor plain = abundance - offset;
    return baseline.defined() ? plain - baseline : plain;
  }
  at::Tensor Apply(const SamAugmentOptions& options,
                   const at::Tensor& backgrounds = at::empty({0, kNumColumns,
                                                              kNumMz})) const {
    at::Generator generator =
        at::globalContext().defaultGenerator(at::kCPU).clone();
    generator.set_current_seed(11);
    return SamAugment(options, kTempStep, backgrounds)
        .Apply({abundance, baseline, subtracts, offset, weights, profile},
               generator);
  }

  at::Tensor abundance, baseline, subtracts, offset, weights, profile;
};

double LargestShown(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_TRUE(a.isnan().equal(b.isnan()));
  return (a - b).abs().nan_to_num(0).max().item<double>();
}

double Mean(const at::Tensor& x) { return x.mean().item<double>(); }
double Deviation(const at::Tensor& x) { return x.std().item<double>(); }
double Median(const at::Tensor& x) { return x.median().item<double>(); }

// Highest less lowest along the columns, [n, 100].
at::Tensor Range(const at::Tensor& x) { return x.amax(1) - x.amin(1); }

TEST(SamAugmentTest, NothingChangesWhenEveryStrengthIsZero) {
  const Batch batch(3);
  EXPECT_LT(LargestShown(batch.Apply(Off()), batch.Plain()), 1e-6);
}

TEST(SamAugmentTest, DriftIsSmoothAndAboutATenthOfItsHeight) {
  SamAugmentOptions options = Off();
  options.drift = 0.01;
  const Batch batch(200);
  const at::Tensor curves = batch.Apply(options).select(2, kFlatMz);
  const at::Tensor range = curves.amax(1) - curves.amin(1);
  EXPECT_NEAR(Median(range) / (0.01 * 0.23), 1, 0.35);
  const at::Tensor jump = curves.diff(1, 1).abs().amax(1);
  EXPECT_TRUE(jump.lt(range * 0.25).all().item<bool>());
  // Twice the strength, twice the change.
  options.drift = 0.02;
  EXPECT_LT(LargestShown(batch.Apply(options).select(2, kFlatMz), curves * 2),
            1e-5);
}

TEST(SamAugmentTest, HeightsFollowTheLargestRiseAndTheProfile) {
  SamAugmentOptions options = Off();
  options.tail = 0.01;
  Batch batch(100), ten_times(100, 10);
  const at::Tensor curves = batch.Apply(options).select(2, kFlatMz);
  EXPECT_LT(
      LargestShown(ten_times.Apply(options).select(2, kFlatMz), curves * 10),
      1e-4);
  batch.profile.select(1, kFlatMz).fill_(3);
  EXPECT_LT(LargestShown(batch.Apply(options).select(2, kFlatMz), curves * 8),
            1e-4);
}

TEST(SamAugmentTest, StepsAreSuddenFewAndSharedByTheCurvesOfASample) {
  SamAugmentOptions options = Off();
  options.steps = 0.01;
  const at::Tensor curves =
      Batch(300).Apply(options).narrow(2, kFlatMz, kHighMz - kFlatMz);
  const at::Tensor jumps = curves.diff(1, 1).abs();  // [n, 79, 10]
  const at::Tensor places = jumps.gt(1e-7).any(2).sum(1);
  EXPECT_LE(places.max().item<int64_t>(), 2);
  EXPECT_GT(Mean(places.to(at::kDouble)), 1.8);
  // |N(0, 1)| has a median of 0.67.
  EXPECT_NEAR(Median(jumps.masked_select(jumps.gt(1e-7))) / 0.0067, 1, 0.3);
}

TEST(SamAugmentTest, TailsDecayFromTheStartWithinTheLengthTheyShould) {
  SamAugmentOptions options = Off();
  options.tail = 0.01;
  const at::Tensor curves = Batch(600).Apply(options).select(2, kFlatMz);
  EXPECT_TRUE(curves.diff(1, 1).le(1e-7).all().item<bool>());
  // (a(0) - a(d)) / (a(d) - a(2d)) = exp(d / length).
  constexpr int kDistance = 8;
  const at::Tensor start = curves.select(1, 0),
                   middle = curves.select(1, kDistance),
                   end = curves.select(1, 2 * kDistance);
  const at::Tensor length =
      kDistance * kTempStep / ((start - middle) / (middle - end)).log();
  EXPECT_NEAR(Median(length) / 360, 1, 0.15);
  EXPECT_NEAR(Median((length / 360).log2().abs()), 0.67, 0.12);
}

TEST(SamAugmentTest, NoiseGrowsWithTheRootOfTheAbundance) {
  SamAugmentOptions options = Off();
  options.noise = 0.01;
  const at::Tensor curves = Batch(400).Apply(options);
  const at::Tensor low = curves.select(2, kFlatMz).std(1),
                   high = curves.select(2, kHighMz).std(1);
  EXPECT_NEAR(Mean((high / low).log2()), 1, 0.03);
  // The largest rise is 1; every sample has a factor of 2^N(0, 1).
  const at::Tensor factor = (low / (0.01 * std::sqrt(kLevel))).log2();
  EXPECT_NEAR(Mean(factor), 0, 0.2);
  EXPECT_NEAR(Deviation(factor), 1, 0.15);
  // Neighbouring columns know nothing of each other.
  const at::Tensor noise =
      curves.select(2, kFlatMz) - curves.select(2, kFlatMz).mean(1, true);
  EXPECT_NEAR(Mean(noise.narrow(1, 0, 79) * noise.narrow(1, 1, 79)) /
                  Mean(noise * noise),
              0, 0.05);
}

TEST(SamAugmentTest, TemperatureJitterShiftsTheCurvesOfASampleAlike) {
  SamAugmentOptions options = Off();
  options.temp_jitter = 6;
  Batch batch(800);
  batch.abundance.select(2, 70).copy_(batch.abundance.select(2, kPeakMz));
  const at::Tensor curves = batch.Apply(options);
  const at::Tensor t =
      at::arange(kNumColumns, at::kFloat) * kTempStep + kFirstColumnCelsius;
  const auto centre = [&](int mz) {
    const at::Tensor curve = curves.select(2, mz);
    return (curve * t).sum(1) / curve.sum(1);
  };
  EXPECT_NEAR(Mean(centre(kPeakMz)), 510, 0.85);
  EXPECT_NEAR(Deviation(centre(kPeakMz)), 6, 0.6);
  EXPECT_LT((centre(kPeakMz) - centre(70)).abs().max().item<double>(), 0.1);
  EXPECT_LT(curves.select(2, kFlatMz).abs().max().item<double>(), 1e-5);
}

TEST(SamAugmentTest, BinsHoldNeighbouringColumnsAndTheirMean) {
  SamAugmentOptions options = Off();
  const Batch batch(200);
  options.bin_width = kTempStep;  // A column is as wide.
  EXPECT_LT(LargestShown(batch.Apply(options), batch.Plain()), 1e-6);
  options.bin_width = 3 * kTempStep;
  const at::Tensor curves = batch.Apply(options).select(2, kPeakMz);
  const at::Tensor plain = batch.Plain().select(2, kPeakMz);
  // Near the peak neighbours differ unless a bin holds both.
  const at::Tensor same =
      curves.diff(1, 1).abs().lt(1e-6).narrow(1, 35, 12).sum(1).to(at::kDouble);
  // Bins of u * 3 columns: a third of the samples unchanged.
  EXPECT_NEAR(Mean(same.le(1).to(at::kDouble)), 1.0 / 3, 0.12);
  EXPECT_LE(same.max().item<double>(), 9);
  EXPECT_NEAR(Mean(curves.sum(1)) / Mean(plain.sum(1)), 1, 0.02);
}

TEST(SamAugmentTest, GainIsAFactorOfEachCurve) {
  SamAugmentOptions options = Off();
  options.gain = 0.5;
  Batch batch(800);
  batch.abundance.select(2, 70).copy_(batch.abundance.select(2, kPeakMz));
  const at::Tensor curves = batch.Apply(options);
  const at::Tensor plain = batch.Plain();
  const auto factor = [&](int mz) {
    return (curves.select(2, mz).amax(1) / plain.select(2, mz).amax(1)).log2();
  };
  EXPECT_NEAR(Mean(factor(kPeakMz)), 0, 0.07);
  EXPECT_NEAR(Deviation(factor(kPeakMz)), 0.5, 0.05);
  EXPECT_NEAR(Mean(factor(kPeakMz) * factor(70)), 0, 0.04);
  EXPECT_LT(LargestShown(
                curves.select(2, kPeakMz),
                plain.select(2, kPeakMz) * factor(kPeakMz).exp2().unsqueeze(1)),
            1e-5);
}

TEST(SamAugmentTest, ASamBackgroundIsAddedAtItsProbability) {
  SamAugmentOptions options = Off();
  options.background = 0.3;
  // Falls from 1 to 0.21 on one m/z.
  at::Tensor background = at::zeros({1, kNumColumns, kNumMz});
  background.select(2, kFlatMz)
      .copy_(1 - at::arange(kNumColumns, at::kFloat) * 0.01);
  const Batch batch(1000);
  const at::Tensor curves = batch.Apply(options, background);
  const at::Tensor range = Range(curves).select(1, kFlatMz);
  const at::Tensor added = range.gt(1e-5);
  EXPECT_NEAR(Mean(added.to(at::kDouble)), 0.3, 0.058);
  // In units of the largest rise, times 2^N(0, 1).
  const at::Tensor factor = (range / 0.79).masked_select(added).log2();
  EXPECT_NEAR(Mean(factor), 0, 0.23);
  EXPECT_NEAR(Deviation(factor), 1, 0.17);
  EXPECT_LT(Range(curves).select(1, kHighMz).max().item<double>(), 1e-5);
  EXPECT_LT(LargestShown(batch.Apply(options), batch.Plain()), 1e-6);
}

TEST(SamAugmentTest, MissingTakesAwayWhatTheTestbedDoesNotScan) {
  SamAugmentOptions options = Off();
  options.missing = 0.4;
  const at::Tensor absent = Batch(1000).Apply(options).isnan().all(1);
  for (int mz = 0; mz < 91; ++mz) {
    const bool scanned = mz == 2 || mz > 11;
    EXPECT_NEAR(Mean(absent.select(1, mz).to(at::kDouble)), scanned ? 0 : 0.4,
                scanned ? 0 : 0.062)
        << "m/z " << mz;
  }
}

TEST(SamAugmentTest, ASubtractedBaselineTakesTheSmoothBackgroundWithIt) {
  SamAugmentOptions options = Off();
  options.drift = options.tail = 0.05;
  Batch batch(50);
  batch.baseline = at::full_like(batch.abundance, kLevel / 2);
  batch.subtracts = at::ones({50, 1, 1});
  batch.offset.sub_(kLevel / 2);
  EXPECT_LT(LargestShown(batch.Apply(options), batch.Plain()), 1e-5);
  options.noise = 0.01;
  EXPECT_GT(LargestShown(batch.Apply(options), batch.Plain()), 1e-3);
}

TEST(SamAugmentTest, ProfileFollowsTheLevelsOfTheSamplesOwnCurves) {
  at::Tensor offsets = at::full({1, kNumMz, kNumOffsets}, 1e-5);
  offsets[0][18].fill_(1e-5 * 1024);
  offsets[0][kHeliumMz].fill_(1);
  offsets[0][70].fill_(kNothing);
  offsets[0][80].fill_(-1);
  const at::Tensor profile = SamBackgroundProfile(offsets)[0];
  EXPECT_NEAR(profile[18].item<double>(), 7, 1e-4);
  EXPECT_NEAR(profile[50].item<double>(), 0, 1e-6);
  EXPECT_EQ(profile[kHeliumMz].item<double>(), 0);
  EXPECT_EQ(profile[70].item<double>(), 0);
  EXPECT_LT(profile[80].item<double>(), -5);
  // A sample without anything.
  EXPECT_EQ(SamBackgroundProfile(at::full({1, kNumMz, kNumOffsets}, kNothing))
                .abs()
                .max()
                .item<double>(),
            0);
}

TEST(SamAugmentTest, GapsOfASamBaselineAreFilledFromItsNeighbours) {
  at::Tensor baseline = at::full({1, kNumColumns, kNumMz}, kNothing);
  baseline[0][10][20] = 0.5;
  baseline[0][30][20] = 1;
  at::Tensor abundance = baseline.clone();
  abundance[0][40][30] = 2;  // The largest rise.
  const at::Tensor background =
      SamBackgrounds(abundance, baseline, at::zeros({1, kNumMz, kNumOffsets}));
  EXPECT_EQ(background[0][0][20].item<double>(), 0.25);
  EXPECT_EQ(background[0][29][20].item<double>(), 0.25);
  EXPECT_EQ(background[0][79][20].item<double>(), 0.5);
  EXPECT_EQ(background[0][40][50].item<double>(), 0);
}

// As part of the renderer.

SimpleSample Sample(const std::string& instrument_type) {
  SimpleSample sample;
  sample.labels = {1};
  sample.abundance = &Abundance;
  sample.offset = [](int mz, int) { return Abundance(mz, -1e6); };
  sample.instrument_type = instrument_type;
  return sample;
}

at::Tensor Draw(Renderer& renderer, const at::Tensor& positions, DrawMode mode,
                uint64_t seed = 3) {
  at::Tensor images, labels;
  renderer.Seed(seed);
  renderer.Draw(positions, mode, images, labels);
  return images;
}

RenderOptions WithoutFactors() {
  RenderOptions options;
  options.mz_var = options.he_var = options.scale_var = 0;
  return options;
}

TEST(SamAugmentInRendererTest, OffItDrawsWhatItDrewWithoutIt) {
  const auto dataset =
      SimpleDataset({Sample("commercial")}, ColumnTemperatures(kTempStep));
  RenderOptions options;
  options.mix_prob = options.sub_bg_prob = 0.5;
  const at::Tensor positions = at::zeros({20}, at::kLong);
  const at::Tensor images =
      Draw(*MakeRenderer(*dataset, options, 1), positions, DrawMode::kTrain);
  options.sam_augment.drift = 1;
  EXPECT_TRUE(images.equal(
      Draw(*MakeRenderer(*dataset, options, 1), positions, DrawMode::kTrain)));
}

TEST(SamAugmentInRendererTest, OnlyTrainDrawsOfCommercialSamplesChange) {
  const auto dataset =
      SimpleDataset({Sample("commercial"), Sample("sam_testbed")},
                    ColumnTemperatures(kTempStep));
  RenderOptions options = WithoutFactors();
  const auto plain = MakeRenderer(*dataset, options, 2);
  options.sam_augment.prob = 1;
  const auto changed = MakeRenderer(*dataset, options, 2);
  const at::Tensor positions = at::arange(40, at::kLong).remainder(2);
  const at::Tensor before = Draw(*plain, positions, DrawMode::kTrain);
  const at::Tensor after = Draw(*changed, positions, DrawMode::kTrain);
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(before[i].equal(after[i]), i % 2 == 1) << i;
  }
  EXPECT_TRUE(at::isfinite(after).all().item<bool>());
  for (const DrawMode mode : {DrawMode::kValidate, DrawMode::kPredict}) {
    EXPECT_TRUE(
        Draw(*plain, positions, mode).equal(Draw(*changed, positions, mode)));
  }
  EXPECT_TRUE(plain->DrawFixed(positions, true)
                  .equal(changed->DrawFixed(positions, true)));
}

TEST(SamAugmentInRendererTest, SamplesChangeAtTheirProbabilitySeedBySeed) {
  const auto dataset =
      SimpleDataset({Sample("commercial")}, ColumnTemperatures(kTempStep));
  RenderOptions options = WithoutFactors();
  const at::Tensor positions = at::zeros({600}, at::kLong);
  const at::Tensor before =
      Draw(*MakeRenderer(*dataset, options, 1), positions, DrawMode::kTrain);
  options.sam_augment.prob = 0.3;
  const auto renderer = MakeRenderer(*dataset, options, 1);
  const at::Tensor after = Draw(*renderer, positions, DrawMode::kTrain);
  const at::Tensor changed = before.ne(after).flatten(1).any(1).to(at::kDouble);
  EXPECT_NEAR(Mean(changed), 0.3, 0.075);
  EXPECT_TRUE(
      after.equal(Draw(*renderer, positions, DrawMode::kTrain, /*seed=*/3)));
  EXPECT_FALSE(
      after.equal(Draw(*renderer, positions, DrawMode::kTrain, /*seed=*/4)));
}

TEST(SamAugmentInRendererTest, BackgroundsComeFromSamSamplesOfTheTrainFolds) {
  SimpleSample sam = Sample("sam_testbed");
  sam.baseline = [](int mz, double celsius) {
    return mz == kFlatMz ? static_cast<float>(1 - celsius / 2000) : 0.0f;
  };
  const auto dataset =
      SimpleDataset({Sample("commercial"), sam}, ColumnTemperatures(kTempStep));
  RenderOptions options = WithoutFactors();
  options.sam_augment = Off();
  options.sam_augment.background = 1;
  const at::Tensor positions = at::zeros({10}, at::kLong);
  const auto flat_curve = [&](int num_train) {
    return Draw(*MakeRenderer(*dataset, options, num_train), positions,
                DrawMode::kTrain)
        .select(1, kFlatMz)
        .amax()
        .item<double>();
  };
  EXPECT_GT(flat_curve(2), -1.5);
  EXPECT_EQ(flat_curve(1), -4);
}

}  // namespace
}  // namespace foldfarm
