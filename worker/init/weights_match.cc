#include "worker/init/weights_match.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace foldfarm {
namespace {

// Prefixes of the file that are tried, the most frequent first.
constexpr size_t kMaxPrefixes = 32;

int64_t NumelOf(const std::vector<int64_t>& shape) {
  int64_t numel = 1;
  for (const int64_t size : shape) numel *= size;
  return numel;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// "a.b.c" with depth 1 -> "a.", with depth 2 -> "a.b."; empty when there is
// less.
std::string PrefixOf(const std::string& name, int depth) {
  size_t end = 0;
  for (; depth > 0; --depth) {
    end = name.find('.', end);
    if (end == std::string::npos) return "";
    ++end;
  }
  return name.substr(0, end);
}

std::vector<std::string> PrefixesOf(const std::vector<std::string>& names,
                                    int depth) {
  std::map<std::string, int> counts;
  for (const std::string& name : names) {
    for (int i = 1; i <= depth; ++i) ++counts[PrefixOf(name, i)];
  }
  counts.erase("");
  std::vector<std::pair<int, std::string>> sorted;
  for (const auto& [prefix, count] : counts)
    sorted.emplace_back(-count, prefix);
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> prefixes = {""};
  for (const auto& [count, prefix] : sorted) {
    if (prefixes.size() < kMaxPrefixes) prefixes.push_back(prefix);
  }
  return prefixes;
}

bool IsFloating(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kF32 || dtype == DType::kF64;
}

class Matcher {
 public:
  Matcher(const std::vector<NetworkTensor>& network,
          const std::map<std::string, WeightsTensor>& file,
          const std::vector<std::string>& exclude)
      : network_(network), file_(file), exclude_(exclude) {
    for (const NetworkTensor& tensor : network) {
      by_name_[tensor.name] = &tensor;
      if (first_convolution_ == nullptr && tensor.shape.size() == 4) {
        first_convolution_ = &tensor;
      }
    }
  }

  WeightsMatch Match() {
    ChoosePrefixes();
    WeightsMatch match;
    match.strip = strip_;
    match.add = add_;
    std::map<const NetworkTensor*, WeightsMatch::Pair> found;
    for (const auto& [theirs, tensor] : file_) {
      const NetworkTensor* ours = Find(theirs);
      std::string why;
      if (IsExcluded(theirs, ours)) {
        why = "excluded";
      } else if (ours == nullptr) {
        why = "the network has no such tensor";
      } else if (!Fits(*ours, tensor)) {
        why =
            absl::StrCat(DTypeName(tensor.dtype), " ", ShapeText(tensor.shape),
                         ", the network's is ", ShapeText(ours->shape));
      } else if (found.count(ours) > 0) {
        why = absl::StrCat("its place is taken by ", found[ours].theirs);
      }
      if (why.empty()) {
        found[ours] = {ours->name, theirs, ours->shape != tensor.shape};
      } else if (!IsBatchCounter(theirs)) {
        match.unused.emplace_back(theirs, why);
      }
    }
    double all = 0, loaded = 0;
    for (const NetworkTensor& tensor : network_) {
      const bool counts = !IsBatchCounter(tensor.name);
      const auto numel = static_cast<double>(NumelOf(tensor.shape));
      if (counts) all += numel;
      if (const auto it = found.find(&tensor); it != found.end()) {
        if (counts) loaded += numel;
        match.pairs.push_back(it->second);
      } else if (counts) {
        match.missing.push_back(tensor.name);
      }
    }
    match.share = all > 0 ? loaded / all : 0;
    return match;
  }

 private:
  const NetworkTensor* FindByName(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : it->second;
  }

  // The network's tensor under the chosen prefixes.
  const NetworkTensor* Find(const std::string& theirs) const {
    absl::string_view rest = theirs;
    if (!absl::ConsumePrefix(&rest, strip_)) return FindByName(theirs);
    const NetworkTensor* ours = FindByName(absl::StrCat(add_, rest));
    // timm's DPN as a backbone: its one Sequential dissolved into the names.
    if (ours == nullptr && absl::ConsumePrefix(&rest, "features.")) {
      ours = FindByName(absl::StrCat(add_, "features_", rest));
    }
    return ours;
  }

  bool Fits(const NetworkTensor& ours, const WeightsTensor& theirs) const {
    if (ours.floating ? !IsFloating(theirs.dtype)
                      : theirs.dtype != DType::kI64) {
      return false;
    }
    if (ours.shape == theirs.shape) return true;
    if (&ours != first_convolution_ || theirs.shape.size() != 4 ||
        theirs.shape[1] < 1 || (ours.shape[1] != 1 && ours.shape[1] != 3)) {
      return false;
    }
    std::vector<int64_t> shape = theirs.shape;
    shape[1] = ours.shape[1];
    return shape == ours.shape;
  }

  bool IsExcluded(const std::string& theirs, const NetworkTensor* ours) const {
    return std::any_of(
        exclude_.begin(), exclude_.end(), [&](const std::string& prefix) {
          return absl::StartsWith(theirs, prefix) ||
                 absl::StartsWith(absl::StripPrefix(theirs, strip_), prefix) ||
                 (ours != nullptr && absl::StartsWith(ours->name, prefix));
        });
  }

  int64_t CountMatched() const {
    int64_t matched = 0;
    for (const auto& [theirs, tensor] : file_) {
      const NetworkTensor* ours = Find(theirs);
      if (ours != nullptr && Fits(*ours, tensor)) {
        matched += NumelOf(ours->shape);
      }
    }
    return matched;
  }

  void ChoosePrefixes() {
    std::vector<std::string> ours, theirs;
    for (const NetworkTensor& tensor : network_) ours.push_back(tensor.name);
    for (const auto& item : file_) theirs.push_back(item.first);
    int64_t most = -1;
    std::string best_strip, best_add;
    const std::vector<std::string> adds = PrefixesOf(ours, 1);
    for (const std::string& strip : PrefixesOf(theirs, 2)) {
      for (const std::string& add : adds) {
        strip_ = strip;
        add_ = add;
        const int64_t matched = CountMatched();
        if (matched <= most) continue;
        most = matched;
        best_strip = strip;
        best_add = add;
      }
    }
    strip_ = best_strip;
    add_ = best_add;
  }

  const std::vector<NetworkTensor>& network_;
  const std::map<std::string, WeightsTensor>& file_;
  const std::vector<std::string>& exclude_;
  std::map<std::string, const NetworkTensor*> by_name_;
  const NetworkTensor* first_convolution_ = nullptr;
  std::string strip_, add_;
};

}  // namespace

bool IsBatchCounter(absl::string_view name) {
  return absl::EndsWith(name, "num_batches_tracked");
}

WeightsMatch MatchWeights(const std::vector<NetworkTensor>& network,
                          const std::map<std::string, WeightsTensor>& file,
                          const std::vector<std::string>& exclude) {
  return Matcher(network, file, exclude).Match();
}

}  // namespace foldfarm
