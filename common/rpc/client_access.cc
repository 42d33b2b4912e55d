#include "common/rpc/client_access.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/client_interceptor.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/certificates.h"
#include "common/rpc/channel_arguments.h"
#include "common/rpc/tokens.h"

namespace foldfarm {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeTls(
    const ClientAccess& access) {
  const absl::Time now = Clock::Real().Now();
  FOLDFARM_RETURN_IF_ERROR(
      Annotate(ReadCertificates(access.tls_ca, now).status(), "--tls-ca"));
  const bool own = !access.tls_cert.empty();
  if (own) {
    FOLDFARM_RETURN_IF_ERROR(
        Annotate(ReadKeyPair(access.tls_cert, access.tls_key, now).status(),
                 "--tls-cert, --tls-key"));
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<FileWatcherCertificateProvider>(
          access.tls_key, access.tls_cert, access.tls_ca,
          kCertificateRefreshSeconds));
  options.watch_root_certs();
  if (own) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;

// What all calls of a channel share.
struct TokenSource {
  absl::Mutex mu;
  std::function<std::string()> token ABSL_GUARDED_BY(mu);

  std::string Get() {
    absl::MutexLock lock(&mu);
    return token();
  }
};

// Adds the token to one call. An interceptor does so on plain connections too,
// where gRPC's own credentials of a call refuse to.
class AddToken final : public Interceptor {
 public:
  explicit AddToken(TokenSource& source) : source_(source) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert(
          {"authorization", absl::StrCat("Bearer ", source_.Get())});
    }
    methods->Proceed();
  }

 private:
  TokenSource& source_;
};

class AddTokenFactory final : public ClientInterceptorFactoryInterface {
 public:
  explicit AddTokenFactory(std::function<std::string()> token) {
    absl::MutexLock lock(&source_.mu);
    source_.token = std::move(token);
  }

  Interceptor* CreateClientInterceptor(ClientRpcInfo*) override {
    return new AddToken(source_);
  }

 private:
  TokenSource source_;
};

// The other side closed the connection and gave no reason.
bool HungUp(absl::string_view said) {
  return absl::StrContains(said, "Socket closed") ||
         absl::StrContains(said, "Connection reset") ||
         absl::StrContains(said, "Broken pipe");
}

bool IsDigits(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

// A name, or an IP address; those of IPv6 are in brackets.
bool IsHost(absl::string_view host) {
  const bool bracketed = absl::ConsumePrefix(&host, "[");
  if (bracketed &&
      (!absl::ConsumeSuffix(&host, "]") || !absl::StrContains(host, ":"))) {
    return false;
  }
  return !host.empty() && std::none_of(host.begin(), host.end(), [&](char c) {
    return c == '/' || c == '[' || c == ']' || (c == ':' && !bracketed) ||
           absl::ascii_isspace(static_cast<unsigned char>(c));
  });
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint,
                                           const FarmChannel& options) {
  if (options.token == nullptr) {
    return MakeChannel(endpoint, ChannelOptions{options.credentials});
  }
  std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<AddTokenFactory>(options.token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      endpoint,
      options.credentials != nullptr ? options.credentials
                                     : grpc::InsecureChannelCredentials(),
      ClientArguments(), std::move(interceptors));
}

std::string TlsAdvice(const absl::Status& failed, const FarmChannel& options) {
  const absl::string_view said = failed.message();
  if (options.credentials == nullptr) {
    // A TLS server hangs up on plain bytes.
    return HungUp(said) || absl::StrContains(said, "server settings")
               ? "hung up at once; if it speaks TLS, name its CA with "
                 "--tls-ca FILE (or FOLDFARM_TLS_CA)"
               : "";
  }
  if (absl::StrContains(said, "WRONG_VERSION_NUMBER") ||
      absl::StrContains(said, "wrong version number")) {
    return "does not speak TLS; leave out --tls-ca, or start it with "
           "--tls-cert and --tls-key";
  }
  if (absl::StrContains(said, "Hostname Verification Check failed") ||
      absl::StrContains(said, "not in peer certificate")) {
    return "shows a certificate for another host name; call it by a name that "
           "its certificate has, or make one for this name with deploy/certs";
  }
  if (absl::StrContains(said, "erify failed") ||
      absl::StrContains(said, "VERIFY_FAILED")) {
    return "shows a certificate that --tls-ca does not vouch for: it is of "
           "another CA, or expired. Copy ca.crt of the farm anew, or renew the "
           "coordinator's certificate with deploy/certs";
  }
  const absl::string_view question =
      options.shows_certificate
          ? "is your certificate (--tls-cert) of the CA that it asks for (its "
            "--tls-client-ca)?"
          : "does it ask for a certificate of yours (--tls-cert, --tls-key)?";
  if (absl::StrContains(said, "andshake")) {
    return absl::StrCat("ended the TLS handshake (", said, "); ", question);
  }
  // In TLS 1.3 a server looks at the client's certificate when the client takes
  // the handshake for done: all that one hears then is the end.
  return HungUp(said) ? absl::StrCat("hung up; ", question) : "";
}

absl::Status CheckEndpoint(absl::string_view endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon != endpoint.npos && IsHost(endpoint.substr(0, colon))) {
    const absl::string_view digits = endpoint.substr(colon + 1);
    int port = 0;
    if (IsDigits(digits) && absl::SimpleAtoi(digits, &port) && port >= 1 &&
        port <= 65535) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("got \"", absl::Utf8SafeCEscape(endpoint),
                   "\", expected HOST:PORT, e.g. 127.0.0.1:7077"));
}

