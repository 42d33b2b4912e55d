#include "worker/trainer/occlusion.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/render/render_options.h"

namespace foldfarm {
namespace {

constexpr int64_t kBatch = 128;
// An m/z's background: the value that this share of its columns is at or below.
constexpr double kBackground = 0.1;

// What is hidden: columns [begin, end) of an m/z.
struct Part {
  int mz = 0;
  int begin = 0, end = kNumColumns;
};

using Asker = absl::FunctionRef<absl::StatusOr<at::Tensor>(const at::Tensor&)>;

// One image and its questions.
class Occluder {
 public:
  Occluder(const at::Tensor& image, Asker log_odds,
           const std::function<bool()>& stop)
      : image_(image), log_odds_(log_odds), stop_(stop) {
    const at::Tensor sorted = std::get<0>(image.sort(/*dim=*/1));
    const auto at = static_cast<int64_t>(kBackground * kNumColumns);
    hidden_ = at::minimum(image, sorted.select(1, at).unsqueeze(1));
    const at::Tensor changes = hidden_.ne(image_).cpu().contiguous();
    const bool* begin = changes.data_ptr<bool>();
    changes_.assign(begin, begin + changes.numel());
  }

  absl::StatusOr<double> Whole() {
    FOLDFARM_ASSIGN_OR_RETURN(const at::Tensor answer,
                              log_odds_(image_.unsqueeze(0)));
    return whole_ = answer.to(at::kDouble).item<double>();
  }

  // What hiding each part costs. REQUIRES: Whole().
  absl::StatusOr<std::vector<double>> Losses(const std::vector<Part>& parts) {
    std::vector<double> losses(parts.size(), 0.0);
    std::vector<size_t> asked;  // Those that hide something.
    for (size_t i = 0; i < parts.size(); ++i) {
      if (Shows(parts[i])) asked.push_back(i);
    }
    for (size_t begin = 0; begin < asked.size(); begin += kBatch) {
      if (stop_()) return absl::CancelledError("stopped while explaining");
      const size_t size = std::min<size_t>(kBatch, asked.size() - begin);
      at::Tensor batch =
          image_.unsqueeze(0).repeat({static_cast<int64_t>(size), 1, 1});
      for (size_t i = 0; i < size; ++i) {
        const Part& part = parts[asked[begin + i]];
        const auto cells = [&](const at::Tensor& of) {
          return of.select(0, part.mz)
              .narrow(0, part.begin, part.end - part.begin);
        };
        cells(batch.select(0, static_cast<int64_t>(i))).copy_(cells(hidden_));
      }
      FOLDFARM_ASSIGN_OR_RETURN(const at::Tensor answers, log_odds_(batch));
      const at::Tensor values = answers.to(at::kDouble).cpu().contiguous();
      for (size_t i = 0; i < size; ++i) {
        losses[asked[begin + i]] = whole_ - values.data_ptr<double>()[i];
      }
    }
    return losses;
  }

  // Whether an m/z shows more than its background at a column.
  bool Shows(int mz, int column) const {
    return changes_[static_cast<size_t>(mz * kNumColumns + column)];
  }

 private:
  bool Shows(const Part& part) const {
    for (int column = part.begin; column < part.end; ++column) {
      if (Shows(part.mz, column)) return true;
    }
    return false;
  }

  const at::Tensor image_;  // [100, 80]
  const Asker log_odds_;
  const std::function<bool()>& stop_;
  at::Tensor hidden_;  // The image with every m/z at its background.
  std::vector<bool> changes_;
  double whole_ = 0;
};

// Windows of `size` columns, each half over the one before, over all columns.
std::vector<Part> WindowsOf(int mz, int size) {
  std::vector<Part> windows;
  const int step = std::max(1, size / 2);
  for (int begin = 0;; begin += step) {
    const int end = std::min(begin + size, kNumColumns);
    windows.push_back({.mz = mz, .begin = std::max(0, end - size), .end = end});
    if (end == kNumColumns) return windows;
  }
}

// The m/z that matter most, by falling size of their loss.
std::vector<int> LargestRows(const std::vector<double>& losses, int count) {
  std::vector<int> rows(losses.size());
  std::iota(rows.begin(), rows.end(), 0);
  std::stable_sort(rows.begin(), rows.end(), [&](int a, int b) {
    return std::abs(losses[a]) > std::abs(losses[b]);
  });
  rows.resize(std::min<size_t>(rows.size(), count));
  return rows;
}

// Adds one image's losses to the sums in `map`.
absl::Status AddImage(Occluder& occluder, const OcclusionOptions& options,
                      OcclusionMap& map) {
  FOLDFARM_ASSIGN_OR_RETURN(const double whole, occluder.Whole());
  map.log_odds += whole;
  std::vector<Part> wholes;
  for (int mz = 0; mz < kNumMz; ++mz) wholes.push_back({.mz = mz});
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<double> rows,
                            occluder.Losses(wholes));
  std::vector<double> cells(kNumMz * kNumColumns, 0.0);
  for (int mz = 0; mz < kNumMz; ++mz) {
    map.rows[mz] += rows[mz];
    int shown = 0;
    for (int k = 0; k < kNumColumns; ++k) shown += occluder.Shows(mz, k);
    for (int k = 0; k < kNumColumns; ++k) {
      if (!occluder.Shows(mz, k)) continue;
      cells[mz * kNumColumns + k] =
          rows[mz] * std::min(1.0, static_cast<double>(options.window) / shown);
    }
  }
  std::vector<Part> windows;
  for (const int mz : LargestRows(rows, options.mz_rows)) {
    for (const Part& part : WindowsOf(mz, options.window)) {
      windows.push_back(part);
    }
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<double> losses,
                            occluder.Losses(windows));
  std::vector<double> sum(cells.size(), 0.0);
  std::vector<int> count(cells.size(), 0);
  for (size_t i = 0; i < windows.size(); ++i) {
    for (int k = windows[i].begin; k < windows[i].end; ++k) {
      sum[windows[i].mz * kNumColumns + k] += losses[i];
      ++count[windows[i].mz * kNumColumns + k];
    }
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    map.cells[i] += count[i] > 0 ? sum[i] / count[i] : cells[i];
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OcclusionMap> Occlude(const at::Tensor& images, Asker log_odds,
                                     const OcclusionOptions& options,
                                     const std::function<bool()>& stop) {
  const at::NoGradGuard no_grad;
  OcclusionMap map;
  map.cells.assign(kNumMz * kNumColumns, 0.0);
  map.rows.assign(kNumMz, 0.0);
  const int64_t count = images.size(0);
  for (int64_t i = 0; i < count; ++i) {
    Occluder occluder(images.select(0, i), log_odds, stop);
    FOLDFARM_RETURN_IF_ERROR(AddImage(occluder, options, map));
  }
  const auto average = [&](double& value) {
    value /= static_cast<double>(count);
  };
  std::for_each(map.cells.begin(), map.cells.end(), average);
  std::for_each(map.rows.begin(), map.rows.end(), average);
  average(map.log_odds);
  return map;
}

}  // namespace foldfarm
