#include "common/spectra/evidence.h"

#include <algorithm>

namespace foldfarm {
namespace {

// Of the peak's height: where it ends, and where its flanks are measured.
constexpr double kFoot = 0.2;
constexpr double kHalf = 0.5;
// Of the highest peak: what is too small to name.
constexpr double kSmall = 0.02;

// The highest cell of [begin, end), with what lies around it; recursively those
// on both sides.
void FindInRow(absl::Span<const float> row, int mz, int begin, int end,
               std::vector<EvidencePeak>& peaks) {
  while (begin < end) {
    const int top = static_cast<int>(
        std::max_element(row.begin() + begin, row.begin() + end) - row.begin());
    const double height = row[top];
    if (!(height > 0)) return;
    const auto reach = [&](double share, int step) {
      int at = top;
      while (at + step >= begin && at + step < end &&
             row[at + step] >= share * height) {
        at += step;
      }
      return at;
    };
    const int first = reach(kFoot, -1), last = reach(kFoot, +1);
    EvidencePeak peak = {.mz = mz,
                         .column = top,
                         .first_column = reach(kHalf, -1),
                         .last_column = reach(kHalf, +1),
                         .log_odds = height};
    for (int k = first; k <= last; ++k) peak.share += row[k];
    peaks.push_back(peak);
    FindInRow(row, mz, begin, first, peaks);
    begin = last + 1;
  }
}

}  // namespace

std::vector<EvidencePeak> FindEvidence(absl::Span<const float> map,
                                       size_t columns, size_t most) {
  std::vector<EvidencePeak> peaks;
  double total = 0;
  for (const float cell : map) total += std::max(cell, 0.0f);
  if (!(total > 0)) return peaks;
  for (size_t mz = 0; mz < map.size() / columns; ++mz) {
    FindInRow(map.subspan(mz * columns, columns), static_cast<int>(mz), 0,
              static_cast<int>(columns), peaks);
  }
  std::stable_sort(peaks.begin(), peaks.end(),
                   [](const EvidencePeak& a, const EvidencePeak& b) {
                     return a.log_odds > b.log_odds;
                   });
  const double least = kSmall * peaks.front().log_odds;
  while (peaks.back().log_odds < least || peaks.size() > most) {
    peaks.pop_back();
  }
  for (EvidencePeak& peak : peaks) peak.share /= total;
  return peaks;
}

}  // namespace foldfarm
