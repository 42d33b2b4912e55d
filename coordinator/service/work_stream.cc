#include "coordinator/service/work_stream.h"

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

// A worker has one.
constexpr size_t kMaxStreams = 4096;
// Calls of one stream that are under way or answered but not sent.
constexpr size_t kMaxUnderWay = 256;

absl::Status Stopping() {
  return absl::UnavailableError("the coordinator is stopping; repeat");
}

}  // namespace

class WorkStreams::Stream final : public Reactor {
 public:
  Stream(WorkStreams& streams, grpc::CallbackServerContext& context)
      : streams_(streams), context_(context), self_(this) {}

  // Begins to read, or ends at once.
  void Begin(const absl::Status& admitted);
  // Ends when all that is under way is answered.
  void Stop();
  // Null from OnDone() on, which is after Forget().
  std::shared_ptr<Stream> self() {
    absl::MutexLock lock(&mu_);
    return self_;
  }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // One that is under way. Its address names it to the queue.
  struct Call {
    std::shared_ptr<Stream> stream;
    uint64_t id;
    RpcMetrics::Method& method;
    absl::Duration begin;
  };

  // Whether it is the result of an attempt that ran alone on its worker. Such a
  // worker says no more until it is answered, and a read that is begun only
  // then saves gRPC a packet of flow control.
  bool IsLoneResult(const v1::WorkRequest& request) const;
  // Hands a message to the queue.
  void Dispatch(v1::WorkRequest& request);
  std::shared_ptr<Call> NewCall(uint64_t id, RpcMetrics::Method& method);
  void Acquire(const Call& call, v1::AcquireLeasesRequest request,
               JobQueue::Answer<v1::AcquireLeasesResponse> answer);
  // Has the queue answer the calls that wait: those of a number, or all.
  void StopWaits(std::optional<uint64_t> id);
  template <typename Response>
  static JobQueue::Answer<Response> AnswerTo(
      std::shared_ptr<Call> call, Response* (v1::WorkResponse::*field)());
  void Send(const Call& call, v1::WorkResponse response);

  // Starts what is to be done now: at most one write and one read at a time,
  // and the end when neither is being started.
  void Go() ABSL_LOCKS_EXCLUDED(mu_);

  WorkStreams& streams_;  // Not after OnDone().
  grpc::CallbackServerContext& context_;
  v1::WorkRequest read_;  // Of the read that is under way.

  absl::Mutex mu_;
  std::shared_ptr<Stream> self_ ABSL_GUARDED_BY(mu_);  // Until OnDone().
  size_t under_way_ ABSL_GUARDED_BY(mu_) = 0;
  // Those that ask for leases.
  absl::flat_hash_set<const Call*> waiting_ ABSL_GUARDED_BY(mu_);
  std::deque<v1::WorkResponse> out_ ABSL_GUARDED_BY(mu_);  // First: is sent.
  // The call whose answer is sent before anything else is read.
  std::optional<uint64_t> lone_ ABSL_GUARDED_BY(mu_);
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  // No more is read; ends with `status_` when all is answered, or, when it
  // `broke` off, at once.
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  bool broke_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  // Calls of Go() that start something now.
  int starting_ ABSL_GUARDED_BY(mu_) = 0;
};

void WorkStreams::Stream::Begin(const absl::Status& admitted) {
  {
    absl::MutexLock lock(&mu_);
    if (!admitted.ok()) {
      ending_ = true;
      status_ = admitted;
    }
  }
  Go();
}

void WorkStreams::Stream::Stop() {
  {
    absl::MutexLock lock(&mu_);
    if (!ending_) status_ = Stopping();
    ending_ = true;
  }
  Go();
}

void WorkStreams::Stream::Go() {
  while (true) {
    bool read = false;
    bool finish = false;
    absl::Status status;
    const v1::WorkResponse* write = nullptr;
    {
      absl::MutexLock lock(&mu_);
      if (finished_) return;
      if (!writing_ && !out_.empty() && !broke_) {
        // Stays where it is while others come behind it.
        write = &out_.front();
        writing_ = true;
      }
      const size_t held = under_way_ + out_.size();
      if (!ending_) {
        read = !reading_ && !lone_.has_value() && held < kMaxUnderWay;
        if (read) reading_ = true;
      } else if (!writing_ && starting_ == 0) {
        finish = finished_ = broke_ || held == 0;
        status = status_;
      }
      if (!finish && !read && write == nullptr) return;
      ++starting_;
    }
    if (finish) return Finish(ToGrpc(status));
    if (write != nullptr) StartWrite(write);
    if (read) StartRead(&read_);
    absl::MutexLock lock(&mu_);
    --starting_;
  }
}