bool IsLoopbackHost(absl::string_view host) {
  // Digits and dots only: 127.0.0.1.evil.example begins like an address.
  const bool number = std::all_of(host.begin(), host.end(), [](char c) {
    return c == '.' || absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  return absl::EqualsIgnoreCase(host, "localhost") || host == "[::1]" ||
         host == "::1" || (number && absl::StartsWith(host, "127."));
}

absl::StatusOr<FarmChannel> ToFarmChannel(const ClientAccess& access,
                                          const std::string& endpoint) {
  if (access.tls_cert.empty() != access.tls_key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(access.tls_cert.empty() ? "--tls-key" : "--tls-cert",
                     " is given alone; --tls-cert and --tls-key go together"));
  }
  if (access.tls_ca.empty() && !access.tls_cert.empty()) {
    return absl::InvalidArgumentError(
        "--tls-cert is given without --tls-ca, the certificate of the CA that "
        "the coordinator's is checked against");
  }
  FarmChannel options;
  if (!access.tls_ca.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(options.credentials, MakeTls(access));
    options.shows_certificate = !access.tls_cert.empty();
  }
  std::string token = access.token;
  const char* from_environment = std::getenv("FOLDFARM_TOKEN");
  if (token.empty() && access.token_file.empty() &&
      from_environment != nullptr) {
    token = from_environment;
  }
  if (token.empty() && access.token_file.empty()) return options;
  const std::string host = endpoint.substr(0, endpoint.rfind(':'));
  if (options.credentials == nullptr && !IsLoopbackHost(host) &&
      !access.insecure) {
    return absl::FailedPreconditionError(
        absl::StrCat("the token would travel to ", endpoint,
                     " unencrypted, where others "
                     "can read it; give the farm's CA with --tls-ca FILE (or "
                     "FOLDFARM_TLS_CA), "
                     "or say --insecure if the network is trusted"));
  }
  if (!access.token_file.empty()) {
    FOLDFARM_RETURN_IF_ERROR(
        Annotate(ReadOneToken(access.token_file).status(), "--token-file"));
    options.token = [path = access.token_file, last = std::string()]() mutable {
      // A file that cannot be read just now is being replaced.
      const auto now = ReadOneToken(path);
      if (now.ok()) last = *now;
      return last;
    };
  } else {
    FOLDFARM_RETURN_IF_ERROR(Annotate(CheckToken(token), "FOLDFARM_TOKEN"));
    options.token = [token] { return token; };
  }
  return options;
}

}  // namespace foldfarm
