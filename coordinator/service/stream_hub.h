// Feeds the streams that follow something: a watched sweep, a job's log.
//
// 1. A stream costs some hundred bytes and no thread: gRPC's callbacks say what
//    became of it, and the hub's one thread reads and sends for all.
// 2. When the queue has changed, at most five times a second, the hub looks at
//    every stream that waits. Streams at the same place of the same subject
//    share one reading and one copy of the message.
// 3. A stream has one message on its way at most, and the next is read when
//    that was taken: a slow reader holds up itself alone, costs the coordinator
//    no memory that grows, and hears what it missed in one message. Who takes
//    nothing at all is StallGuard's to end.
// 4. When the queue stops, every stream ends with UNAVAILABLE.
//
// Thread-safe. Only the hub's thread sends and finishes, and a stream that it
// has not finished lives: so nothing is sent to one that is gone.
#ifndef FOLDFARM_COORDINATOR_SERVICE_STREAM_HUB_H_
#define FOLDFARM_COORDINATOR_SERVICE_STREAM_HUB_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/queue/job_queue.h"

namespace foldfarm {

// How far a stream is.
struct StreamCursor {
  // Something was sent.
  bool begun = false;
  // Of a sweep: the newest change that was sent.
  int64_t change = 0;
  // Of a log: the last line that was sent, by attempt and place in the attempt,
  // and its place in the log.
  int64_t token = 0;
  int64_t in_attempt = 0;
  int64_t sequence = 0;

  friend auto operator<=>(const StreamCursor&, const StreamCursor&) = default;
};

// What is next in a stream.
struct StreamStep {
  // None: nothing is new.
  std::optional<grpc::ByteBuffer> message;
  StreamCursor next;
  // There is more that need not be waited for.
  bool more = false;
  // Nothing comes after this.
  bool ended = false;
};

class StreamHub {
 public:
  // An open stream of serialized messages; gRPC owns it.
  using Reactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;
  // Looks at the subject as it is now, from a place on.
  using Read =
      std::function<absl::StatusOr<StreamStep>(const StreamCursor& from)>;

  // Whether who opened a stream may still follow it.
  using May = std::function<absl::Status()>;

  // `queue` and `clock` are borrowed. More than `max_streams` at a time are
  // refused.
  StreamHub(JobQueue& queue, Clock& clock, int max_streams)
      : queue_(queue), clock_(clock), max_streams_(max_streams) {}
  // REQUIRES: every stream has ended, and the queue has stopped if there was
  // one.
  ~StreamHub();

  // A stream of what `read` returns; it ends when that says so or fails, or
  // when `may` does, which is asked before each message (null: always may).
  // Equal subjects read the same: one's reading may be sent to the other.
  // Beyond the limit the stream ends at once with RESOURCE_EXHAUSTED.
  Reactor* Open(std::string subject, Read read, May may = nullptr);

  // Streams that are open.
  int open() const;

 private:
  class Stream;
  // What was read, as long as the queue has not changed since.
  using Readings = std::map<std::pair<std::string, StreamCursor>,
                            absl::StatusOr<StreamStep>>;

  void StartThreads() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Tells the other thread what the queue does.
  void ListenLoop();
  void SendLoop();
  // The queue has changed so often.
  void NoteChanges(int64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes the streams ready that something may be new to, if it is time.
  void BeginRound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Sends a ready stream its next message, or ends it.
  void Serve(Stream& stream) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<StreamStep> ReadNext(const Stream& stream, int64_t seen);
  void MakeReady(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lets a stream wait for the next change.
  void Rest(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteSent(Stream& stream, bool ok) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteGone(Stream& stream) ABSL_LOCKS_EXCLUDED(mu_);

  JobQueue& queue_;  // Borrowed; outlives this.
  Clock& clock_;     // Borrowed; outlives this.
  const int max_streams_;

  mutable absl::Mutex mu_;  // Never held while the database is read.
  absl::CondVar wake_;
  absl::flat_hash_set<Stream*> streams_ ABSL_GUARDED_BY(mu_);
  std::deque<Stream*> ready_ ABSL_GUARDED_BY(mu_);
  // The queue's count of changes.
  int64_t changes_ ABSL_GUARDED_BY(mu_) = 0;
  // A stream that waits has not seen the last change.
  bool behind_ ABSL_GUARDED_BY(mu_) = false;
  // No round begins before.
  absl::Duration next_round_ ABSL_GUARDED_BY(mu_);
  // When the round began that is not over.
  std::optional<absl::Duration> round_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;  // The queue.
  bool ended_ ABSL_GUARDED_BY(mu_) = false;     // The threads.
  std::thread listener_ ABSL_GUARDED_BY(mu_);
  std::thread sender_ ABSL_GUARDED_BY(mu_);
  // Used by the sender alone.
  Readings readings_;
  int64_t readings_seen_ = -1;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_STREAM_HUB_H_
