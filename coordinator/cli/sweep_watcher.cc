#include "coordinator/cli/sweep_watcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/retry.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

// An unchanged picture is drawn anew so often, for the times in it.
constexpr absl::Duration kRedrawInterval = absl::Seconds(1);

std::string TimeOfDay(absl::Time time) {
  return absl::FormatTime("%H:%M:%S", time, absl::LocalTimeZone());
}

}  // namespace

SweepWatcher::Target SweepWatcher::ToOut(const Console& console) {
  return {console.out, console.out_is_terminal, console.out_colour,
          console.out_fd};
}

SweepWatcher::Target SweepWatcher::ToErr(const Console& console) {
  return {console.err, console.err_is_terminal, console.err_colour,
          console.err_fd};
}

SweepWatcher::SweepWatcher(FarmClient& client, std::string sweep, Clock& clock,
                           Target target)
    : client_(client),
      name_(std::move(sweep)),
      clock_(clock),
      target_(target),
      area_(*target.stream),
      last_heard_(clock.Monotonic()),
      reader_([this] { Follow(); }) {}

SweepWatcher::~SweepWatcher() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  reader_.join();
}

bool SweepWatcher::stopping() {
  absl::MutexLock lock(&mu_);
  return stop_;
}

// Reads one stream to its end. OK: every job is final.
absl::Status SweepWatcher::FollowOnce() {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&mu_);
    if (stop_) return absl::CancelledError("stopped");
    call_ = &context;
  }
  v1::WatchSweepRequest request;
  request.set_sweep(name_);
  const auto stream = client_.farm().WatchSweep(&context, request);
  v1::WatchSweepResponse update;
  while (stream->Read(&update)) {
    absl::MutexLock lock(&mu_);
    last_heard_ = clock_.Monotonic();
    for (std::string& event : state_.Apply(update)) {
      events_.push_back(
          absl::StrCat(TimeOfDay(clock_.Now()), "  ", std::move(event)));
    }
    dirty_ = true;
    changed_.SignalAll();
  }
  const grpc::Status status = stream->Finish();
  absl::MutexLock lock(&mu_);
  call_ = nullptr;
  return ToStatus(status);
}

void SweepWatcher::Follow() {
  absl::Status status;
  while (true) {
    status = FollowOnce();
    if (!absl::IsUnavailable(status) || stopping()) break;
    {
      absl::MutexLock lock(&mu_);
      // Who never had an answer is told at once.
      if (!state_.has_data() || clock_.Monotonic() - last_heard_ > kPatience) {
        break;
      }
    }
    WaitUnlessCancelled(clock_, absl::Milliseconds(500),
                        [this] { return stopping(); });
  }
  absl::MutexLock lock(&mu_);
  result_ = client_.Explain(status);
  ended_ = true;
  changed_.SignalAll();
}

bool SweepWatcher::Tick(absl::Duration wait) {
  std::vector<std::string> lines;
  bool ended;
  bool draw = false;
  const size_t columns = TerminalSizeOf(target_.fd).columns;
  {
    absl::MutexLock lock(&mu_);
    if (!dirty_ && !ended_) clock_.WaitFor(changed_, mu_, wait);
    ended = ended_;
    lines.swap(events_);
    if (target_.is_terminal && state_.has_data()) {
      const absl::Time now = clock_.Now();
      draw = dirty_ || now - last_drawn_ >= kRedrawInterval;
      if (draw) {
        TerminalSize size = TerminalSizeOf(target_.fd);
        // The cursor stands on the line below the block.
        size.rows -= std::min<size_t>(size.rows, 1);
        lines = WatchLines(state_, now, size, target_.colour);
        last_drawn_ = now;
      }
    }
    dirty_ = false;
  }
  if (target_.is_terminal) {
    if (draw) area_.Draw(lines, columns);
  } else {
    for (const std::string& line : lines) *target_.stream << line << "\n";
    if (!lines.empty()) target_.stream->flush();
  }
  return ended;
}

void SweepWatcher::Print(const std::string& line) {
  if (target_.is_terminal) area_.Clear(TerminalSizeOf(target_.fd).columns);
  *target_.stream << line << std::endl;
  absl::MutexLock lock(&mu_);
  dirty_ = true;
}

absl::Status SweepWatcher::result() {
  absl::MutexLock lock(&mu_);
  return result_;
}

v1::Sweep SweepWatcher::sweep() {
  absl::MutexLock lock(&mu_);
  return state_.sweep();
}

std::vector<v1::Job> SweepWatcher::jobs() {
  absl::MutexLock lock(&mu_);
  return state_.jobs();
}

}  // namespace foldfarm
