#include "worker/render/sam_augment.h"

#include <torch/torch.h>

#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "common/spectra/prepared_dataset.h"

namespace foldfarm {
namespace {

// Abundances below this are as good as none.
constexpr double kNoAbundance = 1e-9;
// How a background follows the commercial instrument's, and how far from that.
constexpr double kProfilePower = 0.7;
constexpr double kProfileLimit = 10;  // Octaves.
// A tail falls to 1/e within this, times 2^N(0, 1).
constexpr double kTailCelsius = 360;
// Standard deviation of the drift as a share of its height.
constexpr double kDriftShare = 0.1;
constexpr int kSteps = 2;
// A column is shown if at least this share of what it averages was measured.
constexpr double kMeasured = 0.5;
// What the SAM testbed does not scan: m/z 0, 1 and 3 to 11.
constexpr int64_t kFirstUnscanned[] = {0, 3};
constexpr int64_t kEndUnscanned[] = {2, 12};

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 3.14159265358979323846;

// The shares of the four offsets among a curve's sorted values.
constexpr double kShares[kNumOffsets] = {0.001, 0.05, 0.1, 0.2};
// So many smallest of 80 values decide a quantile of at most 20 %.
constexpr int64_t kSmallest = 17;

// The mix of a curve's quantiles over its columns, as the recipe takes them
// over its scans: [n, 80, 100] and weights [n, 4] -> [n, 1, 100]. 0 for an
// absent curve.
at::Tensor MixedQuantile(const at::Tensor& curves, const at::Tensor& weights) {
  const at::Tensor columns = curves.transpose(1, 2);  // [n, 100, 80]
  const at::Tensor absent = columns.isnan();
  const at::Tensor count =
      absent.logical_not().sum(2, /*keepdim=*/true).to(at::kFloat);
  const at::Tensor sorted =
      std::get<0>(columns.masked_fill(absent, kInfinity)
                      .topk(kSmallest, 2, /*largest=*/false, /*sorted=*/true));
  const at::Tensor shares =
      at::tensor(at::ArrayRef<double>(kShares), at::kFloat).to(curves.device());
  const at::Tensor place = count.sub(1).clamp_min_(0).mul(shares);
  const at::Tensor below = place.floor();
  const at::Tensor low = sorted.gather(2, below.to(at::kLong));
  const at::Tensor high = sorted.gather(2, place.ceil().to(at::kLong));
  const at::Tensor quantiles = at::lerp(low, high, place - below);
  return at::matmul(quantiles.nan_to_num_(0, 0, 0), weights.unsqueeze(2))
      .transpose(1, 2);
}

// Sines and cosines over the columns, [80, 2 * cycles], scaled so that with
// standard normal coefficients their sum has a standard deviation of 1
// everywhere; slower ones weigh more.
at::Tensor Waves(const std::vector<double>& cycles) {
  double total = 0;
  for (const double c : cycles) total += 1 / (c * c);
  const at::Tensor u = at::arange(kNumColumns, at::kDouble) / kNumColumns;
  std::vector<at::Tensor> waves;
  for (const double c : cycles) {
    const double scale = 1 / (c * std::sqrt(total));
    waves.push_back((u * (2 * kPi * c)).sin() * scale);
    waves.push_back((u * (2 * kPi * c)).cos() * scale);
  }
  return at::stack(waves, 1).to(at::kFloat);
}

// Chance of one batch.
class Chance {
 public:
  Chance(const at::Tensor& like, at::Generator& generator)
      : options_(like.options()), generator_(generator) {}
  at::Tensor Normal(at::IntArrayRef shape) const {
    return at::randn(shape, generator_, options_);
  }
  at::Tensor Uniform(at::IntArrayRef shape) const {
    return at::rand(shape, generator_, options_);
  }
  at::Tensor Below(int64_t end, int64_t count) const {
    return at::randint(end, {count}, generator_, options_.dtype(at::kLong));
  }
  // 2^N(0, octaves)
  at::Tensor Factor(at::IntArrayRef shape, double octaves = 1) const {
    return Normal(shape).mul_(octaves).exp2_();
  }

