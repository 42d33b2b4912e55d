#include "coordinator/web/event_stream.h"

#include <algorithm>
#include <array>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/queue/job_state.h"
#include "coordinator/service/farm_view.h"
#include "coordinator/web/json.h"

namespace foldfarm {
namespace {

// Workers fall silent without any change in the queue.
constexpr absl::Duration kLookUp = absl::Seconds(1);
// A page that hears nothing for twice this long reconnects.
constexpr absl::Duration kSignOfLife = absl::Seconds(10);
constexpr int kLogLines = 1000;
constexpr int kCurvePoints = 400;
// Of a large sweep that many waiting jobs are looked at at a time.
constexpr size_t kWaitingJobs = 1000;

// The events of entries that are newer than `version`.
std::string NewerThan(int64_t version,
                      const std::vector<FarmFeed::Entry>& entries) {
  std::vector<absl::string_view> newer;
  for (const FarmFeed::Entry& entry : entries) {
    if (entry.version > version) newer.push_back(entry.json);
  }
  return absl::StrJoin(newer, ",");
}

// JSON of one line: a line break inside would end the data.
void Append(absl::string_view event, absl::string_view json, std::string& out) {
  absl::StrAppend(&out, "event: ", event, "\ndata: ", json, "\n\n");
}

// The job's epochs after `after_epoch`. What lies beyond the job's own epoch
// was reported by an attempt that is lost, and will be trained anew.
absl::StatusOr<std::vector<v1::EpochMetrics>> NewEpochs(const Reader& reader,
                                                        const JobRow& row,
                                                        int after_epoch) {
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<v1::EpochMetrics> epochs,
                            reader.ListMetrics(TrainedJob(row), after_epoch));
  // A job that succeeded stands at its goal, however many epochs that took.
  if (row.state == v1::Job::SUCCEEDED) return epochs;
  while (!epochs.empty() && epochs.back().epoch() > row.epoch) {
    epochs.pop_back();
  }
  return epochs;
}

}  // namespace

std::string EventCursor::ToString() const {
  return absl::StrJoin(
      {sweep_change, job_change, token, in_attempt, sequence, epoch, attempt},
      ".");
}

EventCursor EventCursor::Parse(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  std::array<int64_t, 7> n = {};
  if (parts.size() != n.size()) return {};
  for (size_t i = 0; i < n.size(); ++i) {
    if (!absl::SimpleAtoi(parts[i], &n[i]) || n[i] < 0) return {};
  }
  return {n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
}

EventStream::EventStream(FarmFeed& feed, Store& store, JobQueue& queue,
                         FarmServiceImpl& farm, Clock& clock,
                         const std::string& instance, EventTopic topic,
                         EventCursor cursor)
    : feed_(feed),
      store_(store),
      queue_(queue),
      farm_(farm),
      clock_(clock),
      instance_(instance),
      topic_(std::move(topic)),
      cursor_(cursor) {}

absl::StatusOr<std::string> EventStream::Next() {
  std::string out;
  bool changed = first_;
  if (first_) {
    seen_ = queue_.changes();
    const nlohmann::json hello = {{"instance", instance_},
                                  {"version", FOLDFARM_VERSION}};
    absl::StrAppend(&out, "retry: 1000\n");
    Append("hello", JsonText(hello), out);
  } else {
    // Let changes gather; other pages' do not cut this short.
    while (!queue_.stopping()) {
      const absl::Duration left =
          looked_ + FarmFeed::kInterval - clock_.Monotonic();
      if (left <= absl::ZeroDuration()) break;
      queue_.WaitToGather(left);
    }
    const int64_t seen =
        queue_.WaitForChange(seen_, behind_ ? absl::ZeroDuration() : kLookUp);
    changed = seen != seen_;
    seen_ = seen;
  }
  const size_t greeting = out.size();
  FOLDFARM_RETURN_IF_ERROR(AppendFarm(out));
  const bool again = clock_.Monotonic() - looked_again_ >= kLookAgain;
  if (again) looked_again_ = clock_.Monotonic();
  if ((changed || again) && !topic_.sweep.empty()) {
    FOLDFARM_RETURN_IF_ERROR(AppendSweep(again, out));
  }
  if ((changed || again) && !topic_.job.empty()) {
    FOLDFARM_RETURN_IF_ERROR(AppendJob(again, out));
  }
  looked_ = clock_.Monotonic();
  if (out.size() > greeting || first_) {
    // The id comes with the last event: what broke off is said again.
    out.pop_back();
    absl::StrAppend(&out, "id: ", cursor_.ToString(), "\n\n");
    sent_ = looked_;
  } else if (looked_ - sent_ >= kSignOfLife) {
    out = ": alive\n\n";
    sent_ = looked_;
  }
  first_ = false;
  return out;
}

absl::Status EventStream::AppendFarm(std::string& out) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto snapshot, feed_.Get());
  behind_ = snapshot->seen < seen_;
  if (snapshot->version == feed_version_) return absl::OkStatus();
  const std::string sweeps = NewerThan(feed_version_, snapshot->sweeps);
  if (!sweeps.empty() || first_) {
    Append("sweeps", absl::StrCat("{\"sweeps\":[", sweeps, "]}"), out);
  }
  const std::string workers = NewerThan(feed_version_, snapshot->workers);
  if (!workers.empty() || first_) {
    Append("workers", absl::StrCat("{\"workers\":[", workers, "]}"), out);
  }
  feed_version_ = snapshot->version;
  return absl::OkStatus();
}

