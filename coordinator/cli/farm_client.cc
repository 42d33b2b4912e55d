#include "coordinator/cli/farm_client.h"

#include <google/protobuf/descriptor.h>
#include <grpc/support/time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/rpc/client_access.h"
#include "common/rpc/status.h"
#include "coordinator/cli/farm_access.h"
#include "coordinator/cli/interrupt.h"

namespace foldfarm {
namespace {

constexpr char kNameAnother[] =
    " with --coordinator HOST:PORT or the environment variable "
    "FOLDFARM_COORDINATOR";

// A payload of statuses.
constexpr char kInDoubt[] = "foldfarm/in-doubt";

bool IsInterrupt(const absl::Status& status) {
  return absl::IsCancelled(status) && InterruptScope::Interrupted();
}

// The host has no address.
bool IsUnknownHost(absl::string_view message) {
  return absl::StartsWith(message, "DNS resolution failed");
}

// gRPC's account of a failed connection ends in what the system said: "failed
// to connect to all addresses; last error: UNKNOWN: ...: Connection refused".
absl::string_view Reason(absl::string_view message) {
  if (!absl::StartsWith(message, "failed to connect") &&
      !IsUnknownHost(message)) {
    return message;
  }
  const size_t last = message.rfind(": ");
  return last == message.npos ? message : message.substr(last + 2);
}

// What to do where nobody answers.
std::string Advice(const std::string& address, absl::string_view message) {
  if (IsLoopbackHost(address.substr(0, address.rfind(':')))) {
    return absl::StrCat(
        "start one with\n    foldfarm-coordinator --dir DIR --listen ", address,
        "\nor name another", kNameAnother);
  }
  // There it would not start so: it asks for TLS and tokens.
  return absl::StrCat(IsUnknownHost(message)
                          ? "is that the host's name? "
                          : "is it running there, and is the port open? ",
                      "Name another", kNameAnother);
}

// What answers there is no coordinator, if it is so; else "". Another program
// that speaks HTTP/2 gives a status of HTTP to every call, which may come with
// any code.
std::string WhoElse(absl::string_view message) {
  if (absl::StrContains(message, "http1.x server") ||
      absl::StrContains(message, "missing selected ALPN")) {
    return "that is a web server; is it the port of --http?";
  }
  if (absl::ConsumePrefix(&message, "Received http2 header with status: ")) {
    return absl::StrCat("another program does (HTTP status ", message,
                        "); name the coordinator", kNameAnother);
  }
  return "";
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
      channel_(Connect(address_)),
      farm_(v1::FarmService::NewStub(channel_)),
      artifacts_(v1::ArtifactService::NewStub(Connect(address_))) {}

bool FarmClient::WaitToTryAgain(Clock& clock, absl::Duration interval,
                                absl::FunctionRef<bool()> cancelled) {
  constexpr absl::Duration kLookInterval = absl::Milliseconds(100);
  const absl::Duration end = clock.Monotonic() + interval;
  while (!cancelled()) {
    const absl::Duration left = end - clock.Monotonic();
    if (left <= absl::ZeroDuration()) return true;
    // Polls the connection. It returns early when the state changes, not when
    // it is a certain one: also who is connected waits here. The deadline is a
    // time span, which gRPC counts from now.
    channel_->WaitForStateChange(
        channel_->GetState(/*try_to_connect=*/true),
        gpr_time_from_nanos(
            absl::ToInt64Nanoseconds(std::min(left, kLookInterval)),
            GPR_TIMESPAN));
  }
  return false;
}

absl::Status FarmClient::Explain(const absl::Status& status, bool heard) const {
  if (IsInterrupt(status)) return absl::CancelledError("Stopped.");
  const absl::StatusOr<FarmChannel> access = FarmChannelOptions(address_);
  if (!access.ok()) return access.status();
  if (IsAnswer(status)) {
    absl::Status answer = absl::UnavailableError(
        absl::StrCat("the coordinator at ", address_,
                     " cannot do it now: ", status.message()));
    MarkAnswer(answer);
    return answer;
  }
  if (const absl::Status wrong = CheckEndpoint(address_); !wrong.ok()) {
    return Annotate(wrong, "FOLDFARM_COORDINATOR");
  }
  if (const std::string other = WhoElse(status.message()); !other.empty()) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator answers at ", address_, ": ", other));
  }
  if (absl::IsUnavailable(status) && (heard || answered_)) {
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
        "); ", Advice(address_, status.message())));
  }
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(absl::StrCat(
        "the coordinator at ", address_, " did not answer in time (",
        status.message(), "); try again"));
  }
  return status;
}

absl::Status FarmClient::ExplainCall(
    const absl::Status& status,
    const google::protobuf::Message& request) const {
  // "CancelRequest" asks for a change, "GetJobRequest" does not.
  absl::string_view method = request.GetDescriptor()->name();
  absl::ConsumeSuffix(&method, "Request");
  const bool changes =
      !absl::StartsWith(method, "Get") && !absl::StartsWith(method, "List");
  if (!changes || !IsInterrupt(status)) return Explain(status);
  absl::Status in_doubt = absl::CancelledError(
      absl::StrCat("Stopped before the coordinator answered ", method,
                   "; it may have carried it out or not: look before you "
                   "repeat it."));
  in_doubt.SetPayload(kInDoubt, absl::Cord());
  return in_doubt;
}

bool IsInDoubt(const absl::Status& status) {
  return status.GetPayload(kInDoubt).has_value();
}

}  // namespace foldfarm
