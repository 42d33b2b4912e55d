#include "tests/worker/render/made_dataset.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "absl/strings/str_format.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"

namespace foldfarm {
namespace {

// Linear interpolation between sorted values.
float Quantile(const std::vector<float>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double rest = place - static_cast<double>(below);
  return static_cast<float>(sorted[below] * (1 - rest) + sorted[above] * rest);
}

}  // namespace

std::string MakeDatasetFile(const MadeDatasetOptions& options) {
  // mt19937 and this arithmetic are the same everywhere; the standard's
  // distributions are not.
  std::mt19937 random(options.seed);
  const auto uniform = [&] { return (random() >> 8) * (1.0 / (1 << 24)); };
  constexpr double kShares[kNumOffsets] = {0.001, 0.05, 0.1, 0.2};
  constexpr int kMzOfLabel = 11;  // Label l shows at m/z 14 + 11 * l.
  constexpr float kBaseline = 0.001f;

  std::vector<int64_t> scan_offset = {0};
  std::vector<double> temperature;
  std::vector<float> abundance, baseline, offsets, offsets_baseline;
  std::vector<uint8_t> labels;
  nlohmann::json samples = nlohmann::json::array();
  for (int n = 0; n < options.num_samples; ++n) {
    std::vector<bool> has(options.num_labels);
    for (int label = 0; label < options.num_labels; ++label) {
      has[label] = uniform() < 0.4;
      labels.push_back(has[label]);
    }
    const int range = options.max_scans - options.min_scans + 1;
    const int scans = options.min_scans + static_cast<int>(uniform() * range);
    std::vector<std::vector<float>> column(kNumMz);
    for (int s = 0; s < scans; ++s) {
      const double t = 40 + 950.0 * (s + uniform()) / scans;
      temperature.push_back(t);
      for (int mz = 0; mz < kNumMz; ++mz) {
        double value = kBaseline + 0.0005 * uniform();
        if (mz == 4) value = 0.5 + 0.1 * uniform();
        for (int label = 0; label < options.num_labels; ++label) {
          if (!has[label] || mz != 14 + kMzOfLabel * label % 80) continue;
          const double d = (t - (200 + 150 * (label % 5))) / 60;
          value += 0.3 * std::exp(-d * d);
        }
        abundance.push_back(static_cast<float>(value));
        baseline.push_back(kBaseline);
        column[mz].push_back(static_cast<float>(value));
      }
    }
    scan_offset.push_back(scan_offset.back() + scans);
    for (std::vector<float>& values : column) {
      std::sort(values.begin(), values.end());
      for (const double share : kShares) {
        offsets.push_back(Quantile(values, share));
        offsets_baseline.push_back(offsets.back() - kBaseline);
      }
    }
    const bool sam = options.sam_every > 0 && n % options.sam_every == 0;
    samples.push_back({{"id", absl::StrFormat("M%04d", n)},
                       {"split", "train"},
                       {"instrument_type", sam ? "sam_testbed" : "commercial"},
                       {"labelled", true}});
  }
  nlohmann::json names = nlohmann::json::array();
  for (int label = 0; label < options.num_labels; ++label) {
    names.push_back(absl::StrFormat("label%d", label));
  }

  const int64_t n = options.num_samples;
  const int64_t s = scan_offset.back();
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-prepared");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("labels", JsonText(names));
  writer.SetMetadata("samples", JsonText(samples));
  writer.AddI64("scan_offset", {n + 1}, scan_offset);
  writer.AddF64("temperature", {s}, temperature);
  writer.AddF32("abundance", {s, kNumMz}, abundance);
  writer.AddF32("baseline", {s, kNumMz}, baseline);
  writer.AddF32("offsets", {n, kNumMz, kNumOffsets}, offsets);
  writer.AddF32("offsets_baseline", {n, kNumMz, kNumOffsets}, offsets_baseline);
  writer.AddU8("labels", {n, options.num_labels}, labels);
  return writer.Serialize();
}

std::shared_ptr<const PreparedDataset> MakeDataset(
    const MadeDatasetOptions& options) {
  auto file = TensorFile::Parse(MakeDatasetFile(options), "made");
  auto dataset = file.ok()
                     ? PreparedDataset::FromFile(*file, "made")
                     : absl::StatusOr<std::shared_ptr<const PreparedDataset>>(
                           file.status());
  if (!dataset.ok()) {
    std::fprintf(stderr, "%s\n",
                 std::string(dataset.status().message()).c_str());
    std::abort();
  }
  return *dataset;
}

std::vector<std::string> MadeSampleIds(int begin, int end) {
  std::vector<std::string> ids;
  for (int n = begin; n < end; ++n) ids.push_back(absl::StrFormat("M%04d", n));
  return ids;
}

}  // namespace foldfarm
