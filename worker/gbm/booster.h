// XGBoost's C API as values with owners and Status.
//
// Not thread-safe. Errors are INTERNAL with XGBoost's first line, or
// RESOURCE_EXHAUSTED when memory ran out.
#ifndef FOLDFARM_WORKER_GBM_BOOSTER_H_
#define FOLDFARM_WORKER_GBM_BOOSTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

// Rows of features as XGBoost keeps them (a DMatrix).
class TreeMatrix {
 public:
  // `values`: row-major, [rows, columns]; copied.
  static absl::StatusOr<TreeMatrix> Create(absl::Span<const float> values,
                                           int64_t rows, int64_t columns,
                                           int threads);
  TreeMatrix(TreeMatrix&& other) noexcept;
  TreeMatrix& operator=(TreeMatrix&&) = delete;
  ~TreeMatrix();

  // `labels`: [rows, outputs], row-major; copied.
  absl::Status SetLabels(absl::Span<const float> labels, int64_t outputs);

  void* handle() const { return handle_; }

 private:
  explicit TreeMatrix(void* handle) : handle_(handle) {}
  void* handle_;
};

// Boosted trees.
class Booster {
 public:
  // No trees yet. `parameters` by XGBoost's names. `train` must outlive this
  // where Update is called.
  static absl::StatusOr<Booster> Create(
      const std::map<std::string, std::string>& parameters,
      const TreeMatrix* train);
  // The same, with the trees in `bytes` (of Save).
  static absl::StatusOr<Booster> Load(
      absl::string_view bytes,
      const std::map<std::string, std::string>& parameters,
      const TreeMatrix* train);
  Booster(Booster&& other) noexcept;
  Booster& operator=(Booster&&) = delete;
  ~Booster();

  // Grows the trees of round `round`, 0-based.
  absl::Status Update(int round, const TreeMatrix& train);

  // Probabilities, [rows, outputs], row-major.
  absl::StatusOr<std::vector<float>> Predict(const TreeMatrix& rows) const;

  // The model in XGBoost's UBJSON, which every XGBoost from 1.6 on reads.
  absl::StatusOr<std::string> Save() const;

  absl::StatusOr<int64_t> NumFeatures() const;
  absl::Status SetFeatureNames(const std::vector<std::string>& names);
  // Loss that the splits at each feature saved, in all; features never used are
  // absent. REQUIRES: SetFeatureNames.
  absl::StatusOr<std::map<std::string, double>> TotalGain() const;

 private:
  explicit Booster(void* handle) : handle_(handle) {}
  void* handle_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_GBM_BOOSTER_H_
