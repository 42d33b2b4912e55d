#include "common/rpc/status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

// A message travels in a header, at up to three bytes a byte, and 8 KiB of
// headers are all that the other side takes.
constexpr size_t kMaxStatusMessage = 2000;

}  // namespace

// Both number the canonical codes of google.rpc.Code.
static_assert(static_cast<int>(grpc::StatusCode::ABORTED) ==
              static_cast<int>(absl::StatusCode::kAborted));
static_assert(static_cast<int>(grpc::StatusCode::UNAUTHENTICATED) ==
              static_cast<int>(absl::StatusCode::kUnauthenticated));

absl::Status ToStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  const absl::string_view message = status.message();
  if (message.size() > kMaxStatusMessage) {
    return grpc::Status(
        static_cast<grpc::StatusCode>(status.code()),
        absl::StrCat(ClipUtf8(message, kMaxStatusMessage), "..."));
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(message));
}

}  // namespace foldfarm
