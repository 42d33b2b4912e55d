#include "worker/agent/work_calls.h"

#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/call_context.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

// How long a call that was cancelled waits for the answer that says whether it
// was granted something.
constexpr absl::Duration kCancelGrace = absl::Seconds(1);

// What calls are told whose stream has ended: nobody has judged them.
absl::Status WhyUnanswered(const absl::Status& end) {
  // A coordinator that asks for tokens refuses what it does not know.
  if (absl::IsUnimplemented(end) ||
      (absl::IsPermissionDenied(end) &&
       absl::StartsWith(end.message(), "no role may call"))) {
    return absl::UnavailableError(
        "the coordinator is older than this worker; update it, and this worker "
        "goes on");
  }
  if (absl::IsPermissionDenied(end) || absl::IsUnauthenticated(end)) return end;
  return absl::UnavailableError(
      absl::StrCat("the stream to the coordinator broke off",
                   end.message().empty() ? "" : ": ", end.message()));
}

}  // namespace

// One stream. gRPC runs its reactions on threads of its own; the owner's mutex
// guards all of it. Deletes itself.
class WorkCalls::Stream final
    : public grpc::ClientBidiReactor<v1::WorkRequest, v1::WorkResponse> {
 public:
  explicit Stream(WorkCalls& owner)
      : owner_(owner), context_(kWhileThePeerLives) {
    owner_.stub_.async()->Work(&context_, this);
    AddHold();  // Until nothing more is read: others may begin to write.
    StartRead(&in_);
    StartCall();
  }

  // Sends what was put into it before, if nobody does already.
  // REQUIRES: owner_.mu_ is held, which the analysis cannot tell from outside.
  void Send(v1::WorkRequest request) {
    out_.push_back(std::move(request));
    if (out_.size() == 1 && !ended_) StartWrite(&out_.front());
  }

  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&owner_.mu_);
    if (!ok) {
      ended_ = true;
      if (owner_.current_ == this) owner_.current_ = nullptr;
      RemoveHold();
      return;
    }
    const auto call = owner_.pending_.find(in_.id());
    if (call != owner_.pending_.end() && call->second->stream == this) {
      Pending& pending = *call->second;
      if (in_.error_code() == 0) {
        pending.answer = std::move(in_);
      } else {
        pending.answer = ToStatus(
            grpc::Status(static_cast<grpc::StatusCode>(in_.error_code()),
                         in_.error_message()));
        // A stream keeps the token that it was opened with; the file may have
        // another by now. All its calls are refused, those too that wait.
        if (absl::IsUnauthenticated(pending.answer.status()) ||
            absl::IsPermissionDenied(pending.answer.status())) {
          refused_ = pending.answer.status();
          owner_.Drop(*this);
        }
      }
      pending.done = true;
      pending.changed.Signal();
    }
    in_.Clear();
    StartRead(&in_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&owner_.mu_);
    if (!ok) return owner_.Drop(*this);
    out_.pop_front();
    if (!out_.empty() && !ended_) StartWrite(&out_.front());
  }

  void OnDone(const grpc::Status& status) override {
    WorkCalls& owner = owner_;
    {
      absl::MutexLock lock(&owner_.mu_);
      if (owner_.current_ == this) owner_.current_ = nullptr;
      for (const auto& [id, pending] : owner_.pending_) {
        if (pending->stream != this) continue;
        pending->stream = nullptr;
        if (pending->done) continue;
        pending->answer =
            refused_.ok() ? WhyUnanswered(ToStatus(status)) : refused_;
        pending->done = true;
        pending->changed.Signal();
      }
    }
    // It holds the channel, which must outlive it: the last holder waits for
    // all of gRPC's threads, of which this is one.
    delete this;
    absl::MutexLock lock(&owner.mu_);
    --owner.streams_;
    owner.ended_.Signal();
  }

 private:
  WorkCalls& owner_;
  CallContext context_;
  v1::WorkResponse in_;
  // First: is being sent.
  std::deque<v1::WorkRequest> out_;
  bool ended_ = false;
  absl::Status refused_;
};

WorkCalls::~WorkCalls() {
  absl::MutexLock lock(&mu_);
  if (current_ != nullptr) current_->Cancel();
  while (streams_ > 0) ended_.Wait(&mu_);
}

uint64_t WorkCalls::NewId() {
  absl::MutexLock lock(&mu_);
  return ++last_id_;
}

WorkCalls::Stream& WorkCalls::Current() {
  if (current_ == nullptr) {
    current_ = new Stream(*this);
    ++streams_;
  }
  return *current_;
}

void WorkCalls::Drop(Stream& stream) {
  if (current_ == &stream) current_ = nullptr;
  stream.Cancel();
}

absl::StatusOr<v1::WorkResponse> WorkCalls::Call(v1::WorkRequest request,
                                                 absl::Duration timeout) {
  const uint64_t id = request.id();
  absl::MutexLock lock(&mu_);
  if (cancelled_.erase(id) > 0) return absl::CancelledError("cancelled");
  Pending pending{.stream = &Current(),
                  .deadline = clock_.Monotonic() + timeout,
                  .answer = absl::UnknownError("")};
  pending_[id] = &pending;
  pending.stream->Send(std::move(request));
  while (!pending.done) {
    const absl::Duration left = pending.deadline - clock_.Monotonic();
    if (left <= absl::ZeroDuration()) break;
    clock_.WaitFor(pending.changed, mu_, left);
  }
  pending_.erase(id);
  // It may never bring anything again. Who waits on it still may, for as long
  // as it wants.
  if (!pending.done && current_ == pending.stream) current_ = nullptr;
  if (pending.stream != nullptr && pending.stream != current_ &&
      absl::c_none_of(pending_, [&](const auto& other) {
        return other.second->stream == pending.stream;
      })) {
    pending.stream->Cancel();
  }
  if (pending.done) return std::move(pending.answer);
  if (pending.cancelled) return absl::CancelledError("cancelled");
  return absl::DeadlineExceededError(absl::StrCat(
      "the coordinator did not answer within ", absl::FormatDuration(timeout)));
}

void WorkCalls::Cancel(uint64_t id) {
  absl::MutexLock lock(&mu_);
  const auto found = pending_.find(id);
  if (found == pending_.end()) {
    cancelled_.insert(id);
    return;
  }
  Pending& pending = *found->second;
  if (pending.done || pending.cancelled) return;
  pending.cancelled = true;
  pending.deadline =
      std::min(pending.deadline, clock_.Monotonic() + kCancelGrace);
  v1::WorkRequest request;
  request.set_id(id);
  request.set_cancel(true);
  pending.stream->Send(std::move(request));
  pending.changed.Signal();
}

}  // namespace foldfarm
