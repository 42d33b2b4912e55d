#include "tests/coordinator/store/row_text.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace foldfarm {
namespace {

std::string Value(const std::string& text) {
  return absl::StrCat("\"", text, "\"");
}
std::string Value(bool value) { return value ? "true" : "false"; }
std::string Value(int value) { return absl::StrCat(value); }
std::string Value(int64_t value) { return absl::StrCat(value); }
// As many digits as tell any two apart.
std::string Value(double value) { return absl::StrFormat("%.17g", value); }
std::string Value(v1::Job::State state) { return v1::Job::State_Name(state); }
std::string Value(v1::Attempt::State state) {
  return v1::Attempt::State_Name(state);
}
template <typename Tag>
std::string Value(Id<Tag> id) {
  return absl::StrCat(id.value);
}
// In nanoseconds: the rest of a microsecond shows.
std::string Value(absl::Time time) {
  return time == absl::InfinitePast()
             ? "never"
             : absl::StrCat(absl::ToUnixNanos(time), " ns");
}
std::string Value(const v1::ModelSpec& model) {
  return model.ShortDebugString();
}
std::string Value(const std::vector<std::string>& lines) {
  return absl::StrCat("[", absl::StrJoin(lines, "|"), "]");
}
std::string Value(const std::map<std::string, double>& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    absl::StrAppend(&text, name, ":", Value(value), " ");
  }
  return text;
}
template <typename T>
std::string Value(const std::optional<T>& value) {
  return value.has_value() ? Value(*value) : "none";
}

template <typename T>
void Add(std::string& text, absl::string_view name, const T& value) {
  absl::StrAppend(&text, name, "=", Value(value), "\n");
}

}  // namespace

std::string Text(const JobRow& row) {
  const auto& [id, sweep, position, model, model_index, fold, state, slots,
               needs_exec, attempt_count, failed_count, lost_count, token,
               not_before, cancel_requested, dropped, result_key, reused_from,
               epoch, epochs, log_loss, seconds_per_epoch, error,
               checkpoint_epoch, create_time, end_time, change, paused,
               model_override, worker, start_time] = row;
  std::string text;
  Add(text, "id", id);
  Add(text, "sweep", sweep);
  Add(text, "position", position);
  Add(text, "model", model);
  Add(text, "model_index", model_index);
  Add(text, "fold", fold);
  Add(text, "state", state);
  Add(text, "slots", slots);
  Add(text, "needs_exec", needs_exec);
  Add(text, "attempt_count", attempt_count);
  Add(text, "failed_count", failed_count);
  Add(text, "lost_count", lost_count);
  Add(text, "token", token);
  Add(text, "not_before", not_before);
  Add(text, "cancel_requested", cancel_requested);
  Add(text, "dropped", dropped);
  Add(text, "result_key", result_key);
  Add(text, "reused_from", reused_from);
  Add(text, "epoch", epoch);
  Add(text, "epochs", epochs);
  Add(text, "log_loss", log_loss);
  Add(text, "seconds_per_epoch", seconds_per_epoch);
  Add(text, "error", error);
  Add(text, "checkpoint_epoch", checkpoint_epoch);
  Add(text, "create_time", create_time);
  Add(text, "end_time", end_time);
  Add(text, "change", change);
  Add(text, "paused", paused);
  Add(text, "model_override", model_override);
  Add(text, "worker", worker);
  Add(text, "start_time", start_time);
  return text;
}

std::string Text(const AttemptRow& row) {
  const auto& [token, job, number, state, outcome, session, worker, device,
               start_time, end_time, lease_until, heartbeat_time, exit_status,
               signal, error, resumed_epoch, log_tail, granted_by, uncharged,
               peak_memory_bytes, cpu_seconds, metrics] = row;
  std::string text;
  Add(text, "token", token);
  Add(text, "job", job);
  Add(text, "number", number);
  Add(text, "state", state);
  Add(text, "outcome", outcome);
  Add(text, "session", session);
  Add(text, "worker", worker);
  Add(text, "device", device);
  Add(text, "start_time", start_time);
  Add(text, "end_time", end_time);
  Add(text, "lease_until", lease_until);
  Add(text, "heartbeat_time", heartbeat_time);
  Add(text, "exit_status", exit_status);
  Add(text, "signal", signal);
  Add(text, "error", error);
  Add(text, "resumed_epoch", resumed_epoch);
  Add(text, "log_tail", log_tail);
  Add(text, "granted_by", granted_by);
  Add(text, "uncharged", uncharged);
  Add(text, "peak_memory_bytes", peak_memory_bytes);
  Add(text, "cpu_seconds", cpu_seconds);
  Add(text, "metrics", metrics);
  return text;
}

}  // namespace foldfarm
