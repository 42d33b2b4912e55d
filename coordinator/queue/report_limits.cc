#include "coordinator/queue/report_limits.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

// Workers cut at 4 KiB.
constexpr size_t kMaxLine = 8192;
constexpr size_t kMaxShort = 256;
constexpr int kMaxLogTail = 200;
constexpr size_t kMaxMetrics = 256;
constexpr size_t kMaxMetricName = 128;
constexpr int kMaxDevices = 1024;
constexpr int64_t kEndOfTime = 253402300799;  // 9999-12-31T23:59:59Z

// A name that is taken keeps its value.
void CleanNames(google::protobuf::Map<std::string, double>& metrics) {
  std::vector<std::pair<std::string, double>> unclean;
  for (const auto& [name, value] : metrics) {
    if (!IsClean(name)) unclean.emplace_back(name, value);
  }
  for (const auto& [name, value] : unclean) {
    metrics.erase(name);
    metrics.insert({CleanText(name, name.size()), value});
  }
}

// Checks the number of metrics and the lengths of their names. `what` has them.
absl::Status CheckValues(
    absl::string_view what,
    const google::protobuf::Map<std::string, double>& values) {
  if (values.size() > kMaxMetrics) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has ", values.size(),
                     " metrics, expected at most ", kMaxMetrics));
  }
  for (const auto& [name, value] : values) {
    if (name.size() <= kMaxMetricName) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": the name of a metric, \"",
                     ClipUtf8(name, kMaxMetricName / 2), "...\", has ",
                     name.size(), " bytes, expected at most ", kMaxMetricName));
  }
  return absl::OkStatus();
}

absl::Status CheckLength(absl::string_view what, const std::string& text) {
  if (text.size() <= kMaxShort) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the worker's ", what, " has ", text.size(),
                   " bytes, expected at most ", kMaxShort));
}

}  // namespace

void ClipReport(v1::ReportProgressRequest& request) {
  if (!request.device().empty()) {
    MakeClean(*request.mutable_device(), kMaxShort);
  }
  for (v1::EpochMetrics& metrics : *request.mutable_epochs()) {
    CleanNames(*metrics.mutable_values());
  }
  for (v1::LogLine& line : *request.mutable_lines()) {
    MakeClean(*line.mutable_level(), kMaxShort);
    MakeClean(*line.mutable_text(), kMaxLine);
    if (!line.has_time()) continue;
    line.mutable_time()->set_seconds(
        std::clamp(line.time().seconds(), int64_t{0}, kEndOfTime));
  }
}

void ClipFinish(v1::FinishAttemptRequest& request) {
  // To ask for an empty field's string makes one.
  if (!request.error().empty()) {
    MakeClean(*request.mutable_error(), kMaxError);
  }
  CleanNames(*request.mutable_metrics());
  auto& tail = *request.mutable_log_tail();
  if (tail.size() > kMaxLogTail) {
    tail.DeleteSubrange(0, tail.size() - kMaxLogTail);
  }
  for (std::string& line : tail) MakeClean(line, kMaxLine);
}

void ClipHeartbeat(v1::HeartbeatRequest& request) {
  if (request.fault().empty()) return;
  MakeClean(*request.mutable_fault(), kMaxReason);
}

void CleanRegister(v1::RegisterRequest& request) {
  const auto clean = [](std::string& text) { MakeClean(text, text.size()); };
  clean(*request.mutable_host());
  clean(*request.mutable_version());
  for (std::string& device : *request.mutable_devices()) clean(device);
}

absl::Status CheckEpochs(const v1::ReportProgressRequest& request) {
  const auto check = [](absl::string_view field, int value) {
    if (value >= 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(field, " is ", value, ", expected at least 0"));
  };
  FOLDFARM_RETURN_IF_ERROR(check("resumed_epoch", request.resumed_epoch()));
  FOLDFARM_RETURN_IF_ERROR(check("epochs_total", request.epochs_total()));
  FOLDFARM_RETURN_IF_ERROR(
      check("checkpoint_epoch", request.checkpoint_epoch()));
  for (const v1::EpochMetrics& metrics : request.epochs()) {
    FOLDFARM_RETURN_IF_ERROR(check("epochs.epoch", metrics.epoch()));
  }
  return absl::OkStatus();
}

absl::Status CheckEpoch(absl::string_view what, int epoch, int epochs) {
  if (epoch >= 1 && epoch <= epochs) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " of epoch ", epoch, ", expected 1 to ", epochs));
}

absl::Status CheckMetrics(const v1::EpochMetrics& metrics, int epochs) {
  FOLDFARM_RETURN_IF_ERROR(CheckEpoch("metrics", metrics.epoch(), epochs));
  return CheckValues(absl::StrCat("epoch ", metrics.epoch()), metrics.values());
}

absl::Status CheckMetrics(const v1::FinishAttemptRequest& request) {
  return CheckValues("the result", request.metrics());
}

absl::Status CheckWorkerTexts(const v1::RegisterRequest& request) {
  absl::Status status = CheckLength("host", request.host());
  status.Update(CheckLength("version", request.version()));
  if (request.devices_size() > kMaxDevices) {
    return absl::InvalidArgumentError(
        absl::StrCat("the worker has ", request.devices_size(),
                     " devices, expected at most ", kMaxDevices));
  }
  for (const std::string& device : request.devices()) {
    status.Update(CheckLength("device", device));
  }
  return status;
}

}  // namespace foldfarm
