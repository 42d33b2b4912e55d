#include "common/rpc/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

// A message travels in a header, at up to three bytes a byte, and 8 KiB of
// headers are all that the other side takes.
constexpr size_t kMaxStatusMessage = 2000;

// A google.rpc.Status, as gRPC wants the details: code 14 and no more.
constexpr char kAnswerDetails[] = "\x08\x0e";
constexpr char kAnswer[] = "foldfarm/answer";

}  // namespace

// Both number the canonical codes of google.rpc.Code.
static_assert(static_cast<int>(grpc::StatusCode::ABORTED) ==
              static_cast<int>(absl::StatusCode::kAborted));
static_assert(static_cast<int>(grpc::StatusCode::UNAUTHENTICATED) ==
              static_cast<int>(absl::StatusCode::kUnauthenticated));

absl::Status ToStatus(const grpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  if (absl::IsUnavailable(result) && !status.error_details().empty()) {
    MarkAnswer(result);
  }
  return result;
}

grpc::Status ToGrpc(const absl::Status& status) {
  std::string message(status.message());
  if (message.size() > kMaxStatusMessage) {
    message = absl::StrCat(ClipUtf8(message, kMaxStatusMessage), "...");
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      absl::IsUnavailable(status) ? kAnswerDetails : "");
}

bool IsAnswer(const absl::Status& status) {
  return status.GetPayload(kAnswer).has_value();
}

void MarkAnswer(absl::Status& status) {
  status.SetPayload(kAnswer, absl::Cord());
}

}  // namespace foldfarm
