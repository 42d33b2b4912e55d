#include "coordinator/cli/farm_client.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "coordinator/cli/farm_access.h"

namespace foldfarm {
namespace {

constexpr char kAdvice[] =
    "start one with\n    foldfarm-coordinator --dir DIR --listen ";

// gRPC's account of a failed connection ends in what the system said: "failed
// to connect to all addresses; last error: UNKNOWN: ...: Connection refused".
absl::string_view Reason(absl::string_view message) {
  if (!absl::StartsWith(message, "failed to connect")) return message;
  const size_t last = message.rfind(": ");
  return last == message.npos ? message : message.substr(last + 2);
}

// What is wrong with the flags or their files is said when a call fails; not
// every command makes one. Until then the channel is plain, without a token.
std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  return MakeChannel(address,
                     FarmChannelOptions(address).value_or(FarmChannel()));
}

}  // namespace

FarmClient::FarmClient(std::string address)
    : address_(std::move(address)),
      farm_(v1::FarmService::NewStub(Connect(address_))),
      artifacts_(v1::ArtifactService::NewStub(Connect(address_))) {}

absl::Status FarmClient::Explain(const absl::Status& status, bool heard) const {
  const absl::StatusOr<FarmChannel> access = FarmChannelOptions(address_);
  if (!access.ok()) return access.status();
  if (IsAnswer(status)) {
    absl::Status answer = absl::UnavailableError(
        absl::StrCat("the coordinator at ", address_,
                     " cannot do it now: ", status.message()));
    MarkAnswer(answer);
    return answer;
  }
  if (absl::IsUnavailable(status) && heard) {
    return absl::UnavailableError(
        absl::StrCat("the coordinator at ", address_, " was lost (",
                     Reason(status.message()), "); try again"));
  }
  if (absl::IsUnavailable(status)) {
    const std::string advice = TlsAdvice(status, *access);
    if (!advice.empty()) {
      return absl::UnavailableError(
          absl::StrCat("the coordinator at ", address_, " ", advice));
    }
    return absl::UnavailableError(absl::StrCat(
        "no coordinator answers at ", address_, " (", Reason(status.message()),
        "); ", kAdvice, address_,
        "\nor name another with --coordinator HOST:PORT or the environment "
        "variable FOLDFARM_COORDINATOR"));
  }
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(absl::StrCat(
        "the coordinator at ", address_, " did not answer in time (",
        status.message(), "); try again"));
  }
  return status;
}

}  // namespace foldfarm
