#include "coordinator/web/health.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);
constexpr absl::Duration kRemember = absl::Seconds(1);

}  // namespace

absl::Status Health::Check() {
  absl::MutexLock lock(&mu_);
  const absl::Duration now = clock_.Monotonic();
  if (checked_ && now - checked_at_ < kRemember) return last_;
  last_ = Probe();
  checked_ = true;
  checked_at_ = clock_.Monotonic();
  return last_;
}

absl::Status Health::Probe() {
  // Outlives this call when the writer answers late.
  struct Answer {
    absl::Notification came;
    absl::Status status;
  };
  const auto answer = std::make_shared<Answer>();
  store_.Run([](Tx&) { return absl::OkStatus(); },
             [answer](const absl::Status& status) {
               answer->status = status;
               answer->came.Notify();
             });
  if (!answer->came.WaitForNotificationWithTimeout(kPatience)) {
    return absl::UnavailableError(
        absl::StrCat("the store's writer has not answered for ",
                     absl::FormatDuration(kPatience)));
  }
  if (!answer->status.ok()) {
    return Annotate(answer->status, "the store's writer failed");
  }
  return Annotate(WriteFileAtomically(JoinPath(directory_, "healthz"), "ok\n"),
                  "the coordinator's folder cannot be written");
}

}  // namespace foldfarm
