#include "worker/render/renderer.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/base/status_macros.h"
#include "common/spectra/sample_table.h"
#include "worker/render/column_candidates.h"
#include "worker/render/image_chance.h"
#include "worker/render/sam_augment.h"

namespace foldfarm {
namespace {

// Chance, drawn before it is used.
struct Draws {
  at::Tensor scan;            // I64 [B * 80], rows of `abundance`.
  at::Tensor offset_weights;  // [B, 4], each row sums to 1.
  at::Tensor baseline;        // [B, 1, 1], 1 where the baseline goes; or none.
  at::Tensor mz_factor;       // [B, 1, 100], or none.
  at::Tensor like_sam;        // I64 [<= B]: which sam_augment changes, or none.
};

}  // namespace

struct Renderer::State {
  RenderOptions options;
  at::Device device = at::kCPU;
  at::Generator generator;
  int64_t num_train = 0;
  std::vector<std::string> sample_ids;

  at::Tensor abundance;         // [s + 1, 100]; the last row is all NaN.
  at::Tensor baseline;          // The same, or none if never subtracted.
  at::Tensor offsets;           // [n, 100, 4]
  at::Tensor offsets_baseline;  // The same, or none.
  at::Tensor labels;            // [n, L]
  at::Tensor cumulative;        // F64 [entries], see ColumnCandidates.
  at::Tensor scan;              // I64 [entries]
  at::Tensor nearest;           // I64 [n * 80]
  at::Tensor column;            // I64 [80]: 0..79

  // Where sam_augment is on.
  at::Tensor commercial;   // Bool [n]
  at::Tensor sam_profile;  // [n, 100]
  std::unique_ptr<SamAugment> sam_augment;

  at::TensorOptions Floats() const {
    return at::TensorOptions(device).dtype(at::kFloat);
  }
  at::Tensor Uniform(at::IntArrayRef shape) {
    return at::rand(shape, generator, Floats());
  }
  // 2^N(0, octaves)
  at::Tensor Factor(at::IntArrayRef shape, double octaves) {
    return at::randn(shape, generator, Floats()).mul_(octaves).exp2_();
  }

  // Rows of the candidate tables, [B * 80].
  at::Tensor TableRows(const at::Tensor& positions) const {
    return positions.mul(kNumColumns).unsqueeze(1).add(column).reshape({-1});
  }

  // The scans that `u` ([B, 80] in [0, 1)) picks for the columns, [B * 80].
  at::Tensor PickScans(const at::Tensor& positions, const at::Tensor& u) const {
    // Single-precision u leaves row + u exact, below row + 1.
    const at::Tensor entry = at::searchsorted(
        cumulative, TableRows(positions).to(at::kDouble) + u.reshape({-1}),
        /*out_int32=*/false, /*right=*/true);
    return scan.index_select(0, entry);
  }