 private:
  const at::TensorOptions options_;
  at::Generator& generator_;
};

// Averages over columns, `mix` [n, 80, 80], of what was measured.
at::Tensor MixColumns(const at::Tensor& mix, const at::Tensor& curves) {
  const at::Tensor absent = curves.isnan();
  const at::Tensor sum = at::bmm(mix, curves.masked_fill(absent, 0));
  const at::Tensor share =
      at::bmm(mix, absent.logical_not().to(curves.scalar_type()));
  return sum.div_(share).masked_fill_(share.lt(kMeasured), kNan);
}

}  // namespace

at::Tensor SamBackgroundProfile(const at::Tensor& offsets) {
  // The 10 % quantile; helium stands for the gas flow, not for the residue.
  at::Tensor level = offsets.select(2, 2).clone();
  level.select(1, kHeliumMz).fill_(kNan);
  const at::Tensor octaves = level.clamp_min(kNoAbundance).log2();
  const at::Tensor middle =
      std::get<0>(octaves.nanmedian(1, /*keepdim=*/true)).nan_to_num(0);
  return octaves.sub(middle)
      .mul_(kProfilePower)
      .clamp_(-kProfileLimit, kProfileLimit)
      .nan_to_num_(0);
}

at::Tensor LargestRise(const at::Tensor& above) {
  at::Tensor rise = above.nan_to_num(0, 0, 0);
  rise.select(2, kHeliumMz).fill_(0);
  return rise.amax(at::IntArrayRef({1, 2}), /*keepdim=*/true)
      .clamp_min_(kNoAbundance);
}

at::Tensor SamBackgrounds(const at::Tensor& abundance,
                          const at::Tensor& baseline,
                          const at::Tensor& offsets) {
  const at::Tensor rise = LargestRise(abundance - offsets.mean(2).unsqueeze(1));
  at::Tensor filled = (baseline / rise).cpu().contiguous();
  const int64_t samples = filled.size(0);
  for (int64_t sample = 0; sample < samples; ++sample) {
    for (int64_t mz = 0; mz < kNumMz; ++mz) {
      float* curve =
          filled.data_ptr<float>() + sample * kNumColumns * kNumMz + mz;
      for (int k = 1; k < kNumColumns; ++k) {
        if (std::isnan(curve[k * kNumMz])) {
          curve[k * kNumMz] = curve[(k - 1) * kNumMz];
        }
      }
      for (int k = kNumColumns - 2; k >= 0; --k) {
        if (std::isnan(curve[k * kNumMz])) {
          curve[k * kNumMz] = curve[(k + 1) * kNumMz];
        }
      }
    }
  }
  return filled.nan_to_num_(0, 0, 0).clamp_min_(0).to(abundance.device());
}

struct SamAugment::State {
  SamAugmentOptions options;
  double temp_step = 0;
  at::Tensor backgrounds;  // [k, 80, 100]
  at::Tensor column;       // [80]: 0..79
  at::Tensor warp_waves;   // [80, 2]
  at::Tensor drift_waves;  // [80, 6]

  bool MovesColumns() const {
    return options.temp_jitter > 0 || options.bin_width > 0;
  }
  at::Tensor ColumnMix(int64_t n, const Chance& chance) const;
  at::Tensor SmoothBackground(const at::Tensor& height, const at::Tensor& rise,
                              const Chance& chance) const;
  at::Tensor Steps(const at::Tensor& height, const Chance& chance) const;
};

// What each column shows instead of itself: [n, 80, 80].
at::Tensor SamAugment::State::ColumnMix(int64_t n, const Chance& chance) const {
  at::Tensor mix;
  if (options.temp_jitter > 0) {
    // A constant and a slow wave, half of the variance each.
    const at::Tensor error =
        chance.Normal({n, 1})
            .add(at::matmul(chance.Normal({n, 2}), warp_waves.t()))
            .mul_(options.temp_jitter / (std::sqrt(2.0) * temp_step));
    const at::Tensor place = (error + column).clamp_(0, kNumColumns - 1);
    // Linear interpolation between neighbours.
    mix = (1 - (place.unsqueeze(2) - column).abs_()).clamp_min_(0);
  }
  if (options.bin_width > 0) {
    // Below one column a bin holds one column.
    const at::Tensor width = chance.Uniform({n, 1})
                                 .mul_(options.bin_width / temp_step)
                                 .clamp_min_(0.5);
    const at::Tensor bin = (column / width + chance.Uniform({n, 1})).floor_();
    at::Tensor same =
        bin.unsqueeze(2).eq(bin.unsqueeze(1)).to(column.scalar_type());
    same.div_(same.sum(2, /*keepdim=*/true));
    mix = mix.defined() ? at::bmm(same, mix) : same;
  }
  return mix;
}

// Drift, tail and a SAM sample's baseline; [n, 80, 100] or none.
at::Tensor SamAugment::State::SmoothBackground(const at::Tensor& height,
                                               const at::Tensor& rise,
                                               const Chance& chance) const {
  const int64_t n = rise.size(0);
  at::Tensor sum;
  const auto add = [&](at::Tensor part) {
    sum = sum.defined() ? sum.add_(part) : std::move(part);
  };
  if (options.drift > 0) {
    const at::Tensor waves = at::matmul(
        drift_waves, chance.Normal({n, drift_waves.size(1), kNumMz}));
    add(waves.mul_(kDriftShare)
            .add_(1)
            .clamp_min_(0)
            .mul_(height * chance.Factor({n, 1, 1}) * options.drift));
  }
  if (options.tail > 0) {
    const at::Tensor length =
        chance.Factor({n, 1, 1}).mul_(kTailCelsius / temp_step);
    const at::Tensor decay = (column.view({1, -1, 1}) / length).neg_().exp_();
    add(decay * (height * chance.Factor({n, 1, 1}) * options.tail));
  }
  if (options.background > 0 && backgrounds.size(0) > 0) {
    const at::Tensor chosen = chance.Below(backgrounds.size(0), n);
    const at::Tensor factor =
        chance.Factor({n, 1, 1})
            .mul_(chance.Uniform({n, 1, 1}).lt(options.background))
            .mul_(rise);
    add(backgrounds.index_select(0, chosen).mul_(factor));
  }
  return sum;
}

// Sudden changes, at temperatures that a sample's curves share; [n, 80, 100].
at::Tensor SamAugment::State::Steps(const at::Tensor& height,
                                    const Chance& chance) const {
  const int64_t n = height.size(0);
  const at::Tensor place = chance.Uniform({n, 1, kSteps}).mul_(kNumColumns);
  const at::Tensor after =
      column.view({1, -1, 1}).gt(place).to(height.scalar_type());
  return at::bmm(after, chance.Normal({n, kSteps, kNumMz}))
      .mul_(height * chance.Factor({n, 1, 1}) * options.steps);
}

SamAugment::SamAugment(const SamAugmentOptions& options, double temp_step,
                       const at::Tensor& backgrounds)
    : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->temp_step = temp_step;
  state_->backgrounds = backgrounds;
  const at::Device device = backgrounds.device();
  state_->column = at::arange(kNumColumns, at::kFloat).to(device);
  state_->warp_waves = Waves({1}).to(device);
  state_->drift_waves = Waves({0.5, 1, 2}).to(device);
}

