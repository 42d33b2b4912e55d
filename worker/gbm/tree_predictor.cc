#include "worker/gbm/tree_predictor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/gbm/booster.h"

namespace foldfarm {
namespace {

class Trees : public TreePredictor {
 public:
  Trees(std::vector<Booster> boosters, size_t num_labels, int threads)
      : boosters_(std::move(boosters)),
        num_labels_(num_labels),
        threads_(threads) {}

  absl::StatusOr<std::vector<float>> Predict(
      const FeatureTable& table) const override {
    const auto count = static_cast<size_t>(table.rows);
    std::vector<float> all(count * num_labels_);
    if (all.empty()) return all;
    FOLDFARM_ASSIGN_OR_RETURN(
        const TreeMatrix rows,
        TreeMatrix::Create(table.values, table.rows, table.columns, threads_));
    const size_t width = boosters_.size() == 1 ? num_labels_ : 1;
    for (size_t model = 0; model < boosters_.size(); ++model) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::vector<float> part,
                                boosters_[model].Predict(rows));
      if (part.size() != count * width) {
        return absl::InvalidArgumentError(
            absl::StrCat("trees answer ", part.size(), " numbers for ", count,
                         " rows, expected ", count * width));
      }
      for (size_t row = 0; row < count; ++row) {
        std::copy_n(part.begin() + row * width, width,
                    all.begin() + row * num_labels_ + model);
      }
    }
    return all;
  }

 private:
  const std::vector<Booster> boosters_;
  const size_t num_labels_;
  const int threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TreePredictor>> TreePredictor::Create(
    const std::vector<std::string>& models, size_t num_labels,
    int64_t num_features, int threads) {
  threads = std::max(threads, 1);
  std::vector<Booster> boosters;
  for (const std::string& bytes : models) {
    FOLDFARM_ASSIGN_OR_RETURN(
        Booster booster,
        Booster::Load(bytes,
                      {{"nthread", absl::StrCat(threads)}, {"verbosity", "0"}},
                      nullptr));
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t columns, booster.NumFeatures());
    if (columns != num_features) {
      return absl::InvalidArgumentError(absl::StrCat(
          "trees have ", columns, " features, expected ", num_features));
    }
    boosters.push_back(std::move(booster));
  }
  return std::make_unique<Trees>(std::move(boosters), num_labels, threads);
}

absl::StatusOr<std::unique_ptr<TreePredictor>> TreePredictor::Load(
    const TensorFile& weights, const std::string& name,
    const XgboostOptions& options, const std::vector<std::string>& labels,
    int64_t num_features, int threads) {
  std::vector<std::string> tensors;
  if (options.targets == TreeTargets::kMultiOutput) {
    tensors.push_back("booster");
  } else {
    for (const std::string& label : labels) {
      tensors.push_back(absl::StrCat("booster.", label));
    }
  }
  std::vector<std::string> models;
  for (const std::string& tensor : tensors) {
    const auto bytes = weights.U8(tensor, {-1});
    if (!bytes.ok())
      return absl::InvalidArgumentError(bytes.status().message());
    models.emplace_back(bytes->begin(), bytes->end());
  }
  auto trees = Create(models, labels.size(), num_features, threads);
  if (!trees.ok()) return Annotate(trees.status(), name);
  return trees;
}

}  // namespace foldfarm