  Draws DrawChance(const at::Tensor& positions, DrawMode mode);
  at::Tensor Abundance(const at::Tensor& positions, const Draws& draws);
  void PrepareSamAugment(const std::vector<std::string>& instrument_types);
  void LikeSam(const at::Tensor& positions, const Draws& draws,
               const at::Tensor& subtrahend, const at::Tensor& offset,
               at::Tensor& x);
  void Mix(const at::Tensor& positions, at::Tensor& x, at::Tensor& y);
  at::Tensor Finish(at::Tensor x, const at::Tensor& helium_factor,
                    const at::Tensor& scale_factor) const;
};

Draws Renderer::State::DrawChance(const at::Tensor& positions, DrawMode mode) {
  const int64_t batch = positions.size(0);
  Draws draws;
  draws.scan = PickScans(positions, Uniform({batch * kNumColumns}));
  draws.offset_weights = Uniform({batch, kNumOffsets});
  draws.offset_weights.div_(draws.offset_weights.sum(1, /*keepdim=*/true));
  if (options.mz_var > 0) {
    draws.mz_factor = Factor({batch, 1, kNumMz}, options.mz_var);
  }
  if (options.sub_bg_prob > 0 && mode != DrawMode::kValidate) {
    draws.baseline =
        Uniform({batch, 1, 1}).lt(options.sub_bg_prob).to(at::kFloat);
  }
  if (sam_augment != nullptr && mode == DrawMode::kTrain) {
    draws.like_sam = Uniform({batch})
                         .lt(options.sam_augment.prob)
                         .logical_and_(commercial.index_select(0, positions))
                         .nonzero()
                         .view({-1});
  }
  return draws;
}

void Renderer::State::PrepareSamAugment(
    const std::vector<std::string>& instrument_types) {
  at::Tensor is_commercial =
      at::empty({static_cast<int64_t>(instrument_types.size())}, at::kBool);
  std::vector<int64_t> sam;
  for (size_t i = 0; i < instrument_types.size(); ++i) {
    is_commercial.data_ptr<bool>()[i] = instrument_types[i] == kCommercial;
    if (instrument_types[i] == kSamTestbed &&
        static_cast<int64_t>(i) < num_train) {
      sam.push_back(static_cast<int64_t>(i));
    }
  }
  commercial = is_commercial.to(device);
  sam_profile = SamBackgroundProfile(offsets);
  const at::Tensor positions =
      at::tensor(at::ArrayRef<int64_t>(sam), at::kLong).to(device);
  const at::Tensor scans = nearest.index_select(0, TableRows(positions));
  const std::vector<int64_t> shape = {static_cast<int64_t>(sam.size()),
                                      kNumColumns, kNumMz};
  const at::Tensor backgrounds =
      SamBackgrounds(abundance.index_select(0, scans).view(shape),
                     baseline.index_select(0, scans).view(shape),
                     offsets.index_select(0, positions));
  sam_augment = std::make_unique<SamAugment>(options.sam_augment,
                                             options.temp_step, backgrounds);
}

// Changes some of the batch from x = abundance - subtrahend - offset into the
// same of a sample that looks like SAM's.
void Renderer::State::LikeSam(const at::Tensor& positions, const Draws& draws,
                              const at::Tensor& subtrahend,
                              const at::Tensor& offset, at::Tensor& x) {
  const at::Tensor& chosen = draws.like_sam;
  if (chosen.size(0) == 0) return;
  const auto of_chosen = [&](const at::Tensor& from) {
    return from.defined() ? from.index_select(0, chosen) : from;
  };
  const at::Tensor scans =
      draws.scan.view({-1, kNumColumns}).index_select(0, chosen).view({-1});
  const at::Tensor its_abundance =
      abundance.index_select(0, scans).view({-1, kNumColumns, kNumMz});
  x.index_copy_(
      0, chosen,
      sam_augment->Apply(
          {its_abundance, of_chosen(subtrahend), of_chosen(draws.baseline),
           of_chosen(offset), of_chosen(draws.offset_weights),
           sam_profile.index_select(0, positions.index_select(0, chosen))},
          generator));
}

// From scans to [B, 80, 100] in [0, 16]: everything before mixing.
at::Tensor Renderer::State::Abundance(const at::Tensor& positions,
                                      const Draws& draws) {
  const int64_t batch = positions.size(0);
  const std::vector<int64_t> shape = {batch, kNumColumns, kNumMz};
  at::Tensor x = abundance.index_select(0, draws.scan).view(shape);
  at::Tensor quantiles = offsets.index_select(0, positions);
  at::Tensor subtrahend;
  if (draws.baseline.defined()) {
    subtrahend =
        baseline.index_select(0, draws.scan).view(shape).mul_(draws.baseline);
    x.sub_(subtrahend);
    quantiles =
        at::where(draws.baseline.gt(0.5),
                  offsets_baseline.index_select(0, positions), quantiles);
  }
  const at::Tensor offset =
      at::matmul(quantiles, draws.offset_weights.unsqueeze(2))
          .view({batch, 1, kNumMz});
  x.sub_(offset);
  if (draws.like_sam.defined()) {
    LikeSam(positions, draws, subtrahend, offset, x);
  }
  x.nan_to_num_(-1);  // Nothing was measured there.
  if (options.normalize_m_separately) {
    x.div_(x.amax(1, /*keepdim=*/true).clamp_(1e-5, 1e5).add_(5e-4));
  }
  if (draws.mz_factor.defined()) x.mul_(draws.mz_factor);
  return x.clamp_(0, 16);
}

// Mixes some of the batch with other train samples, in place.
void Renderer::State::Mix(const at::Tensor& positions, at::Tensor& x,
                          at::Tensor& y) {
  const int64_t batch = positions.size(0);
  const at::Tensor chosen =
      Uniform({batch}).lt(options.mix_prob).nonzero().view({-1});
  const int64_t count = chosen.size(0);
  if (count == 0) return;
  const at::Tensor partner =
      at::randint(num_train, {count}, generator,
                  at::TensorOptions(device).dtype(at::kLong));
  at::Tensor first = x.index_select(0, chosen);
  at::Tensor second = Abundance(partner, DrawChance(partner, DrawMode::kTrain));
  const at::Tensor first_labels = y.index_select(0, chosen);
  const at::Tensor second_labels = labels.index_select(0, partner);
  // An image without labels is scaled down so that it hides nothing.
  const auto quieten = [&](at::Tensor& image, const at::Tensor& its_labels) {
    const at::Tensor factor = Factor({count}, 1).mul_(0.01);
    image.mul_(
        at::where(its_labels.sum(1).eq(0), factor, at::ones({}, Floats()))
            .view({count, 1, 1}));
  };
  quieten(first, first_labels);
  quieten(second, second_labels);
  const at::Tensor use_maximum = Uniform({count, 1, 1}).lt(0.5);
  x.index_copy_(0, chosen,
                at::where(use_maximum, at::maximum(first, second),
                          (first + second).mul_(0.5)));
  y.index_copy_(0, chosen, at::maximum(first_labels, second_labels));
}

// From [B, 80, 100] to the image [B, 100, 80]: everything after mixing.
at::Tensor Renderer::State::Finish(at::Tensor x,
                                   const at::Tensor& helium_factor,
                                   const at::Tensor& scale_factor) const {
  at::Tensor helium = x.select(2, kHeliumMz);  // [B, 80]
  helium.mul_(options.he_scale);
  if (helium_factor.defined()) helium.mul_(helium_factor);
  // An image of zeros stays zero.
  at::Tensor factor = x.amax(at::IntArrayRef({1, 2}), /*keepdim=*/true)
                          .clamp_min_(1e-12)
                          .reciprocal_();
  if (scale_factor.defined()) factor.mul_(scale_factor);
  x.mul_(factor).clamp_(options.min_clip, 1);
  if (options.log_space) {
    x.log10_();
    if (options.norm_to_one) {
      x.mul_(1 / std::abs(std::log10(options.min_clip))).add_(1);
    }
  }
  return x.transpose(1, 2);
}

Renderer::Renderer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Renderer::~Renderer() = default;

absl::StatusOr<std::unique_ptr<Renderer>> Renderer::Create(
    const PreparedDataset& dataset, const std::vector<std::string>& sample_ids,
    int64_t num_train, const RenderOptions& options,
    const std::string& device) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->device = at::Device(device);
  state->num_train = num_train;
  state->sample_ids = sample_ids;
  state->generator =
      at::globalContext().defaultGenerator(state->device).clone();

