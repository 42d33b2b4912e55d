#include "worker/gbm/tree_parameters.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace foldfarm {
namespace {

// The standard says what seed_seq generates, so every machine has the same.
std::string DeriveSeed(const TreeSeed& seed) {
  std::seed_seq sequence{seed.job, seed.model, seed.epoch};
  std::array<uint32_t, 1> value;
  sequence.generate(value.begin(), value.end());
  return absl::StrCat(value[0] >> 8);  // Times 127 it stays within 32 bits.
}

}  // namespace

std::map<std::string, std::string> TreeParameters(
    const XgboostOptions& options, absl::Span<const float> labels,
    double positive_weight, const TreeSeed& seed, int threads) {
  double positives = 0;
  for (const float label : labels) positives += label;
  const double negatives = static_cast<double>(labels.size()) - positives;
  const double weighted = positive_weight * positives;
  const double share =
      std::clamp(weighted / (weighted + negatives), 1e-3, 1 - 1e-3);
  std::map<std::string, std::string> result = {
      {"objective", "binary:logistic"},
      {"disable_default_eval_metric", "1"},
      {"tree_method", "hist"},
      {"verbosity", "0"},
      // Each round draws from (seed, round), whatever was drawn before.
      {"seed_per_iteration", "1"},
      {"seed", DeriveSeed(seed)},
      {"nthread", absl::StrCat(threads)},
      {"max_depth", absl::StrCat(options.max_depth)},
      {"max_leaves", absl::StrCat(options.max_leaves)},
      {"max_bin", absl::StrCat(options.bins)},
      {"grow_policy",
       options.growth == TreeGrowth::kLossguide ? "lossguide" : "depthwise"}};
  const std::pair<const char*, double> numbers[] = {
      {"base_score", share},
      {"scale_pos_weight", positive_weight},
      {"learning_rate", options.learning_rate},
      {"subsample", options.subsample},
      {"colsample_bytree", options.colsample},
      {"min_child_weight", options.min_child_weight},
      {"reg_lambda", options.lambda},
      {"reg_alpha", options.alpha}};
  for (const auto& [name, value] : numbers) {
    result[name] = absl::StrFormat("%.9g", value);
  }
  if (options.booster == TreeBooster::kDart) {
    result["booster"] = "dart";
    result["rate_drop"] = absl::StrFormat("%.9g", options.rate_drop);
    result["skip_drop"] = absl::StrFormat("%.9g", options.skip_drop);
  }
  return result;
}

}  // namespace foldfarm
