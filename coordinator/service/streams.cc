// The calls of FarmServiceImpl that follow what happens: watch, logs.
#include <google/protobuf/message_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/service/access.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

// Jobs and lines a message: far below the largest message, and what a slow
// reader may make the coordinator keep.
constexpr size_t kMostJobs = 2000;
constexpr int kLogLines = 1000;

// The request of a stream, which arrives as bytes so that replies can leave as
// bytes: one message is serialized once for all who follow the same.
template <typename Request>
absl::StatusOr<Request> Parse(const grpc::ByteBuffer& bytes) {
  Request request;
  grpc::ByteBuffer copy(bytes);  // Counts a reference; reading takes it.
  FOLDFARM_RETURN_IF_ERROR(ToStatus(
      grpc::SerializationTraits<Request>::Deserialize(&copy, &request)));
  return request;
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

StreamHub::Read Failing(absl::Status status) {
  return [status = std::move(status)](const StreamCursor&) { return status; };
}

// Keeps those that changed first. Whether any were dropped.
bool TakeOldestChanges(std::vector<JobRow>& rows) {
  if (rows.size() <= kMostJobs) return false;
  std::sort(rows.begin(), rows.end(), [](const JobRow& a, const JobRow& b) {
    return a.change < b.change;
  });
  rows.resize(kMostJobs);
  std::sort(rows.begin(), rows.end(), [](const JobRow& a, const JobRow& b) {
    return a.position < b.position;
  });
  return true;
}

}  // namespace

StreamHub::Reactor* FarmServiceImpl::WatchSweep(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes) {
  absl::StatusOr<v1::WatchSweepRequest> request =
      Parse<v1::WatchSweepRequest>(*bytes);
  if (!request.ok()) {
    return streams_.Open("bad request", Failing(request.status()));
  }
  return streams_.Open(
      absl::StrCat("sweep ", request->sweep()),
      [this, name = request->sweep()](const StreamCursor& from) {
        return ReadSweep(name, from);
      },
      StillMay(tokens_, *context, "/foldfarm.v1.FarmService/WatchSweep"));
}

absl::StatusOr<StreamStep> FarmServiceImpl::ReadSweep(
    const std::string& name, const StreamCursor& from) {
  StreamStep step;
  step.next = from;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                                  ResolveSweep(reader, name));
        FOLDFARM_ASSIGN_OR_RETURN(std::vector<JobRow> rows,
                                  reader.ListJobs(sweep.id, from.change));
        if (rows.empty() && from.begun) return absl::OkStatus();
        FOLDFARM_ASSIGN_OR_RETURN(const SweepCounts counts,
                                  reader.CountJobs(sweep.id));
        step.more = TakeOldestChanges(rows);
        step.next.begun = true;
        v1::WatchSweepResponse response;
        *response.mutable_sweep() = ToSweep(sweep, counts, /*with_spec=*/false);
        for (const JobRow& row : rows) {
          step.next.change = std::max(step.next.change, row.change);
          FOLDFARM_ASSIGN_OR_RETURN(*response.add_jobs(),
                                    ViewJob(reader, row, sweep.priority));
        }
        step.message = Serialize(response);
        step.ended =
            !step.more &&
            response.sweep().pending() + response.sweep().running() == 0;
        return absl::OkStatus();
      }));
  return step;
}

StreamHub::Reactor* FarmServiceImpl::GetLogs(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes) {
  absl::StatusOr<v1::GetLogsRequest> request =
      Parse<v1::GetLogsRequest>(*bytes);
  if (!request.ok()) {
    return streams_.Open("bad request", Failing(request.status()));
  }
  // Before `request` is moved: arguments are evaluated in any order.
  const std::string subject =
      absl::StrCat(request->follow() ? "growing log " : "log ", request->job());
  return streams_.Open(
      subject,
      [this, request = *std::move(request)](const StreamCursor& from) {
        return ReadLog(request, from);
      },
      StillMay(tokens_, *context, "/foldfarm.v1.FarmService/GetLogs"));
}

absl::StatusOr<StreamStep> FarmServiceImpl::ReadLog(
    const v1::GetLogsRequest& request, const StreamCursor& from) {
  StreamStep step;
  step.next = from;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(const JobRow job,
                                  ResolveJob(reader, request.job()));
        FOLDFARM_ASSIGN_OR_RETURN(
            std::vector<v1::LogLine> lines,
            reader.ListLog(TrainedJob(job), FencingToken{from.token},
                           from.in_attempt, kLogLines));
        v1::GetLogsResponse response;
        for (v1::LogLine& line : lines) {
          step.next.token = line.token();
          step.next.in_attempt = line.sequence();
          line.set_sequence(++step.next.sequence);
          *response.add_lines() = std::move(line);
        }
        step.next.begun = true;
        step.more = response.lines_size() == kLogLines;
        step.ended = !step.more && (!request.follow() || IsFinal(job.state));
        // The first message says that the log is followed, with lines or none.
        if (response.lines_size() > 0 || !from.begun) {
          step.message = Serialize(response);
        }
        return absl::OkStatus();
      }));
  return step;
}

}  // namespace foldfarm
