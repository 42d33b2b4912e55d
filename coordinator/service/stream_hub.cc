#include "coordinator/service/stream_hub.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"

namespace foldfarm {
namespace {

// Changes are sent together, at most this often.
constexpr absl::Duration kCoalesce = absl::Milliseconds(200);
// Looking takes at most a fifth of one core, but nobody waits longer than this.
constexpr int kRestPerWork = 4;
constexpr absl::Duration kMostRest = absl::Seconds(2);
// How long the end of the hub may go unnoticed if the queue goes on.
constexpr absl::Duration kLookUp = absl::Seconds(1);
// Readings that are kept: a log that is sent whole leaves one every message.
constexpr size_t kMostReadings = 16;

}  // namespace

class StreamHub::Stream final : public StreamHub::Reactor {
 public:
  enum class State {
    kWaiting,   // For a change.
    kReady,     // In ready_.
    kReading,   // The sender has it.
    kSending,   // Until OnWriteDone.
    kFinished,  // The hub no longer knows it.
  };

  Stream(StreamHub& hub, std::string subject, Read read, May may)
      : subject(std::move(subject)),
        read(std::move(read)),
        may(std::move(may)),
        hub_(hub) {}

  void OnWriteDone(bool ok) override { hub_.NoteSent(*this, ok); }
  void OnCancel() override { hub_.NoteGone(*this); }
  void OnDone() override { delete this; }

  const std::string subject;
  const Read read;
  const May may;
  // Of the hub's sender alone; but the message is gRPC's while it is sent.
  StreamCursor cursor;
  grpc::ByteBuffer message;

  // Guarded by the hub's mu_.
  State state = State::kReady;
  int64_t seen = -1;   // The queue's count at the last look.
  bool gone = false;   // Nobody listens.
  bool more = false;   // What is sent is not all.
  bool ended = false;  // What is sent is the last.

 private:
  StreamHub& hub_;
};

StreamHub::~StreamHub() {
  std::thread listener, sender;
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    wake_.SignalAll();
    listener = std::move(listener_);
    sender = std::move(sender_);
  }
  if (listener.joinable()) listener.join();
  if (sender.joinable()) sender.join();
}

StreamHub::Reactor* StreamHub::Open(std::string subject, Read read, May may) {
  auto* stream =
      new Stream(*this, std::move(subject), std::move(read), std::move(may));
  {
    absl::MutexLock lock(&mu_);
    if (static_cast<int>(streams_.size()) < max_streams_) {
      if (!sender_.joinable()) StartThreads();
      streams_.insert(stream);
      ready_.push_back(stream);
      wake_.Signal();
      return stream;
    }
    stream->state = Stream::State::kFinished;
  }
  stream->Finish(ToGrpc(absl::ResourceExhaustedError(absl::StrCat(
      "this coordinator follows at most ", max_streams_,
      " sweeps and logs at a time, and so many are watched now; close some, or "
      "start it with a larger --max-streams"))));
  return stream;
}

int StreamHub::open() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(streams_.size());
}

void StreamHub::StartThreads() {
  changes_ = queue_.changes();
  listener_ = std::thread([this] { ListenLoop(); });
  sender_ = std::thread([this] { SendLoop(); });
}

void StreamHub::ListenLoop() {
  pthread_setname_np(pthread_self(), "stream-changes");
  int64_t seen;
  {
    absl::MutexLock lock(&mu_);
    seen = changes_;
  }
  while (true) {
    const int64_t now = queue_.WaitForChange(seen, kLookUp);
    const bool stopping = queue_.stopping();
    absl::MutexLock lock(&mu_);
    seen = now;
    NoteChanges(now);
    stopping_ = stopping;
    if (behind_ || stopping) wake_.Signal();
    if (stopping || ended_) return;
  }
}

void StreamHub::SendLoop() {
  pthread_setname_np(pthread_self(), "streams");
  absl::MutexLock lock(&mu_);
  while (!ended_) {
    BeginRound();
    if (!ready_.empty()) {
      Stream& stream = *ready_.front();
      ready_.pop_front();
      mu_.Unlock();
      Serve(stream);
      mu_.Lock();
      continue;
    }
    if (round_.has_value()) {
      const absl::Duration now = clock_.Monotonic();
      next_round_ =
          std::max(*round_ + kCoalesce,
                   now + std::min(kRestPerWork * (now - *round_), kMostRest));
      round_.reset();
    }
    if (behind_) {
      clock_.WaitFor(wake_, mu_, next_round_ - clock_.Monotonic());
    } else {
      wake_.Wait(&mu_);
    }
  }
}

