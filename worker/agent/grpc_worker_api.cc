#include "worker/agent/grpc_worker_api.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kOutageLogInterval = absl::Minutes(1);
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kReportTimeout = absl::Seconds(30);
// The coordinator reads and checks the result before it answers.
constexpr absl::Duration kFinishTimeout = absl::Seconds(60);

using Stub = v1::WorkerService::StubInterface;

// The coordinator does not know who calls, or does not let them.
bool IsRefusal(const absl::Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}

// Transfers come back quickly: who calls them repeats them.
TransferOptions Transfer(Clock& clock, const WorkerApi::Cancelled& cancelled) {
  TransferOptions options;
  options.retry.give_up_after = absl::Seconds(1);
  options.clock = &clock;
  options.cancelled = cancelled;
  return options;
}

}  // namespace

void OutageLog::Note(const absl::Status& status, bool refused) {
  const bool away = refused || absl::IsUnavailable(status) ||
                    absl::IsDeadlineExceeded(status);
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mu_);
  if (!away) {
    if (!since_.has_value() || absl::IsCancelled(status)) return;
    SPDLOG_INFO("coordinator={} is back after {}", endpoint_,
                absl::FormatDuration(
                    absl::Trunc(now - *since_, absl::Milliseconds(100))));
    since_.reset();
    return;
  }
  if (!since_.has_value()) {
    since_ = now;
  } else if (refused == refused_ && now - said_ < kOutageLogInterval) {
    return;
  }
  said_ = now;
  refused_ = refused;
  const std::string message(status.message());
  if (refused) {
    SPDLOG_ERROR(
        "coordinator={} refuses this worker, which it knew before; attempts "
        "train on, and every call shows the token that is in --token-file "
        "then: {}",
        endpoint_, message);
  } else {
    SPDLOG_WARN(
        "coordinator={} cannot be reached, trying again until it can: {}",
        endpoint_, message);
  }
}

GrpcWorkerApi::GrpcWorkerApi(std::shared_ptr<grpc::Channel> channel,
                             const std::string& endpoint, Clock& clock,
                             const FarmChannel& access)
    : clock_(clock),
      access_(access),
      outages_(endpoint, clock),
      worker_(v1::WorkerService::NewStub(channel)),
      artifacts_(v1::ArtifactService::NewStub(channel)),
      calls_(*worker_, clock) {}

absl::Status GrpcWorkerApi::Explain(const absl::Status& status) const {
  // One that let this worker in before and hangs up is merely stopped.
  if (!absl::IsUnavailable(status) ||
      (registered_ && !absl::StrContains(status.message(), "andshake"))) {
    return status;
  }
  const std::string advice = TlsAdvice(status, access_);
  if (advice.empty()) return status;
  // Some of it quotes the message.
  const std::string said(status.message());
  return absl::UnavailableError(
      absl::StrContains(advice, said)
          ? absl::StrCat("the coordinator ", advice)
          : absl::StrCat(said, "; the coordinator ", advice));
}

absl::Status GrpcWorkerApi::Judge(const absl::Status& failed) {
  const absl::Status status = Explain(failed);
  const bool refused = registered_ && IsRefusal(status);
  outages_.Note(status, refused);
  if (!refused) return status;
  return absl::UnavailableError(
      absl::StrCat("the coordinator refuses this worker: ", status.message()));
}

absl::Status GrpcWorkerApi::JudgeTransfer(const absl::Status& status) {
  if (!absl::IsPermissionDenied(status)) return Judge(status);
  // Who denied it, the coordinator or a folder of this machine? A call that
  // touches no file tells.
  v1::StatArtifactRequest request;
  request.set_digest(Sha256Hex(""));
  const absl::Status probe =
      UnaryCall(*artifacts_, &v1::ArtifactService::StubInterface::StatArtifact,
                request, kCallTimeout)
          .status();
  return IsRefusal(probe) ? Judge(probe) : status;
}

absl::StatusOr<v1::RegisterResponse> GrpcWorkerApi::Register(
    const v1::RegisterRequest& request) {
  auto response = UnaryCall(*worker_, &Stub::Register, request, kCallTimeout);
  if (response.ok()) registered_ = true;
  FOLDFARM_RETURN_IF_ERROR(Judge(response.status()));
  return response;
}

