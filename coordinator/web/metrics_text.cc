#include "coordinator/web/metrics_text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "coordinator/service/farm_view.h"
#include "coordinator/web/process_stats.h"

namespace foldfarm {
namespace {

// Shortest that reads back as the same number.
std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  const std::string brief = absl::StrFormat("%.15g", value);
  double read = 0;
  return absl::SimpleAtod(brief, &read) && read == value
             ? brief
             : absl::StrFormat("%.17g", value);
}

void AddJobs(const SweepCounts& counts, MetricsText& text) {
  text.Family("foldfarm_jobs", "gauge", "Jobs of all sweeps by state.");
  text.Sample(counts.pending, {{"state", "pending"}});
  text.Sample(counts.running, {{"state", "running"}});
  text.Sample(counts.succeeded, {{"state", "succeeded"}});
  text.Sample(counts.failed, {{"state", "failed"}});
  text.Sample(counts.cancelled, {{"state", "cancelled"}});
}

void AddQueue(const JobQueue& queue, MetricsText& text) {
  text.Family("foldfarm_leases", "gauge", "Leases that workers hold.");
  text.Sample(static_cast<double>(queue.Leases().size()));
  const auto& ended = queue.metrics().ended;
  text.Family(
      "foldfarm_attempts_total", "counter",
      "Attempts that ended, by outcome, since the coordinator started.");
  for (int state = v1::Attempt::SUCCEEDED; state < v1::Attempt::State_ARRAYSIZE;
       ++state) {
    const std::string outcome = absl::AsciiStrToLower(
        v1::Attempt::State_Name(static_cast<v1::Attempt::State>(state)));
    text.Sample(static_cast<double>(ended[static_cast<size_t>(state)].load()),
                {{"outcome", outcome}});
  }
  text.Family("foldfarm_lease_expirations_total", "counter",
              "Leases that ran out because their worker fell silent.");
  text.Sample(static_cast<double>(ended[v1::Attempt::LOST].load()));
}

void AddStore(const Store& store, ArtifactFiles& files, MetricsText& text) {
  const StoreMetrics& metrics = store.metrics();
  text.Family("foldfarm_commits_total", "counter",
              "Transactions that were committed.");
  text.Sample(static_cast<double>(metrics.commit_seconds.Read().count()));
  text.Family("foldfarm_commit_failures_total", "counter",
              "Transactions that could not be committed, e.g. on a full disk.");
  text.Sample(static_cast<double>(metrics.failed_commits.load()));
  text.Family("foldfarm_commit_duration_seconds", "histogram",
              "Time of a transaction, from its first work to the disk.");
  text.Sample(metrics.commit_seconds);
  text.Family("foldfarm_commit_batch_size", "histogram",
              "Requests that shared a transaction.");
  text.Sample(metrics.batch_size);
  text.Family("foldfarm_database_size_bytes", "gauge",
              "Size of the database and its log.");
  text.Sample(static_cast<double>(store.SizeBytes()));
  text.Family("foldfarm_artifact_stored_bytes", "gauge",
              "Size of all stored artifacts.");
  text.Sample(static_cast<double>(files.StoredBytes()));
}

void AddWorkers(const JobQueue& queue, absl::Time now, MetricsText& text) {
  const std::vector<v1::Worker> workers = ViewWorkers(queue, now);
  std::map<v1::Worker::State, int> counts = {{v1::Worker::ONLINE, 0},
                                             {v1::Worker::DRAINING, 0},
                                             {v1::Worker::OFFLINE, 0},
                                             {v1::Worker::QUARANTINED, 0}};
  for (const v1::Worker& worker : workers) ++counts[worker.state()];
  text.Family("foldfarm_workers", "gauge", "Workers by state.");
  for (const auto& [state, count] : counts) {
    text.Sample(
        count,
        {{"state", absl::AsciiStrToLower(v1::Worker::State_Name(state))}});
  }
  // Names of workers that are gone would pile up.
  text.Family("foldfarm_worker_slots", "gauge",
              "Slots of the workers that are not offline, busy and free.");
  for (const v1::Worker& worker : workers) {
    if (worker.state() == v1::Worker::OFFLINE) continue;
    text.Sample(worker.busy_slots(),
                {{"worker", worker.name()}, {"state", "busy"}});
    text.Sample(std::max(0, worker.slots() - worker.busy_slots()),
                {{"worker", worker.name()}, {"state", "free"}});
  }
}

void AddRpcs(const RpcMetrics& rpcs, MetricsText& text) {
  text.Family(
      "foldfarm_rpc_duration_seconds", "histogram",
      "Time of gRPC calls by method and code; waiting for work and watching "
      "included.");
  rpcs.ForEach([&text](const RpcMetrics::Method& method) {
    for (size_t code = 0; code < method.seconds_by_code.size(); ++code) {
      const Histogram& histogram = *method.seconds_by_code[code];
      if (histogram.Read().count() == 0) continue;
      text.Sample(histogram, {{"method", method.name},
                              {"code", RpcMetrics::CodeName(code)}});
    }
  });
}

void AddProcess(MetricsText& text) {
  const ProcessStats stats = ReadProcessStats();
  const auto add = [&text](const char* name, const char* type, const char* help,
                           double value) {
    text.Family(name, type, help);
    text.Sample(value);
  };
  add("process_cpu_seconds_total", "counter",
      "User and system CPU time, in seconds.", stats.cpu_seconds);
  add("process_open_fds", "gauge", "Open file descriptors.", stats.open_fds);
  add("process_max_fds", "gauge", "Most open file descriptors.", stats.max_fds);
  add("process_virtual_memory_bytes", "gauge", "Virtual memory.",
      stats.virtual_memory_bytes);
  add("process_resident_memory_bytes", "gauge", "Resident memory.",
      stats.resident_memory_bytes);
  add("process_start_time_seconds", "gauge",
      "When the process started, in seconds since 1970.",
      stats.start_time_seconds);
}

}  // namespace

