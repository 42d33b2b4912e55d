#include "coordinator/cli/sweep_watcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/call_context.h"
#include "common/rpc/retry.h"
#include "common/rpc/status.h"
#include "coordinator/cli/reconnection.h"
#include "coordinator/cli/watch_view.h"

namespace foldfarm {
namespace {

// An unchanged picture is drawn anew so often, for the times in it.
constexpr absl::Duration kRedrawInterval = absl::Seconds(1);
// Calls beside the stream: how many for what happened before, how often for the
// workers, and how long any may take.
constexpr size_t kMostLookUps = 64;
constexpr absl::Duration kWorkersInterval = absl::Seconds(5);
constexpr absl::Duration kLookUpTimeout = absl::Seconds(3);
// What the last picture may take on the first screen.
constexpr size_t kLastRows = 60;

std::string TimeOfDay(absl::Time time) {
  return absl::FormatTime("%H:%M:%S", time, absl::LocalTimeZone());
}

}  // namespace

SweepWatcher::Target SweepWatcher::ToOut(const Console& console) {
  return {&console, console.out, console.out_redraws, console.out_colour,
          console.out_fd};
}

SweepWatcher::Target SweepWatcher::ToErr(const Console& console) {
  return {&console, console.err, console.err_redraws, console.err_colour,
          console.err_fd};
}

SweepWatcher::SweepWatcher(FarmClient& client, std::string sweep, Clock& clock,
                           Target target)
    : client_(client),
      name_(std::move(sweep)),
      clock_(clock),
      target_(target),
      area_(*target.stream, target.mode, target.fd),
      reader_([this] { Follow(); }),
      asker_([this] { LookUp(); }) {}

SweepWatcher::~SweepWatcher() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    if (call_ != nullptr) call_->TryCancel();
    changed_.SignalAll();
  }
  reader_.join();
  asker_.join();
  if (!target_.redraws) return;
  std::vector<std::string> last;
  {
    absl::MutexLock lock(&mu_);
    if (state_.has_data()) {
      TerminalSize size = TerminalSizeOf(target_.fd);
      size.rows = std::max(size.rows, kLastRows);
      last = Picture(size);
    }
  }
  area_.Leave(last);
}

bool SweepWatcher::stopping() {
  absl::MutexLock lock(&mu_);
  return stop_;
}

