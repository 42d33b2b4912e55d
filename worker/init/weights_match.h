// Which tensor of a weights file goes where in a network.
//
// Names are timm's on both sides; what differs is what is put before them
// ("module." by DataParallel, "base_model." around our backbones) and, for a
// few tensors, the shape. Without Torch. Thread-safe: functions on values.
#ifndef FOLDFARM_WORKER_INIT_WEIGHTS_MATCH_H_
#define FOLDFARM_WORKER_INIT_WEIGHTS_MATCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/weights/weights_file.h"

namespace foldfarm {

// A parameter or buffer of the network.
struct NetworkTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool floating = true;  // Floating point; else 64-bit integers.
};

struct WeightsMatch {
  struct Pair {
    std::string ours, theirs;
    bool adapt_channels = false;  // The first convolution.
  };
  std::vector<Pair> pairs;  // In the network's order.
  // Put before a name of the file, after `strip` was taken off it.
  std::string strip, add;
  // Tensors of the file that go nowhere, and why.
  std::vector<std::pair<std::string, std::string>> unused;
  // Tensors of the network that keep their random start.
  std::vector<std::string> missing;
  // Share of the network's values that are loaded, 0 to 1. Counters of batches
  // do not count.
  double share = 0;
};

// Matches by name and shape. Prefixes are chosen so that most values match.
// `network` is in the order of construction: its first tensor of four
// dimensions is the first convolution, which may take its weights from one of
// another number of channels when it has 1 or 3 itself. Tensors whose name
// (here, or in the file, with or without the prefix) begins as one of `exclude`
// does are left alone.
WeightsMatch MatchWeights(const std::vector<NetworkTensor>& network,
                          const std::map<std::string, WeightsTensor>& file,
                          const std::vector<std::string>& exclude);

// True for BatchNorm's counters, which files may lack.
bool IsBatchCounter(absl::string_view name);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_INIT_WEIGHTS_MATCH_H_
