#include "coordinator/queue/sample_limit.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"

namespace foldfarm {

absl::StatusOr<std::string> SampleColumn(const SampleInfo& sample,
                                         const std::string& column) {
  if (column == "instrument_type") return sample.instrument_type;
  if (column == "split") return sample.split;
  return absl::InvalidArgumentError(
      absl::StrCat("no column \"", column,
                   "\" in the dataset, expected instrument_type or split"));
}

absl::StatusOr<std::vector<SampleInfo>> LimitSamples(
    absl::Span<const SampleInfo> samples, int limit, const std::string& column,
    uint32_t seed) {
  std::vector<SampleInfo> result(samples.begin(), samples.end());
  std::map<std::string, std::vector<size_t>> classes;
  int64_t total = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!IsLabelledTrain(samples[i])) continue;
    FOLDFARM_ASSIGN_OR_RETURN(const std::string value,
                              SampleColumn(samples[i], column));
    classes[value].push_back(i);
    ++total;
  }
  if (total <= limit) return result;
  struct Share {
    std::vector<size_t> members;
    int64_t taken = 0;
  };
  std::vector<Share> shares;
  for (auto& [value, members] : classes) {
    std::sort(members.begin(), members.end(), [&](size_t a, size_t b) {
      const auto key = [&](size_t i) {
        return std::tuple(
            DeriveSeed(seed, absl::StrCat("limit ", samples[i].id), 0),
            samples[i].id);
      };
      return key(a) < key(b);
    });
    shares.push_back({std::move(members)});
  }
  int64_t left = limit;
  if (left >= static_cast<int64_t>(shares.size())) {
    for (Share& share : shares) share.taken = 1;
    left -= static_cast<int64_t>(shares.size());
  }
  for (; left > 0; --left) {
    // The value that is furthest behind its share.
    const auto behind = [&](const Share& share) {
      const int64_t size = static_cast<int64_t>(share.members.size());
      return size * limit - share.taken * total;
    };
    auto next = std::max_element(
        shares.begin(), shares.end(),
        [&](const Share& a, const Share& b) { return behind(a) < behind(b); });
    ++next->taken;
  }
  for (const Share& share : shares) {
    for (size_t i = static_cast<size_t>(share.taken); i < share.members.size();
         ++i) {
      result[share.members[i]].labelled = false;
    }
  }
  return result;
}

}  // namespace foldfarm