  // Gather the samples' scans, end to end.
  std::vector<int64_t> index, scan_offset = {0};
  std::vector<double> temperature;
  for (const std::string& id : sample_ids) {
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t i, dataset.IndexOf(id));
    const int64_t begin = dataset.scan_offset()[i];
    const int64_t end = dataset.scan_offset()[i + 1];
    index.push_back(i);
    scan_offset.push_back(scan_offset.back() + end - begin);
    temperature.insert(temperature.end(), dataset.temperature().begin() + begin,
                       dataset.temperature().begin() + end);
  }
  const int64_t num_samples = static_cast<int64_t>(index.size());
  const int64_t num_scans = scan_offset.back();
  const int64_t num_labels = dataset.num_labels();

  const auto gather_scans = [&](absl::Span<const float> from) {
    at::Tensor rows = at::empty({num_scans + 1, kNumMz}, at::kFloat);
    float* to = rows.data_ptr<float>();
    for (int64_t n = 0; n < num_samples; ++n) {
      const int64_t size = scan_offset[n + 1] - scan_offset[n];
      std::memcpy(to + scan_offset[n] * kNumMz,
                  from.data() + dataset.scan_offset()[index[n]] * kNumMz,
                  size * kNumMz * sizeof(float));
    }
    rows[num_scans].fill_(std::nan(""));
    return rows.to(state->device);
  };
  const auto gather_offsets = [&](absl::Span<const float> from) {
    constexpr int64_t kSize = kNumMz * kNumOffsets;
    at::Tensor rows = at::empty({num_samples, kNumMz, kNumOffsets}, at::kFloat);
    for (int64_t n = 0; n < num_samples; ++n) {
      std::memcpy(rows.data_ptr<float>() + n * kSize,
                  from.data() + index[n] * kSize, kSize * sizeof(float));
    }
    return rows.to(state->device);
  };
  state->abundance = gather_scans(dataset.abundance());
  state->offsets = gather_offsets(dataset.offsets());
  // DrawFixed may subtract the baseline whatever the options say, but only
  // training pays for keeping it.
  state->baseline = gather_scans(dataset.baseline());
  state->offsets_baseline = gather_offsets(dataset.offsets_baseline());

  at::Tensor labels = at::empty({num_samples, num_labels}, at::kFloat);
  for (int64_t n = 0; n < num_samples; ++n) {
    std::copy_n(dataset.labels().begin() + index[n] * num_labels, num_labels,
                labels.data_ptr<float>() + n * num_labels);
  }
  state->labels = labels.to(state->device);

  const ColumnCandidates table =
      FindColumnCandidates(scan_offset, temperature, options,
                           /*missing=*/num_scans);
  const auto copy_longs = [&](const std::vector<int64_t>& values) {
    return at::tensor(at::ArrayRef<int64_t>(values), at::kLong)
        .to(state->device);
  };
  state->cumulative =
      at::tensor(at::ArrayRef<double>(table.cumulative), at::kDouble)
          .to(state->device);
  state->scan = copy_longs(table.scan);
  state->nearest = copy_longs(table.nearest);
  state->column = at::arange(kNumColumns,
                             at::TensorOptions(state->device).dtype(at::kLong));
  if (options.sam_augment.prob > 0) {
    std::vector<std::string> instrument_types;
    for (const int64_t i : index) {
      instrument_types.push_back(dataset.header().samples[i].instrument_type);
    }
    state->PrepareSamAugment(instrument_types);
  }
  return std::unique_ptr<Renderer>(new Renderer(std::move(state)));
}