void StreamHub::BeginRound() {
  if (stopping_) {
    for (Stream* stream : streams_) {
      if (stream->state == Stream::State::kWaiting) MakeReady(*stream);
    }
    behind_ = false;
    return;
  }
  if (!behind_ || round_.has_value()) return;
  const absl::Duration now = clock_.Monotonic();
  if (now < next_round_) return;
  behind_ = false;
  round_ = now;
  for (Stream* stream : streams_) {
    if (stream->state == Stream::State::kWaiting && stream->seen != changes_) {
      MakeReady(*stream);
    }
  }
}

void StreamHub::NoteChanges(int64_t count) {
  // The sender may have been told of newer ones than the listener.
  if (count <= changes_) return;
  changes_ = count;
  behind_ = true;
}

void StreamHub::Serve(Stream& stream) {
  // Whoever opened this may have been told of a change that the listener has
  // not heard of, and what others read before it is no longer true.
  const int64_t now = queue_.changes();
  int64_t seen;
  bool gone;
  bool stopping;
  bool ended;
  {
    absl::MutexLock lock(&mu_);
    NoteChanges(now);
    stream.state = Stream::State::kReading;
    stream.seen = seen = changes_;
    gone = stream.gone;
    stopping = stopping_;
    ended = stream.ended;
  }
  absl::Status status;
  if (gone) {
    status = absl::CancelledError("the caller has gone");
  } else if (stopping && !ended) {
    status = absl::UnavailableError("the coordinator is stopping; repeat");
  } else if (!ended) {
    if (stream.may != nullptr) status = stream.may();
    absl::StatusOr<StreamStep> step =
        status.ok() ? ReadNext(stream, seen) : status;
    if (!step.ok()) {
      status = step.status();
    } else if (step->message.has_value()) {
      stream.cursor = step->next;
      stream.message = *std::move(step->message);
      {
        absl::MutexLock lock(&mu_);
        stream.state = Stream::State::kSending;
        stream.more = step->more;
        stream.ended = step->ended;
      }
      // Alive until it is finished, which nobody else does.
      stream.StartWrite(&stream.message);
      return;
    } else if (!step->ended) {
      stream.cursor = step->next;
      absl::MutexLock lock(&mu_);
      Rest(stream);
      return;
    }
  }
  {
    absl::MutexLock lock(&mu_);
    stream.state = Stream::State::kFinished;
    streams_.erase(&stream);
  }
  stream.Finish(ToGrpc(status));
}

absl::StatusOr<StreamStep> StreamHub::ReadNext(const Stream& stream,
                                               int64_t seen) {
  if (seen != readings_seen_ || readings_.size() >= kMostReadings) {
    readings_.clear();
    readings_seen_ = seen;
  }
  const auto key = std::make_pair(stream.subject, stream.cursor);
  auto found = readings_.find(key);
  if (found == readings_.end()) {
    found = readings_.emplace(key, stream.read(stream.cursor)).first;
  }
  return found->second;
}

void StreamHub::MakeReady(Stream& stream) {
  stream.state = Stream::State::kReady;
  ready_.push_back(&stream);
}

void StreamHub::Rest(Stream& stream) {
  if (stream.gone || stopping_) {
    MakeReady(stream);
    return;
  }
  stream.state = Stream::State::kWaiting;
  // The round for that change passed it by.
  if (stream.seen != changes_) behind_ = true;
}

void StreamHub::NoteSent(Stream& stream, bool ok) {
  absl::MutexLock lock(&mu_);
  stream.message.Clear();
  if (!ok) stream.gone = true;
  if (stream.more || stream.ended) {
    MakeReady(stream);
  } else {
    Rest(stream);
  }
  wake_.Signal();
}

void StreamHub::NoteGone(Stream& stream) {
  absl::MutexLock lock(&mu_);
  stream.gone = true;
  if (stream.state != Stream::State::kWaiting) return;
  MakeReady(stream);
  wake_.Signal();
}

}  // namespace foldfarm
