#include "coordinator/web/health.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);
constexpr absl::Duration kRemember = absl::Seconds(1);

}  // namespace

absl::Status Health::Check() {
  Probe& probe = *probe_;
  absl::MutexLock lock(&probe.mu);
  // While one hangs no other begins: they would only fill the queue.
  if (!probe.running && clock_.Monotonic() - probe.begin >= kRemember) {
    probe.running = true;
    probe.begin = clock_.Monotonic();
    // A store that is stopping answers here and now.
    probe.mu.Unlock();
    Begin();
    probe.mu.Lock();
  }
  while (probe.running) {
    const absl::Duration waited = clock_.Monotonic() - probe.begin;
    if (waited >= kPatience) {
      return absl::UnavailableError(absl::StrCat(
          "the store's writer has not answered for ",
          absl::FormatDuration(absl::Trunc(waited, absl::Seconds(1)))));
    }
    clock_.WaitFor(probe.answered, probe.mu, kPatience - waited);
  }
  return probe.last;
}

void Health::Begin() {
  // Written by the work, read by its answer.
  const auto folder = std::make_shared<absl::Status>();
  store_.RunLater(
      [folder, path = JoinPath(directory_, "healthz")](Tx&) {
        // Here because a disk that hangs holds up the writer anyway, and must
        // not hold up a thread of HTTP.
        *folder = WriteFileAtomically(path, "ok\n");
        return absl::OkStatus();
      },
      [folder, shared = probe_](const absl::Status& status) {
        Probe& probe = *shared;
        absl::MutexLock lock(&probe.mu);
        probe.last =
            status.ok() ? Annotate(*folder,
                                   "the coordinator's folder cannot be written")
                        : Annotate(status, "the store's writer failed");
        probe.running = false;
        probe.answered.SignalAll();
      });
}

}  // namespace foldfarm
