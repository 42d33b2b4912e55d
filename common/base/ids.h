// Ids: typed numbers, so that one cannot pass for another, and random names.
#ifndef FOLDFARM_COMMON_BASE_IDS_H_
#define FOLDFARM_COMMON_BASE_IDS_H_

#include <compare>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace foldfarm {

// A row id of one kind of thing. `Tag` only tells the kinds apart.
template <typename Tag>
struct Id {
  int64_t value = 0;
  friend auto operator<=>(const Id&, const Id&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Id& id) {
    return H::combine(std::move(h), id.value);
  }
};

using SweepId = Id<struct SweepTag>;
using JobId = Id<struct JobTag>;
using WorkerSession = Id<struct WorkerSessionTag>;
// An attempt's id; grows with every grant, hence it fences.
using FencingToken = Id<struct FencingTokenTag>;

// 128 random bits as hex, from the system.
std::string NewRandomId();

// Names of sweeps, models, datasets and workers: [A-Za-z0-9._-], 1 to
// `max_size`, not starting with a dot: safe in a path and in SWEEP/MODEL/FOLD.
bool IsValidName(absl::string_view name, size_t max_size);

// Whether `name` reads as the id of a sweep, "s3", which a sweep's own name
// must not: it would reach another one.
bool LooksLikeSweepId(absl::string_view name);

// A number spread evenly over 32 bits, from the parts: equal on every machine
// and version. For seeds of jobs.
uint32_t DeriveSeed(uint32_t base, absl::string_view text, uint32_t index);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_IDS_H_