absl::Status EventStream::AppendSweep(bool again, std::string& out) {
  return store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                              ResolveSweep(reader, topic_.sweep));
    const int64_t known = cursor_.sweep_change;
    FOLDFARM_ASSIGN_OR_RETURN(std::vector<JobRow> rows,
                              reader.ListJobs(sweep.id, first_ ? 0 : known));
    if (again) {
      FOLDFARM_RETURN_IF_ERROR(AddWaiting(reader, sweep.priority, rows));
    }
    if (rows.empty() && !first_) return absl::OkStatus();
    FOLDFARM_ASSIGN_OR_RETURN(const SweepCounts counts,
                              reader.CountJobs(sweep.id));
    v1::WatchSweepResponse response;
    *response.mutable_sweep() = ToSweep(sweep, counts, /*with_spec=*/false);
    const FarmLoad farm = queue_.Load();
    for (const JobRow& row : rows) {
      // A page that came back knows the others, but not what these wait for.
      if (row.change <= known && row.state != v1::Job::PENDING) continue;
      cursor_.sweep_change = std::max(cursor_.sweep_change, row.change);
      v1::Job& job = *response.add_jobs();
      FOLDFARM_ASSIGN_OR_RETURN(job, ViewJob(reader, row, sweep.priority));
      job.set_waiting_reason(queue_.WaitingReason(row, sweep.priority, farm));
      if (row.state == v1::Job::PENDING) {
        waiting_[row.id] = job.waiting_reason();
      } else {
        waiting_.erase(row.id);
      }
    }
    FOLDFARM_ASSIGN_OR_RETURN(const std::string json, MessageToJson(response));
    Append("jobs", json, out);
    if (topic_.models.empty()) return absl::OkStatus();
    return AppendCurves(reader, rows, out);
  });
}

absl::Status EventStream::AddWaiting(const Reader& reader, int priority,
                                     std::vector<JobRow>& rows) {
  const size_t count = std::min(kWaitingJobs, waiting_.size());
  if (count == 0) return absl::OkStatus();
  const FarmLoad farm = queue_.Load();
  for (size_t i = 0; i < count; ++i) {
    auto next = waiting_.upper_bound(asked_);
    if (next == waiting_.end()) next = waiting_.begin();
    asked_ = next->first;
    FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> row,
                              reader.FindJob(asked_));
    // One that changed is among the rows already.
    if (!row.has_value() || row->change > cursor_.sweep_change) continue;
    if (queue_.WaitingReason(*row, priority, farm) == next->second) continue;
    rows.push_back(*std::move(row));
  }
  return absl::OkStatus();
}