// Reads one stream to its end. OK: every job is final.
absl::Status SweepWatcher::FollowOnce(bool& heard) {
  heard = false;
  // An interrupt leaves it to the owner, who may have to show how jobs end.
  CallContext context(kWhileThePeerLives, /*cancellable=*/false);
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
    heard = true;
    absl::MutexLock lock(&mu_);
    for (WatchEvent& event : state_.Apply(update, clock_.Now())) {
      events_.push_back(std::move(event));
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
  Reconnection reconnection(clock_);
  while (true) {
    bool heard;
    status = FollowOnce(heard);
    if (!reconnection.ShouldTryAgain(status, heard) || stopping()) break;
    {
      absl::MutexLock lock(&mu_);
      if (auto event = state_.Lose(clock_.Now()); event.has_value()) {
        events_.push_back(*std::move(event));
        dirty_ = true;
        changed_.SignalAll();
      }
    }
    client_.WaitToTryAgain(clock_, Reconnection::kInterval,
                           [this] { return stopping(); });
  }
  absl::MutexLock lock(&mu_);
  result_ = client_.Explain(status, state_.has_data());
  ended_ = true;
  dirty_ = true;
  changed_.SignalAll();
}

// What happened before watching began, for the curves and the time left. What
// cannot be had is done without.
void SweepWatcher::LookUpPast() {
  std::vector<std::string> jobs;
  {
    absl::MutexLock lock(&mu_);
    jobs = JobsToLookUp(state_.jobs(), kMostLookUps);
  }
  v1::GetSweepRequest get_sweep;
  get_sweep.set_sweep(name_);
  const auto sweep = client_.Call(&v1::FarmService::StubInterface::GetSweep,
                                  get_sweep, kLookUpTimeout);
  if (sweep.ok()) {
    absl::MutexLock lock(&mu_);
    state_.SetPredictionEpochs(
        PredictionEpochs(sweep->spec().tta(), sweep->folds()));
  }
  for (const std::string& job : jobs) {
    if (stopping()) return;
    v1::GetMetricsRequest request;
    request.set_job(job);
    const auto metrics = client_.Call(
        &v1::FarmService::StubInterface::GetMetrics, request, kLookUpTimeout);
    if (absl::IsUnavailable(metrics.status())) return;
    if (!metrics.ok()) continue;
    absl::MutexLock lock(&mu_);
    state_.AddMetrics(job, *metrics);
    dirty_ = true;
  }
}

void SweepWatcher::LookUpWaiting() {
  v1::ListJobsRequest request;
  request.set_sweep(name_);
  request.set_state(v1::Job::PENDING);
  const auto pending = client_.Call(&v1::FarmService::StubInterface::ListJobs,
                                    request, kLookUpTimeout);
  if (!pending.ok()) return;
  absl::MutexLock lock(&mu_);
  if (auto event = state_.NoteWaiting(*pending, clock_.Now())) {
    events_.push_back(*std::move(event));
    dirty_ = true;
    changed_.SignalAll();
  }
}

void SweepWatcher::LookUp() {
  {
    absl::MutexLock lock(&mu_);
    while (!stop_ && !ended_ && !state_.has_data()) changed_.Wait(&mu_);
    if (stop_ || ended_) return;
  }
  bool first = true;
  bool stood = false;
  while (true) {
    const bool stands = [this] {
      absl::MutexLock lock(&mu_);
      return state_.Stands();
    }();
    if (stands && stood) LookUpWaiting();
    stood = stands;
    const auto workers = client_.Call(
        &v1::FarmService::StubInterface::ListWorkers, {}, kLookUpTimeout);
    if (workers.ok()) {
      absl::MutexLock lock(&mu_);
      state_.SetWorkers(*workers);
      dirty_ = true;
      changed_.SignalAll();
    }
    if (first) LookUpPast();
    first = false;
    const bool goes_on = WaitUnlessCancelled(clock_, kWorkersInterval, [this] {
      absl::MutexLock lock(&mu_);
      return stop_ || ended_;
    });
    if (!goes_on) return;
  }
}

std::vector<std::string> SweepWatcher::Picture(TerminalSize size) {
  // A line that fills the last column leaves the cursor in limbo.
  size.columns -= std::min<size_t>(size.columns, 1);
  std::vector<std::string> lines = WatchLines(
      state_, clock_.Now(), absl::LocalTimeZone(), size, target_.colour);
  for (std::string& line : lines) line = target_.console->Fit(std::move(line));
  return lines;
}

bool SweepWatcher::Tick(absl::Duration wait) {
  std::vector<std::string> picture;
  std::vector<WatchEvent> events;
  bool ended;
  bool draw = false;
  TerminalSize size = TerminalSizeOf(target_.fd);
  {
    absl::MutexLock lock(&mu_);
    const bool resized =
        size.columns != drawn_size_.columns || size.rows != drawn_size_.rows;
    if (!dirty_ && !ended_ && !resized) clock_.WaitFor(changed_, mu_, wait);
    ended = ended_;
    events.swap(events_);
    if (target_.redraws && state_.has_data()) {
      const absl::Time now = clock_.Now();
      size = TerminalSizeOf(target_.fd);
      draw = dirty_ || resized || now - last_drawn_ >= kRedrawInterval;
      if (draw) {
        TerminalSize room = size;
        // The cursor stands on the line below an inline picture.
        if (target_.mode == LiveArea::Mode::kInline) {
          room.rows -= std::min<size_t>(room.rows, 1);
        }
        picture = Picture(room);
        last_drawn_ = now;
        drawn_size_ = size;
      }
    }
    dirty_ = false;
  }
  if (target_.redraws) {
    if (draw) area_.Draw(picture, size.columns);
  } else {
    for (const WatchEvent& event : events) {
      *target_.stream << Paint(TimeOfDay(event.time), Style::kDim,
                               target_.colour)
                      << "  "
                      << Paint(target_.console->Fit(event.text), event.style,
                               target_.colour)
                      << "\n";
    }
    if (!events.empty()) target_.stream->flush();
  }
  return ended;
}

void SweepWatcher::Print(const std::string& line) {
  if (target_.redraws) area_.Clear(TerminalSizeOf(target_.fd).columns);
  *target_.stream << target_.console->Fit(line) << std::endl;
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
