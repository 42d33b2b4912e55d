#include "worker/models/band_features.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/render/render_options.h"

namespace foldfarm {
namespace {

constexpr double kLog10Of2 = 0.30102999566398120;

// What neighbouring bands of one width show; `bands` is [B, 100, n, columns],
// the first of them at column `begin`. Each measure is [B, 100, n].
class Measures {
 public:
  Measures(const at::Tensor& bands, int64_t begin, const ImageScale& scale)
      : bands_(bands),
        begin_(begin),
        scale_(scale),
        maximum_(bands.amax(3)),
        flat_(maximum_.eq(bands.amin(3))) {}

  at::Tensor Maximum() const { return maximum_; }
  at::Tensor Area() const { return bands_.mean(3); }
  at::Tensor Position() const {
    const int64_t columns = bands_.size(3);
    const at::Tensor start =
        at::arange(bands_.size(2), bands_.options()).mul_(columns).add_(begin_);
    const at::Tensor column =
        at::where(flat_,
                  at::full({}, 0.5 * static_cast<double>(columns - 1),
                           bands_.options()),
                  bands_.argmax(3).to(bands_.scalar_type()))
            .add_(start);
    return column.mul_(scale_.temp_step).add_(kFirstColumnCelsius);
  }
  at::Tensor Width() const {
    const at::Tensor half = scale_.log_space
                                ? maximum_ - kLog10Of2 * scale_.decade
                                : maximum_ * 0.5;
    return bands_.ge(half.unsqueeze(3))
        .sum(3)
        .to(bands_.scalar_type())
        .mul_(scale_.temp_step)
        .masked_fill_(flat_, 0);
  }

 private:
  const at::Tensor bands_;
  const int64_t begin_;
  const ImageScale scale_;
  const at::Tensor maximum_, flat_;
};

}  // namespace

absl::StatusOr<BandFeatures> BandFeatures::Create(
    const BandFeaturesOptions& options) {
  std::vector<std::string> measures;
  if (options.maximum) measures.push_back("max");
  if (options.area) measures.push_back("area");
  if (options.position) measures.push_back("pos");
  if (options.width) measures.push_back("width");
  if (options.bands.empty() || measures.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "features: ", options.bands.size(), " widths of bands and ",
        measures.size(),
        " of maximum, area, position and width, expected at least 1 of each"));
  }
  BandFeatures result(options);
  for (const double band : options.bands) {
    const double columns =
        std::clamp(std::round(band / options.scale.temp_step), 1.0,
                   static_cast<double>(kNumColumns));
    const auto whole = static_cast<int64_t>(columns);
    if (std::find(result.columns_.begin(), result.columns_.end(), whole) !=
        result.columns_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("features.bands: ", band, " degrees C are ", whole,
                       " columns of ", options.scale.temp_step,
                       " (temp_step), which another width already is"));
    }
    result.columns_.push_back(whole);
    const int64_t bands = (kNumColumns + whole - 1) / whole;
    for (const std::string& measure : measures) {
      for (int64_t mz = 0; mz < kNumMz; ++mz) {
        for (int64_t b = 0; b < bands; ++b) {
          result.names_.push_back(
              absl::StrFormat("mz%d_%gC_b%02d_%s", mz,
                              columns * options.scale.temp_step, b, measure));
        }
      }
    }
  }
  return result;
}

at::Tensor BandFeatures::Compute(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  const at::Tensor x = images.to(at::kFloat).contiguous();
  const int64_t batch = x.size(0);
  std::vector<at::Tensor> features;
  for (const int64_t columns : columns_) {
    const int64_t whole = kNumColumns / columns;
    const int64_t rest = kNumColumns - whole * columns;
    std::vector<Measures> parts;
    parts.emplace_back(x.narrow(2, 0, whole * columns)
                           .reshape({batch, kNumMz, whole, columns}),
                       /*begin=*/0, options_.scale);
    if (rest > 0) {
      parts.emplace_back(x.narrow(2, whole * columns, rest).unsqueeze(2),
                         /*begin=*/whole * columns, options_.scale);
    }
    const auto add = [&](bool wanted, at::Tensor (Measures::*measure)() const) {
      if (!wanted) return;
      std::vector<at::Tensor> values;
      for (const Measures& part : parts) values.push_back((part.*measure)());
      features.push_back(at::cat(values, 2).flatten(1));
    };
    add(options_.maximum, &Measures::Maximum);
    add(options_.area, &Measures::Area);
    add(options_.position, &Measures::Position);
    add(options_.width, &Measures::Width);
  }
  return at::cat(features, 1);
}

}  // namespace foldfarm
