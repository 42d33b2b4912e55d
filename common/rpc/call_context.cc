#include "common/rpc/call_context.h"

#include <grpc/support/time.h>

#include <atomic>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace foldfarm {
namespace {

struct Calls {
  absl::Mutex mu;
  std::set<CallContext*> under_way ABSL_GUARDED_BY(mu);
  bool cancelled ABSL_GUARDED_BY(mu) = false;
};

Calls& AllCalls() {
  static auto& calls = *new Calls;
  return calls;
}

// How many are in Calls::under_way; signal handlers take no lock.
std::atomic<int> num_under_way = 0;
static_assert(std::atomic<int>::is_always_lock_free);

}  // namespace

void SetTimeout(grpc::ClientContext& context, absl::Duration timeout) {
  if (timeout == absl::InfiniteDuration()) return;
  // A time span: gRPC counts it from the start of the call.
  context.set_deadline(
      gpr_time_from_nanos(absl::ToInt64Nanoseconds(timeout), GPR_TIMESPAN));
}

CallContext::CallContext(absl::Duration timeout, bool cancellable)
    : cancellable_(cancellable) {
  SetTimeout(*this, timeout);
  if (!cancellable_) return;
  Calls& calls = AllCalls();
  absl::MutexLock lock(&calls.mu);
  calls.under_way.insert(this);
  ++num_under_way;
  // Of a call that has not begun, too: it ends as soon as it does.
  if (calls.cancelled) TryCancel();
}

CallContext::~CallContext() {
  if (!cancellable_) return;
  Calls& calls = AllCalls();
  absl::MutexLock lock(&calls.mu);
  calls.under_way.erase(this);
  --num_under_way;
}

void CancelCalls() {
  Calls& calls = AllCalls();
  absl::MutexLock lock(&calls.mu);
  calls.cancelled = true;
  for (CallContext* call : calls.under_way) call->TryCancel();
}

void AllowCalls() {
  Calls& calls = AllCalls();
  absl::MutexLock lock(&calls.mu);
  calls.cancelled = false;
}

int CallsUnderWay() { return num_under_way; }

}  // namespace foldfarm