void MetricsText::Family(absl::string_view name, absl::string_view type,
                         absl::string_view help) {
  name_ = std::string(name);
  absl::StrAppend(&text_, "# HELP ", name, " ",
                  absl::StrReplaceAll(help, {{"\\", "\\\\"}, {"\n", "\\n"}}),
                  "\n# TYPE ", name, " ", type, "\n");
}

void MetricsText::Line(absl::string_view suffix, const Labels& labels,
                       absl::string_view le, double value) {
  absl::StrAppend(&text_, name_, suffix);
  const char* separator = "{";
  const auto add = [&](absl::string_view name, absl::string_view label) {
    absl::StrAppend(&text_, separator, name, "=\"",
                    absl::StrReplaceAll(
                        label, {{"\\", "\\\\"}, {"\n", "\\n"}, {"\"", "\\\""}}),
                    "\"");
    separator = ",";
  };
  for (const auto& [name, label] : labels) add(name, label);
  if (!le.empty()) add("le", le);
  absl::StrAppend(&text_, *separator == ',' ? "}" : "", " ", Number(value),
                  "\n");
}

void MetricsText::Sample(double value, const Labels& labels) {
  Line("", labels, "", value);
}

void MetricsText::Sample(const Histogram& histogram, const Labels& labels) {
  const Histogram::Reading reading = histogram.Read();
  for (size_t i = 0; i < histogram.bounds().size(); ++i) {
    Line("_bucket", labels, Number(histogram.bounds()[i]),
         static_cast<double>(reading.cumulative[i]));
  }
  Line("_bucket", labels, "+Inf", static_cast<double>(reading.count()));
  Line("_sum", labels, "", reading.sum);
  Line("_count", labels, "", static_cast<double>(reading.count()));
}

absl::StatusOr<std::string> RenderMetrics(const MetricsSources& sources,
                                          int open_streams) {
  SweepCounts counts;
  FOLDFARM_RETURN_IF_ERROR(
      sources.store.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(counts, reader.CountAllJobs());
        return absl::OkStatus();
      }));
  MetricsText text;
  text.Family("foldfarm_build_info", "gauge", "1, labelled by the version.");
  text.Sample(1, {{"version", FOLDFARM_VERSION}});
  AddJobs(counts, text);
  AddQueue(sources.queue, text);
  AddStore(sources.store, sources.files, text);
  AddWorkers(sources.queue, sources.clock.Now(), text);
  AddRpcs(sources.rpcs, text);
  text.Family("foldfarm_page_streams", "gauge", "Pages that are open.");
  text.Sample(open_streams);
  AddProcess(text);
  return text.text();
}

}  // namespace foldfarm