SamAugment::~SamAugment() = default;

at::Tensor SamAugment::Apply(const SamAugmentInput& input,
                             at::Generator& generator) const {
  const SamAugmentOptions& options = state_->options;
  const Chance chance(input.abundance, generator);
  const int64_t n = input.abundance.size(0);
  const bool subtract = input.baseline.defined();
  const at::Tensor before =
      subtract ? input.abundance - input.baseline : input.abundance;
  const at::Tensor rise = LargestRise(before - input.offset);

  at::Tensor x = input.abundance;
  at::Tensor baseline = input.baseline;
  if (state_->MovesColumns()) {
    const at::Tensor mix = state_->ColumnMix(n, chance);
    x = MixColumns(mix, x);
    if (subtract) baseline = MixColumns(mix, baseline);
  }
  at::Tensor gain;
  if (options.gain > 0) {
    gain = chance.Factor({n, 1, kNumMz}, options.gain);
    x = x * gain;
    if (subtract) baseline = baseline * gain;
  }
  const at::Tensor height =
      (input.profile.unsqueeze(1) + chance.Normal({n, 1, kNumMz}))
          .exp2_()
          .mul_(rise);
  const at::Tensor background = state_->SmoothBackground(height, rise, chance);
  if (background.defined()) x = x + background;
  if (options.steps > 0) x = x + state_->Steps(height, chance);
  if (options.noise > 0) {
    const at::Tensor deviation =
        (x * rise).clamp_min_(0).sqrt_().mul_(chance.Factor({n, 1, 1}));
    x = at::addcmul(x, deviation, chance.Normal(x.sizes()), options.noise);
  }
  // An asPLS baseline follows what is smooth.
  if (subtract) {
    x = x - baseline;
    if (background.defined()) x.sub_(background * input.subtracts);
  }
  // The offsets of the changed curve are not known; their change is.
  at::Tensor above = MixedQuantile(before, input.weights).sub_(input.offset);
  if (gain.defined()) above.mul_(gain);
  at::Tensor result = x - MixedQuantile(x, input.weights).sub_(above);
  if (options.missing > 0) {
    const at::Tensor absent = chance.Uniform({n, 1, 1}).lt(options.missing);
    for (size_t i = 0; i < std::size(kFirstUnscanned); ++i) {
      result
          .narrow(2, kFirstUnscanned[i], kEndUnscanned[i] - kFirstUnscanned[i])
          .masked_fill_(absent, kNan);
    }
  }
  return result;
}

}  // namespace foldfarm
