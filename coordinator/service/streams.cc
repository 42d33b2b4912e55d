// The calls of FarmServiceImpl that follow what happens: watch, logs.
#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

// Changes are sent together, at most this often.
constexpr absl::Duration kCoalesce = absl::Milliseconds(200);
// A caller that went is noticed within this.
constexpr absl::Duration kLookUp = absl::Seconds(1);
constexpr int kLogLines = 1000;

}  // namespace

bool FarmServiceImpl::Over(const grpc::ServerContext& context) const {
  return context.IsCancelled() || queue_.stopping();
}

absl::Status FarmServiceImpl::Watch(
    const grpc::ServerContext& context, const std::string& name,
    grpc::ServerWriter<v1::WatchSweepResponse>& writer) {
  int64_t seen = 0;
  int64_t last_change = 0;
  bool first = true;
  while (true) {
    // Read after the count was taken, so that no change is missed.
    seen = queue_.WaitForChange(first ? -1 : seen,
                                first ? absl::ZeroDuration() : kLookUp);
    if (Over(context)) break;
    const absl::Duration begin = clock_.Monotonic();
    v1::WatchSweepResponse response;
    FOLDFARM_RETURN_IF_ERROR(
        store_.Read([&](const Reader& reader) -> absl::Status {
          FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                                    ResolveSweep(reader, name));
          FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> rows,
                                    reader.ListJobs(sweep.id, last_change));
          if (rows.empty() && !first) return absl::OkStatus();
          FOLDFARM_ASSIGN_OR_RETURN(const SweepCounts counts,
                                    reader.CountJobs(sweep.id));
          *response.mutable_sweep() = ToSweep(sweep, counts, false);
          for (const JobRow& row : rows) {
            last_change = std::max(last_change, row.change);
            FOLDFARM_ASSIGN_OR_RETURN(*response.add_jobs(),
                                      ViewJob(reader, row, sweep.priority));
          }
          return absl::OkStatus();
        }));
    if (!response.has_sweep()) continue;
    first = false;
    if (!writer.Write(response)) return absl::OkStatus();
    if (response.sweep().pending() + response.sweep().running() == 0) {
      return absl::OkStatus();
    }
    // Let changes gather. Other sweeps' changes do not cut this short.
    while (!Over(context)) {
      const absl::Duration left = begin + kCoalesce - clock_.Monotonic();
      if (left <= absl::ZeroDuration()) break;
      queue_.WaitToGather(left);
    }
  }
  if (queue_.stopping()) {
    return absl::UnavailableError("the coordinator is stopping; repeat");
  }
  return absl::OkStatus();
}

absl::Status FarmServiceImpl::StreamLog(
    const grpc::ServerContext& context, const v1::GetLogsRequest& request,
    grpc::ServerWriter<v1::GetLogsResponse>& writer) {
  int64_t seen = -1;
  FencingToken token;
  int64_t in_attempt = 0;
  int64_t sequence = 0;
  while (true) {
    seen =
        queue_.WaitForChange(seen, seen < 0 ? absl::ZeroDuration() : kLookUp);
    v1::GetLogsResponse response;
    bool final_state = false;
    FOLDFARM_RETURN_IF_ERROR(
        store_.Read([&](const Reader& reader) -> absl::Status {
          FOLDFARM_ASSIGN_OR_RETURN(const JobRow job,
                                    ResolveJob(reader, request.job()));
          final_state = IsFinal(job.state);
          FOLDFARM_ASSIGN_OR_RETURN(
              std::vector<v1::LogLine> lines,
              reader.ListLog(TrainedJob(job), token, in_attempt, kLogLines));
          for (v1::LogLine& line : lines) {
            token = FencingToken{line.token()};
            in_attempt = line.sequence();
            line.set_sequence(++sequence);
            *response.add_lines() = std::move(line);
          }
          return absl::OkStatus();
        }));
    if (response.lines_size() > 0 && !writer.Write(response)) {
      return absl::OkStatus();
    }
    if (response.lines_size() == kLogLines) {
      seen = -1;  // There is more: do not wait.
      continue;
    }
    if (!request.follow() || final_state || context.IsCancelled()) {
      return absl::OkStatus();
    }
    if (queue_.stopping()) {
      return absl::UnavailableError("the coordinator is stopping; repeat");
    }
  }
}

}  // namespace foldfarm