absl::Status EventStream::AppendCurves(const Reader& reader,
                                       const std::vector<JobRow>& rows,
                                       std::string& out) {
  nlohmann::json curves = nlohmann::json::array();
  for (const JobRow& row : rows) {
    if (!absl::c_linear_search(topic_.models, row.model)) continue;
    CurveCursor& cursor = curves_[row.id];
    if (cursor.attempt != row.attempt_count) {
      // Another attempt may have replaced what is known.
      cursor = {.attempt = row.attempt_count, .epoch = 0};
    }
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<v1::EpochMetrics> epochs,
                              NewEpochs(reader, row, cursor.epoch));
    const int step =
        std::max(1, (row.epochs + kCurvePoints - 1) / kCurvePoints);
    std::vector<int> numbers;
    std::vector<double> values;
    for (const v1::EpochMetrics& epoch : epochs) {
      const auto log_loss = epoch.values().find("log_loss");
      cursor.epoch = epoch.epoch();
      if (log_loss == epoch.values().end()) continue;
      if (epoch.epoch() % step != 0 && &epoch != &epochs.front() &&
          &epoch != &epochs.back()) {
        continue;
      }
      numbers.push_back(epoch.epoch());
      values.push_back(log_loss->second);
    }
    if (numbers.empty()) continue;
    curves.push_back({{"job", JobName(row.sweep, row.model, row.fold)},
                      {"attempt", row.attempt_count},
                      {"epoch", numbers},
                      {"logLoss", values}});
  }
  if (!curves.empty()) {
    nlohmann::json message;
    message["curves"] = std::move(curves);
    Append("curves", JsonText(message), out);
  }
  return absl::OkStatus();
}

absl::Status EventStream::AppendJob(bool again, std::string& out) {
  return store_.Read([&](const Reader& reader) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const JobRow row, ResolveJob(reader, topic_.job));
    const bool changed = row.change != cursor_.job_change || first_;
    if (!changed && (!again || IsFinal(row.state))) return absl::OkStatus();
    cursor_.job_change = row.change;
    v1::GetJobRequest request;
    request.set_job(topic_.job);
    v1::GetJobResponse response;
    FOLDFARM_RETURN_IF_ERROR(
        ToStatus(farm_.GetJob(nullptr, &request, &response)));
    FOLDFARM_ASSIGN_OR_RETURN(std::string json, MessageToJson(response));
    if (changed || json != job_json_) Append("job", json, out);
    job_json_ = std::move(json);
    if (!changed) return absl::OkStatus();
    FOLDFARM_RETURN_IF_ERROR(AppendMetrics(reader, row, out));
    return AppendLog(reader, row, out);
  });
}

absl::Status EventStream::AppendMetrics(const Reader& reader, const JobRow& row,
                                        std::string& out) {
  if (cursor_.attempt != row.attempt_count) {
    cursor_.attempt = row.attempt_count;
    cursor_.epoch = 0;
  }
  v1::GetMetricsResponse response;
  FOLDFARM_ASSIGN_OR_RETURN(
      std::vector<v1::EpochMetrics> epochs,
      NewEpochs(reader, row, static_cast<int>(cursor_.epoch)));
  for (v1::EpochMetrics& epoch : epochs) {
    cursor_.epoch = epoch.epoch();
    *response.add_epochs() = std::move(epoch);
  }
  FOLDFARM_ASSIGN_OR_RETURN(const auto result, reader.ResultMetrics(row.id));
  response.mutable_result()->insert(result.begin(), result.end());
  if (response.epochs_size() == 0 && result.empty()) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(const std::string json, MessageToJson(response));
  Append("metrics", json, out);
  return absl::OkStatus();
}

absl::Status EventStream::AppendLog(const Reader& reader, const JobRow& row,
                                    std::string& out) {
  std::deque<v1::LogLine> last;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(
        std::vector<v1::LogLine> lines,
        reader.ListLog(TrainedJob(row), FencingToken{cursor_.token},
                       cursor_.in_attempt, kLogLines));
    for (v1::LogLine& line : lines) {
      cursor_.token = line.token();
      cursor_.in_attempt = line.sequence();
      line.set_sequence(++cursor_.sequence);
      last.push_back(std::move(line));
      if (last.size() > kLogLines) last.pop_front();
    }
    if (lines.size() < kLogLines) break;
  }
  if (last.empty()) return absl::OkStatus();
  v1::GetLogsResponse response;
  for (v1::LogLine& line : last) *response.add_lines() = std::move(line);
  FOLDFARM_ASSIGN_OR_RETURN(const std::string json, MessageToJson(response));
  Append("log", json, out);
  return absl::OkStatus();
}

}  // namespace foldfarm