void Renderer::Seed(uint64_t seed) { state_->generator.set_current_seed(seed); }

const at::Tensor& Renderer::labels() const { return state_->labels; }

void Renderer::Draw(const at::Tensor& positions, DrawMode mode,
                    at::Tensor& images, at::Tensor& labels) {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  const int64_t batch = positions.size(0);
  at::Tensor x = state.Abundance(positions, state.DrawChance(positions, mode));
  labels = state.labels.index_select(0, positions);
  if (mode == DrawMode::kTrain && state.options.mix_prob > 0) {
    state.Mix(positions, x, labels);
  }
  const at::Tensor helium = state.Factor({batch, 1}, state.options.he_var);
  const at::Tensor scale = state.Factor({batch, 1, 1}, state.options.scale_var);
  images = state.Finish(std::move(x), helium, scale);
}

at::Tensor Renderer::DrawToPredict(absl::Span<const SampleDraw> draws) {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  const RenderOptions& options = state.options;
  const auto batch = static_cast<int64_t>(draws.size());
  at::Tensor where = at::empty({batch}, at::kLong);
  at::Tensor numbers = at::empty({batch, kNumChances}, at::kFloat);
  for (int64_t i = 0; i < batch; ++i) {
    where.data_ptr<int64_t>()[i] = draws[i].position;
    FillImageChance(
        SampleSeed(draws[i].seed, state.sample_ids[draws[i].position]),
        {numbers.data_ptr<float>() + i * kNumChances, kNumChances});
  }
  const at::Tensor positions = where.to(state.device);
  numbers = numbers.to(state.device);
  const auto factor = [&](int64_t at, int64_t size, double octaves) {
    return numbers.narrow(1, at, size).mul(octaves).exp2_();
  };
  Draws chance;
  chance.scan =
      state.PickScans(positions, numbers.narrow(1, kChanceScan, kNumColumns));
  chance.offset_weights =
      numbers.narrow(1, kChanceOffsets, kNumOffsets).clone();
  chance.offset_weights.div_(chance.offset_weights.sum(1, /*keepdim=*/true));
  if (options.sub_bg_prob > 0) {
    chance.baseline = numbers.narrow(1, kChanceBaseline, 1)
                          .lt(options.sub_bg_prob)
                          .to(at::kFloat)
                          .view({batch, 1, 1});
  }
  if (options.mz_var > 0) {
    chance.mz_factor = factor(kChanceMz, kNumMz, options.mz_var).unsqueeze(1);
  }
  return state.Finish(
      state.Abundance(positions, chance),
      factor(kChanceHelium, 1, options.he_var),
      factor(kChanceScale, 1, options.scale_var).view({batch, 1, 1}));
}

at::Tensor Renderer::DrawFixed(const at::Tensor& positions,
                               bool subtract_baseline) {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  const int64_t batch = positions.size(0);
  Draws draws;
  draws.scan = state.nearest.index_select(0, state.TableRows(positions));
  draws.offset_weights =
      at::full({batch, kNumOffsets}, 1.0 / kNumOffsets, state.Floats());
  if (subtract_baseline) {
    draws.baseline = at::ones({batch, 1, 1}, state.Floats());
  }
  return state.Finish(state.Abundance(positions, draws), {}, {});
}

}  // namespace foldfarm