void WorkStreams::Stream::OnReadDone(bool ok) {
  v1::WorkRequest request = std::move(read_);
  const bool valid = ok && request.call_case() != v1::WorkRequest::CALL_NOT_SET;
  // A result is checked, and perhaps written, right there: other attempts'
  // calls, which are read meanwhile, do not wait for that.
  const bool reads_ahead =
      request.has_finish_attempt() && !IsLoneResult(request);
  if (valid && !reads_ahead) {
    if (request.has_finish_attempt()) {
      absl::MutexLock lock(&mu_);
      lone_ = request.id();
    }
    Dispatch(request);
  }
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    if (!valid && !ending_) {
      ending_ = true;
      if (ok) {
        status_ = absl::InvalidArgumentError(absl::StrCat(
            "message ", request.id(), " of the stream has no call"));
      }
    }
  }
  // Such a stream ends as soon as it can.
  if (ok && !valid) StopWaits(std::nullopt);
  Go();
  if (valid && reads_ahead) Dispatch(request);
}

bool WorkStreams::Stream::IsLoneResult(const v1::WorkRequest& request) const {
  const v1::FinishAttemptRequest& finish = request.finish_attempt();
  return streams_.queue_.IsWholeWorker(WorkerSession{finish.session()},
                                       finish.free_slots());
}

void WorkStreams::Stream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (lone_ == out_.front().id()) lone_.reset();
    out_.pop_front();
    if (!ok) {
      ending_ = broke_ = true;
      if (status_.ok()) status_ = absl::UnavailableError("an answer was lost");
    }
  }
  if (!ok) StopWaits(std::nullopt);
  Go();
}

void WorkStreams::Stream::OnCancel() {
  {
    absl::MutexLock lock(&mu_);
    ending_ = broke_ = true;
    if (status_.ok()) status_ = absl::CancelledError("the worker hung up");
  }
  StopWaits(std::nullopt);
  Go();
}

void WorkStreams::Stream::OnDone() {
  streams_.Forget(*this);
  std::shared_ptr<Stream> self;
  absl::MutexLock lock(&mu_);
  self.swap(self_);
}

std::shared_ptr<WorkStreams::Stream::Call> WorkStreams::Stream::NewCall(
    uint64_t id, RpcMetrics::Method& method) {
  absl::MutexLock lock(&mu_);
  ++under_way_;
  return std::make_shared<Call>(
      Call{self_, id, method, Clock::Real().Monotonic()});
}

template <typename Response>
JobQueue::Answer<Response> WorkStreams::Stream::AnswerTo(
    std::shared_ptr<Call> call, Response* (v1::WorkResponse::*field)()) {
  return [call = std::move(call), field](absl::StatusOr<Response> answer) {
    v1::WorkResponse response;
    response.set_id(call->id);
    // As a call of its own would end.
    const grpc::Status status = ToGrpc(answer.status());
    if (answer.ok()) {
      *(response.*field)() = *std::move(answer);
    } else {
      response.set_error_code(status.error_code());
      response.set_error_message(status.error_message());
    }
    call->method.NoteEnd(status.error_code(), call->begin);
    call->stream->Send(*call, std::move(response));
  };
}

void WorkStreams::Stream::Send(const Call& call, v1::WorkResponse response) {
  {
    absl::MutexLock lock(&mu_);
    --under_way_;
    waiting_.erase(&call);
    if (!finished_) out_.push_back(std::move(response));
  }
  Go();
}

