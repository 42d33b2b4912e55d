#include "worker/agent/trainer_event.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/ids.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;
using Kind = TrainerEvent::Kind;

// The sweep's own bound on epochs.
constexpr int64_t kMaxEpoch = 1'000'000;
constexpr size_t kMaxMetrics = 64;
constexpr size_t kMaxName = 100;
constexpr size_t kMaxMessage = 4096;

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError(what);
}

absl::StatusOr<int32_t> GetCount(const Json& json, const char* key,
                                 int64_t min) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer()) {
    return Malformed(absl::StrCat("expected an integer \"", key, "\""));
  }
  const auto value = found->get<int64_t>();
  if (value < min || value > kMaxEpoch) {
    return Malformed(absl::StrCat("\"", key, "\" is ", value, ", expected ",
                                  min, " to ", kMaxEpoch));
  }
  return static_cast<int32_t>(value);
}

// Empty when absent.
absl::StatusOr<std::string> GetText(const Json& json, const char* key,
                                    size_t max_size) {
  const auto found = json.find(key);
  if (found == json.end()) return std::string();
  if (!found->is_string()) {
    return Malformed(absl::StrCat("expected a string \"", key, "\""));
  }
  return CleanText(found->get_ref<const std::string&>(), max_size);
}

absl::StatusOr<std::map<std::string, double>> GetMetrics(const Json& json) {
  std::map<std::string, double> metrics;
  const auto found = json.find("metrics");
  if (found == json.end()) return metrics;
  if (!found->is_object()) return Malformed("expected an object \"metrics\"");
  for (const auto& [name, value] : found->items()) {
    if (value.is_null()) continue;  // Not computed, or not finite.
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      return Malformed(absl::StrCat("metric \"", CleanText(name, kMaxName),
                                    "\" is not a finite number"));
    }
    if (metrics.size() == kMaxMetrics) {
      return Malformed(absl::StrCat("more than ", kMaxMetrics, " metrics"));
    }
    metrics[CleanText(name, kMaxName)] = value.get<double>();
  }
  return metrics;
}

absl::StatusOr<std::string> CheckedName(const Json& json) {
  if (json.is_string()) {
    const auto& name = json.get_ref<const std::string&>();
    if (CheckFileName(name).ok()) return name;
  }
  return Malformed(
      absl::StrCat(CleanText(JsonText(json), kMaxName),
                   " is not a plain name of a file in the attempt's folder"));
}

absl::StatusOr<TrainerEvent> Decode(const Json& json) {
  if (!json.is_object()) return Malformed("expected a JSON object");
  FOLDFARM_ASSIGN_OR_RETURN(const std::string kind,
                            GetText(json, "event", kMaxName));
  TrainerEvent event;
  if (kind == "started") {
    event.kind = Kind::kStarted;
    FOLDFARM_ASSIGN_OR_RETURN(event.epochs_total, GetCount(json, "epochs", 0));
    FOLDFARM_ASSIGN_OR_RETURN(event.resumed_epoch,
                              GetCount(json, "resumed_epoch", 0));
    FOLDFARM_ASSIGN_OR_RETURN(event.device, GetText(json, "device", kMaxName));
  } else if (kind == "epoch") {
    event.kind = Kind::kEpoch;
    FOLDFARM_ASSIGN_OR_RETURN(event.epoch, GetCount(json, "epoch", 1));
    FOLDFARM_ASSIGN_OR_RETURN(event.metrics, GetMetrics(json));
  } else if (kind == "checkpoint") {
    event.kind = Kind::kCheckpoint;
    FOLDFARM_ASSIGN_OR_RETURN(event.epoch, GetCount(json, "epoch", 0));
    FOLDFARM_ASSIGN_OR_RETURN(event.path,
                              CheckedName(json.value("path", Json())));
  } else if (kind == "log") {
    event.kind = Kind::kLog;
    FOLDFARM_ASSIGN_OR_RETURN(event.level, GetText(json, "level", kMaxName));
    if (event.level != "debug" && event.level != "warning" &&
        event.level != "error") {
      event.level = "info";
    }
    FOLDFARM_ASSIGN_OR_RETURN(event.message,
                              GetText(json, "message", kMaxMessage));
  } else if (kind == "finished") {
    event.kind = Kind::kFinished;
    const Json files = json.value("files", Json::array());
    if (!files.is_array() || files.size() > kMaxResultFiles) {
      return Malformed(absl::StrCat(
          "\"finished\": expected an array \"files\" of at most ",
          kMaxResultFiles, " names, got ",
          files.is_array() ? absl::StrCat(files.size()) : JsonText(files)));
    }
    for (const Json& file : files) {
      FOLDFARM_ASSIGN_OR_RETURN(std::string name, CheckedName(file));
      if (std::find(event.files.begin(), event.files.end(), name) ==
          event.files.end()) {
        event.files.push_back(std::move(name));
      }
    }
    FOLDFARM_ASSIGN_OR_RETURN(event.metrics, GetMetrics(json));
  } else if (kind == "failed") {
    event.kind = Kind::kFailed;
    FOLDFARM_ASSIGN_OR_RETURN(event.code, GetText(json, "code", kMaxName));
    FOLDFARM_ASSIGN_OR_RETURN(event.message,
                              GetText(json, "message", kMaxMessage));
  } else {
    return Malformed(absl::StrCat("event is \"", kind,
                                  "\", expected started, epoch, checkpoint, "
                                  "log, finished or failed"));
  }
  return event;
}

}  // namespace

absl::StatusOr<TrainerEvent> ParseTrainerEvent(absl::string_view line) {
  const Json json = ParseJson(line);
  absl::StatusOr<TrainerEvent> event =
      json.is_discarded()
          ? Malformed(absl::StrContains(line, "NaN") ||
                              absl::StrContains(line, "Infinity")
                          ? "not JSON, which has no NaN and no Infinity; write "
                            "null"
                          : "not JSON")
          : Decode(json);
  if (event.ok()) return event;
  return absl::InvalidArgumentError(absl::StrCat(
      "trainer event ", CleanText(line, 120), ": ", event.status().message()));
}

void LineSplitter::Append(absl::string_view data) {
  while (!data.empty()) {
    const size_t end = data.find('\n');
    const absl::string_view part = data.substr(0, end);
    const size_t room = max_size_ - line_.size();
    absl::StrAppend(&line_, part.substr(0, room));
    cut_ = cut_ || part.size() > room;
    if (end == absl::string_view::npos) return;
    Flush();
    data.remove_prefix(end + 1);
  }
}

void LineSplitter::Finish() {
  if (!line_.empty()) Flush();
}

void LineSplitter::Flush() {
  if (!line_.empty() && line_.back() == '\r') line_.pop_back();
  callback_(line_, cut_);
  line_.clear();
  cut_ = false;
}

}  // namespace foldfarm
