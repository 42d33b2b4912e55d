#include "worker/gbm/booster.h"

#include <xgboost/c_api.h>

#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// What an XGBoost call returned, as a Status.
absl::Status Check(int result) {
  if (result == 0) return absl::OkStatus();
  absl::string_view message = XGBGetLastError();
  if (absl::StrContains(message, "bad_alloc")) {
    return absl::ResourceExhaustedError("xgboost ran out of memory");
  }
  // A stack trace follows.
  message = absl::StripAsciiWhitespace(message.substr(
      0, std::min(message.find("Stack trace"), message.find("\n\n"))));
  return absl::InternalError(absl::StrCat("xgboost: ", message));
}

}  // namespace

absl::StatusOr<TreeMatrix> TreeMatrix::Create(absl::Span<const float> values,
                                              int64_t rows, int64_t columns,
                                              int threads) {
  DMatrixHandle handle = nullptr;
  FOLDFARM_RETURN_IF_ERROR(Check(XGDMatrixCreateFromMat_omp(
      values.data(), rows, columns, std::numeric_limits<float>::quiet_NaN(),
      &handle, threads)));
  return TreeMatrix(handle);
}

TreeMatrix::TreeMatrix(TreeMatrix&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)) {}

TreeMatrix::~TreeMatrix() {
  if (handle_ != nullptr) XGDMatrixFree(handle_);
}

absl::Status TreeMatrix::SetLabels(absl::Span<const float> labels,
                                   int64_t outputs) {
  // The protocol that numpy's arrays speak: address, shape, type.
  const std::string array = absl::StrCat(
      "{\"data\":[", reinterpret_cast<uintptr_t>(labels.data()),
      ",true],\"shape\":[", static_cast<int64_t>(labels.size()) / outputs, ",",
      outputs, "],\"typestr\":\"<f4\",\"version\":3}");
  return Check(XGDMatrixSetInfoFromInterface(handle_, "label", array.c_str()));
}

absl::StatusOr<Booster> Booster::Create(
    const std::map<std::string, std::string>& parameters,
    const TreeMatrix* train) {
  return Load("", parameters, train);
}

absl::StatusOr<Booster> Booster::Load(
    absl::string_view bytes,
    const std::map<std::string, std::string>& parameters,
    const TreeMatrix* train) {
  BoosterHandle handle = nullptr;
  const DMatrixHandle matrix = train == nullptr ? nullptr : train->handle();
  FOLDFARM_RETURN_IF_ERROR(
      Check(XGBoosterCreate(&matrix, train == nullptr ? 0 : 1, &handle)));
  Booster booster(handle);
  if (!bytes.empty()) {
    FOLDFARM_RETURN_IF_ERROR(Check(
        XGBoosterLoadModelFromBuffer(handle, bytes.data(), bytes.size())));
  }
  for (const auto& [name, value] : parameters) {
    FOLDFARM_RETURN_IF_ERROR(
        Check(XGBoosterSetParam(handle, name.c_str(), value.c_str())));
  }
  return booster;
}

Booster::Booster(Booster&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)) {}

Booster::~Booster() {
  if (handle_ != nullptr) XGBoosterFree(handle_);
}

absl::Status Booster::Update(int round, const TreeMatrix& train) {
  return Check(XGBoosterUpdateOneIter(handle_, round, train.handle()));
}

absl::StatusOr<std::vector<float>> Booster::Predict(
    const TreeMatrix& rows) const {
  constexpr char kConfig[] =
      "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
      "\"iteration_end\":0,\"strict_shape\":true}";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* values = nullptr;
  FOLDFARM_RETURN_IF_ERROR(Check(XGBoosterPredictFromDMatrix(
      handle_, rows.handle(), kConfig, &shape, &dimensions, &values)));
  bst_ulong size = 1;
  for (bst_ulong i = 0; i < dimensions; ++i) size *= shape[i];
  return std::vector<float>(values, values + size);
}

absl::StatusOr<std::string> Booster::Save() const {
  bst_ulong size = 0;
  const char* bytes = nullptr;
  FOLDFARM_RETURN_IF_ERROR(Check(XGBoosterSaveModelToBuffer(
      handle_, "{\"format\":\"ubj\"}", &size, &bytes)));
  return std::string(bytes, size);
}

absl::StatusOr<int64_t> Booster::NumFeatures() const {
  bst_ulong count = 0;
  FOLDFARM_RETURN_IF_ERROR(Check(XGBoosterGetNumFeature(handle_, &count)));
  return static_cast<int64_t>(count);
}

absl::Status Booster::SetFeatureNames(const std::vector<std::string>& names) {
  std::vector<const char*> pointers;
  for (const std::string& name : names) pointers.push_back(name.c_str());
  return Check(XGBoosterSetStrFeatureInfo(handle_, "feature_name",
                                          pointers.data(), pointers.size()));
}

absl::StatusOr<std::map<std::string, double>> Booster::TotalGain() const {
  bst_ulong num_features = 0, dimensions = 0;
  const char** features = nullptr;
  const bst_ulong* shape = nullptr;
  const float* scores = nullptr;
  FOLDFARM_RETURN_IF_ERROR(Check(XGBoosterFeatureScore(
      handle_, "{\"importance_type\":\"total_gain\"}", &num_features, &features,
      &dimensions, &shape, &scores)));
  std::map<std::string, double> gain;
  for (bst_ulong i = 0; i < num_features; ++i) gain[features[i]] = scores[i];
  return gain;
}

}  // namespace foldfarm