void WorkStreams::Stream::Dispatch(v1::WorkRequest& request) {
  JobQueue& queue = streams_.queue_;
  WorkerAccess& access = streams_.access_;
  const absl::Status allowed = access.MayStillWork(context_);
  // Every kind of call the same way: is it allowed, then the queue.
  const auto serve = [&](RpcMetrics::Method& method, auto field,
                         const absl::Status& may, auto ask) {
    const std::shared_ptr<Call> under_way = NewCall(request.id(), method);
    auto answer = AnswerTo(under_way, field);
    if (!allowed.ok()) return answer(allowed);
    if (!may.ok()) return answer(may);
    ask(under_way, std::move(answer));
  };
  switch (request.call_case()) {
    case v1::WorkRequest::kAcquireLeases: {
      v1::AcquireLeasesRequest& call = *request.mutable_acquire_leases();
      serve(streams_.methods_.acquire_leases,
            &v1::WorkResponse::mutable_acquire_leases,
            access.MayUseSession(context_, call.session()),
            [&](const auto& under_way, auto answer) {
              Acquire(*under_way, std::move(call), std::move(answer));
            });
      return;
    }
    case v1::WorkRequest::kHeartbeat: {
      v1::HeartbeatRequest& call = *request.mutable_heartbeat();
      serve(streams_.methods_.heartbeat, &v1::WorkResponse::mutable_heartbeat,
            access.MayUseSession(context_, call.session()),
            [&](const auto&, auto answer) {
              queue.Heartbeat(std::move(call), std::move(answer));
            });
      return;
    }
    case v1::WorkRequest::kReportProgress: {
      v1::ReportProgressRequest& call = *request.mutable_report_progress();
      serve(streams_.methods_.report_progress,
            &v1::WorkResponse::mutable_report_progress,
            access.MayUseAttempt(context_, call.token()),
            [&](const auto&, auto answer) {
              queue.ReportProgress(std::move(call), std::move(answer));
            });
      return;
    }
    case v1::WorkRequest::kFinishAttempt: {
      v1::FinishAttemptRequest& call = *request.mutable_finish_attempt();
      absl::Status may = access.MayUseSession(context_, call.session());
      may.Update(access.MayUseAttempt(context_, call.token()));
      serve(streams_.methods_.finish_attempt,
            &v1::WorkResponse::mutable_finish_attempt, may,
            [&](const auto&, auto answer) {
              queue.FinishAttempt(std::move(call), std::move(answer));
            });
      return;
    }
    case v1::WorkRequest::kCancel:
      StopWaits(request.id());
      return;
    case v1::WorkRequest::CALL_NOT_SET:
      return;
  }
}

void WorkStreams::Stream::Acquire(
    const Call& call, v1::AcquireLeasesRequest request,
    JobQueue::Answer<v1::AcquireLeasesResponse> answer) {
  bool broke = false;
  {
    absl::MutexLock lock(&mu_);
    broke = broke_;
    if (!broke) waiting_.insert(&call);
  }
  if (broke) return answer(v1::AcquireLeasesResponse());
  streams_.queue_.AcquireLeases(std::move(request), &call, std::move(answer));
  // OnCancel() may have come before the queue knew of it.
  absl::MutexLock lock(&mu_);
  if (broke_) streams_.queue_.StopWaitingFor(&call);
}

void WorkStreams::Stream::StopWaits(std::optional<uint64_t> id) {
  std::vector<const void*> calls;
  {
    absl::MutexLock lock(&mu_);
    for (const Call* call : waiting_) {
      if (!id.has_value() || call->id == *id) calls.push_back(call);
    }
  }
  for (const void* call : calls) streams_.queue_.StopWaitingFor(call);
}

WorkStreams::WorkStreams(JobQueue& queue, WorkerAccess& access,
                         RpcMetrics& metrics)
    : queue_(queue),
      access_(access),
      methods_{metrics.Get("WorkerService/AcquireLeases"),
               metrics.Get("WorkerService/Heartbeat"),
               metrics.Get("WorkerService/ReportProgress"),
               metrics.Get("WorkerService/FinishAttempt")} {}

WorkStreams::Reactor* WorkStreams::Open(grpc::CallbackServerContext& context) {
  auto* stream = new Stream(*this, context);
  absl::Status admitted;
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) {
      admitted = Stopping();
    } else if (streams_.size() >= kMaxStreams) {
      admitted = absl::ResourceExhaustedError(
          absl::StrCat(kMaxStreams,
                       " streams of workers are open, expected "
                       "one for each worker"));
    }
    streams_.insert(stream);
  }
  stream->Begin(admitted);
  return stream;
}

void WorkStreams::Stop() {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (Stream* stream : streams_) streams.push_back(stream->self());
  }
  for (const std::shared_ptr<Stream>& stream : streams) stream->Stop();
}

void WorkStreams::Forget(Stream& stream) {
  absl::MutexLock lock(&mu_);
  streams_.erase(&stream);
}

}  // namespace foldfarm