absl::StatusOr<v1::AcquireLeasesResponse> GrpcWorkerApi::Acquire(
    const v1::AcquireLeasesRequest& request, Wait& wait) {
  const absl::Status cancelled = absl::CancelledError("the worker drains");
  v1::WorkRequest call;
  call.set_id(calls_.NewId());
  *call.mutable_acquire_leases() = request;
  {
    absl::MutexLock lock(&mu_);
    if (wait.cancelled) return cancelled;
    if (std::exchange(wait.ended, false)) return v1::AcquireLeasesResponse();
    wait.call = call.id();
  }
  auto response = calls_.Call(
      std::move(call), absl::Seconds(request.wait_seconds()) + kCallTimeout);
  {
    absl::MutexLock lock(&mu_);
    wait.call = 0;
  }
  FOLDFARM_RETURN_IF_ERROR(Judge(response.status()));
  return std::move(*response->mutable_acquire_leases());
}

absl::StatusOr<v1::AcquireLeasesResponse> GrpcWorkerApi::AcquireLeases(
    const v1::AcquireLeasesRequest& request) {
  return Acquire(request, leases_);
}

absl::Status GrpcWorkerApi::AwaitNews(const v1::AcquireLeasesRequest& request) {
  return Acquire(request, news_).status();
}

absl::StatusOr<v1::WorkResponse> GrpcWorkerApi::Call(v1::WorkRequest request,
                                                     absl::Duration timeout) {
  request.set_id(calls_.NewId());
  auto response = calls_.Call(std::move(request), timeout);
  FOLDFARM_RETURN_IF_ERROR(Judge(response.status()));
  return response;
}

absl::StatusOr<v1::HeartbeatResponse> GrpcWorkerApi::Heartbeat(
    const v1::HeartbeatRequest& request) {
  v1::WorkRequest call;
  *call.mutable_heartbeat() = request;
  FOLDFARM_ASSIGN_OR_RETURN(v1::WorkResponse response,
                            Call(std::move(call), kCallTimeout));
  return std::move(*response.mutable_heartbeat());
}

absl::StatusOr<v1::ReportProgressResponse> GrpcWorkerApi::ReportProgress(
    const v1::ReportProgressRequest& request) {
  v1::WorkRequest call;
  *call.mutable_report_progress() = request;
  FOLDFARM_ASSIGN_OR_RETURN(v1::WorkResponse response,
                            Call(std::move(call), kReportTimeout));
  return std::move(*response.mutable_report_progress());
}

absl::StatusOr<v1::FinishAttemptResponse> GrpcWorkerApi::FinishAttempt(
    const v1::FinishAttemptRequest& request) {
  v1::WorkRequest call;
  *call.mutable_finish_attempt() = request;
  FOLDFARM_ASSIGN_OR_RETURN(v1::WorkResponse response,
                            Call(std::move(call), kFinishTimeout));
  return std::move(*response.mutable_finish_attempt());
}

absl::StatusOr<v1::ArtifactRef> GrpcWorkerApi::Upload(
    const std::string& path, const Cancelled& cancelled) {
  auto artifact =
      UploadFile(*artifacts_, path, /*digest=*/"", Transfer(clock_, cancelled));
  const absl::Status status = JudgeTransfer(artifact.status());
  if (absl::IsResourceExhausted(status)) {
    SPDLOG_ERROR("the coordinator cannot store {}: {}", path,
                 std::string(status.message()));
    return absl::UnavailableError(status.message());
  }
  FOLDFARM_RETURN_IF_ERROR(status);
  return artifact;
}

absl::Status GrpcWorkerApi::Download(const v1::ArtifactRef& artifact,
                                     const std::string& path,
                                     const Cancelled& cancelled) {
  return JudgeTransfer(DownloadFile(*artifacts_, artifact.digest(),
                                    artifact.size_bytes(), path,
                                    Transfer(clock_, cancelled)));
}

void GrpcWorkerApi::Cancel(Wait& wait) {
  absl::MutexLock lock(&mu_);
  wait.cancelled = true;
  if (wait.call != 0) calls_.Cancel(wait.call);
}

void GrpcWorkerApi::EndWait() {
  absl::MutexLock lock(&mu_);
  if (leases_.call == 0) {
    leases_.ended = true;
  } else {
    calls_.Cancel(leases_.call);
  }
}

void GrpcWorkerApi::CancelNews() { Cancel(news_); }

void GrpcWorkerApi::CancelWaits() { Cancel(leases_); }

}  // namespace foldfarm
